package import WeftTelemetry

/// `<stat_prefix>.http_local_rate_limit.…`
package enum LocalRateLimitMetric: Int, Metric {
  case enabled, enforced, rateLimited, ok

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 4 }
  static var prefix: String { "*.http_local_rate_limit." }

  package var definition: MetricDefinition {
    switch self {
    case .enabled: .counter("enabled", "Requests that the limit was asked about")
    case .enforced: .counter("enforced", "Requests that were refused")
    case .rateLimited: .counter("rate_limited", "Requests over the limit, refused or not")
    case .ok: .counter("ok", "Requests within the limit")
    }
  }
}
