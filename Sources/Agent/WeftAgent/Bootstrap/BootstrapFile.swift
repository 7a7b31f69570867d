// The Envoy v3 bootstrap the agent writes for its proxy. A stock Envoy starts from the same file.
package import WeftBase

/// Builds the bootstrap of one proxy. *Source*: Envoy's bootstrap v3; docs/design/0002-universal-contract.md for the metadata.
package enum BootstrapFile {
  /// The bootstrap as JSON.
  package static func json(_ configuration: AgentConfiguration, _ ports: AgentPorts) -> JSONValue {
    [
      "node": node(configuration, ports),
      "admin": ["address": socketAddress("127.0.0.1", ports.admin)],
      "dynamic_resources": [
        "ads_config": [
          "api_type": configuration.usesDelta ? "DELTA_GRPC" : "GRPC",
          "transport_api_version": "V3",
          "set_node_on_first_message_only": true,
          "grpc_services": [["envoy_grpc": ["cluster_name": "xds-grpc"]]],
        ],
        "cds_config": ["ads": [:], "resource_api_version": "V3", "initial_fetch_timeout": "0s"],
        "lds_config": ["ads": [:], "resource_api_version": "V3", "initial_fetch_timeout": "0s"],
      ],
      "static_resources": ["clusters": [discoveryCluster(configuration)]],
    ]
  }

  /// The node id: `sidecar~<ip>~<instance>.<namespace>~<namespace>.svc.cluster.local`.
  package static func nodeID(_ configuration: AgentConfiguration) -> String {
    let kind = configuration.role == .sidecar ? "sidecar" : "router"
    let namespace = configuration.namespace
    return "\(kind)~\(configuration.address)~\(configuration.instance).\(namespace)~\(namespace).svc.cluster.local"
  }

  private static func node(_ configuration: AgentConfiguration, _ ports: AgentPorts) -> JSONValue {
    [
      "id": .string(nodeID(configuration)),
      "cluster": .string("\(configuration.service).\(configuration.namespace)"),
      "metadata": metadata(configuration, ports),
    ]
  }

  private static func metadata(_ configuration: AgentConfiguration, _ ports: AgentPorts) -> JSONValue {
    var labels = configuration.labels
    labels["app"] = configuration.service
    if !configuration.version.isEmpty { labels["version"] = configuration.version }
    if case .gateway(let name) = configuration.role { labels["istio"] = name }
    var members: [JSONMember] = [
      JSONMember("NAMESPACE", .string(configuration.namespace)),
      JSONMember(
        "LABELS", .object(JSONObject(labels.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }))),
      JSONMember("INSTANCE_IPS", .string(configuration.address)),
      JSONMember("WORKLOAD_NAME", .string(configuration.instance)),
      JSONMember("CLUSTER_ID", "universal"),
    ]
    if let port = configuration.port, let inbound = ports.inbound {
      members.append(
        JSONMember(
          "WEFT_INBOUND",
          [
            [
              "port": .int(configuration.servicePort ?? port),
              "protocol": .string(configuration.applicationProtocol), "app": .string("127.0.0.1:\(port)"),
              "listen": .string(HostPort(host: configuration.address, port: inbound).description),
            ]
          ]))
    }
    if !configuration.upstreams.isEmpty {
      let upstreams = zip(configuration.upstreams, ports.upstreams).map { upstream, port -> JSONValue in
        [
          "host": .string(upstream.host), "port": .int(upstream.port),
          "listen": .string(HostPort(host: upstream.listenHost, port: port).description),
        ]
      }
      members.append(JSONMember("WEFT_UPSTREAMS", .array(upstreams)))
    }
    if let port = ports.httpProxy { members.append(JSONMember("WEFT_HTTP_PROXY", .string("127.0.0.1:\(port)"))) }
    return .object(JSONObject(members))
  }

  private static func discoveryCluster(_ configuration: AgentConfiguration) -> JSONValue {
    let place = HostPort(configuration.discovery, defaultPort: 15010)
    let (host, port) = (place?.host ?? configuration.discovery, place?.port ?? 15010)
    let isLiteral = host.contains(":") || host.utf8.allSatisfy { $0 == 0x2E || (0x30...0x39).contains($0) }
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return [
      "name": "xds-grpc",
      "type": isLiteral ? "STATIC" : "STRICT_DNS",
      "connect_timeout": "1s",
      "load_assignment": [
        "cluster_name": "xds-grpc",
        "endpoints": [["lb_endpoints": [["endpoint": ["address": socketAddress(host, port)]]]]],
      ],
      "typed_extension_protocol_options": .object(
        JSONObject([
          JSONMember(
            options,
            [
              "@type": .string("type.googleapis.com/" + options),
              "explicit_http_config": [
                "http2_protocol_options": ["connection_keepalive": ["interval": "30s", "timeout": "10s"]]
              ],
            ])
        ])),
    ]
  }

  private static func socketAddress(_ host: String, _ port: UInt16) -> JSONValue {
    ["socket_address": ["address": .string(host), "port_value": .int(port)]]
  }
}
