import WeftBase
import WeftModel
import WeftTelemetry
import WeftUpstream

extension SnapshotCompiler {
  /// Writes the gauges of what workers share: the circuit breakers. Call it now and then, on the compiler's thread.
  package func publishLevels() {
    let table = runtime.table
    for (_, cluster) in compiledClusters {
      let breakers = table.breakers(of: cluster[].config)
      let scope = cluster[].scope
      let standard = cluster[].breakers.breaker(.standard)
      let limits = CircuitBreakerLimits(breakers.standard)
      set(.breakerDefaultCxOpen, scope, standard.isOpen(.connections, limit: limits.connections))
      set(.breakerDefaultRqPendingOpen, scope, standard.isOpen(.pending, limit: limits.pending))
      set(.breakerDefaultRqOpen, scope, standard.isOpen(.requests, limit: limits.requests))
      set(.breakerDefaultRqRetryOpen, scope, standard.isOpen(.retries, limit: standard.retryLimit(limits)))
      let high = cluster[].breakers.breaker(.high)
      let highLimits = CircuitBreakerLimits(breakers.high)
      set(.breakerHighCxOpen, scope, high.isOpen(.connections, limit: highLimits.connections))
      set(.breakerHighRqPendingOpen, scope, high.isOpen(.pending, limit: highLimits.pending))
      set(.breakerHighRqOpen, scope, high.isOpen(.requests, limit: highLimits.requests))
      set(.breakerHighRqRetryOpen, scope, high.isOpen(.retries, limit: high.retryLimit(highLimits)))
      if cluster[].config.circuitBreakers.standard.trackRemaining {
        remaining(.breakerDefaultRemainingCx, scope, limits.connections, standard.used(.connections))
        remaining(.breakerDefaultRemainingPending, scope, limits.pending, standard.used(.pending))
        remaining(.breakerDefaultRemainingRq, scope, limits.requests, standard.used(.requests))
        remaining(.breakerDefaultRemainingRetries, scope, standard.retryLimit(limits), standard.used(.retries))
      }
    }
  }

  private func set(_ metric: ClusterMetric, _ scope: ScopeID, _ flag: Bool) {
    // An untouched scope stays without memory until something happens in it.
    if flag || metrics.value(metric, scope) != 0 { metrics.set(metric, scope, flag ? 1 : 0) }
  }

  private func remaining(_ metric: ClusterMetric, _ scope: ScopeID, _ limit: UInt32, _ used: UInt64) {
    metrics.set(metric, scope, UInt64(limit) > used ? UInt64(limit) - used : 0)
  }
}
