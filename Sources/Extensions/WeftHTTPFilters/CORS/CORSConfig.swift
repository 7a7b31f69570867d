// What CORS is configured with: `envoy.extensions.filters.http.cors.v3`.

package import WeftBase
import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

extension CORS {
  package static var messages: FilterMessages {
    FilterMessages(
      chain: Envoy_Extensions_Filters_Http_Cors_V3_Cors.schema.name,
      route: Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy.schema.name)
  }

  package static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    let read = ExtensionReader()
    _ = try read.message(source.chain, as: Envoy_Extensions_Filters_Http_Cors_V3_Cors.self)
    var config = Config()
    config.stats = context.stats(CORSMetric.self, CORSMetric.prefix, name: context.statPrefix)
    guard let override = source.overrides.last else { return config }
    let policy = try read.message(override, as: Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy.self)
    config.hasPolicy = true
    var origins: [CompiledStringMatcher] = []
    for (i, origin) in policy.allowOriginStringMatch.enumerated() {
      let at = FieldPath().field("allow_origin_string_match").index(i)
      let model = try read.string(origin, at)
      do throws(ConfigError) { origins.append(try CompiledStringMatcher(model, context.storage)) } catch {
        throw error.inside(at)
      }
    }
    config.origins = context.storage.arena.table(origins)
    config.allowMethods = try text(policy.allowMethods, "allow_methods", context)
    config.allowHeaders = try text(policy.allowHeaders, "allow_headers", context)
    config.exposeHeaders = try text(policy.exposeHeaders, "expose_headers", context)
    config.maxAge = try text(policy.maxAge, "max_age", context)
    config.allowsCredentials = policy.allowCredentials?.value ?? false
    config.allowsPrivateNetwork = policy.allowPrivateNetworkAccess?.value ?? false
    config.forwardsOtherPreflights = policy.forwardNotMatchingPreflights?.value ?? true
    if let share = policy.filterEnabled {
      config.enabled = context.storage.share(try read.runtimeFraction(share, FieldPath().field("filter_enabled")))
    }
    if let share = policy.shadowEnabled {
      config.shadow = context.storage.share(try read.runtimeFraction(share, FieldPath().field("shadow_enabled")))
    }
    return config
  }

  private static func text(_ value: String, _ field: String, _ context: FilterContext) throws(ConfigError) -> ByteView {
    guard HeaderText.isValue(value) else {
      throw ConfigError(path: FieldPath().field(field), "must not hold line breaks or NUL")
    }
    return context.storage.text(value)
  }
}
