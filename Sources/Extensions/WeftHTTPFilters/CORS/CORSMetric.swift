package import WeftTelemetry

/// `http.<prefix>.cors.…`
package enum CORSMetric: Int, Metric {
  case originValid, originInvalid

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 2 }
  static var prefix: String { "http.*.cors." }

  package var definition: MetricDefinition {
    switch self {
    case .originValid: .counter("origin_valid", "Cross-origin requests whose origin is allowed")
    case .originInvalid: .counter("origin_invalid", "Cross-origin requests whose origin is not allowed")
    }
  }
}
