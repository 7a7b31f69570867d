import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

@testable import WeftHTTPFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

/// Builds what filter tests are made of.
enum FilterWorld {
  /// A message in JSON as an extension's configuration.
  static func config<M: Message>(_ type: M.Type, _ json: String) throws -> ExtensionConfig {
    let value = try JSONValue(parsing: Array(json.utf8))
    let message = try M(json: value, options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    return ExtensionConfig(typeName: M.schema.name, message: message.serialized())
  }

  /// A proxy with the filters in front of its router and one server on port 8080.
  static func make(
    _ filters: [ConfiguredFilter], upstream: Version = .one, splits: Bool = false, seed: UInt64 = 1,
    table: (inout RouteConfiguration) -> Void = { _ in },
    manager change: (inout HTTPConnectionManager) -> Void = { _ in },
    route: (inout RouteAction) -> Void = { _ in }, before: (ProxyWorld) -> Void = { _ in }
  ) -> ProxyWorld {
    let world = ProxyWorld(seed: seed, splits: splits, extensions: ProxyExtensions(httpFilters: HTTPFilters.registry))
    before(world)
    world.simple(
      upstream: upstream,
      manager: { manager in
        manager.filters = filters + [ConfiguredFilter(name: "router", .router(RouterOptions()))]
        if case .inline(var routes) = manager.routes {
          table(&routes)
          manager.routes = .inline(routes)
        }
        change(&manager)
      }, route: route)
    return world
  }

  /// What the compiler says of a filter's message; nil when it takes it.
  static func refusal<F: HTTPFilter>(_ type: F.Type, _ config: ExtensionConfig, _ overrides: [ExtensionConfig] = [])
    -> String?
  {
    let context = FilterContext(
      storage: SnapshotStorage(), metrics: MetricsRegistry(workers: 1), statPrefix: "test", cluster: { _ in 0 })
    do throws(ConfigError) {
      _ = try F.compile(FilterSource(chain: config, overrides: overrides), context)
      return nil
    } catch { return "\(error.path): \(error.message)" }
  }
}
