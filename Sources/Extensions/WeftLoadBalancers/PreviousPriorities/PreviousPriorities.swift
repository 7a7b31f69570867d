// PreviousPriorities: retries go where the request has not been.

package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftXDS
import WeftXDSMessages

/// `envoy.retry_priorities.previous_priorities`.
///
/// Every `update_frequency` attempts, the priorities of the hosts that were tried are left out from then on; when none is left that has a host which
/// may be asked, it starts anew. *Source*: Envoy's extension of the name.
package struct PreviousPriorities: RetryPriorityPolicy {
  private typealias Message = Envoy_Extensions_Retry_Priority_PreviousPriorities_V3_PreviousPrioritiesConfig

  package static var name: StaticString { "envoy.retry_priorities.previous_priorities" }
  package static var message: String { Message.schema.name }

  package struct Config: BitwiseCopyable {
    package var frequency: Int
    package init(frequency: Int) { self.frequency = frequency }
  }

  package static func compile(_ config: ExtensionConfig) throws(ConfigError) -> Config {
    let message = try ExtensionReader().message(config, as: Message.self)
    guard message.updateFrequency > 0 else {
      throw ConfigError(
        path: FieldPath().field("update_frequency"), "must be more than 0, is \(message.updateFrequency)")
    }
    return Config(frequency: Int(message.updateFrequency))
  }

  package static func leavesOut(_ config: Config, _ attempts: PriorityHistory) -> PrioritySet {
    var out = PrioritySet()
    var first = 0
    for i in 0..<attempts.count where (i + 1 - first) % config.frequency == 0 {
      for tried in first...i { out.insert(attempts[tried]) }
      if out.isSuperset(of: attempts.available) {
        out = PrioritySet()
        first = i + 1
      }
    }
    return out
  }
}
