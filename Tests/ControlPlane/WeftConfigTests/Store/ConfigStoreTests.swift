import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig

@Suite("config store")
struct ConfigStoreTests {
  private typealias F = StoreFixtures

  @Test("a created object gets generation 1, a revision, a uid and its creation time")
  func create() throws {
    let store = try ConfigStore(path: ":memory:")
    let outcome = try store.put(F.rule("a"), F.at(5))
    #expect(outcome.effect == .created)
    #expect(outcome.object.metadata.generation == 1)
    #expect(outcome.object.metadata.resourceVersion == 1)
    #expect(outcome.object.metadata.uid.utf8.count == 36)
    #expect(outcome.object.metadata.creationTimestamp == WallTime(nanoseconds: 5_000_000_000))
    #expect(try store.object(F.key("a")) == outcome.object)
  }

  @Test("generation grows with the spec and with nothing else; creation time and uid stay")
  func generation() throws {
    let store = try ConfigStore(path: ":memory:")
    let first = try store.put(F.rule("a"), F.at(1)).object
    let labelled = try store.put(F.rule("a", labels: ["team": "x"]), F.at(2)).object
    #expect(labelled.metadata.generation == 1)
    #expect(labelled.metadata.resourceVersion == 2)
    let changed = try store.put(F.rule("a", timeout: "2s", labels: ["team": "x"]), F.at(3)).object
    #expect(changed.metadata.generation == 2)
    #expect(changed.metadata.resourceVersion == 3)
    #expect(changed.metadata.uid == first.metadata.uid)
    #expect(changed.metadata.creationTimestamp == first.metadata.creationTimestamp)
  }

  @Test("a write that changes nothing makes no revision and no event, whatever the order of members")
  func unchanged() throws {
    let store = try ConfigStore(path: ":memory:")
    try store.put(F.rule("a"), F.at(1))
    var same = F.rule("a")
    same.spec = ["http": [["timeout": "1s"]], "hosts": ["a"]]
    #expect(try store.put(same, F.at(9)).effect == .unchanged)
    #expect(store.revision == 1)
    #expect(try store.events(after: 0).count == 1)
  }

  @Test("a deleted and re-created object is a new one: new uid, new age, generation 1, later revision")
  func recreate() throws {
    let store = try ConfigStore(path: ":memory:")
    let first = try store.put(F.rule("a"), F.at(1)).object
    try store.put(F.rule("a", timeout: "2s"), F.at(2))
    #expect(try store.delete(F.key("a"), F.at(3)).effect == .deleted)
    let second = try store.put(F.rule("a"), F.at(4)).object
    #expect(second.metadata.uid != first.metadata.uid)
    #expect(second.metadata.creationTimestamp == WallTime(nanoseconds: 4_000_000_000))
    #expect(second.metadata.generation == 1)
    #expect(second.metadata.resourceVersion == 4)
  }

