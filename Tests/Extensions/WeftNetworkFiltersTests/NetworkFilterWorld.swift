import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftNetworkFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

/// What stands behind the network filters of a test.
enum Terminal: CaseIterable { case http, tcp, echo }

/// Builds what network filter tests are made of.
enum NetworkFilterWorld {
  /// A message in JSON as an extension's configuration.
  static func config<M: Message>(_ type: M.Type, _ json: String) throws -> ExtensionConfig {
    let value = try JSONValue(parsing: Array(json.utf8))
    let message = try M(json: value, options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    return ExtensionConfig(typeName: M.schema.name, message: message.serialized())
  }

  /// A proxy with the filters in front of a terminal one, and one server on port 8080 that greets or answers with "ok".
  static func make(
    _ filters: [ExtensionConfig], _ terminal: Terminal = .http,
    registry: NetworkFilterRegistry = NetworkFilters.registry,
    security: (any SecurityFactory)? = nil, splits: Bool = false, seed: UInt64 = 1
  ) -> ProxyWorld {
    let world = ProxyWorld(
      seed: seed, splits: splits, security: security, extensions: ProxyExtensions(networkFilters: registry))
    world.simple()
    world.server.onBytes = { peer in
      peer.send(terminal == .http ? "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" : "ok")
    }
    use(filters, terminal, world)
    return world
  }

  /// Puts `filters` in front of the terminal filter.
  static func use(_ filters: [ExtensionConfig], _ terminal: Terminal, _ world: ProxyWorld) {
    let last: ConfiguredNetworkFilter =
      switch terminal {
      case .http: world.config.listeners[0].filterChains[0].filters.last!
      case .tcp: .tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))
      case .echo: .filter(ExtensionConfig(typeName: Echo.message, message: []))
      }
    world.config.listeners[0].filterChains[0].filters = filters.map { .filter($0) } + [last]
    world.apply()
  }

  /// What to send for an answer that ends in "ok".
  static func ask(_ terminal: Terminal) -> String { terminal == .http ? "GET / HTTP/1.1\r\nHost: a\r\n\r\n" : "ok" }

  /// What the compiler says of a filter's message; nil when it takes it.
  static func refusal<F: NetworkFilter>(_ type: F.Type, _ config: ExtensionConfig) -> String? {
    let context = NetworkFilterContext(storage: SnapshotStorage(), metrics: MetricsRegistry(workers: 1)) {
      (source) throws(ConfigError) in try source.load()
    }
    do throws(ConfigError) {
      _ = try F.compile(config, context)
      return nil
    } catch { return "\(error.path): \(error.message)" }
  }
}
