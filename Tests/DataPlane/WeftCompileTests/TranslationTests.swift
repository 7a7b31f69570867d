import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftTestKit
import WeftXDS
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftProxyTestKit
@testable import WeftTables

/// What our own control plane sends is what our own proxy takes: the golden outputs of translation, converted and compiled.
@Suite("translation's golden resources, as the proxy takes them")
struct TranslationTests {
  static let files = ((try? Golden.files(in: "translation", suffix: ".expected.json")) ?? [])
    .filter { $0 != "grpc-client.expected.json" }

  static func decode<M: Message>(_ section: JSONValue?, _ type: M.Type) throws -> [M] {
    let options = JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all))
    return try (section?.arrayValue ?? []).map { entry in
      let members = entry["resource"]?.objectValue?.members.filter { $0.name != "@type" } ?? []
      return try M(json: .object(JSONObject(members)), options: options)
    }
  }

  @Test("nothing is refused", arguments: files)
  func accepted(file: String) throws {
    let golden = try JSONValue(parsing: Golden.bytes("translation/\(file)"))
    let converter = Converter(extensions: .shipped)
    let clusters = converter.clusters(try Self.decode(golden["CDS"], Envoy_Config_Cluster_V3_Cluster.self))
    let endpoints = converter.loadAssignments(
      try Self.decode(golden["EDS"], Envoy_Config_Endpoint_V3_ClusterLoadAssignment.self))
    let listeners = converter.listeners(try Self.decode(golden["LDS"], Envoy_Config_Listener_V3_Listener.self))
    let routes = converter.routeConfigurations(
      try Self.decode(golden["RDS"], Envoy_Config_Route_V3_RouteConfiguration.self))
    #expect(clusters.rejections + endpoints.rejections + listeners.rejections + routes.rejections == [])

    var state = ConfigState()
    state.clusters = clusters.values
    state.listeners = listeners.values
    for table in routes.values { state.routes[table.name] = table }
    for assignment in endpoints.values { state.endpoints[assignment.clusterName] = assignment }
    state.forgoSecrets()
    let compiler = SnapshotCompiler(
      metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1, opensFiles: false),
      security: CheckingSecurity(),
      extensions: ProxyExtensions(httpFilters: HTTPFilterRegistry([CORSStandIn.self, FaultStandIn.self])).withBasics)
    let compilation = compiler.compile(state)
    #expect(compilation.rejections == [] && compilation.warming == [])
    #expect(compilation.snapshot.listeners.count == listeners.values.count)
    #expect(compilation.snapshot.clusters.count == clusters.values.count)
  }

  /// These stand for the filters that translation writes, which are tested in their own room.
  struct CORSStandIn: HTTPFilter {
    static var name: StaticString { "envoy.filters.http.cors" }
    static var messages: FilterMessages {
      FilterMessages(
        chain: Envoy_Extensions_Filters_Http_Cors_V3_Cors.schema.name,
        route: Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy.schema.name)
    }
    struct Config: BitwiseCopyable {}
    static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config { Config() }
    init(_ config: Config) {}
  }

  struct FaultStandIn: HTTPFilter {
    static var name: StaticString { "envoy.filters.http.fault" }
    static var messages: FilterMessages {
      let message = Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.schema.name
      return FilterMessages(chain: message, route: message)
    }
    struct Config: BitwiseCopyable {}
    static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config { Config() }
    init(_ config: Config) {}
  }

  @Test("there is something to take")
  func enough() { #expect(Self.files.count >= 8) }
}
