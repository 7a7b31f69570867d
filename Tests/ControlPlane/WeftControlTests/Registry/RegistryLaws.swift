import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig
@testable import WeftControl

/// A source under test, with its far side in the test's hand. Elements have a name and a number.
protocol SourceHarness: Sendable {
  associatedtype Tested: Source

  var source: Tested { get }
  init() async throws
  /// The far side says so. Saying the same twice is no change.
  func put(_ name: String, _ number: Int) async throws
  /// The far side has it no more; of what it never had, nothing happens.
  func remove(_ name: String) async throws
  /// The control plane begins anew and has not heard of the far side yet.
  func restarted() async throws -> Self
  static func key(_ name: String) -> ObjectKey
  static func number(_ element: Tested.Element) -> Int?
}

/// What `Source` promises.
enum RegistryLaw: String, CaseIterable, CustomTestStringConvertible {
  case first = "the first batch is whole, even of nothing, and comes when there is something to serve"
  case order = "changes come in order, the last of a key wins, and versions grow"
  case sameness = "what changes nothing is not told"
  case burst = "a reader that is slow gets one batch with all that came"
  case resumption = "a reader goes on from where it was, or begins anew"
  case memory = "a restart serves what was last known"
  case ending = "cancelling the reader ends its stream"

  var testDescription: String { rawValue }

  func check<Harness: SourceHarness>(_ type: Harness.Type) async throws {
    switch self {
    case .first: try await first(type)
    case .order: try await order(type)
    case .sameness: try await sameness(type)
    case .burst: try await burst(type)
    case .resumption: try await resumption(type)
    case .memory: try await memory(type)
    case .ending: try await ending(type)
    }
  }

  private typealias Batches<H: SourceHarness> = AsyncStream<SourceBatch<H.Tested.Element>>.Iterator

  /// Everything up to the element `name`, as one batch; its parts must be in order.
  private func all<H: SourceHarness>(
    _ type: H.Type, upTo name: String, _ batches: inout Batches<H>
  ) async throws -> SourceBatch<H.Tested.Element> {
    var merged = try #require(await batches.next())
    while merged.upserts[H.key(name)] == nil {
      let next = try #require(await batches.next())
      #expect(next.version > merged.version)
      merged.merge(next)
    }
    return merged
  }

  private func first<H: SourceHarness>(_ type: H.Type) async throws {
    let harness = try await H()
    var early = harness.source.changes(after: nil).makeAsyncIterator()
    let empty = try #require(await early.next())
    #expect(empty.isWhole)
    #expect(empty.upserts.isEmpty)
    try await harness.put("a", 1)
    try await harness.put("b", 2)
    let both = try await all(type, upTo: "b", &early)
    #expect(both.upserts.compactMap { H.number($0.value) }.sorted() == [1, 2])
    var late = harness.source.changes(after: nil).makeAsyncIterator()
    let whole = try #require(await late.next())
    #expect(whole.isWhole)
    #expect(whole.upserts == both.upserts)
    #expect(harness.source.state == .synced)
  }

  private func order<H: SourceHarness>(_ type: H.Type) async throws {
    let harness = try await H()
    var batches = harness.source.changes(after: nil).makeAsyncIterator()
    for number in 1...3 { try await harness.put("a", number) }
    try await harness.put("b", 1)
    try await harness.remove("a")
    try await harness.put("a", 4)
    try await harness.remove("b")
    try await harness.put("end", 0)
    let merged = try await all(type, upTo: "end", &batches)
    #expect(merged.upserts[H.key("a")].flatMap(H.number) == 4)
    #expect(merged.upserts[H.key("b")] == nil)
  }

  private func sameness<H: SourceHarness>(_ type: H.Type) async throws {
    let harness = try await H()
    var batches = harness.source.changes(after: nil).makeAsyncIterator()
    try await harness.put("a", 1)
    _ = try await all(type, upTo: "a", &batches)
    try await harness.put("a", 1)
    try await harness.remove("nothing")
    try await harness.put("end", 0)
    let next = try #require(await batches.next())
    #expect(Array(next.upserts.keys) == [H.key("end")])
    #expect(next.removals.isEmpty)
  }

