import WeftBase
import WeftProtobuf
import WeftProxyAPI
import WeftXDS
import WeftXDSMessages

/// What policies that hash have in common.
struct HashingOptions: BitwiseCopyable {
  /// Percent of the mean load that a host may have; 0: any. Below 100 somebody is always over it, and the least loaded host gets what is too much.
  var balanceFactor: UInt32 = 0
  var traits = BalancerTraits()

  /// Of the message's `consistent_hashing_lb_config`, or of the fields that were there before it.
  init(
    _ message: Envoy_Extensions_LoadBalancingPolicies_Common_V3_ConsistentHashingLbConfig?, weighsLocalities: Bool
  ) throws(ConfigError) {
    let at = FieldPath().field("consistent_hashing_lb_config")
    self.init(
      hostnames: message?.useHostnameForHashing ?? false, balanceFactor: message?.hashBalanceFactor?.value ?? 0,
      weighsLocalities: weighsLocalities)
    guard message?.hashPolicy.isEmpty ?? true else {
      throw ConfigError(path: at.field("hash_policy"), "is not supported; give routes a hash_policy")
    }
  }

  init(hostnames: Bool, balanceFactor: UInt32, weighsLocalities: Bool) {
    self.balanceFactor = balanceFactor
    traits.hashes = hostnames ? .hostname : .address
    traits.weighsLocalities = weighsLocalities
    traits.hasTable = true
  }
}
