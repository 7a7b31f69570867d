import Synchronization

/// The serving state of services by name ("" is the whole server), as `grpc.health.v1` reports it.
package final class GRPCHealth: Sendable {
  package enum ServingStatus: Int, Sendable {
    case unknown = 0
    case serving = 1
    case notServing = 2
    case serviceUnknown = 3
  }

  private let statuses = Mutex<[String: ServingStatus]>(["": .serving])

  package init() {}

  package func set(_ status: ServingStatus, for service: String = "") {
    statuses.withLock { $0[service] = status }
  }

  package func status(of service: String) -> ServingStatus? {
    statuses.withLock { $0[service] }
  }
}
