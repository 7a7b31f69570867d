// RuntimeBreakers: what runtime keys say of a cluster's limits.

package import WeftModel
package import WeftProxyAPI

extension RuntimeTable {
  /// A cluster's limits of one priority, with what `circuit_breakers.<cluster>.<priority>.…` says instead.
  package func thresholds(
    _ configured: CircuitBreakers.Thresholds, cluster: String, _ priority: String
  ) -> CircuitBreakers.Thresholds {
    if values.isEmpty { return configured }
    let prefix = "circuit_breakers.\(cluster).\(priority)."
    func number(_ name: String) -> UInt32? { values[prefix + name]?.integer.map { UInt32(clamping: $0) } }
    var out = configured
    out.maxConnections = number("max_connections") ?? out.maxConnections
    out.maxPendingRequests = number("max_pending_requests") ?? out.maxPendingRequests
    out.maxRequests = number("max_requests") ?? out.maxRequests
    out.maxRetries = number("max_retries") ?? out.maxRetries
    let percent = values[prefix + "retry_budget.budget_percent"]?.number
    let minimum = number("retry_budget.min_retry_concurrency")
    if percent != nil || minimum != nil {
      var budget = out.retryBudget ?? CircuitBreakers.RetryBudget()
      budget.percent = percent ?? budget.percent
      budget.minConcurrency = minimum ?? budget.minConcurrency
      out.retryBudget = budget
    }
    return out
  }

  /// All of a cluster's limits.
  package func breakers(of cluster: Cluster) -> CircuitBreakers {
    var out = cluster.circuitBreakers
    out.standard = thresholds(out.standard, cluster: cluster.name, "default")
    out.high = thresholds(out.high, cluster: cluster.name, "high")
    return out
  }
}
