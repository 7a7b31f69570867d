import Synchronization
import WeftGRPC

/// The serving state of services by name ("" is the whole server), as `grpc.health.v1` reports it.
package final class GRPCHealth: Sendable {
  package enum ServingStatus: Int, Sendable {
    case unknown = 0
    case serving = 1
    case notServing = 2
    case serviceUnknown = 3
  }

  private struct State {
    var statuses: [String: ServingStatus] = ["": .serving]
    var isShutDown = false
    var generation = 0
    var lastWaiter = 0
    var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
  }

  private let state = Mutex(State())

  package init() {}

  /// Sets a service's state; ignored after `shutDown`.
  package func set(_ status: ServingStatus, for service: String = "") {
    change { if !$0.isShutDown { $0.statuses[service] = status } }
  }

  /// Everything is NOT_SERVING from now on, and watchers are told and let go.
  package func shutDown() {
    change { state in
      state.isShutDown = true
      for service in state.statuses.keys { state.statuses[service] = .notServing }
    }
  }

  package func status(of service: String) -> ServingStatus? { state.withLock { $0.statuses[service] } }

  private func change(_ edit: (inout State) -> Void) {
    let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
      edit(&state)
      state.generation += 1
      defer { state.waiters = [:] }
      return Array(state.waiters.values)
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Returns when something has changed since `generation`, or the task is cancelled.
  private func changed(since generation: Int) async {
    let id = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Bool in
          guard state.generation == generation, !Task.isCancelled else { return true }
          state.waiters[id] = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }
  }

  // MARK: The service

  func addRoutes(to routes: inout GRPCRoutes) {
    routes.add(GRPCHealthMessages.checkPath) { [self] source, sink, _ in
      let service = try await source.only(Self.service)
      guard let status = status(of: service) else { throw GRPCStatus(.notFound, "unknown service") }
      try await sink.send(GRPCHealthMessages.response(status: status.rawValue))
    }
    routes.add(GRPCHealthMessages.watchPath) { [self] source, sink, _ in
      try await watch(try await source.only(Self.service), sink)
    }
  }

  private func watch(_ service: String, _ sink: GRPCMessageSink) async throws {
    var last: ServingStatus?
    while !Task.isCancelled {
      let (status, generation, isOver) = state.withLock {
        ($0.statuses[service] ?? .serviceUnknown, $0.generation, $0.isShutDown)
      }
      if status != last { try await sink.send(GRPCHealthMessages.response(status: status.rawValue)) }
      last = status
      if isOver { return }
      await changed(since: generation)
    }
  }

  private static func service(_ bytes: [UInt8]) throws -> String {
    guard let service = GRPCHealthMessages.service(ofRequest: bytes) else {
      throw GRPCStatus(.internalError, "malformed HealthCheckRequest")
    }
    return service
  }
}
