package import WeftTelemetry

/// `http.<prefix>.fault.…`
package enum FaultMetric: Int, Metric {
  case abortsInjected, delaysInjected, responseRlInjected, faultsOverflow
  case activeFaults

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 5 }
  static var prefix: String { "http.*.fault." }

  package var definition: MetricDefinition {
    switch self {
    case .abortsInjected: .counter("aborts_injected", "Requests answered with an error on purpose")
    case .delaysInjected: .counter("delays_injected", "Requests delayed on purpose")
    case .responseRlInjected: .counter("response_rl_injected", "Responses slowed down on purpose")
    case .faultsOverflow: .counter("faults_overflow", "Faults left out because max_active_faults were active")
    case .activeFaults: .gauge("active_faults", "Requests that a fault is injected into")
    }
  }
}
