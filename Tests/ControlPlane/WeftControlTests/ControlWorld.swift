import Synchronization
import WeftBase
import WeftConfig
import WeftControlAPI
import WeftService
import WeftTestKit

@testable import WeftControl

/// A control plane without a network: store, aggregate, registry and API over virtual time.
final class ControlWorld: Sendable {
  let directory: TemporaryDirectory
  let store: StoreService
  let aggregate: Aggregate
  let registry: AgentRegistry
  let api: ControlAPI
  let time: VirtualTime

  final class VirtualTime: Sendable {
    private let seconds = Mutex<Int64>(1_000)
    func advance(_ by: Int64) { seconds.withLock { $0 += by } }
    var clock: ControlClock {
      ControlClock(
        now: { MonotonicInstant(nanoseconds: UInt64(self.seconds.withLock { $0 } * 1_000_000_000)) },
        wall: { WallTime(nanoseconds: (1_790_000_000 + self.seconds.withLock { $0 }) * 1_000_000_000) })
    }
  }

  init(_ directory: TemporaryDirectory = TemporaryDirectory(), time: VirtualTime = VirtualTime()) async throws {
    self.directory = directory
    self.time = time
    store = try StoreService(path: directory.file("store.db"))
    registry = AgentRegistry(clock: time.clock, lastGood: LastGoodFile(directory.file("agents.json")))
    aggregate = Aggregate(store: store, registries: [registry])
    api = ControlAPI(store: store, aggregate: aggregate, registry: registry, clock: time.clock)
    registry.load()
    await aggregate.load()
  }

  /// A client that waits as long as the machine takes: the tests of a whole run share few cores, and an answer may come late.
  static func client(on runtime: ServiceRuntime) -> HTTPClient {
    var configuration = HTTPClientConfiguration()
    configuration.defaultTimeout = nil
    return HTTPClient(configuration, on: runtime)
  }

  /// Runs the aggregate beside `body`.
  func following<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
    let aggregate = self.aggregate
    let task = Task { await aggregate.run() }
    defer { store.endWatches() }
    let result = try await body()
    store.endWatches()
    await task.value
    return result
  }

  /// The snapshot once it holds everything written so far.
  func settled() async throws -> WeftSnapshot {
    let revision = try await store.perform { $0.revision }
    await aggregate.wait(for: revision)
    await aggregate.wait(for: registry.version, of: registry.origin)
    return await aggregate.current()
  }

  @discardableResult
  func call(_ method: String, _ target: String, _ body: String = "") async -> (status: Int, json: JSONValue) {
    let parts = target.split(separator: "?", maxSplits: 1)
    guard let call = Call(method: method, path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : nil)
    else { return (0, .null) }
    let answer = await api.answer(call, body: Array(body.utf8), actor: "test")
    return (
      answer.status, (try? JSONValue(parsing: answer.body)) ?? .string(String(decoding: answer.body, as: UTF8.self))
    )
  }

  static func registration(
    _ id: String, service: String = "reviews", version: String = "v1", port: Int = 9080, inbound: Int = 31080,
    address: String = "127.0.0.1", health: String = "HEALTHY", namespace: String = "default"
  ) -> String {
    """
    {"id": "\(id)", "namespace": "\(namespace)", "service": "\(service)", "labels": {"version": "\(version)"},
     "address": "127.0.0.1", "inboundAddress": "\(address)",
     "ports": [{"number": \(port), "name": "http", "protocol": "HTTP", "appPort": 9080, "inboundPort": \(inbound)}],
     "health": "\(health)", "weight": 1, "locality": {"region": "", "zone": "", "subzone": ""}, "leaseSeconds": 15}
    """
  }

  static func rule(_ name: String, timeout: String = "1s", namespace: String = "default") -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name), namespace: \(namespace)}
    spec:
      hosts: [\(name)]
      http:
      - timeout: \(timeout)
        route: [{destination: {host: \(name)}}]

    """
  }
}
