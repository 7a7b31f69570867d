package import WeftTelemetry

/// `http.<prefix>.ext_authz.…`, and the first six below `cluster.<name>.ext_authz.…`
package enum ExtAuthzMetric: Int, Metric {
  case ok, denied, error, invalid, failureModeAllowed, disabled, ignoredDynamicMetadata

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 7 }

  package var definition: MetricDefinition {
    switch self {
    case .ok: .counter("ok", "Requests that the service admitted")
    case .denied: .counter("denied", "Requests that the service refused")
    case .error: .counter("error", "Requests about which the service gave no usable answer")
    case .invalid: .counter("invalid", "Answers that ask for changes which no message can hold")
    case .failureModeAllowed: .counter("failure_mode_allowed", "Requests admitted without an answer")
    case .disabled: .counter("disabled", "Requests that the service was not asked about, by share")
    case .ignoredDynamicMetadata: .counter("ignored_dynamic_metadata", "Answers whose dynamic metadata was left out")
    }
  }
}

/// The same numbers by the cluster that requests lead to.
package enum ExtAuthzClusterMetric: Int, Metric {
  case ok, denied, error, invalid, failureModeAllowed

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 5 }

  package var definition: MetricDefinition {
    switch self {
    case .ok: ExtAuthzMetric.ok.definition
    case .denied: ExtAuthzMetric.denied.definition
    case .error: ExtAuthzMetric.error.definition
    case .invalid: ExtAuthzMetric.invalid.definition
    case .failureModeAllowed: ExtAuthzMetric.failureModeAllowed.definition
    }
  }
}
