// OutlierStatistics: what ejections change in a cluster's statistics.

package import WeftTelemetry

extension OutlierMonitor.Event {
  /// Every counter that goes up by one. *Cost*: allocates; ejections are rare.
  package var metrics: [ClusterMetric] {
    let (detected, enforced): (ClusterMetric, ClusterMetric) =
      switch rule {
      case .consecutive5xx: (.outlierDetectedConsecutive5xx, .outlierEnforcedConsecutive5xx)
      case .consecutiveGatewayFailure:
        (.outlierDetectedConsecutiveGatewayFailure, .outlierEnforcedConsecutiveGatewayFailure)
      case .consecutiveLocalOriginFailure:
        (.outlierDetectedConsecutiveLocalOriginFailure, .outlierEnforcedConsecutiveLocalOriginFailure)
      case .successRate: (.outlierDetectedSuccessRate, .outlierEnforcedSuccessRate)
      case .localOriginSuccessRate: (.outlierDetectedLocalOriginSuccessRate, .outlierEnforcedLocalOriginSuccessRate)
      case .failurePercentage: (.outlierDetectedFailurePercentage, .outlierEnforcedFailurePercentage)
      }
    switch verdict {
    case .eject: return [detected, enforced, .outlierEjectionsTotal, .outlierEjectionsEnforcedTotal]
    case .detectedOnly: return [detected, .outlierEjectionsTotal]
    case .overflow: return [detected, .outlierEjectionsOverflow]
    case .alreadyEjected: return [detected]
    }
  }
}

extension MetricsRegistry {
  /// Writes the gauges that follow ejections, whoever ejected: a worker or the end of an interval.
  package func publishLevels(of monitor: OutlierMonitor, _ scope: ScopeID) {
    monitor.publishLevels { publish($0, scope) }
  }

  /// Writes them where they are known.
  package func publish(_ levels: OutlierMonitor.Levels, _ scope: ScopeID) {
    set(ClusterMetric.membershipHealthy, scope, UInt64(levels.healthy))
    set(ClusterMetric.membershipDegraded, scope, UInt64(levels.degraded))
    set(ClusterMetric.outlierEjectionsActive, scope, UInt64(levels.ejected))
  }
}
