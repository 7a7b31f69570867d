// What a Maglev table is configured with: `envoy.extensions.load_balancing_policies.maglev.v3.Maglev`.

package import WeftBase
package import WeftModel
package import WeftProxyAPI
import WeftProtobuf
package import WeftTelemetry
import WeftXDS
import WeftXDSMessages

extension Maglev {
  private typealias Message = Envoy_Extensions_LoadBalancingPolicies_Maglev_V3_Maglev

  package static var name: StaticString { "envoy.load_balancing_policies.maglev" }
  package static var message: String { Message.schema.name }

  package struct Config: BitwiseCopyable {
    let size: Int
    let hashing: HashingOptions
    let gauges: StatBlock<MaglevMetric>
  }

  package static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config {
    let message = try ExtensionReader().message(config, as: Message.self)
    return Config(
      size: Int(try HashTableSizes.table(message.tableSize, FieldPath())),
      hashing: try HashingOptions(
        message.consistentHashingLbConfig, weighsLocalities: message.localityWeightedLbConfig != nil),
      gauges: context.gauges(MaglevMetric.self, "maglev_lb."))
  }

  package static func traits(_ config: Config) -> BalancerTraits { config.hashing.traits }
}

/// `cluster.<name>.maglev_lb.…`
package enum MaglevMetric: Int, Metric {
  case minEntriesPerHost, maxEntriesPerHost

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 2 }

  package var definition: MetricDefinition {
    switch self {
    case .minEntriesPerHost: .gauge("min_entries_per_host", "Entries of the host that has the fewest")
    case .maxEntriesPerHost: .gauge("max_entries_per_host", "Entries of the host that has the most")
    }
  }
}
