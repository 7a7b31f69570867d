// What a connection limit is configured with: `envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit`.

package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

extension ConnectionLimit {
  private typealias Message = Envoy_Extensions_Filters_Network_ConnectionLimit_V3_ConnectionLimit

  package static var message: String { Message.schema.name }

  package static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config
  {
    let read = ExtensionReader()
    let message = try read.message(config, as: Message.self)
    let root = FieldPath()
    guard !message.statPrefix.isEmpty else { throw ConfigError(path: root.field("stat_prefix"), "is required") }
    guard let most = message.maxConnections?.value else {
      throw ConfigError(path: root.field("max_connections"), "is required")
    }
    guard most > 0 else { throw ConfigError(path: root.field("max_connections"), "must be 1 or more, is 0") }
    var out = Config(
      most: most, open: SharedCounter(context.storage),
      stats: context.stats(ConnectionLimitMetric.self, ConnectionLimitMetric.prefix, name: message.statPrefix))
    if let flag = message.runtimeEnabled {
      out.isEnabled = context.storage.flag(try read.featureFlag(flag, root.field("runtime_enabled")))
    }
    if let delay = try read.duration(message.delay, root.field("delay")) {
      // As Envoy's timers, it counts whole milliseconds.
      out.delayNanoseconds = UInt64(clamping: delay.wholeMilliseconds) &* 1_000_000
    }
    return out
  }
}
