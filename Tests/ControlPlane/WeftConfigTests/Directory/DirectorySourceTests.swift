import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig

@Suite("directory source")
struct DirectorySourceTests {
  private struct World {
    let files = TemporaryDirectory()
    let state = TemporaryDirectory()
    let store: StoreService
    let source: DirectorySource

    init() throws {
      store = try StoreService(path: state.file("store.db"))
      source = Self.source(files, store)
    }

    static func source(
      _ files: TemporaryDirectory, _ store: StoreService, at second: Int64 = 1,
      limits: DirectoryLimits = DirectoryLimits()
    ) -> DirectorySource {
      DirectorySource(
        path: files.path, store: store, reader: DocumentReader(), limits: limits,
        wall: { WallTime(nanoseconds: second * 1_000_000_000) })
    }

    func names() async throws -> [String] {
      try await store.perform { try $0.list(kind: .virtualService).objects.map(\.metadata.name) }
    }
  }

  @Test("what files say is in the store, and what they say no more is not")
  func mirrors() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a") + "---\n" + DirectoryFiles.rule("b"))
    world.files.write(
      "c.json",
      #"{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"c"},"spec":{"hosts":["c"],"http":[{"route":[{"destination":{"host":"c"}}]}]}}"#
    )
    world.files.write("notes.txt", "not configuration")
    var report = try await world.source.synchronize()
    #expect(report.problems.isEmpty)
    #expect(report.changed == 3)
    #expect(report.files == 2)
    #expect(try await world.names() == ["a", "b", "c"])
    #expect(try await world.source.synchronize().changed == 0)

