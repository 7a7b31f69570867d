import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDS
import WeftXDSMessages

@Suite("conversion of Envoy's messages")
struct ConverterTests {
  static func cluster(_ json: String) throws -> Envoy_Config_Cluster_V3_Cluster {
    try Envoy_Config_Cluster_V3_Cluster(
      json: try JSONValue(parsing: json), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
  }

  @Test("a bad resource is refused alone, and a name that comes twice refuses the second")
  func partial() throws {
    let converter = Converter()
    let good = try Self.cluster(#"{"name":"good","type":"STATIC"}"#)
    let bad = try Self.cluster(#"{"name":"bad","type":"STATIC","connect_timeout":"-1s"}"#)
    let result = converter.clusters([good, bad, good])
    #expect(result.values.map(\.name) == ["good"])
    #expect(
      result.rejections.map(\.description) == [
        "envoy.config.cluster.v3.Cluster bad: connect_timeout: must be 0 or more and less than 292 years, is -1.0 s",
        "envoy.config.cluster.v3.Cluster good: duplicate name \"good\"; names must be unique",
      ])
  }

  @Test("settings without effect are reported with kind, name and path")
  func warnings() throws {
    let converter = Converter()
    _ = converter.clusters([
      try Self.cluster(#"{"name":"a","lb_policy":"RING_HASH","lb_subset_config":{"list_as_any":true}}"#)
    ])
    #expect(
      converter.warnings.map(\.description).contains(
        "envoy.config.cluster.v3.Cluster a: lb_subset_config: is not supported and has no effect"))
    #expect(converter.warnings.count == 1)
  }

  @Test("a header is not made of an operator without a value: what the client sent would stand in its place")
  func headersWithoutValue() throws {
    var option = Envoy_Config_Core_V3_HeaderValueOption()
    option.header = Envoy_Config_Core_V3_HeaderValue()
    option.header?.key = "x-client"
    option.header?.value = "%DOWNSTREAM_PEER_SUBJECT%"
    let error = #expect(throws: ConfigError.self) { try ExtensionReader().headerOption(option, FieldPath()) }
    #expect(error?.description == "header.value: %DOWNSTREAM_PEER_SUBJECT% has no value here")
  }

  @Test("operators without a value are told where they stand")
  func operatorsWithoutValue() throws {
    let converter = Converter()
    var file = Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog()
    file.path = "/dev/null"
    file.accessLogFormat = .format("%PROTOCOL% %TRACE_ID%")
    _ = try converter.fileAccessLog(file, FieldPath())
    file.accessLogFormat = .jsonFormat(Google_Protobuf_Struct(["sni": "%REQUESTED_SERVER_NAME%"]))
    _ = try converter.fileAccessLog(file, FieldPath())
    #expect(
      converter.warnings.map(\.description) == [
        "format: %TRACE_ID% has no value here, it prints -",
        "[\"sni\"]: %REQUESTED_SERVER_NAME% has no value here, it prints -",
      ])
  }

  @Test("what a cluster says of requests that come in, and of health checks, is reported by path")
  func clusterOptions() throws {
    let converter = Converter()
    let options = """
      {"@type":"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions","explicit_http_config":{"http_protocol_options":
      {"accept_http_10":true,"default_host_for_http_10":"a","allow_absolute_url":false,"enable_trailers":true}}}
      """
    _ = converter.clusters([
      try Self.cluster(
        """
        {"name":"a","typed_extension_protocol_options":{"x":\(options)},
        "outlier_detection":{"successful_active_health_check_uneject_host":false}}
        """)
    ])
    let http1 = #"typed_extension_protocol_options["x"].explicit_http_config.http_protocol_options."#
    #expect(
      Set(converter.warnings.map(\.path.description)) == [
        http1 + "accept_http_10", http1 + "default_host_for_http_10", http1 + "allow_absolute_url",
        "outlier_detection.successful_active_health_check_uneject_host",
      ])
  }

