// HostNumbers: what a host's connections and requests came to, as `/clusters` shows it.

/// Counts of one host on one worker, or added up over workers.
///
/// *Shape*: plain cells inside the host's slot; written by the host's worker with plain additions.
package struct HostNumbers: BitwiseCopyable, Sendable, Equatable {
  package var connectionsTotal: UInt64 = 0
  package var connectionsFailed: UInt64 = 0
  package var requestsTotal: UInt64 = 0
  /// Answered with less than 500; for gRPC, with a status that does not stand for a server's failure.
  package var requestsSucceeded: UInt64 = 0
  /// Answered otherwise, or not at all.
  package var requestsFailed: UInt64 = 0
  /// Given up by the request's or the attempt's time-out.
  package var requestsTimedOut: UInt64 = 0
  // Levels.
  package var connectionsActive: UInt64 = 0
  package var requestsActive: UInt64 = 0

  package init() {}

  package static func += (a: inout HostNumbers, b: HostNumbers) {
    a.connectionsTotal &+= b.connectionsTotal
    a.connectionsFailed &+= b.connectionsFailed
    a.requestsTotal &+= b.requestsTotal
    a.requestsSucceeded &+= b.requestsSucceeded
    a.requestsFailed &+= b.requestsFailed
    a.requestsTimedOut &+= b.requestsTimedOut
    a.connectionsActive &+= b.connectionsActive
    a.requestsActive &+= b.requestsActive
  }
}
