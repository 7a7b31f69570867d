package import WeftTelemetry

/// `local_rate_limit.<stat_prefix>.…`
package enum LocalRateLimitMetric: Int, Metric {
  case rateLimited

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 1 }
  static var prefix: String { "local_rate_limit.*." }

  package var definition: MetricDefinition {
    .counter("rate_limited", "Connections that were closed for the limit")
  }
}