  private func burst<H: SourceHarness>(_ type: H.Type) async throws {
    let harness = try await H()
    var batches = harness.source.changes(after: nil).makeAsyncIterator()
    _ = await batches.next()
    for number in 1...30 { try await harness.put("a", number) }
    try await harness.put("gone", 1)
    try await harness.remove("gone")
    let next = try #require(await batches.next())
    #expect(next.upserts.compactMapValues { H.number($0) } == [H.key("a"): 30])
  }

  private func resumption<H: SourceHarness>(_ type: H.Type) async throws {
    let harness = try await H()
    var batches = harness.source.changes(after: nil).makeAsyncIterator()
    let start = try #require(await batches.next()).version
    try await harness.put("a", 1)
    let here = try await all(type, upTo: "a", &batches).version
    var resumed = harness.source.changes(after: here).makeAsyncIterator()
    try await harness.put("end", 0)
    let next = try #require(await resumed.next())
    // A source that knows one reader's place only begins anew; what it must not do is leave a gap.
    let names = Set(next.upserts.filter { H.number($0.value) != nil }.keys)
    #expect(names == (next.isWhole ? [H.key("a"), H.key("end")] : [H.key("end")]))
    for place in [start, here + 1_000_000] {
      var other = harness.source.changes(after: place).makeAsyncIterator()
      let batch = try #require(await other.next())
      let names = Set(batch.upserts.filter { H.number($0.value) != nil }.keys)
      #expect(names == [H.key("a"), H.key("end")])
      if place != start { #expect(batch.isWhole) }
    }
  }

  private func memory<H: SourceHarness>(_ type: H.Type) async throws {
    var harness = try await H()
    var batches = harness.source.changes(after: nil).makeAsyncIterator()
    try await harness.put("a", 7)
    _ = try await all(type, upTo: "a", &batches)
    harness = try await harness.restarted()
    #expect(harness.source.state.isKnown)
    var again = harness.source.changes(after: nil).makeAsyncIterator()
    let whole = try #require(await again.next())
    #expect(whole.isWhole)
    #expect(whole.upserts[H.key("a")].flatMap(H.number) == 7)
  }

  private func ending<H: SourceHarness>(_ type: H.Type) async throws {
    let harness = try await H()
    let reader = Task {
      var count = 0
      for await _ in harness.source.changes(after: nil) { count += 1 }
      return count
    }
    var other = harness.source.changes(after: nil).makeAsyncIterator()
    _ = await other.next()
    reader.cancel()
    #expect(await reader.value <= 1)
    // The others go on.
    try await harness.put("a", 1)
    #expect(await other.next()?.upserts[H.key("a")].flatMap(H.number) == 1)
  }
}

@Suite("registry laws", .timeLimit(.minutes(5)))
struct RegistryLawTests {
  enum Tested: String, CaseIterable {
    case store, directory, agents, example
  }

  @Test("every source keeps the contract", arguments: RegistryLaw.allCases, Tested.allCases)
  func laws(law: RegistryLaw, tested: Tested) async throws {
    switch tested {
    case .store: try await law.check(StoreHarness.self)
    case .directory: try await law.check(DirectoryHarness.self)
    case .agents: try await law.check(AgentHarness.self)
    case .example: try await law.check(CatalogHarness.self)
    }
  }

  @Test("of two registries that name the same instance the first by origin holds, and the other when that one lets go")
  func claims() {
    func workload(_ address: String) -> SourceBatch<RegistryFact> {
      let workload = AgentHarness.workload("a", 1, address: address)
      return SourceBatch(upserts: [workload.key: .workload(workload)], version: 1)
    }
    var model = Model(mesh: MeshSettings())
    model.apply(workload("10.0.0.2"), from: SourceOrigin("consul"))
    model.apply(workload("10.0.0.1"), from: SourceOrigin("agents"))
    #expect(model.snapshot().services.all.first?.instances.map(\.address) == ["10.0.0.1"])
    model.apply(SourceBatch(isWhole: true, version: 2), from: SourceOrigin("agents"))
    #expect(model.snapshot().services.all.first?.instances.map(\.address) == ["10.0.0.2"])
    model.replaceRules([])
    #expect(model.snapshot().services.all.first?.instances.map(\.address) == ["10.0.0.2"])
  }
}

// MARK: Harnesses

/// Rules of the store.
final class StoreHarness: SourceHarness {
  let directory = TemporaryDirectory()
  let store: StoreService
  let source: StoreSource

