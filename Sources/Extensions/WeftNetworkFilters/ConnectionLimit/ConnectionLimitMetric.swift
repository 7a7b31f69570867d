package import WeftTelemetry

/// `connection_limit.<stat_prefix>.…`
package enum ConnectionLimitMetric: Int, Metric {
  case activeConnections, limitedConnections

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 2 }
  static var prefix: String { "connection_limit.*." }

  package var definition: MetricDefinition {
    switch self {
    case .activeConnections: .gauge("active_connections", "Connections that are open, those over the limit included")
    case .limitedConnections: .counter("limited_connections", "Connections that were closed for the limit")
    }
  }
}