  @Test("a field that only a newer Envoy knows is reported by path and number, wherever it stands")
  func newerFields() throws {
    var message = try Self.cluster(#"{"name":"a","outlier_detection":{},"lb_policy":"RANDOM"}"#)
    let stranger = UnknownFields([0xFA, 0x3E, 0x01, 0x78])  // Field 1007, one byte.
    message.unknownFields = stranger
    message.outlierDetection?.unknownFields = stranger
    message.protocolSelection = .init(rawValue: 77)
    var tls = Envoy_Extensions_TransportSockets_Tls_V3_UpstreamTlsContext()
    tls.unknownFields = stranger
    var socket = Envoy_Config_Core_V3_TransportSocket()
    socket.name = "tls"
    socket.configType = .typedConfig(Google_Protobuf_Any(packing: tls))
    message.transportSocket = socket
    let converter = Converter()
    #expect(converter.clusters([message]).values.count == 1)
    let told = converter.warnings.map(\.description)
    func isTold(_ path: String, _ type: String) -> Bool {
      told.contains(
        "envoy.config.cluster.v3.Cluster a\(path): holds field 1007 of \(type), which is not known here and has no effect"
      )
    }
    #expect(isTold("", "envoy.config.cluster.v3.Cluster"), "\(told)")
    #expect(isTold(": outlier_detection", "envoy.config.cluster.v3.OutlierDetection"), "\(told)")
    #expect(
      isTold(
        ": transport_socket.typed_config", "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"), "\(told)")
    #expect(
      told.contains(
        "envoy.config.cluster.v3.Cluster a: protocol_selection: has the value 77, which is not known here and has no effect"
      ), "\(told)")
  }

  @Test(
    "a discovery service of its own is refused by path, for endpoints, routes and secrets alike: nothing would ever come"
  )
  func ownService() throws {
    let own = #"{"api_config_source":{"api_type":"GRPC","grpc_services":[{"envoy_grpc":{"cluster_name":"x"}}]}}"#
    let message = try Self.cluster(#"{"name":"a","type":"EDS","eds_cluster_config":{"eds_config":\#(own)}}"#)
    let error = #expect(throws: ConfigError.self) { try Converter().cluster(message) }
    #expect(error?.path.description == "eds_cluster_config.eds_config.api_config_source")
  }

  @Test("settings of an extension of which only the name is looked at are reported")
  func namesOnly() throws {
    var any = Google_Protobuf_Any()
    any.typeUrl = "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
    any.value = [8, 1]
    var message = try Self.cluster(#"{"name":"a","transport_socket":{"name":"raw"}}"#)
    message.transportSocket?.configType = .typedConfig(any)
    let converter = Converter()
    _ = try converter.cluster(message)
    #expect(
      converter.warnings.map(\.description) == [
        "transport_socket.typed_config: has settings that are not supported and have no effect"
      ])
  }

  @Test("names that TLS takes from the request are read; a check that checks nothing is reported")
  func serverNames() throws {
    let converter = Converter()
    let tls =
      #"{"name":"tls","typed_config":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"}}"#
    let options = #"""
      {"@type":"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions","explicit_http_config":{"http_protocol_options":{}},
      "upstream_http_protocol_options":{"auto_sni":true,"auto_san_validation":true,"override_auto_sni_header":"X-Name"}}
      """#
    let cluster = try converter.cluster(
      try Self.cluster(
        #"{"name":"a","transport_socket":\#(tls),"typed_extension_protocol_options":{"x":\#(options)}}"#))
    #expect(cluster.autoSNI && cluster.autoSANValidation && cluster.autoSNIHeader == "x-name")
    #expect(converter.warnings.map(\.path.description).count { $0.hasSuffix("auto_san_validation") } == 1)
    #expect(!converter.warnings.contains { $0.path.description.hasSuffix("override_auto_sni_header") })
  }

  @Test("defaults are Envoy's, and Weft's own where it is safer")
  func defaults() throws {
    let cluster = try Converter().cluster(try Self.cluster(#"{"name":"a","outlier_detection":{}}"#))
    #expect(cluster.connectTimeout == .seconds(5) && cluster.discovery == .fixed)
    #expect(cluster.outlierDetection == OutlierDetection())
  }

  @Test("a route table keeps what it was told")
  func routes() throws {
    let message = try Envoy_Config_Route_V3_RouteConfiguration(
      json: try JSONValue(
        parsing: """
          {"name":"r","virtual_hosts":[{"name":"v","domains":["a","*.b"],"routes":[
            {"match":{"path":"/x"},"route":{"cluster":"c","timeout":"0s","retry_policy":{"retry_on":"5xx,bogus","num_retries":4,"host_selection_retry_max_attempts":"9223372036854775807"}}},
            {"match":{"prefix":"/"},"redirect":{"https_redirect":true}}]}]}
          """), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    let converter = Converter()
    let table = try converter.routeConfiguration(message)
    #expect(table.virtualHosts[0].domains == ["a", "*.b"] && !table.validateClusters)
    guard case .forward(let action) = table.virtualHosts[0].routes[0].action else {
      Issue.record("expected a forwarding route")
      return
    }
    #expect(action.timeout == .zero && action.retryPolicy?.maxRetries == 4)
    #expect(action.retryPolicy?.retryOn == .serverError)
    #expect(action.retryPolicy?.hostSelectionMaxAttempts == 4096)
    #expect(converter.warnings.map(\.path.description) == ["virtual_hosts[0].routes[0].route.retry_policy.retry_on"])
  }

  @Test(
    "a text of a route that becomes part of a head holds no line break",
    arguments: [
      (#""route":{"cluster":"c","prefix_rewrite":"/a\nb"}"#, "route.prefix_rewrite"),
      (#""route":{"cluster":"c","host_rewrite_literal":"a\rb"}"#, "route.host_rewrite_literal"),
      (
        #""route":{"cluster":"c","regex_rewrite":{"pattern":{"regex":"/u"},"substitution":"/a\nb"}}"#,
        "route.regex_rewrite.substitution"
      ),
      (#""redirect":{"host_redirect":"a\nb"}"#, "redirect.host_redirect"),
      (#""redirect":{"path_redirect":"/a\nb"}"#, "redirect.path_redirect"),
      (#""redirect":{"prefix_rewrite":"/a\u0000b"}"#, "redirect.prefix_rewrite"),
      (#""redirect":{"scheme_redirect":"a\nb"}"#, "redirect.scheme_redirect"),
    ])
  func headTexts(action: String, path: String) throws {
    let message = try Envoy_Config_Route_V3_RouteConfiguration(
      json: try JSONValue(
        parsing: #"{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[{"match":{"prefix":"/"},"#
          + action + "}]}]}"), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    var refusal = ""
    do { _ = try Converter().routeConfiguration(message) } catch { refusal = "\(error)" }
    #expect(refusal.contains("routes[0].\(path): must not hold line breaks or NUL"), "\(refusal)")
  }

  @Test(
    "header lists name no pseudo-field and not the host, in any case",
    arguments: [":path", ":authority", "host", "Host"])
  func hostInLists(name: String) throws {
    let message = try Envoy_Config_Route_V3_RouteConfiguration(
      json: try JSONValue(
        parsing: #"{"name":"r","request_headers_to_add":[{"header":{"key":"\#(name)","value":"b"}}]}"#))
    let error = #expect(throws: ConfigError.self) { try Converter().routeConfiguration(message) }
    #expect(error?.path.description == "request_headers_to_add[0].header.key")
  }

  @Test(
    "names and values of header lists may have 16384 bytes, as with Envoy: more is refused by path",
    arguments: [("key", 16_384, true), ("key", 16_385, false), ("value", 16_384, true), ("value", 70_000, false)])
  func longHeaders(field: String, bytes: Int, isTaken: Bool) throws {
    var header = ["key": "x-a", "value": "b"]
    header[field] = String(repeating: "x", count: bytes)
    let message = try Envoy_Config_Route_V3_RouteConfiguration(
      json: try JSONValue(
        parsing: """
          {"name":"r","response_headers_to_add":[{"header":{"key":"\(header["key"]!)","value":"\(header["value"]!)"}}]}
          """))
    var refusal = ""
    do { _ = try Converter().routeConfiguration(message) } catch { refusal = "\(error)" }
    let words = "response_headers_to_add[0].header.\(field): may have 16384 bytes, has \(bytes)"
    #expect(isTaken ? refusal.isEmpty : refusal.contains(words), "\(refusal)")
  }

  @Test("names of a cluster without a resolver are asked of the bootstrap's, those of one with another way of its own")
  func resolvers() throws {
    var ours = DNSResolver()
    ours.searches = false
    let converter = Converter(dnsResolver: ours)
    #expect(try converter.cluster(try Self.cluster(#"{"name":"a","type":"STRICT_DNS"}"#)).dnsResolver == ours)
    let tcp = #"{"name":"b","type":"STRICT_DNS","use_tcp_for_dns_lookups":true}"#
    #expect(try converter.cluster(try Self.cluster(tcp)).dnsResolver?.usesTCP == true)
    #expect(try converter.cluster(try Self.cluster(tcp)).dnsResolver?.searches == true)
  }

  @Test("endpoints: weights, health, locality, canary")
  func endpoints() throws {
    let message = try Envoy_Config_Endpoint_V3_ClusterLoadAssignment(
      json: try JSONValue(
        parsing: """
          {"cluster_name":"c","endpoints":[{"locality":{"zone":"z"},"priority":1,"load_balancing_weight":5,"lb_endpoints":[
            {"endpoint":{"address":{"socket_address":{"address":"10.0.0.1","port_value":80}}},"health_status":"DRAINING",
             "load_balancing_weight":3,"metadata":{"filter_metadata":{"envoy.lb":{"canary":true}}}}]}]}
          """), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    let group = try #require(try Converter().loadAssignment(message).localities.first)
    #expect(group.locality.zone == "z" && group.priority == 1 && group.weight == 5)
    #expect(group.endpoints[0].health == .draining && group.endpoints[0].weight == 3 && group.endpoints[0].canary)
    #expect(!group.endpoints[0].health.isAvailable)
  }

  @Test(
    "addresses of blocks: both families, every short form",
    arguments: [
      ("10.0.0.0", 8, [10, 0, 0, 0]), ("::1", 128, Array(repeating: 0, count: 15) + [1]),
      ("2001:db8::", 32, [0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 12)),
      ("::ffff:1.2.3.4", 128, Array(repeating: 0, count: 10) + [255, 255, 1, 2, 3, 4]),
    ] as [(String, UInt32, [UInt8])])
  func blocks(text: String, length: UInt32, bytes: [UInt8]) throws {
    let listener = try Converter().listener(try Self.listener(prefix: text, length: length))
    #expect(
      listener.filterChains[0].match.destinationPrefixes == [CIDRRange(bytes: bytes, prefixLength: UInt8(length))])
  }

  @Test(
    "addresses that are none",
    arguments: ["10.0.0", "10.0.0.256", "01.0.0.0", ":::", "1::2::3", "12345::", "::1.2.3", "x", "1:2:3:4:5:6:7"])
  func noBlocks(text: String) throws {
    let message = try Self.listener(prefix: text, length: 0)
    let error = #expect(throws: ConfigError.self) { try Converter().listener(message) }
    #expect(error?.path.description == "filter_chains[0].filter_chain_match.prefix_ranges[0].address_prefix")
  }

  static func listener(prefix: String, length: UInt32) throws -> Envoy_Config_Listener_V3_Listener {
    try Envoy_Config_Listener_V3_Listener(
      json: try JSONValue(
        parsing: """
          {"address":{"socket_address":{"address":"127.0.0.1","port_value":1}},"filter_chains":[{
            "filter_chain_match":{"prefix_ranges":[{"address_prefix":"\(prefix)","prefix_len":\(length)}]},
            "filters":[{"name":"t","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
              "stat_prefix":"t","cluster":"c"}}]}]}
          """), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
  }

  @Test(
    "a matcher or rewriter of paths that is no field but an extension is refused by its name",
    arguments: [
      (#""match":{"path_match_policy":POLICY},"route":{"cluster":"c"}"#, "match.path_match_policy"),
      (#""match":{"prefix":"/"},"route":{"cluster":"c","path_rewrite_policy":POLICY}"#, "route.path_rewrite_policy"),
    ])
  func pathPolicies(route: String, path: String) throws {
    let policy =
      #"{"name":"template","typed_config":{"@type":"type.googleapis.com/google.protobuf.StringValue","value":"/{x}"}}"#
    let message = try Envoy_Config_Route_V3_RouteConfiguration(
      json: try JSONValue(
        parsing: """
          {"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[{\(route.replacing("POLICY", with: policy))}]}]}
          """), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    do throws(ConfigError) {
      _ = try Converter().routeConfiguration(message)
      Issue.record("taken")
    } catch {
      #expect(error.path.description == "virtual_hosts[0].routes[0].\(path)")
      #expect(error.message.contains("'template'") && error.message.contains("google.protobuf.StringValue"))
      #expect(error.message.contains("prefix"))
    }
  }

  // MARK: Protocols

  private static let dubbo = "envoy.extensions.filters.network.generic_proxy.codecs.dubbo.v3.DubboCodecConfig"

  /// A listener of one chain with these filters.
  private func listener(
    _ filters: String..., by converter: Converter = Converter(extensions: .shipped)
  ) throws -> Listener {
    let json =
      #"{"name":"a","address":{"socket_address":{"address":"127.0.0.1","port_value":1}},"filter_chains":[{"filters":[\#(filters.joined(separator: ","))]}]}"#
    let message = try Envoy_Config_Listener_V3_Listener(
      json: try JSONValue(parsing: json), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    return try converter.listener(message)
  }

  private static let codec = #"{"name":"dubbo","typed_config":{"@type":"type.googleapis.com/\#(dubbo)"}}"#
  private static let manager = managing(#"{"name":"r"}"#)
  private static func managing(_ routes: String) -> String {
    #"""
    {"name":"http","typed_config":{"@type":
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":"x",
    "route_config":\#(routes),"http_filters":[{"name":"router","typed_config":{"@type":
    "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}
    """#
  }
  private static let tcp =
    #"{"name":"tcp","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"x","cluster":"c"}}"#

  @Test("a protocol in front of a connection manager is what that one reads, typed or as a structure")
  func protocols() throws {
    let free =
      #"{"name":"dubbo","typed_config":{"@type":"type.googleapis.com/xds.type.v3.TypedStruct","type_url":"type.googleapis.com/\#(Self.dubbo)","value":{}}}"#
    for codec in [Self.codec, free] {
      let chain = try listener(codec, Self.manager).filterChains[0]
      #expect(chain.filters.count == 1)
      guard case .httpConnectionManager(let manager) = chain.filters[0] else {
        Issue.record("no connection manager")
        continue
      }
      #expect(manager.protocolCodec == ExtensionConfig(typeName: Self.dubbo, message: []))
    }
  }

  @Test("copies of messages that are no HTTP are told to have no effect, at each level")
  func protocolCopies() throws {
    let copies = #""request_mirror_policies":[{"cluster":"m"}]"#
    let manager = Self.managing(
      #"""
      {"name":"r",\#(copies),"virtual_hosts":[{"name":"v","domains":["*"],\#(copies),
        "routes":[{"match":{"prefix":"/"},"route":{"cluster":"c",\#(copies)}}]}]}
      """#)
    for (filters, count) in [(manager, 0), (Self.codec + "," + manager, 3)] {
      let converter = Converter(extensions: .shipped)
      _ = try listener(filters, by: converter)
      let told = converter.warnings.filter { $0.message.contains("are not copied") }
      #expect(told.count == count)
      #expect(told.allSatisfy { $0.path.description.hasSuffix("request_mirror_policies") })
    }
  }

  @Test("a protocol anywhere else is refused at its place")
  func protocolsElsewhere() throws {
    for (filters, path) in [
      ([Self.codec], "filters[0]"), ([Self.codec, Self.codec, Self.manager], "filters[1]"),
      ([Self.codec, Self.tcp], "filters[1]"), ([Self.manager, Self.codec], "filters[0]"),
    ] {
      let json = filters.joined(separator: ",")
      do {
        _ = try listener(json)
        Issue.record("taken: \(path)")
      } catch let error as ConfigError {
        #expect(error.path.description.hasSuffix(path), "\(error)")
      }
    }
  }
}

@Suite("HTTP filters of connection managers and routes")
struct HTTPFilterConversionTests {
  private static func typed(_ type: String, _ value: String = "{}") -> String {
    var fields = value.dropFirst().dropLast()
    if !fields.isEmpty { fields = "," + fields }
    return #"{"@type":"type.googleapis.com/\#(type)"\#(fields)}"#
  }
  private static func structure(_ type: String, _ value: String = "{}", form: String = "xds.type.v3.TypedStruct")
    -> String
  {
    #"{"@type":"type.googleapis.com/\#(form)","type_url":"type.googleapis.com/\#(type)","value":\#(value)}"#
  }
  private static let fault = "envoy.extensions.filters.http.fault.v3.HTTPFault"
  private static let router = "envoy.extensions.filters.http.router.v3.Router"

  /// The filters of a manager, by their JSON, and what was warned about.
  private func filters(_ filters: String) throws -> (filters: [ConfiguredFilter], warnings: [String]) {
    let manager = """
      {"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      "stat_prefix":"x","route_config":{"name":"r"},"http_filters":[\(filters)]}
      """
    let message = try Envoy_Config_Listener_V3_Listener(
      json: try JSONValue(
        parsing: """
          {"name":"a","address":{"socket_address":{"address":"127.0.0.1","port_value":1}},
          "filter_chains":[{"filters":[{"name":"http","typed_config":\(manager)}]}]}
          """), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    let converter = Converter(extensions: .shipped)
    let listener = try converter.listener(message)
    guard case .httpConnectionManager(let converted) = listener.filterChains[0].filters[0] else { return ([], []) }
    return (converted.filters, converter.warnings.map { "\($0.path): \($0.message)" })
  }

  private static let end = #"{"name":"router","typed_config":\#(typed(router))}"#
  private static let place = "filter_chains[0].filters[0].typed_config.http_filters[0]"

  @Test(
    "a filter is the same typed and as a structure, under either name of that",
    arguments: [
      "xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct",
    ])
  func structures(form: String) throws {
    let value = #"{"max_active_faults":7}"#
    let filter = #"{"name":"f","typed_config":\#(Self.typed(Self.fault, value))}"#
    let free = #"{"name":"f","typed_config":\#(Self.structure(Self.fault, value, form: form))}"#
    let expected = try filters("\(filter),\(Self.end)").filters
    #expect(expected.count == 2)
    #expect(try filters("\(free),\(Self.end)").filters == expected)
  }

  @Test(
    "a field of a limit that has no effect says what holds instead",
    arguments: [
      ("hits_addend", "each request takes one token"), ("apply_on_stream_done", "takes its token when it comes"),
      ("limit", "the limits are the descriptors' own"),
      ("rate_limits", "rate_limits of envoy.filters.http.local_ratelimit"),
      ("include_vh_rate_limits", "come with the service for rate limits"), ("colour", "is an unknown field"),
    ])
  func unreadField(name: String, sentence: String) {
    let said = UnreadField.sentence(of: FieldPath().field("rate_limits").index(0).field(name))
    #expect(said.contains(sentence) && said.contains("has no effect"), "\(said)")
  }

  @Test("the router is the same typed and as a structure; what it does not know is told by path")
  func router() throws {
    let value = #"{"suppress_envoy_headers":true}"#
    let expected = try filters(#"{"name":"router","typed_config":\#(Self.typed(Self.router, value))}"#)
    #expect(expected.warnings.isEmpty)
    guard case .router(let options)? = expected.filters.first?.configuration else { return #expect(Bool(false)) }
    #expect(options.suppressEnvoyHeaders)
    let free = try filters(#"{"name":"router","typed_config":\#(Self.structure(Self.router, value))}"#)
    #expect(free.filters == expected.filters && free.warnings.isEmpty)
    let newer = try filters(#"{"name":"router","typed_config":\#(Self.structure(Self.router, #"{"newer":1}"#))}"#)
    #expect(newer.warnings == ["\(Self.place).typed_config.value.newer: is an unknown field and has no effect"])
  }

  @Test("an optional filter that nobody knows is left out and told; another one is refused")
  func optional() throws {
    let message = "optional filter f is not supported and left out"
    // A message that exists and configures no filter.
    let known = Self.typed("envoy.config.core.v3.Node")
    let result = try filters(#"{"name":"f","is_optional":true,"typed_config":\#(known)},\#(Self.end)"#)
    #expect(result.filters.map(\.name) == ["router"] && result.warnings == ["\(Self.place): \(message)"])
    let refused = #expect(throws: ConfigError.self) {
      try filters(#"{"name":"f","typed_config":\#(known)},\#(Self.end)"#)
    }
    #expect(refused?.message.contains("local_ratelimit, envoy.filters.http.router") == true)
    let empty = try filters(#"{"name":"f","is_optional":true},\#(Self.end)"#)
    #expect(empty.filters.map(\.name) == ["router"])
    #expect(empty.warnings == ["\(Self.place): optional filter f has no typed_config and is left out"])
    #expect(throws: ConfigError.self) { try filters(#"{"name":"f"},\#(Self.end)"#) }
  }

  @Test("what a route says optionally of a filter that nobody knows is left out and told, at every level")
  func optionalOnRoutes() throws {
    func table(_ isOptional: Bool) throws -> (RouteConfiguration, [String]) {
      let says = """
        "typed_per_filter_config":{"f":{"@type":"type.googleapis.com/envoy.config.route.v3.FilterConfig",
        "is_optional":\(isOptional),"config":\(Self.typed("envoy.config.core.v3.Node"))}}
        """
      let message = try Envoy_Config_Route_V3_RouteConfiguration(
        json: try JSONValue(
          parsing: """
            {"name":"r",\(says),"virtual_hosts":[{"name":"v","domains":["*"],\(says),"routes":[{"match":{"prefix":"/"},\(says),
            "route":{"weighted_clusters":{"clusters":[{"name":"c","weight":1,\(says)}]}}}]}]}
            """), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
      let converter = Converter(extensions: .shipped)
      return (try converter.routeConfiguration(message), converter.warnings.map { "\($0.path): \($0.message)" })
    }
    let (routes, warnings) = try table(true)
    #expect(routes.filters.isEmpty && routes.virtualHosts[0].filters.isEmpty)
    #expect(routes.virtualHosts[0].routes[0].filters.isEmpty)
    let says = #"typed_per_filter_config["f"]: optional configuration of filter f is not supported and left out"#
    #expect(
      Set(warnings)
        == Set(
          [
            "", "virtual_hosts[0].", "virtual_hosts[0].routes[0].",
            "virtual_hosts[0].routes[0].route.weighted_clusters.clusters[0].",
          ].map { $0 + says }))
    #expect(throws: ConfigError.self) { try table(false) }
  }
}

@Suite("balancing policies of clusters")
struct BalancingConversionTests {
  static func balancing(_ json: String, known: KnownExtensions = .shipped) throws -> LoadBalancing {
    try Converter(extensions: known).cluster(try ConverterTests.cluster(json)).loadBalancing
  }

  @Test("a policy is the same typed and as a structure")
  func structures() throws {
    func policy(_ config: String) throws -> LoadBalancing {
      try Self.balancing(
        """
        {"name":"a","load_balancing_policy":{"policies":[{"typed_extension_config":{"name":"p","typed_config":\(config)}}]}}
        """)
    }
    let type = "type.googleapis.com/envoy.extensions.load_balancing_policies.maglev.v3.Maglev"
    let typed = try policy(#"{"@type":"\#(type)","table_size":"7"}"#)
    let free = try policy(
      #"{"@type":"type.googleapis.com/xds.type.v3.TypedStruct","type_url":"\#(type)","value":{"table_size":"7"}}"#)
    guard case .balancer(let config) = typed.policy else { return #expect(Bool(false), "no policy") }
    #expect(config.typeName.hasSuffix("maglev.v3.Maglev") && !config.message.isEmpty)
    #expect(free == typed)
  }

  @Test("the policy's name and its settings become the policy's own message")
  func named() throws {
    let ring = try Self.balancing(
      #"""
      {"name":"a","lb_policy":"RING_HASH","ring_hash_lb_config":{"minimum_ring_size":"7","hash_function":"MURMUR_HASH_2"},
       "common_lb_config":{"consistent_hashing_lb_config":{"use_hostname_for_hashing":true,"hash_balance_factor":120}}}
      """#)
    guard case .balancer(let config) = ring.policy else { return #expect(Bool(false), "no policy") }
    let message = try Envoy_Extensions_LoadBalancingPolicies_RingHash_V3_RingHash(serialized: config.message)
    #expect(config.typeName.hasSuffix("ring_hash.v3.RingHash"))
    #expect(message.minimumRingSize?.value == 7 && message.hashFunction == .murmurHash2)
    #expect(message.consistentHashingLbConfig?.useHostnameForHashing == true)
    #expect(message.consistentHashingLbConfig?.hashBalanceFactor?.value == 120)
  }

  @Test(
    "what a policy cannot be is refused by the field's path",
    arguments: [
      (
        #""lb_policy":"RING_HASH","ring_hash_lb_config":{"minimum_ring_size":"8388609"}"#,
        "ring_hash_lb_config.minimum_ring_size: must be at most 8388608, is 8388609"
      ),
      (
        #""lb_policy":"RING_HASH","ring_hash_lb_config":{"maximum_ring_size":"12"}"#,
        "ring_hash_lb_config.minimum_ring_size: must be at most maximum_ring_size (12), is 1024"
      ),
      (
        #""lb_policy":"MAGLEV","maglev_lb_config":{"table_size":"100"}"#,
        "maglev_lb_config.table_size: must be a prime number of at most 5000011, is 100"
      ),
      (
        #""lb_policy":"MAGLEV","common_lb_config":{"consistent_hashing_lb_config":{"hash_balance_factor":99}}"#,
        "common_lb_config.consistent_hashing_lb_config.hash_balance_factor: must be 100 or more, is 99"
      ),
    ])
  func refused(json: String, refusal: String) {
    let error = #expect(throws: ConfigError.self) { try Self.balancing("{\"name\":\"a\",\(json)}") }
    #expect(error.map { "\($0.path): \($0.message)" } == refusal)
  }

  static func typed(_ names: String...) -> String {
    let policies = names.map {
      #"{"typed_extension_config":{"name":"x","typed_config":{"@type":"type.googleapis.com/\#($0)"}}}"#
    }
    return #"{"name":"a","load_balancing_policy":{"policies":[\#(policies.joined(separator: ","))]}}"#
  }

  @Test("of typed policies the first known one wins; where none is, the known ones are named")
  func firstKnown() throws {
    let base = "envoy.extensions.load_balancing_policies."
    let random = base + "random.v3.Random"
    #expect(
      try Self.balancing(Self.typed("envoy.config.core.v3.Node", random, base + "maglev.v3.Maglev")).policy == .random)
    let error = #expect(throws: ConfigError.self) { try Self.balancing(Self.typed("envoy.config.core.v3.Node")) }
    #expect(error?.path.description == "load_balancing_policy")
    #expect(error?.message.contains("envoy.load_balancing_policies.maglev, ") == true, "\(error?.message ?? "")")
  }
}
