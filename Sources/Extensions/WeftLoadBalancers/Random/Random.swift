package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftXDS
import WeftXDSMessages

/// Any host, each as likely as the others.
package struct Random: LoadBalancerPolicy {
  package static var name: StaticString { "envoy.load_balancing_policies.random" }
  package static var message: String { Envoy_Extensions_LoadBalancingPolicies_Random_V3_Random.schema.name }
  package struct Config: BitwiseCopyable { var traits = BalancerTraits() }

  package static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config {
    let message = try ExtensionReader().message(
      config, as: Envoy_Extensions_LoadBalancingPolicies_Random_V3_Random.self)
    return Config(traits: try BalancerTraits(message.localityLbConfig))
  }

  package static func traits(_ config: Config) -> BalancerTraits { config.traits }

  private let hosts: FlatTable<Int32>

  package init(_ config: Config, _ list: borrowing BalancerList) { hosts = list.positions() }

  package mutating func pick(_ x: borrowing BalancerPick) -> Int32 { hosts[x.draw(below: hosts.count)] }
}
