/// When a host that misbehaves is left out for a while.
package struct OutlierDetection: Hashable, Sendable {
  /// 5xx answers (and, unless split, failures to connect) in a row; 0 turns the rule off.
  package var consecutive5xx: UInt32 = 5
  package var enforcingConsecutive5xx: UInt32 = 100
  package var consecutiveGatewayFailure: UInt32 = 5
  package var enforcingConsecutiveGatewayFailure: UInt32 = 0
  package var consecutiveLocalOriginFailure: UInt32 = 5
  package var enforcingConsecutiveLocalOriginFailure: UInt32 = 100
  /// Count time-outs, resets and failures to connect apart from what the host answered.
  package var splitExternalLocalOriginErrors = false
  package var interval: Duration = .seconds(10)
  package var baseEjectionTime: Duration = .seconds(30)
  package var maxEjectionTime: Duration = .seconds(300)
  package var maxEjectionTimeJitter: Duration = .zero
  package var maxEjectionPercent: UInt32 = 10
  /// Weft lets a small cluster lose one host even when `maxEjectionPercent` would round to none.
  package var alwaysEjectOneHost = true
  package var successRateMinimumHosts: UInt32 = 5
  package var successRateRequestVolume: UInt32 = 100
  /// Thousandths of a standard deviation.
  package var successRateStdevFactor: UInt32 = 1900
  package var enforcingSuccessRate: UInt32 = 100
  package var enforcingLocalOriginSuccessRate: UInt32 = 100
  package var failurePercentageThreshold: UInt32 = 85
  package var enforcingFailurePercentage: UInt32 = 0
  package var failurePercentageMinimumHosts: UInt32 = 5
  package var failurePercentageRequestVolume: UInt32 = 50
  package init() {}
}
