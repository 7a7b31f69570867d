import Glibc
import Synchronization
import Testing
import WeftControlAPI
import WeftTestKit

@testable import WeftConfig

@Suite("store guard")
struct StoreGuardTests {
  private typealias F = StoreFixtures

  @Test("a second owner of a store is refused by name, with what to do, until the first lets go")
  func second() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("store.db")
    var first: ConfigStore? = try ConfigStore(path: path)
    try first?.put(F.rule("a"), F.at(1))
    #expect(throws: StoreError.inUse(path, process: getpid())) { try ConfigStore(path: path) }
    #expect("\(StoreError.inUse(path, process: 7))".contains("--data-dir"))
    first = nil
    #expect(try ConfigStore(path: path).list().objects.count == 1)
  }

  enum Harm: CaseIterable {
    case removed
    case emptied
    case logLost
    case olderCopy
  }

  @Test("a store that holds less than it once did says so, and uses no revision twice", arguments: Harm.allCases)
  func loss(harm: Harm) throws {
    let directory = TemporaryDirectory()
    let path = directory.file("store.db")
    let older = directory.file("older.db")
    var store: ConfigStore? = try ConfigStore(path: path)
    for second in 1...5 {
      try store?.put(F.rule("r\(second)"), F.at(Int64(second)))
      if second == 2 { _ = try StoreBackup.copy(path, to: older) }
    }
    let image = F.crashImage(of: directory)
    try store?.checkpoint()
    store = nil
    switch harm {
    case .removed: directory.remove("store.db")
    case .emptied: unsafe truncate(path, 0)
    case .logLost:
      // The file as it was before a checkpoint, without its log.
      unsafe rename(image.file("store.db"), path)
    case .olderCopy: unsafe rename(older, path)
    }
    let found = try ConfigStore(path: path)
    #expect(found.loss?.remembered == 5)
    #expect(found.loss?.found == (harm == .olderCopy ? 2 : 0))
    #expect(found.loss?.objects == (harm == .olderCopy ? 2 : 0))
    #expect(found.revision == 5)
    #expect(throws: StoreError.tooOld(requested: 3, oldest: 5)) { try found.events(after: 3) }
    #expect(try found.put(F.rule("again"), F.at(9)).object.metadata.resourceVersion == 6)
  }

  @Test("a store that was stopped, killed or never used has lost nothing")
  func noLoss() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("store.db")
    for second in 1...3 {
      let store = try ConfigStore(path: path)
      #expect(store.loss == nil)
      try store.put(F.rule("r\(second)"), F.at(Int64(second)))
      if second == 2 { try store.checkpoint() }
    }
    #expect(try ConfigStore(path: path).list().objects.count == 3)
  }

  @Test("after a checkpoint the file alone is the store")
  func checkpoint() throws {
    let directory = TemporaryDirectory()
    let store = try ConfigStore(path: directory.file("store.db"))
    for index in 0..<50 { try store.put(F.rule("r\(index)"), F.at(1)) }
    try store.checkpoint()
    let image = F.crashImage(of: directory)
    image.remove("store.db-wal")
    #expect(try ConfigStore(path: image.file("store.db")).list().objects.count == 50)
  }

  @Test("a back-up of a store in use is whole, and replaces an older one")
  func backup() throws {
    let directory = TemporaryDirectory()
    let store = try ConfigStore(path: directory.file("store.db"))
    let copy = directory.file("copy.db")
    try store.put(F.rule("a"), F.at(1))
    #expect(try StoreBackup.copy(directory.file("store.db"), to: copy) == .init(revision: 1, objects: 1))
    try store.put(F.rule("b"), F.at(2))
    #expect(try StoreBackup.copy(directory.file("store.db"), to: copy) == .init(revision: 2, objects: 2))
    #expect(try ConfigStore(path: copy).list().objects.map(\.metadata.name) == ["a", "b"])
    #expect(throws: StoreError.self) { try StoreBackup.copy(directory.file("nothing.db"), to: copy) }
    #expect(unsafe access(directory.file("copy.db.unfinished"), F_OK) != 0)
  }

  @Test("a disk that takes no more is told once, at the next try, and when it is over")
  func unwritable() async throws {
    let directory = TemporaryDirectory()
    let store = try ConfigStore(path: directory.file("store.db"))
    let database = store.database
    // The file may not grow: what a full disk looks like to SQLite.
    let pages = try database.run("PRAGMA page_count")[0][0].integer
    try database.run("PRAGMA max_page_count = \(pages)")
    let service = StoreService(store)
    let told = Mutex<[Bool]>([])
    service.onFailureChange { failure in told.withLock { $0.append(failure == nil) } }
    let big = F.rule("big", labels: ["text": String(repeating: "x", count: 20_000)])
    for _ in 0..<2 {
      await #expect(throws: StoreError.self) { try await service.perform { try $0.put(big, F.at(1)) } }
    }
    #expect(service.failure != nil)
    #expect(service.failures == 1)
    await service.probe()
    #expect(service.failure == nil)
    #expect(told.withLock { $0 } == [false, true])
  }
}
