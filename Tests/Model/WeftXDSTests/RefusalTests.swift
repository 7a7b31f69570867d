import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDSMessages

@testable import WeftXDS

/// What Envoy refuses is refused, and what it takes is taken; the same rows are put to a real one in Tests/Differential/cases (`each-refused`).
@Suite("what Envoy refuses")
struct RefusalTests {
  private static func refusal<M: Message>(
    _ json: String, of _: M.Type, _ convert: (Converter, M) throws(ConfigError) -> Void
  ) throws -> String {
    let message = try M(
      json: try JSONValue(parsing: json), options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    let converter = Converter(extensions: .shipped)
    do throws(ConfigError) {
      try converter.unknown(message, .root)
      try convert(converter, message)
      return ""
    } catch { return "\(error.path): \(error.message)" }
  }

  private static let ring = typed("ring_hash.v3.RingHash")
  private static func typed(_ policy: String, _ more: String = "") -> String {
    let type = "type.googleapis.com/envoy.extensions.load_balancing_policies.\(policy)"
    return
      #""load_balancing_policy":{"policies":[{"typed_extension_config":{"name":"x","typed_config":{"@type":"\#(type)"\#(more)}}}]}"#
  }
  private static let beside = "cannot be combined with load_balancing_policy, whose own message says it"
  private static let original = "must be CLUSTER_PROVIDED for a cluster of type ORIGINAL_DST"

  @Test(
    "of a cluster's balancing",
    arguments: [
      (
        #""common_lb_config":{"consistent_hashing_lb_config":{}},\#(ring)"#,
        "common_lb_config.consistent_hashing_lb_config: \(beside)"
      ),
      (
        #""common_lb_config":{"locality_weighted_lb_config":{}},\#(ring)"#,
        "common_lb_config.locality_weighted_lb_config: \(beside)"
      ),
      (#""common_lb_config":{"zone_aware_lb_config":{}},\#(ring)"#, "common_lb_config.zone_aware_lb_config: \(beside)"),
      (#""common_lb_config":{"healthy_panic_threshold":{"value":1}},\#(ring)"#, ""),
      (#""lb_policy":"MAGLEV",\#(ring)"#, ""),
      (#""ring_hash_lb_config":{"minimum_ring_size":"9","maximum_ring_size":"8"}"#, ""),
      (
        #""ring_hash_lb_config":{"maximum_ring_size":"8388609"}"#,
        "ring_hash_lb_config.maximum_ring_size: must be at most 8388608, is 8388609"
      ),
      (#""maglev_lb_config":{"table_size":"4"}"#, ""),
      (
        #""maglev_lb_config":{"table_size":"5000012"}"#,
        "maglev_lb_config.table_size: must be at most 5000011, is 5000012"
      ),
      (
        #""least_request_lb_config":{"choice_count":1}"#,
        "least_request_lb_config.choice_count: must be 2 or more, is 1"
      ),
      (
        #""common_lb_config":{"consistent_hashing_lb_config":{"hash_balance_factor":99}}"#,
        "common_lb_config.consistent_hashing_lb_config.hash_balance_factor: must be 100 or more, is 99"
      ),
      (
        #""lb_policy":"RING_HASH","ring_hash_lb_config":{"hash_function":7}"#,
        "ring_hash_lb_config.hash_function: has the value 7, which is not known here"
      ),
      (typed("ring_hash.v3.RingHash", #","hash_function":9"#), ""),
      (#""type":"ORIGINAL_DST","lb_policy":"RING_HASH""#, "lb_policy: \(original)"),
      (#""type":"ORIGINAL_DST""#, "lb_policy: \(original)"),
      (#""type":"ORIGINAL_DST","lb_policy":"CLUSTER_PROVIDED""#, ""),
      (#""type":"ORIGINAL_DST","lb_policy":"CLUSTER_PROVIDED",\#(ring)"#, "load_balancing_policy: \(original)"),
      (
        #""lb_policy":"CLUSTER_PROVIDED""#, "lb_policy: may be CLUSTER_PROVIDED for a cluster of type ORIGINAL_DST only"
      ),
      (
        typed("wrr_locality.v3.WrrLocality"),
        "load_balancing_policy.policies[0].typed_extension_config.typed_config.endpoint_picking_policy: is required"
      ),
      (#""dns_lookup_family":77"#, "dns_lookup_family: has the value 77, which is not known here"),
      (#""protocol_selection":77"#, ""),
      (
        #""upstream_bind_config":{"source_address":{"address":"localhost","port_value":0}}"#,
        "upstream_bind_config.source_address.address: malformed IP address: localhost; our own address must be an IP literal"
      ),
      (
        #""upstream_bind_config":{\#(own),"extra_source_addresses":[{"address":{"address":"127.0.0.2","port_value":0}}]}"#,
        """
        upstream_bind_config.extra_source_addresses[0].address: must be of another IP version than source_address, \
        127.0.0.1:0 and 127.0.0.2:0 are of the same
        """
      ),
      (
        #""upstream_bind_config":{\#(own),"additional_source_addresses":[\#(six),\#(six)]}"#,
        "upstream_bind_config.additional_source_addresses[1]: is one too many: one address beside source_address"
      ),
      (
        #""upstream_bind_config":{"additional_source_addresses":[\#(six)]}"#,
        "upstream_bind_config.additional_source_addresses[0]: needs a source_address beside it"
      ),
      (#""upstream_bind_config":{"freebind":true}"#, ""),
      (header("", inner: ""), "transport_socket.typed_config.transport_socket: is required"),
      (
        header(#","config":{"version":"V2","added_tlvs":[{"type":256}]}"#),
        "transport_socket.typed_config.config.added_tlvs[0].type: must be below 256, is 256"
      ),
      (
        header(#","config":{"added_tlvs":[{"type":1,"format_string":{"text_format_source":{"inline_string":"a"}}}]}"#),
        """
        transport_socket.typed_config.config.added_tlvs[0].format_string: is not supported; use value, which is the same \
        for all connections
        """
      ),
      (
        header(
          #","config":{"added_tlvs":[{"type":1,"value":"\#(long)"},{"type":2,"value":"\#(long)"}]}"#),
        "transport_socket.typed_config.config.added_tlvs: take 80006 bytes together; 65499 are allowed"
      ),
      (
        header(#","config":{"pass_through_tlvs":{"match_type":"INCLUDE","tlv_type":[999]}}"#),
        "transport_socket.typed_config.config.pass_through_tlvs.tlv_type[0]: must be below 256, is 999"
      ),
      (header(#","config":{"version":9}"#), ""),
    ])
  func cluster(json: String, refusal: String) throws {
    let said = try Self.refusal(#"{"name":"a",\#(json)}"#, of: Envoy_Config_Cluster_V3_Cluster.self) {
      (converter, message) throws(ConfigError) in _ = try converter.cluster(message)
    }
    #expect(said == refusal)
  }

  private static func tooShort(_ path: String, _ seconds: String) -> String {
    "\(path): must be 0.001 seconds or more, is \(seconds) seconds"
  }

  /// Rows of `clusterTimes`.
  private static let times: [(String, String)] = [
    (#""connect_timeout":"0s""#, "connect_timeout: must be more than 0s"),
    (#""dns_refresh_rate":"0.001s""#, "dns_refresh_rate: must be more than 0.001 seconds"),
    (#""dns_refresh_rate":"0.002s""#, ""),
    (
      #""dns_failure_refresh_rate":{"base_interval":"0.001s","max_interval":"1s"}"#,
      "dns_failure_refresh_rate.base_interval: must be more than 0.001 seconds"
    ),
    (
      #""dns_failure_refresh_rate":{"base_interval":"0.002s","max_interval":"0.001s"}"#,
      "dns_failure_refresh_rate.max_interval: must be more than 0.001 seconds"
    ),
    (#""dns_failure_refresh_rate":{"max_interval":"1s"}"#, "dns_failure_refresh_rate.base_interval: is required"),
    (
      #""dns_failure_refresh_rate":{"base_interval":"2s","max_interval":"1s"}"#,
      "dns_failure_refresh_rate.max_interval: must be greater than or equal to the base_interval"
    ),
    (#""dns_failure_refresh_rate":{"base_interval":"60s"}"#, ""),
    (
      #""load_assignment":{"cluster_name":"a","policy":{"endpoint_stale_after":"0s"}}"#,
      "load_assignment.policy.endpoint_stale_after: must be more than 0s"
    ),
    (keepalive(#""interval":"0.000999s","timeout":"1s""#), tooShort(alive + "interval", "0.000999")),
    (keepalive(#""interval":"0s","timeout":"1s""#), tooShort(alive + "interval", "0.0")),
    (
      keepalive(#""connection_idle_interval":"0.0005s","timeout":"1s""#),
      tooShort(alive + "connection_idle_interval", "0.0005")
    ),
    (keepalive(#""interval":"1s","timeout":"0.0005s""#), tooShort(alive + "timeout", "0.0005")),
    (keepalive(#""interval":"1s""#), alive + "timeout: is required"),
    (keepalive(#""interval":"0.001s","timeout":"0.001s""#), ""),
  ]

  @Test("of a cluster's times", arguments: times)
  func clusterTimes(json: String, refusal: String) throws { try cluster(json: json, refusal: refusal) }

  private static let alive = "http2_protocol_options.connection_keepalive."
  private static func keepalive(_ times: String) -> String {
    #""http2_protocol_options":{"connection_keepalive":{\#(times)}}"#
  }

  private static let own = #""source_address":{"address":"127.0.0.1","port_value":0}"#
  private static let six = #"{"address":"::1","port_value":0}"#
  private static let raw =
    #","transport_socket":{"name":"r","typed_config":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}"#
  /// 40,000 bytes in base64.
  private static let long = String(repeating: "AAAA", count: 13_333) + "AA=="

  private static func header(_ more: String, inner: String = raw) -> String {
    let type = "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
    return #""transport_socket":{"name":"p","typed_config":{"@type":"\#(type)"\#(more)\#(inner)}}"#
  }

  @Test("the path of a policy is the cluster's own, wherever the cluster stands")
  func policyPath() throws {
    let message = try ConverterTests.cluster(#"{"name":"a",\#(Self.ring)}"#)
    let converter = Converter(extensions: .shipped)
    let place = FieldPath().field("static_resources").field("clusters").index(3)
    let path = try converter.cluster(message, at: place).loadBalancing.policyPath
    #expect(path.description == "load_balancing_policy.policies[0].typed_extension_config.typed_config")
    #expect(try converter.cluster(message) == converter.cluster(message, at: place))
  }

  private static func filter(_ type: String, _ more: String) -> String {
    let type = "type.googleapis.com/envoy.extensions.filters.listener.\(type)"
    return #""listener_filters":[{"name":"f","typed_config":{"@type":"\#(type)",\#(more)}}]"#
  }

  private static let proxy = "listener_filters[0].typed_config."

  @Test(
    "of a listener's filters",
    arguments: [
      (
        filter("proxy_protocol.v3.ProxyProtocol", #""disallowed_versions":["V1","V2"]"#),
        proxy + "disallowed_versions: leaves no version of the protocol: V1 and V2 are both disallowed"
      ),
      (filter("proxy_protocol.v3.ProxyProtocol", #""disallowed_versions":["V1","V1"]"#), ""),
      (filter("proxy_protocol.v3.ProxyProtocol", #""disallowed_versions":[9]"#), ""),
      (
        filter("proxy_protocol.v3.ProxyProtocol", #""pass_through_tlvs":{"match_type":"INCLUDE","tlv_type":[1,999]}"#),
        proxy + "pass_through_tlvs.tlv_type[1]: must be below 256, is 999"
      ),
      (
        filter("tls_inspector.v3.TlsInspector", #""initial_read_buffer_size":0"#),
        proxy + "initial_read_buffer_size: must be 256 to 65536, is 0"
      ),
      (
        filter("tls_inspector.v3.TlsInspector", #""initial_read_buffer_size":65537"#),
        proxy + "initial_read_buffer_size: must be 256 to 65536, is 65537"
      ),
      (filter("tls_inspector.v3.TlsInspector", #""initial_read_buffer_size":65536"#), ""),
      (#""traffic_direction":9,"drain_type":9"#, ""),
    ])
  func listener(json: String, refusal: String) throws {
    let chain =
      #""filter_chains":[{"filters":[{"name":"e","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}]}]"#
    let address = #""address":{"socket_address":{"address":"127.0.0.1","port_value":1}}"#
    let said = try Self.refusal(
      #"{"name":"l",\#(address),\#(chain),\#(json)}"#, of: Envoy_Config_Listener_V3_Listener.self
    ) { (converter, message) throws(ConfigError) in _ = try converter.listener(message) }
    #expect(said == refusal)
  }

  private static func tcp(_ more: String) -> String {
    #""name":"t","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"t","cluster":"c",\#(more)}"#
  }

  private static func http(_ more: String) -> String {
    let router =
      #"{"name":"r","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}"#
    let type = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return
      #""name":"h","typed_config":{"@type":"\#(type)","stat_prefix":"h","route_config":{},"http_filters":[\#(router)],\#(more)}"#
  }

  private static let at = "filters[0].typed_config."

  @Test(
    "of a filter chain",
    arguments: [
      (tcp(#""hash_policy":[{"source_ip":{}}]"#), ""),
      (
        tcp(#""max_downstream_connection_duration":"0.0005s""#),
        tooShort(at + "max_downstream_connection_duration", "0.0005")
      ),
      (
        tcp(#""max_downstream_connection_duration":"0s""#),
        tooShort(at + "max_downstream_connection_duration", "0.0")
      ),
      (tcp(#""max_downstream_connection_duration":"0.001s""#), ""),
      (
        http(#""http2_protocol_options":{"connection_keepalive":{"interval":"0.0005s","timeout":"1s"}}"#),
        tooShort(at + "http2_protocol_options.connection_keepalive.interval", "0.0005")
      ),
      (tcp(#""hash_policy":[{"source_ip":{}},{"source_ip":{}}]"#), at + "hash_policy: must be one at most, has 2"),
      (http(#""upgrade_configs":[{"upgrade_type":"websocket"},{"upgrade_type":"CONNECT"}]"#), ""),
      (
        http(#""upgrade_configs":[{"upgrade_type":"websocket"},{"upgrade_type":"WebSocket","enabled":false}]"#),
        at + #"upgrade_configs[1].upgrade_type: is configured twice: "WebSocket""#
      ),
      (http(#""codec_type":9"#), at + "codec_type: has the value 9, which is not known here"),
      (http(#""path_with_escaped_slashes_action":9"#), ""),
    ])
  func chain(json: String, refusal: String) throws {
    let said = try Self.refusal(#"{"filters":[{\#(json)}]}"#, of: Envoy_Config_Listener_V3_FilterChain.self) {
      (converter, message) throws(ConfigError) in _ = try converter.filterChain(message, .root)
    }
    #expect(said == refusal)
  }

  private static let action = "virtual_hosts[0].routes[0].route."

  @Test(
    "of a route",
    arguments: [
      (
        #""upgrade_configs":[{"upgrade_type":"websocket"},{"upgrade_type":"websocket"}]"#,
        action + #"upgrade_configs[1].upgrade_type: is configured twice: "websocket""#
      ),
      (
        #""hash_policy":[{"header":{"header_name":"a\nb"}}]"#,
        action + "hash_policy[0].header.header_name: must not hold line breaks or NUL"
      ),
      (#""hash_policy":[{"header":{"header_name":"a b"}}]"#, ""),
      (#""hash_policy":[{"cookie":{"name":"a b;c=d","path":"/;Secure","attributes":[{"name":"x y"}]}}]"#, ""),
      (
        #""hash_policy":[{"cookie":{"name":"a","path":"/\r\nx: y"}}]"#,
        action + "hash_policy[0].cookie.path: must not hold line breaks or NUL"
      ),
      (
        #""hash_policy":[{"cookie":{"name":"a\u0000b"}}]"#,
        action + "hash_policy[0].cookie.name: must not hold line breaks or NUL"
      ),
      (
        #""hash_policy":[{"cookie":{"name":"a","attributes":[{"name":"x\n"}]}}]"#,
        action + "hash_policy[0].cookie.attributes[0].name: must not hold line breaks or NUL"
      ),
    ])
  func route(json: String, refusal: String) throws {
    let host = #"{"name":"h","domains":["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"c",\#(json)}}]}"#
    let said = try Self.refusal(
      #"{"name":"r","virtual_hosts":[\#(host)]}"#, of: Envoy_Config_Route_V3_RouteConfiguration.self
    ) { (converter, message) throws(ConfigError) in _ = try converter.routeConfiguration(message) }
    #expect(said == refusal)
  }
}
