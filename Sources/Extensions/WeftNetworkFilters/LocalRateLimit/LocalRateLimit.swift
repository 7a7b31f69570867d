// Local rate limit of connections: a token each, from a bucket that all workers of a proxy share.

package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

/// `envoy.filters.network.local_ratelimit`.
///
/// A connection that finds no token is closed at once. Filters with the same `share_key` and the same bucket draw from one.
package struct LocalRateLimit: NewConnectionFilter {
  private typealias Message = Envoy_Extensions_Filters_Network_LocalRatelimit_V3_LocalRateLimit

  package static var name: StaticString { "envoy.filters.network.local_ratelimit" }
  package static var message: String { Message.schema.name }

  package struct Config: BitwiseCopyable {
    var isEnabled = RuntimeFlag(true)
    var bucket: TokenBucket
    var stats: ConstantTable<StatBlock<LocalRateLimitMetric>>
  }

  package static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config
  {
    let read = ExtensionReader()
    let message = try read.message(config, as: Message.self)
    let root = FieldPath()
    guard !message.statPrefix.isEmpty else { throw ConfigError(path: root.field("stat_prefix"), "is required") }
    guard let bucket = message.tokenBucket else { throw ConfigError(path: root.field("token_bucket"), "is required") }
    let settings = try read.tokenBucket(bucket, root.field("token_bucket"))
    var out = Config(
      bucket: context.bucket(settings, sharedBy: message.shareKey),
      stats: context.stats(LocalRateLimitMetric.self, LocalRateLimitMetric.prefix, name: message.statPrefix))
    if let flag = message.runtimeEnabled {
      out.isEnabled = context.storage.flag(try read.featureFlag(flag, root.field("runtime_enabled")))
    }
    return out
  }

  package init(_ config: Config) {}

  package mutating func newConnection(_ x: borrowing NetworkCall<Config>) -> NetworkVerdict {
    if !x.runtime.isOn(x.config.isEnabled) || x.config.bucket.take(now: x.now) { return .go }
    x.config.stats[x.worker].add(.rateLimited)
    return .close
  }
}
