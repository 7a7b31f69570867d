import Glibc
import Synchronization
import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig

/// Every wait here is for a notice of the kernel: the intervals are so long that only a notice ends them in time.
@Suite("following a directory", .timeLimit(.minutes(5)))
struct DirectoryFollowTests {
  private static var onlyNotices: DirectoryTimes {
    var times = DirectoryTimes()
    times.poll = .seconds(3600)
    times.anyway = .seconds(3600)
    times.again = .seconds(3600)
    return times
  }

  /// A followed directory, and what the store says of it.
  private struct World: Sendable {
    let files = TemporaryDirectory()
    let store: StoreService
    let source: DirectorySource

    init(path: String? = nil) throws {
      store = try StoreService(path: ":memory:")
      source = DirectorySource(
        path: path ?? files.path, store: store, reader: DocumentReader(), wall: { WallTime(nanoseconds: 1) })
    }

    func rules() async throws -> [String: String] {
      var rules: [String: String] = [:]
      for object in try await store.perform({ try $0.list(kind: .virtualService).objects }) {
        rules[object.metadata.name] = object.spec["http"]?[0]?["timeout"]?.stringValue
      }
      return rules
    }

    /// Waits until the store holds exactly these rules.
    func reach(_ wanted: [String: String]) async throws {
      for await _ in store.revisions() where try await rules() == wanted { return }
      Issue.record("the store ended")
    }

    func following(_ times: DirectoryTimes = onlyNotices, _ body: () async throws -> Void) async throws {
      let source = self.source
      let task = Task { await source.follow(times) { _ in } }
      defer { task.cancel() }
      try await body()
    }
  }

  private static func replace(_ from: String, _ to: String) {
    precondition(unsafe rename(from, to) == 0, "cannot rename \(from)")
  }

  @Test("files written, changed, renamed over and removed are in the store without a look in intervals")
  func ordinary() async throws {
    let world = try World()
    try await world.following {
      world.files.write("a.yaml", DirectoryFiles.rule("a"))
      try await world.reach(["a": "1s"])
      world.files.write("a.yaml", DirectoryFiles.rule("a", timeout: "2s"))
      try await world.reach(["a": "2s"])
      try DirectoryFiles.makeDirectory(world.files.file("sub"))
      world.files.write("sub/b.yaml", DirectoryFiles.rule("b"))
      try await world.reach(["a": "2s", "b": "1s"])
      world.files.write("sub/b.yaml", DirectoryFiles.rule("b", timeout: "3s"))
      try await world.reach(["a": "2s", "b": "3s"])
      world.files.remove("a.yaml")
      try await world.reach(["b": "3s"])
      #expect(world.source.attention == .notified)
    }
  }

  @Test("a Kubernetes volume: `..data` swapped to a new directory changes all files at once")
  func kubernetesVolume() async throws {
    let world = try World()
    let files = world.files
    try DirectoryFiles.makeDirectory(files.file("..first"))
    files.write("..first/a.yaml", DirectoryFiles.rule("a"))
    DirectoryFiles.link("..first", files.file("..data"))
    DirectoryFiles.link("..data/a.yaml", files.file("a.yaml"))
    try await world.following {
      try await world.reach(["a": "1s"])
      try DirectoryFiles.makeDirectory(files.file("..second"))
      files.write("..second/a.yaml", DirectoryFiles.rule("a", timeout: "2s"))
      DirectoryFiles.link("..second", files.file("..data_tmp"))
      Self.replace(files.file("..data_tmp"), files.file("..data"))
      try await world.reach(["a": "2s"])
    }
  }

  @Test("the directory itself may be a link that is swapped, may lie elsewhere, and may come late")
  func swappedRoot() async throws {
    let place = TemporaryDirectory()
    let world = try World(path: place.file("current"))
    for (name, timeout) in [("one", "1s"), ("two", "2s")] {
      try DirectoryFiles.makeDirectory(place.file(name))
      place.write("\(name)/a.yaml", DirectoryFiles.rule("a", timeout: timeout))
    }
    try await world.following {
      // Not there at first: the place where it will appear is watched.
      DirectoryFiles.link("one", place.file("current"))
      try await world.reach(["a": "1s"])
      DirectoryFiles.link("two", place.file("next"))
      Self.replace(place.file("next"), place.file("current"))
      try await world.reach(["a": "2s"])
      place.write("two/a.yaml", DirectoryFiles.rule("a", timeout: "3s"))
      try await world.reach(["a": "3s"])
    }
  }

  @Test("a link to a file elsewhere shows changes of that file")
  func linkedFile() async throws {
    let elsewhere = TemporaryDirectory()
    elsewhere.write("rules", DirectoryFiles.rule("a"))
    let world = try World()
    DirectoryFiles.link(elsewhere.file("rules"), world.files.file("a.yaml"))
    try await world.following {
      try await world.reach(["a": "1s"])
      elsewhere.write("rules", DirectoryFiles.rule("a", timeout: "2s"))
      try await world.reach(["a": "2s"])
    }
  }

