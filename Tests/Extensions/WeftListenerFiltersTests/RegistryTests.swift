import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

@testable import WeftListenerFilters

@Suite("the registry of listener filters")
struct ListenerFilterRegistryTests {
  @Test("the control plane knows what weft-proxy comes with")
  func shipped() { #expect(ListenerFilters.registry.known == KnownExtensions.shipped.listenerFilters) }

  @Test("filters are sorted by name, and each has a message of its own")
  func sorted() {
    #expect(ListenerFilters.registry.known.count == ListenerFilters.all.count)
    var names: [String] = []
    for filter in ListenerFilters.all { names.append(filter.name.description) }
    #expect(names == names.sorted())
  }

  private func convert(_ typed: String) throws -> (filters: [ConfiguredListenerFilter], warnings: [ConfigError]) {
    let json = #"""
      {"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
       "listener_filters": [{"name": "f", "typed_config": \#(typed)}],
       "filter_chains": [{"filters": [{"name": "t", "typed_config": {"stat_prefix": "t", "cluster": "c",
         "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"}}]}]}
      """#
    let message = try Envoy_Config_Listener_V3_Listener(
      json: try JSONValue(parsing: Array(json.utf8)),
      options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    var known = KnownExtensions()
    known.listenerFilters = ListenerFilters.registry.known
    let converter = Converter(extensions: known)
    return (try converter.listener(message).listenerFilters, converter.warnings)
  }

  @Test("filters come as structures, too, and are checked where they are read")
  func structures() throws {
    func structure(_ bytes: Int) -> String {
      #"{"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": "type.googleapis.com/\#(TLSInspector.message)", "value": {"max_client_hello_size": \#(bytes)}}"#
    }
    let filter = try #require(try convert(structure(512)).filters.first)
    #expect(filter.config.typeName == TLSInspector.message)
    #expect(try ExtensionReader().tlsInspector(filter.config).maximumClientHelloBytes == 512)
    let error = #expect(throws: ConfigError.self) { try convert(structure(100)) }
    #expect("\(error?.path ?? .root)" == "listener_filters[0].typed_config.max_client_hello_size")
  }

  @Test("what has no effect is warned of by its path; an unknown filter is refused with the list of known ones")
  func told() throws {
    let warnings = try convert(
      #"{"@type": "type.googleapis.com/\#(OriginalSource.message)", "mark": 3, "bind_port": true}"#
    ).warnings
    #expect(warnings.map { "\($0.path)" } == ["listener_filters[0].typed_config.bind_port"])
    let error = #expect(throws: ConfigError.self) {
      try convert(#"{"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}"#)
    }
    #expect(error?.message.contains("known are envoy.filters.listener.http_inspector") ?? false)
  }
}