  convenience init() throws { try self.init(copying: nil) }

  private init(copying other: StoreHarness?) throws {
    if let other { _ = try StoreBackup.copy(other.directory.file("store.db"), to: directory.file("store.db")) }
    store = try StoreService(path: directory.file("store.db"))
    source = StoreSource(store)
  }

  static func rule(_ name: String, _ number: Int) -> Envelope {
    Envelope(
      apiVersion: "networking.istio.io/v1", kind: .virtualService,
      metadata: ObjectMetadata(name: name, namespace: "default"),
      spec: ["hosts": [.string(name)], "http": [["timeout": .string("\(number)s")]]])
  }

  func put(_ name: String, _ number: Int) async throws {
    let context = WriteContext(now: WallTime(nanoseconds: 1))
    _ = try await store.perform { try $0.put(Self.rule(name, number), context) }
  }

  func remove(_ name: String) async throws {
    let context = WriteContext(now: WallTime(nanoseconds: 1))
    _ = try? await store.perform { try $0.delete(Self.key(name), context) }
  }

  func restarted() throws -> StoreHarness { try StoreHarness(copying: self) }

  static func key(_ name: String) -> ObjectKey {
    ObjectKey(kind: .virtualService, namespace: "default", name: name)
  }

  static func number(_ element: Envelope) -> Int? {
    element.spec["http"]?[0]?["timeout"]?.stringValue.flatMap { Int($0.dropLast()) }
  }
}

/// Rules of a directory of files, one an object.
final class DirectoryHarness: SourceHarness {
  let files: TemporaryDirectory
  let state = TemporaryDirectory()
  let store: StoreService
  let source: DirectorySource

  convenience init() async throws {
    try self.init(TemporaryDirectory(), copying: nil)
    _ = try await source.synchronize()
  }

  private init(_ files: TemporaryDirectory, copying other: TemporaryDirectory?) throws {
    self.files = files
    if let other { _ = try StoreBackup.copy(other.file("store.db"), to: state.file("store.db")) }
    store = try StoreService(path: state.file("store.db"))
    source = DirectorySource(
      path: files.path, store: store, reader: DocumentReader(), wall: { WallTime(nanoseconds: 1) })
  }

  func put(_ name: String, _ number: Int) async throws {
    files.write("\(name).yaml", ControlWorld.rule(name, timeout: "\(number)s"))
    _ = try await source.synchronize()
  }

  func remove(_ name: String) async throws {
    files.remove("\(name).yaml")
    _ = try await source.synchronize()
  }

  func restarted() throws -> DirectoryHarness { try DirectoryHarness(files, copying: state) }
  static func key(_ name: String) -> ObjectKey { StoreHarness.key(name) }
  static func number(_ element: Envelope) -> Int? { StoreHarness.number(element) }
}

/// What agents report.
final class AgentHarness: SourceHarness {
  let directory: TemporaryDirectory
  let source: AgentRegistry

  convenience init() { self.init(TemporaryDirectory()) }

  private init(_ directory: TemporaryDirectory) {
    self.directory = directory
    source = AgentRegistry(
      clock: ControlWorld.VirtualTime().clock, lastGood: LastGoodFile(directory.file("agents.json")))
    source.load()
  }

  /// Without a service of its own, so that one report is one element.
  static func workload(_ name: String, _ number: Int, address: String = "10.0.0.1") -> Workload {
    Workload(
      id: name, namespace: "default", service: "reviews", labels: ["app": "reviews"], inboundAddress: address,
      ports: [WorkloadPort(number: 80, name: "http", protocol: .http, appPort: 80, inboundPort: 80)],
      weight: UInt32(number + 1))
  }

  func put(_ name: String, _ number: Int) async throws {
    try source.register(WorkloadRecord(workload: Self.workload(name, number)))
  }

  func remove(_ name: String) async throws { _ = source.deregister(id: name, namespace: "default") }

  func restarted() async throws -> AgentHarness {
    await source.flush()
    return AgentHarness(directory)
  }

  static func key(_ name: String) -> ObjectKey { ObjectKey(kind: .workload, namespace: "default", name: name) }

  static func number(_ element: RegistryFact) -> Int? {
    guard case .workload(let workload) = element else { return nil }
    return Int(workload.weight) - 1
  }
}
