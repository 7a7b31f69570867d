// What a ring is configured with: `envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash`.

package import WeftBase
package import WeftModel
package import WeftProxyAPI
import WeftProtobuf
package import WeftTelemetry
import WeftXDS
import WeftXDSMessages

extension RingHash {
  private typealias Message = Envoy_Extensions_LoadBalancingPolicies_RingHash_V3_RingHash

  package static var name: StaticString { "envoy.load_balancing_policies.ring_hash" }
  package static var message: String { Message.schema.name }

  package struct Config: BitwiseCopyable {
    let minimumSize: UInt64
    let maximumSize: UInt64
    let usesMurmur: Bool
    let hashing: HashingOptions
    let gauges: StatBlock<RingHashMetric>
  }

  package static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config {
    let message = try ExtensionReader().message(config, as: Message.self)
    let size = try HashTableSizes.ring(
      minimum: message.minimumRingSize, maximum: message.maximumRingSize, FieldPath())
    let weighted = message.localityWeightedLbConfig != nil
    let hashing: HashingOptions
    if let options = message.consistentHashingLbConfig {
      hashing = try HashingOptions(options, weighsLocalities: weighted)
    } else {
      hashing = HashingOptions(
        hostnames: message.useHostnameForHashing,
        balanceFactor: message.hashBalanceFactor?.value ?? 0,
        weighsLocalities: weighted)
    }
    return Config(
      minimumSize: size.minimum, maximumSize: size.maximum, usesMurmur: message.hashFunction == .murmurHash2,
      hashing: hashing, gauges: context.gauges(RingHashMetric.self, "ring_hash_lb."))
  }

  package static func traits(_ config: Config) -> BalancerTraits { config.hashing.traits }
}

/// `cluster.<name>.ring_hash_lb.…`
package enum RingHashMetric: Int, Metric {
  case size, minHashesPerHost, maxHashesPerHost

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 3 }

  package var definition: MetricDefinition {
    switch self {
    case .size: .gauge("size", "Points of the ring")
    case .minHashesPerHost: .gauge("min_hashes_per_host", "Points of the host that has the fewest")
    case .maxHashesPerHost: .gauge("max_hashes_per_host", "Points of the host that has the most")
    }
  }
}
