import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftHTTPFilters
@testable import WeftProtocols
@testable import WeftProxyTestKit

@Suite("settings without effect in front of a protocol")
struct ProtocolWarningTests {
  @Test("a pace behind a protocol whose messages pass whole is told by path, of the filter and of a route")
  func paceWithoutEffect() throws {
    let json = #"{"response_rate_limit": {"fixed_limit": {"limit_kbps": 1}, "percentage": {"numerator": 100}}}"#
    let message = try Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault(
      json: try JSONValue(parsing: Array(json.utf8)), options: JSONDecodingOptions(registry: TypeRegistry([])))
    let config = ExtensionConfig(
      typeName: Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.schema.name, message: message.serialized())
    var host = VirtualHost(name: "v", domains: ["*"])
    host.routes = [Route(match: RouteMatch(.prefix("/")), action: .forward(RouteAction(cluster: .cluster("a"))))]
    host.routes[0].filters["fault"] = FilterOverride(config: config)
    host.filters = host.routes[0].filters
    host.routes.append(Route(match: RouteMatch(.prefix("/other")), action: host.routes[0].action))
    var table = RouteConfiguration(name: "r")
    table.virtualHosts = [host]
    func warnings(_ codec: ExtensionConfig?) -> [String] {
      var state = ConfigState()
      var manager = HTTPConnectionManager(statPrefix: "d", routes: .discovered(name: "r", source: .ads))
      manager.filters = [
        ConfiguredFilter(name: "fault", .filter(config)), ConfiguredFilter(name: "router", .router(RouterOptions())),
      ]
      manager.protocolCodec = codec
      var chain = FilterChain(name: "c")
      chain.filters = [.httpConnectionManager(manager)]
      var listener = Listener(name: "l", address: .socket(host: "127.0.0.1", port: 1))
      listener.filterChains = [chain]
      state.listeners = [listener]
      state.routes["r"] = table
      let compiler = SnapshotCompiler(
        metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1, opensFiles: false),
        random: RandomSource(seed: 1),
        extensions: ProxyExtensions(httpFilters: HTTPFilters.registry, protocols: Protocols.registry).withBasics)
      let first = compiler.compile(state)
      #expect(first.rejections == [])
      return first.warnings.map(\.description)
    }
    let why = "response_rate_limit: has no effect: messages of the connection manager's protocol pass whole"
    #expect(warnings(nil) == [])
    #expect(
      warnings(ExtensionConfig(typeName: DubboCodec.messages[0], message: [])) == [
        "envoy.config.route.v3.RouteConfiguration r: virtual_hosts[0].typed_per_filter_config[\"fault\"].\(why)",
        "envoy.config.route.v3.RouteConfiguration r: virtual_hosts[0].routes[0].typed_per_filter_config[\"fault\"].\(why)",
        "envoy.config.listener.v3.Listener l: filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.\(why)",
      ])
  }
}
