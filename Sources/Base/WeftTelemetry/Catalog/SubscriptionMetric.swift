/// `cluster_manager.cds.…`, `listener_manager.lds.…`, `http.<stat_prefix>.rds.<route_config>.…`: what a subscription came to.
///
/// Subscriptions for endpoints count among their cluster's numbers (`ClusterMetric`). *Source*: Envoy's subscription statistics.
package enum SubscriptionMetric: Int, Metric {
  case configReload, initFetchTimeout, updateAttempt, updateSuccess, updateFailure, updateRejected
  case updateTime, version

  package static var scopeKind: ScopeKind { .cds }
  @inlinable package static var firstHistogram: Int { 8 }

  package var definition: MetricDefinition {
    switch self {
    case .configReload: .counter("config_reload", "Answers that changed the configuration")
    case .initFetchTimeout: .counter("init_fetch_timeout", "First answers that did not come in time")
    case .updateAttempt: .counter("update_attempt", "Answers asked for")
    case .updateSuccess: .counter("update_success", "Answers accepted")
    case .updateFailure: .counter("update_failure", "Answers that could not be had: no connection")
    case .updateRejected: .counter("update_rejected", "Answers refused")
    case .updateTime: .gauge("update_time", "Milliseconds since 1970 of the last accepted answer")
    case .version: .gauge("version", "Hash of the last accepted version")
    }
  }
}

/// Numbers that are texts: shown by the admin page, not by Prometheus.
package enum TextReadout: String, CaseIterable, Sendable {
  /// The version that was last accepted, in the control plane's words.
  case versionText = "version_text"
  /// What the control plane calls itself.
  case identifier
}