    world.files.write("a.yaml", DirectoryFiles.rule("a", timeout: "2s"))
    world.files.remove("c.json")
    report = try await world.source.synchronize()
    #expect(report.changed == 3)
    #expect(try await world.names() == ["a"])
  }

  @Test("a bad object keeps its last good state while the good ones beside it apply")
  func badObject() async throws {
    let world = try World()
    world.files.write("all.yaml", DirectoryFiles.rule("a") + "---\n" + DirectoryFiles.rule("b"))
    try await world.source.synchronize()
    world.files.write(
      "all.yaml", DirectoryFiles.rule("a", timeout: "soon") + "---\n" + DirectoryFiles.rule("b", timeout: "3s"))
    let report = try await world.source.synchronize()
    #expect(report.changed == 1)
    let problem = try #require(report.problems.first)
    #expect(problem.path.description == "spec.http[0].timeout")
    #expect(problem.location?.file == world.files.file("all.yaml"))
    #expect(problem.location?.line == 7)
    let timeouts = try await world.store.perform {
      try $0.list(kind: .virtualService).objects.map { $0.spec["http"]?[0]?["timeout"]?.stringValue }
    }
    #expect(timeouts == ["1s", "3s"])
    world.files.write("all.yaml", DirectoryFiles.rule("b", timeout: "3s"))
    #expect(try await world.source.synchronize().changed == 1)
    #expect(try await world.names() == ["b"])
  }

  @Test("while a file cannot be read as YAML nothing is removed, not even after a restart")
  func brokenFile() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    world.files.write("b.yaml", DirectoryFiles.rule("b"))
    try await world.source.synchronize()
    world.files.write("a.yaml", "kind: [unclosed")
    world.files.write("c.yaml", DirectoryFiles.rule("c"))
    let report = try await world.source.synchronize()
    #expect(report.problems.count == 1)
    #expect(try await world.names() == ["a", "b", "c"])
    let restarted = World.source(world.files, world.store)
    try await restarted.synchronize()
    #expect(try await world.names() == ["a", "b", "c"])
    world.files.write("a.yaml", DirectoryFiles.rule("a2"))
    try await restarted.synchronize()
    #expect(try await world.names() == ["a2", "b", "c"])
  }

  @Test("a broken file keeps what it named and what its text mentions; what other files gave up is removed")
  func brokenBesideRemoved() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a1") + "---\n" + DirectoryFiles.rule("a2"))
    world.files.write(
      "b.yaml", DirectoryFiles.rule("b1") + "---\n" + DirectoryFiles.rule("b2") + "---\n" + DirectoryFiles.rule("moved")
    )
    try await world.source.synchronize()
    // `moved` goes from b to a, and a is broken at that moment.
    world.files.write("a.yaml", "kind: [unclosed\nmetadata: {name: moved}")
    world.files.write("b.yaml", DirectoryFiles.rule("b2"))
    let report = try await world.source.synchronize()
    #expect(try await world.names() == ["a1", "a2", "b2", "moved"])
    #expect(report.problems.map { $0.location?.file } == [world.files.file("a.yaml")])
    world.files.write("a.yaml", DirectoryFiles.rule("a1") + "---\n" + DirectoryFiles.rule("moved"))
    try await world.source.synchronize()
    #expect(try await world.names() == ["a1", "b2", "moved"])
  }

  @Test("a problem names its object: kind, namespace, name, and field")
  func problemsNameObjects() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a", timeout: "soon"))
    let problem = try #require(try await world.source.synchronize().problems.first)
    #expect(problem.object == StoreFixtures.key("a"))
    #expect(problem.path.description == "spec.http[0].timeout")
    #expect(problem.json["kind"] == "VirtualService")
    #expect(problem.json["name"] == "a")
  }

  @Test("a directory that cannot be read leaves everything as it was")
  func missingDirectory() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    try await world.source.synchronize()
    let gone = DirectorySource(
      path: world.files.file("gone"), store: world.store, reader: DocumentReader(),
      wall: { WallTime(nanoseconds: 0) })
    let report = try await gone.synchronize()
    #expect(report.isUnreadable)
    #expect(report.problems.count == 1)
    #expect(try await world.names() == ["a"])
  }

  @Test("a directory with more files than the limit leaves everything as it was, and names the limit and the file")
  func tooManyFiles() async throws {
    let world = try World()
    var limits = DirectoryLimits()
    limits.files = 2
    let source = World.source(world.files, world.store, limits: limits)
    for name in ["b", "c"] { world.files.write("\(name).yaml", DirectoryFiles.rule(name)) }
    world.files.write("notes.txt", "not configuration")
    #expect(try await !source.synchronize().isUnreadable)
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    let report = try await source.synchronize()
    #expect(report.isUnreadable && report.changed == 0)
    let text = "\(world.files.file("c.yaml")): beyond the limit of 2 configuration files in one directory"
    #expect(report.problems.first?.message.hasPrefix(text) == true)
    #expect(source.state == .stale(reason: report.problems[0].message))
    #expect(source.metrics.contains("weft_control_directory_unreadable{directory=\"\(world.files.path)\"} 1\n"))
    #expect(try await world.names() == ["b", "c"])
    world.files.remove("b.yaml")
    #expect(try await !source.synchronize().isUnreadable)
    #expect(source.metrics.contains("weft_control_directory_unreadable{directory=\"\(world.files.path)\"} 0\n"))
    #expect(try await world.names() == ["a", "c"])
  }

  @Test("folders below the limit of levels leave everything as it was, and the limit and the folder are named")
  func tooDeep() async throws {
    let world = try World()
    var limits = DirectoryLimits()
    limits.depth = 1
    let source = World.source(world.files, world.store, limits: limits)
    try DirectoryFiles.makeDirectory(world.files.file("one"))
    world.files.write("one/a.yaml", DirectoryFiles.rule("a"))
    #expect(try await !source.synchronize().isUnreadable)
    // The file's folder moves one level down.
    try DirectoryFiles.makeDirectory(world.files.file("one/two"))
    world.files.remove("one/a.yaml")
    world.files.write("one/two/a.yaml", DirectoryFiles.rule("a"))
    let report = try await source.synchronize()
    #expect(report.isUnreadable && report.changed == 0)
    let text = "\(world.files.file("one/two")): below the limit of 1 levels of folders"
    #expect(report.problems.first?.message.hasPrefix(text) == true)
    #expect(try await world.names() == ["a"])
  }

  @Test("a name of which nobody knows what it leads to leaves everything as it was; a link to nowhere is gone")
  func unknownFile() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    world.files.write("b.yaml", DirectoryFiles.rule("b"))
    try await world.source.synchronize()
    world.files.remove("a.yaml")
    DirectoryFiles.link(String(repeating: "x", count: 300), world.files.file("a.yaml"))
    let report = try await world.source.synchronize()
    #expect(report.isUnreadable)
    #expect(report.problems.first?.message == "\(world.files.file("a.yaml")): File name too long")
    #expect(try await world.names() == ["a", "b"])
    world.files.remove("a.yaml")
    for target in ["nowhere", "a.yaml", "b.yaml/c"] {
      DirectoryFiles.link(target, world.files.file("a.yaml"))
      #expect(try await !world.source.synchronize().isUnreadable)
      #expect(try await world.names() == ["b"])
      world.files.remove("a.yaml")
    }
  }

  @Test("creation times and uids survive a restart of the source and of the store")
  func stableAges() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    try await world.source.synchronize()
    let before = try await world.store.perform { try $0.list().objects }
    let image = StoreFixtures.crashImage(of: world.state)
    let reopened = try StoreService(path: image.file("store.db"))
    let later = World.source(world.files, reopened, at: 1_000)
    #expect(try await later.synchronize().changed == 0)
    world.files.write("a.yaml", DirectoryFiles.rule("a", timeout: "9s"))
    #expect(try await later.synchronize().changed == 1)
    let after = try await reopened.perform { try $0.list().objects }
    #expect(after.map(\.metadata.creationTimestamp) == before.map(\.metadata.creationTimestamp))
    #expect(after.map(\.metadata.uid) == before.map(\.metadata.uid))
  }

  @Test("of an object in two files, and of one that the API owns, the first stays and the other is reported")
  func conflicts() async throws {
    let world = try World()
    _ = try await world.store.perform {
      try $0.put(StoreFixtures.rule("mine"), StoreFixtures.at(1))
    }
    world.files.write("1.yaml", DirectoryFiles.rule("twice", timeout: "1s"))
    world.files.write("2.yaml", DirectoryFiles.rule("twice", timeout: "2s") + "---\n" + DirectoryFiles.rule("mine"))
    let report = try await world.source.synchronize()
    #expect(report.problems.count == 2)
    let objects = try await world.store.perform { try $0.list().objects }
    #expect(objects.map(\.source) == ["api", "directory:\(world.files.path)"])
    #expect(objects.last?.spec["http"]?[0]?["timeout"] == "1s")
  }

  @Test("an object that another source gives up is taken over at the next pass, though no file changed")
  func givenUp() async throws {
    let world = try World()
    _ = try await world.store.perform { try $0.put(StoreFixtures.rule("mine"), StoreFixtures.at(1)) }
    world.files.write("1.yaml", DirectoryFiles.rule("mine", timeout: "5s"))
    #expect(try await world.source.synchronize().problems.count == 1)
    _ = try await world.store.perform { try $0.delete(StoreFixtures.key("mine"), StoreFixtures.at(2)) }
    let report = try await world.source.synchronize()
    #expect(report.problems.isEmpty)
    #expect(report.changed == 1)
  }

  @Test("without notices it looks in intervals, takes what two looks agree on, and tells of news only")
  func polling() async throws {
    let world = try World()
    world.files.write("a.yaml", DirectoryFiles.rule("a"))
    let files = world.files
    let told = Told()
    var times = DirectoryTimes()
    times.poll = .seconds(1)
    times.patience = .milliseconds(7)
    var teller = DirectorySource.Teller { report in told.note(report) }
    await world.source.poll(
      times,
      sleep: { interval in
        if interval == .milliseconds(7) {
          // Somebody is still writing when the second look comes.
          if await told.turn == 4 { files.write("c.yaml", DirectoryFiles.rule("c", timeout: "2s")) }
          return
        }
        switch await told.nextTurn() {
        case 1: break
        case 2: files.write("b.yaml", "kind: [")
        case 3: break
        case 4:
          files.write("b.yaml", DirectoryFiles.rule("b"))
          files.write("c.yaml", DirectoryFiles.rule("c"))
        case 5: break
        default: throw CancellationError()
        }
      }, &teller)
    #expect(told.reports.map(\.changed) == [1, 0, 1, 1])
    #expect(told.reports.map(\.problems.count) == [0, 1, 0, 0])
    #expect(told.reports.map(\.waiting) == [0, 0, 1, 0])
  }

  private final class Told: Sendable {
    private let state = Box()

    final class Box: @unchecked Sendable {  // Proof: only touched by the one task that runs the source.
      var reports: [DirectoryReport] = []
      var turn = 0
    }

    var reports: [DirectoryReport] { state.reports }
    func note(_ report: DirectoryReport) { state.reports.append(report) }
    var turn: Int { get async { state.turn } }
    func nextTurn() async -> Int {
      state.turn += 1
      return state.turn
    }
  }
}
