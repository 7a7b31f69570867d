/// How much may be in flight to a cluster, per priority.
package struct CircuitBreakers: Hashable, Sendable {
  package struct Thresholds: Hashable, Sendable {
    package var maxConnections: UInt32 = 1024
    package var maxPendingRequests: UInt32 = 1024
    package var maxRequests: UInt32 = 1024
    package var maxRetries: UInt32 = 3
    package var maxConnectionPools: UInt32?
    /// Replaces `maxRetries` when set.
    package var retryBudget: RetryBudget?
    /// Report `remaining_*` gauges.
    package var trackRemaining = false
    package init() {}
  }
  /// Concurrent retries as a share of active and pending requests.
  package struct RetryBudget: Hashable, Sendable {
    package var percent = 20.0
    package var minConcurrency: UInt32 = 3
    package init() {}
  }
  package var standard = Thresholds()
  package var high = Thresholds()
  package init() {}
}
