// The documents a proxy takes.
import WeftBase
import WeftLoadBalancers
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftXDS
import WeftXDSMessages

extension CoverageRoot {
  /// A root that `Converter` reads.
  private init<M: Message, Model: Hashable & Sendable>(
    _ type: M.Type, _ base: JSONValue, stops: Set<String> = [],
    _ convert: @escaping @Sendable (Converter, M) throws(ConfigError) -> Model
  ) {
    self.init(type: type, base: base, stops: stops) { document in
      let message: M
      do throws(ProtobufError) {
        message = try M(json: document, options: JSONDecodingOptions(registry: ProbeTables.registry))
      } catch { return .refused(error.path, "the probe is no such message: \(error.message)") }
      let converter = Converter(extensions: .shipped)
      do throws(ConfigError) {
        let model = try convert(converter, message)
        var warnings: [FieldPath: String] = [:]
        for warning in converter.warnings { warnings[warning.path] = warning.message }
        return .made(AnyHashableValue(model), .warnings(warnings))
      } catch { return .refused(error.path, error.message) }
    }
  }

  /// What access-log sinks read by themselves.
  private static let sinks: Set<String> = [
    Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog.schema.name,
    Envoy_Extensions_AccessLoggers_Stream_V3_StderrAccessLog.schema.name,
    Envoy_Extensions_AccessLoggers_Stream_V3_StdoutAccessLog.schema.name,
  ]

  static let envoy: [CoverageRoot] = [
    CoverageRoot(
      Envoy_Config_Bootstrap_V3_Bootstrap.self,
      ProbeTables.json(
        #"""
        {"node":{"id":"n","cluster":"c"},"static_resources":{"clusters":[{"name":"xds","type":"STATIC"},{"name":"c","type":"STATIC"}]},"dynamic_resources":{"ads_config":
        {"api_type":"GRPC","grpc_services":[{"envoy_grpc":{"cluster_name":"xds"}}]}}}
        """#),
      stops: sinks.union([
        "envoy.config.listener.v3.Listener", "envoy.config.cluster.v3.Cluster",
        "envoy.extensions.transport_sockets.tls.v3.Secret",
      ])
    ) { (converter, message) throws(ConfigError) in try converter.bootstrap(message) },
    CoverageRoot(
      Envoy_Config_Listener_V3_Listener.self,
      [
        "name": "l", "address": ["socket_address": ["address": "127.0.0.1", "port_value": 1]],
        "filter_chains": [["filters": [["name": "t", "typed_config": ProbeTables.tcpProxy]]]],
      ],
      stops: sinks.union([
        "envoy.config.route.v3.RouteConfiguration",
        Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector.schema.name,
        Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol.schema.name,
        Envoy_Extensions_Filters_Listener_OriginalSrc_V3_OriginalSrc.schema.name,
      ])
    ) { (converter, message) throws(ConfigError) in try converter.listener(message) },
    CoverageRoot(Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector.self, [:]) {
      (converter, message) throws(ConfigError) in try converter.tlsInspector(message, .root)
    },
    CoverageRoot(Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol.self, [:]) {
      (converter, message) throws(ConfigError) in try converter.proxyProtocol(message, .root)
    },
    CoverageRoot(Envoy_Extensions_Filters_Listener_OriginalSrc_V3_OriginalSrc.self, [:]) {
      (converter, message) throws(ConfigError) in converter.originalSource(message, .root)
    },
    CoverageRoot(Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog.self, ["path": "/p"]) {
      (converter, message) throws(ConfigError) in try converter.fileAccessLog(message, .root)
    },
    CoverageRoot(Envoy_Extensions_AccessLoggers_Stream_V3_StderrAccessLog.self, [:]) {
      (converter, message) throws(ConfigError) in try converter.stderrAccessLog(message, .root)
    },
    CoverageRoot(Envoy_Extensions_AccessLoggers_Stream_V3_StdoutAccessLog.self, [:]) {
      (converter, message) throws(ConfigError) in try converter.stdoutAccessLog(message, .root)
    },
    CoverageRoot(
      Envoy_Config_Cluster_V3_Cluster.self, ["name": "c", "type": "STATIC"],
      stops: Set(["envoy.config.endpoint.v3.ClusterLoadAssignment"]).union(LoadBalancers.registry.known.keys)
    ) { (converter, message) throws(ConfigError) in try converter.cluster(message) },
    CoverageRoot(
      Envoy_Config_Route_V3_RouteConfiguration.self,
      [
        "name": "r",
        "virtual_hosts": [
          ["name": "v", "domains": ["*"], "routes": [["match": ["prefix": "/"], "route": ["cluster": "c"]]]]
        ],
      ]
    ) { (converter, message) throws(ConfigError) in try converter.routeConfiguration(message) },
    CoverageRoot(
      Envoy_Config_Endpoint_V3_ClusterLoadAssignment.self, ["cluster_name": "c"]
    ) { (converter, message) throws(ConfigError) in try converter.loadAssignment(message) },
    CoverageRoot(
      Envoy_Extensions_TransportSockets_Tls_V3_Secret.self,
      ["name": "s", "generic_secret": ["secret": ["inline_string": "x"]]]
    ) { (converter, message) throws(ConfigError) in try converter.secret(message) },
  ]
}
