// What the messages of several policies have in common.

import WeftBase
import WeftProxyAPI
import WeftXDSMessages

typealias LocalityOptions = Envoy_Extensions_LoadBalancingPolicies_Common_V3_LocalityLbConfig

extension BalancerTraits {
  /// *Errors*: zones.
  init(_ options: LocalityOptions?) throws(ConfigError) {
    self.init()
    switch options?.localityConfigSpecifier {
    case .localityWeightedLbConfig: weighsLocalities = true
    case .zoneAwareLbConfig:
      throw ConfigError(
        path: FieldPath().field("locality_lb_config").field("zone_aware_lb_config"), "is not supported")
    case nil: break
    }
  }
}

/// *Errors*: slow start is asked for.
func refuseSlowStart(
  _ options: Envoy_Extensions_LoadBalancingPolicies_Common_V3_SlowStartConfig?
) throws(ConfigError) {
  if options != nil { throw ConfigError(path: FieldPath().field("slow_start_config"), "is not supported") }
}