  @Test("the number of objects is right after every write, deletion and transaction that was taken back")
  func counts() throws {
    struct Failed: Error {}
    let store = try ConfigStore(path: ":memory:")
    func check() throws { #expect(try store.count() == store.list().objects.count) }
    try check()
    for name in ["a", "b", "a", "c"] {
      try store.put(F.rule(name), F.at(1))
      try check()
    }
    try store.delete(F.key("b"), F.at(2))
    try check()
    #expect(throws: Failed.self) {
      try store.transaction {
        try store.put(F.rule("d"), F.at(3))
        try store.delete(F.key("a"), F.at(3))
        throw Failed()
      }
    }
    try check()
    try store.transaction {
      try store.put(F.rule("e"), F.at(4))
      #expect(throws: Failed.self) {
        try store.transaction {
          try store.put(F.rule("f"), F.at(4))
          throw Failed()
        }
      }
    }
    try check()
    #expect(try store.count() == 3)
  }

  @Test("a write based on an old version is refused and leaves no trace")
  func conflict() throws {
    let store = try ConfigStore(path: ":memory:")
    try store.put(F.rule("a"), F.at(1))
    try store.put(F.rule("a", timeout: "2s"), F.at(2))
    #expect(throws: StoreError.conflict(F.key("a"), expected: 1, actual: 2)) {
      try store.put(F.rule("a", timeout: "3s"), if: .resourceVersion(1), F.at(3))
    }
    #expect(throws: StoreError.conflict(F.key("a"), expected: 1, actual: 2)) {
      try store.delete(F.key("a"), if: .resourceVersion(1), F.at(3))
    }
    #expect(throws: StoreError.alreadyExists(F.key("a"))) { try store.put(F.rule("a"), if: .absent, F.at(3)) }
    #expect(throws: StoreError.notFound(F.key("b"))) { try store.put(F.rule("b"), if: .exists, F.at(3)) }
    #expect(store.revision == 2)
    #expect(try store.put(F.rule("a", timeout: "3s"), if: .resourceVersion(2), F.at(3)).effect == .configured)
  }

  @Test("objects of one source cannot be changed or removed by another unless it takes over")
  func ownership() throws {
    let store = try ConfigStore(path: ":memory:")
    try store.put(F.rule("a"), F.at(1, source: "directory:/etc/weft"))
    #expect(throws: StoreError.ownedElsewhere(F.key("a"), owner: "directory:/etc/weft")) {
      try store.put(F.rule("a", timeout: "2s"), F.at(2))
    }
    #expect(throws: StoreError.ownedElsewhere(F.key("a"), owner: "directory:/etc/weft")) {
      try store.delete(F.key("a"), F.at(2))
    }
    var taking = F.at(3)
    taking.takesOver = true
    #expect(try store.put(F.rule("a", timeout: "2s"), taking).object.source == Envelope.apiSource)
  }

  @Test("a unit of several writes is kept whole or not at all, and units nest")
  func transactions() throws {
    let store = try ConfigStore(path: ":memory:")
    struct Stop: Error {}
    #expect(throws: Stop.self) {
      try store.transaction {
        try store.put(F.rule("a"), F.at(1))
        throw Stop()
      }
    }
    #expect(store.revision == 0)
    try store.transaction {
      try store.put(F.rule("a"), F.at(1))
      #expect(throws: Stop.self) {
        try store.transaction {
          try store.put(F.rule("b"), F.at(1))
          throw Stop()
        }
      }
      try store.put(F.rule("c"), F.at(1))
    }
    #expect(try store.list().objects.map(\.metadata.name) == ["a", "c"])
    #expect(try store.events(after: 0).map(\.revision) == [1, 2])
  }

  @Test("lists are in the order of keys, by kind and namespace")
  func lists() throws {
    let store = try ConfigStore(path: ":memory:")
    for (name, namespace) in [("b", "x"), ("a", "y"), ("c", "x")] {
      try store.put(F.rule(name, namespace: namespace), F.at(1))
    }
    #expect(try store.list(namespace: "x").objects.map(\.metadata.name) == ["b", "c"])
    #expect(try store.list(kind: .virtualService).objects.count == 3)
    #expect(try store.list(kind: .gateway).objects.isEmpty)
    #expect(try store.list().revision == 3)
  }

  @Test("a watch resumes from any revision in the log and is told when it is too late or too early")
  func watch() throws {
    var limits = StoreLimits()
    limits.events = 10
    let store = try ConfigStore(path: ":memory:", limits: limits)
    for index in 1...30 { try store.put(F.rule("a", timeout: "\(index)s"), F.at(Int64(index))) }
    #expect(store.compacted == 20)
    #expect(throws: StoreError.tooOld(requested: 19, oldest: 20)) { try store.events(after: 19) }
    #expect(try store.events(after: 20).map(\.revision) == Array(21...30))
    #expect(try store.events(after: 28, limit: 1).map(\.revision) == [29])
    #expect(try store.events(after: 30).isEmpty)
    #expect(throws: StoreError.futureRevision(requested: 31, current: 30)) { try store.events(after: 31) }
  }

  @Test("history keeps the newest versions of every object, and a roll-back writes one of them as a new version")
  func history() throws {
    var limits = StoreLimits()
    limits.events = 10
    limits.versionsPerObject = 3
    let store = try ConfigStore(path: ":memory:", limits: limits)
    try store.put(F.rule("quiet", timeout: "7s"), F.at(1))
    for index in 1...40 { try store.put(F.rule("busy", timeout: "\(index)s"), F.at(Int64(index), actor: "ann")) }
    #expect(try store.history(F.key("quiet")).map(\.revision) == [1])
    let versions = try store.history(F.key("busy"))
    #expect(versions.first?.revision == 41)
    #expect(versions.first?.actor == "ann")
    #expect(versions.count >= 10 && versions.count <= 14)
    let outcome = try store.rollBack(F.key("busy"), to: .revision(39), F.at(50))
    #expect(outcome.object.spec["http"]?[0]?["timeout"] == "38s")
    #expect(outcome.object.metadata.resourceVersion == 42)
    #expect(outcome.object.metadata.generation == 41)
    try store.delete(F.key("quiet"), F.at(51))
    #expect(try store.rollBack(F.key("quiet"), to: .revision(1), F.at(52)).effect == .created)
    #expect(throws: StoreError.versionNotKept(F.key("busy"), .revision(5))) {
      try store.rollBack(F.key("busy"), to: .revision(5), F.at(53))
    }
    #expect(
      try store.rollBack(F.key("busy"), to: .generation(40), F.at(54)).object.spec["http"]?[0]?["timeout"] == "40s")
    #expect(throws: StoreError.versionNotKept(F.key("busy"), .generation(99))) {
      try store.rollBack(F.key("busy"), to: .generation(99), F.at(55))
    }
  }

  @Test("an object over the size limit and one object too many are refused")
  func limits() throws {
    var limits = StoreLimits()
    limits.objectBytes = 200
    limits.objects = 1
    let store = try ConfigStore(path: ":memory:", limits: limits)
    #expect(throws: StoreError.self) {
      try store.put(F.rule("a", timeout: String(repeating: "1", count: 300)), F.at(1))
    }
    #expect(store.revision == 0)
    try store.put(F.rule("a"), F.at(1))
    #expect(throws: StoreError.limitReached("1 objects")) { try store.put(F.rule("b"), F.at(1)) }
  }

  @Test("a file of another application is refused")
  func foreignFile() throws {
    let directory = TemporaryDirectory()
    let foreign = try SQLiteDatabase(path: directory.file("store.db"))
    try foreign.run("CREATE TABLE other (x)")
    #expect(throws: StoreError.incompatible("the file belongs to another application")) {
      try ConfigStore(path: directory.file("store.db"))
    }
    let newer = TemporaryDirectory()
    _ = try ConfigStore(path: newer.file("store.db"))
    try SQLiteDatabase(path: newer.file("store.db")).run("PRAGMA user_version = 99")
    #expect(throws: StoreError.self) { try ConfigStore(path: newer.file("store.db")) }
  }
}
