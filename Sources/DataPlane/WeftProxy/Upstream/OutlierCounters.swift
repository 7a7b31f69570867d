// OutlierCounters: what an outlier event adds to a cluster's statistics.

import WeftTelemetry
import WeftUpstream

extension OutlierMonitor.Event {
  /// Every counter that goes up by one. *Cost*: allocates; ejections are rare.
  var metrics: [ClusterMetric] {
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
