import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftXDS
import WeftXDSMessages

@testable import WeftNetworkFilters

@Suite("the registry of network filters")
struct NetworkFilterRegistryTests {
  @Test("the control plane knows what weft-proxy comes with")
  func shipped() { #expect(NetworkFilters.registry.known == KnownExtensions.shipped.networkFilters) }

  @Test("filters are sorted by name, and each has a message of its own")
  func sorted() {
    #expect(NetworkFilters.registry.known.count == NetworkFilters.all.count + TerminalNetworkFilter.allCases.count)
    var names: [String] = []
    for filter in NetworkFilters.all { names.append(filter.name.description) }
    #expect(names == names.sorted())
  }

  private func convert(_ filters: String) throws -> [ConfiguredNetworkFilter] {
    let json = #"""
      {"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
       "filter_chains": [{"filters": [\#(filters)]}]}
      """#
    let message = try Envoy_Config_Listener_V3_Listener(
      json: try JSONValue(parsing: Array(json.utf8)),
      options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    var known = KnownExtensions()
    known.networkFilters = NetworkFilters.registry.known
    known.terminalFilters.formUnion(NetworkFilters.registry.terminal)
    return try Converter(extensions: known).listener(message).filterChains[0].filters
  }

  private static let echo =
    #"{"name": "e", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}"#
  private static func struct_(_ type: String, _ value: String) -> String {
    #"{"name": "s", "typed_config": {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": "type.googleapis.com/\#(type)", "value": \#(value)}}"#
  }

  @Test("filters come as structures, too, terminal ones among them")
  func structures() throws {
    let filters = try convert(
      Self.struct_(ConnectionLimit.message, #"{"stat_prefix": "a", "max_connections": 7}"#) + ","
        + Self.struct_(
          "envoy.extensions.filters.network.direct_response.v3.Config", #"{"response": {"inline_string": "hi"}}"#))
    #expect(
      filters == [
        .filter(
          try NetworkFilterWorld.config(
            Envoy_Extensions_Filters_Network_ConnectionLimit_V3_ConnectionLimit.self,
            #"{"stat_prefix": "a", "max_connections": 7}"#)),
        .filter(
          try NetworkFilterWorld.config(
            Envoy_Extensions_Filters_Network_DirectResponse_V3_Config.self, #"{"response": {"inline_string": "hi"}}"#)),
      ])
  }

  @Test("an unknown filter is refused with the list of known ones; order is checked")
  func refusals() {
    func words(_ filters: String) -> String {
      do {
        _ = try convert(filters)
        return ""
      } catch { return "\(error)" }
    }
    let unknown = words(Self.struct_("envoy.extensions.filters.network.rbac.v3.RBAC", "{}") + "," + Self.echo)
    #expect(unknown.contains("filter_chains[0].filters[0]"), "\(unknown)")
    let limit = Self.struct_(ConnectionLimit.message, #"{"stat_prefix": "a", "max_connections": 7}"#)
    #expect(words(limit).contains("non-terminal filter named s is the last filter in a network filter chain"))
    #expect(words(Self.echo + "," + limit).contains("terminal filter named e must be the last filter"))
    let other = words(
      #"{"name": "x", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}}"#)
    #expect(
      other.contains("known are") && other.contains("envoy.filters.network.connection_limit")
        && other.contains("envoy.filters.network.tcp_proxy"), "\(other)")
  }
}
