package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftXDS
import WeftXDSMessages

/// One host after the other, from a random start; by weight where weights differ.
package struct RoundRobin: LoadBalancerPolicy {
  package static var name: StaticString { "envoy.load_balancing_policies.round_robin" }
  package static var message: String { Envoy_Extensions_LoadBalancingPolicies_RoundRobin_V3_RoundRobin.schema.name }
  package struct Config: BitwiseCopyable { var traits = BalancerTraits() }

  package static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config {
    let message = try ExtensionReader().message(
      config, as: Envoy_Extensions_LoadBalancingPolicies_RoundRobin_V3_RoundRobin.self)
    try refuseSlowStart(message.slowStartConfig)
    return Config(traits: try BalancerTraits(message.localityLbConfig))
  }

  package static func traits(_ config: Config) -> BalancerTraits { config.traits }

  private var hosts = FlatTable<Int32>()
  private var next = 0
  /// Where weights differ; else empty.
  private var turns = EarliestDeadline()

  package init(_ config: Config, _ list: borrowing BalancerList) {
    if list.hasEqualWeights {
      hosts = list.positions()
      next = list.draw(below: list.count)
    } else {
      turns = EarliestDeadline(list)
    }
  }

  package mutating func pick(_ x: borrowing BalancerPick) -> Int32 {
    if hosts.isEmpty { return turns.next() }
    let host = hosts[next]
    next = next + 1 == hosts.count ? 0 : next + 1
    return host
  }
}