  @Test("a link back to a directory that it is in is not followed; one to a directory beside it is")
  func linkedBack() async throws {
    let world = try World()
    let files = world.files
    let beside = TemporaryDirectory()
    beside.write("c.yaml", DirectoryFiles.rule("c"))
    files.write("a.yaml", DirectoryFiles.rule("a"))
    try DirectoryFiles.makeDirectory(files.file("sub"))
    files.write("sub/b.yaml", DirectoryFiles.rule("b"))
    for (target, name) in [
      (files.path, "loop"), (".", "self"), (files.path, "sub/up"), (".", "sub/here"), (beside.path, "sub/beside"),
      (files.path, "entry"),
    ] { DirectoryFiles.link(target, files.file(name)) }
    DirectoryFiles.link(files.path, beside.file("back"))
    #expect(
      try DirectoryScan.listing(of: files.path).files.keys.sorted() == ["a.yaml", "sub/b.yaml", "sub/beside/c.yaml"])
    // Also when the root is a link itself.
    #expect(try DirectoryScan.listing(of: files.file("entry")).files.count == 3)
    let report = try await world.source.synchronize()
    #expect(report.problems.isEmpty && report.changed == 3)
  }

  @Test("a file that is written in pieces is taken when it is whole, whatever else changes meanwhile")
  func pieces() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    try await world.following {
      try await world.reach(["a": "1s"])
      // Cut and half written: two documents, of which the second is not there yet.
      let writer = unsafe fopen(world.files.file("a.yaml"), "w")
      unsafe fputs(DirectoryFiles.rule("a", timeout: "2s"), writer)
      unsafe fflush(writer)
      world.files.write("b.yaml", DirectoryFiles.rule("b"))
      try await world.reach(["a": "1s", "b": "1s"])
      unsafe fputs("---\n" + DirectoryFiles.rule("c"), writer)
      unsafe fclose(writer)
      try await world.reach(["a": "2s", "b": "1s", "c": "1s"])
    }
  }

  @Test("a writer that keeps its file open is not waited for forever")
  func openWriter() async throws {
    let world = try World()
    var times = Self.onlyNotices
    times.writer = .milliseconds(20)
    try await world.following(times) {
      let writer = unsafe fopen(world.files.file("a.yaml"), "w")
      unsafe fputs(DirectoryFiles.rule("a"), writer)
      unsafe fflush(writer)
      try await world.reach(["a": "1s"])
      unsafe fclose(writer)
    }
  }

  @Test("an editor that renames the old file away and writes a new one removes nothing")
  func editor() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    let deletions = Mutex(0)
    var times = Self.onlyNotices
    times.grace = .seconds(5)
    try await world.following(times) {
      try await world.reach(["a": "1s"])
      Self.replace(world.files.file("a.yaml"), world.files.file("a.yaml~"))
      // Another change makes a look happen in between.
      world.files.write("b.yaml", DirectoryFiles.rule("b"))
      try await world.reach(["a": "1s", "b": "1s"])
      let writer = unsafe fopen(world.files.file("a.yaml"), "w")
      unsafe fputs(DirectoryFiles.rule("a", timeout: "2s"), writer)
      unsafe fclose(writer)
      try await world.reach(["a": "2s", "b": "1s"])
      let events = try await world.store.perform { try $0.events(after: 0) }
      deletions.withLock { $0 = events.count { $0.change == .deleted } }
    }
    #expect(deletions.withLock { $0 } == 0)
  }

  @Test("when the system will not tell, the directory is looked at in intervals, and the reason is said")
  func fallback() async throws {
    let world = try World()
    let reasons = Mutex<[DirectoryAttention]>([])
    var times = Self.onlyNotices
    times.poll = .milliseconds(1)
    times.patience = .milliseconds(1)
    let source = world.source
    let task = Task {
      await source.follow(
        times, makeWatch: { () throws(DirectoryError) in throw DirectoryError(path: "inotify", code: ENOSPC) },
        onAttention: { attention in reasons.withLock { $0.append(attention) } }, onChange: { _ in })
    }
    defer { task.cancel() }
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    try await world.reach(["a": "1s"])
    #expect(reasons.withLock { $0 } == [.polling(reason: "inotify: No space left on device")])
    #expect(world.source.metrics.contains("weft_control_directory_polling{directory=\"\(world.files.path)\"} 1"))
  }

  @Test("an object that another source gives up is taken over though no file changes")
  func givenUp() async throws {
    let world = try World()
    _ = try await world.store.perform { try $0.put(StoreFixtures.rule("mine"), StoreFixtures.at(1)) }
    world.files.write("1.yaml", DirectoryFiles.rule("mine", timeout: "5s"))
    var times = Self.onlyNotices
    times.poll = .milliseconds(5)
    try await world.following(times) {
      while world.source.report.problems.isEmpty { await Task.yield() }
      _ = try await world.store.perform { try $0.delete(StoreFixtures.key("mine"), StoreFixtures.at(2)) }
      try await world.reach(["mine": "5s"])
    }
  }
}
