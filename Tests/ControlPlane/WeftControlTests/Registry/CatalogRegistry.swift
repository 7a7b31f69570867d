import Synchronization
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig
@testable import WeftControl

// The worked example of docs/adding/registry.md: a registry adapter, whole.

/// A foreign registry of the simplest kind: a question is answered when there is something newer than what the asker has.
protocol Catalog: Sendable {
  /// *Errors*: it cannot be reached.
  func instances(newerThan index: UInt64) async throws -> (index: UInt64, instances: [CatalogInstance])
}

struct CatalogInstance: Sendable {
  var id: String
  var service: String
  var address: String
  var port: UInt16
  var weight: UInt32
}

/// Services and instances of a catalog.
final class CatalogRegistry: ServiceRegistry {
  let origin: SourceOrigin
  private let catalog: any Catalog
  private let file: LastGoodFile
  private let feed = ChangeFeed<RegistryFact>()

  init(_ catalog: any Catalog, name: String, lastGood: LastGoodFile) {
    origin = SourceOrigin("catalog", name)
    self.catalog = catalog
    file = lastGood
    // What it said last time is served until it is heard again.
    if let items = file.read()?.arrayValue { feed.remember(items.compactMap(Self.fact)) }
  }

  var state: SourceState { feed.state }
  func changes(after version: UInt64?) -> AsyncStream<SourceBatch<RegistryFact>> { feed.changes(after: version) }

  /// Follows the catalog until the task is cancelled.
  func run(retry: Duration = .seconds(1)) async {
    var index: UInt64 = 0
    while !Task.isCancelled {
      do {
        let answer = try await catalog.instances(newerThan: index)
        index = answer.index
        // The whole list: the feed finds what differs.
        feed.replace(with: answer.instances.map { .workload(Self.workload($0)) })
        file.note { [feed] in .array(feed.elements.values.compactMap(Self.json)) }
      } catch {
        feed.stale("\(error)")
        do { try await Task.sleep(for: retry) } catch { return }
      }
    }
  }

  func flush() async { await file.flush() }

  private static func workload(_ instance: CatalogInstance) -> Workload {
    Workload(
      id: instance.id, namespace: "default", service: instance.service, labels: ["app": instance.service],
      inboundAddress: instance.address,
      ports: [
        WorkloadPort(
          number: instance.port, name: "tcp", protocol: .tcp, appPort: instance.port, inboundPort: instance.port)
      ], weight: instance.weight)
  }

  private static func json(_ fact: RegistryFact) -> JSONValue? {
    guard case .workload(let workload) = fact else { return nil }
    return [
      "id": .string(workload.id), "service": .string(workload.service), "address": .string(workload.inboundAddress),
      "port": .int(workload.ports.first?.number ?? 0), "weight": .int(workload.weight),
    ]
  }

  private static func fact(_ item: JSONValue) -> RegistryFact? {
    guard let id = item["id"]?.stringValue, let service = item["service"]?.stringValue,
      let address = item["address"]?.stringValue, let port = item["port"]?.intValue.flatMap({ UInt16(exactly: $0) }),
      let weight = item["weight"]?.intValue.flatMap({ UInt32(exactly: $0) })
    else { return nil }
    return .workload(
      workload(CatalogInstance(id: id, service: service, address: address, port: port, weight: weight)))
  }
}

// MARK: Its test

/// A catalog in memory.
final class FakeCatalog: Catalog {
  struct Down: Error {}

  private struct State {
    var index: UInt64 = 1
    var instances: [String: CatalogInstance] = [:]
    var isDown = false
    var waiters: [CheckedContinuation<Void, Never>] = []
    /// Questions that were answered with the newest state.
    var answered: UInt64 = 0
  }

  private let state = Mutex(State())

  var answered: UInt64 { state.withLock { $0.answered } }

  func change(_ body: (inout [String: CatalogInstance]) -> Void) {
    wake { state in
      body(&state.instances)
      state.index += 1
    }
  }

  func fail(_ isDown: Bool) { wake { $0.isDown = isDown } }

  private func wake(_ body: (inout State) -> Void) {
    let waiters = state.withLock { state in
      body(&state)
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  func instances(newerThan index: UInt64) async throws -> (index: UInt64, instances: [CatalogInstance]) {
    while true {
      let (answer, isDown) = state.withLock { state -> ((UInt64, [CatalogInstance])?, Bool) in
        if state.isDown || state.index <= index {
          if index >= state.index { state.answered = state.index }
          return (nil, state.isDown)
        }
        return ((state.index, Array(state.instances.values)), false)
      }
      if isDown || Task.isCancelled { throw Down() }
      if let answer { return answer }
      await withTaskCancellationHandler {
        await withCheckedContinuation { waiter in
          let mustWait = state.withLock { state -> Bool in
            guard state.index <= index, !state.isDown, !Task.isCancelled else { return false }
            state.waiters.append(waiter)
            return true
          }
          if !mustWait { waiter.resume() }
        }
      } onCancel: {
        wake { _ in }
      }
    }
  }

  /// Returns when the adapter has asked for something newer than the present state: it has taken that.
  func taken() async {
    while state.withLock({ $0.answered < $0.index }) { await Task.yield() }
  }
}

final class CatalogHarness: SourceHarness {
  let catalog: FakeCatalog
  let directory: TemporaryDirectory
  let source: CatalogRegistry
  private let following: Task<Void, Never>?

  convenience init() async throws {
    self.init(FakeCatalog(), TemporaryDirectory(), follows: true)
    await catalog.taken()
  }

  private init(_ catalog: FakeCatalog, _ directory: TemporaryDirectory, follows: Bool) {
    self.catalog = catalog
    self.directory = directory
    let source = CatalogRegistry(catalog, name: "test", lastGood: LastGoodFile(directory.file("catalog.json")))
    self.source = source
    following = follows ? Task { await source.run(retry: .milliseconds(1)) } : nil
  }

  deinit { following?.cancel() }

  func put(_ name: String, _ number: Int) async throws {
    catalog.change {
      $0[name] = CatalogInstance(
        id: name, service: "reviews", address: "10.0.0.1", port: 80, weight: UInt32(number + 1))
    }
    await catalog.taken()
  }

  func remove(_ name: String) async throws {
    catalog.change { $0[name] = nil }
    await catalog.taken()
  }

  func restarted() async throws -> CatalogHarness {
    await source.flush()
    return CatalogHarness(catalog, directory, follows: false)
  }

  static func key(_ name: String) -> ObjectKey { AgentHarness.key(name) }
  static func number(_ element: RegistryFact) -> Int? { AgentHarness.number(element) }
}
