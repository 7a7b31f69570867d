// Fields that change nothing and are not told of, each with the reason. This list only shrinks.

extension ProbeTables {
  /// What only names an extension: which one it is, its message says.
  private static let name = "a name for people and errors; which extension it is, `typed_config` says"
  private static let label =
    "a label nothing here reads: formats that ask for it are refused, and what would match on it is warned about"
  private static let only = "has one value; others are refused"
  private static let runtime = "keys of balancing policies are not looked up: the default value holds"
  private static let node = "told to the control plane as it stands"

  /// By field; or by root and field, or root and path, where the same message is read elsewhere.
  static let silent: [String: String] = [
    "envoy.config.endpoint.v3.ClusterLoadAssignment: endpoints[0].lb_endpoints[0].metadata.filter_metadata": label,
    "envoy.config.accesslog.v3.AccessLog.name": name,
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.validate_mutations":
      "done for every answer, whatever this says",
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz: http_service.server_uri.uri":
      "a name for people: `cluster` says where the service is",
    "envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy.protocol_type": only,
    "envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy.serialization_type": only,
    "envoy.extensions.filters.network.dubbo_proxy.v3.RouteConfiguration.name": "a name for people",
    "envoy.config.route.v3.RetryPolicy.RetryPriority.name": name,
    "envoy.config.bootstrap.v3.Bootstrap.stats_flush_interval": "nothing is pushed: `stats_sinks` are warned about",
    "envoy.config.cluster.v3.Cluster.ignore_health_on_host_removal":
      "asks for what is done: hosts leave with discovery, whatever their health",
    #"envoy.config.cluster.v3.Cluster: typed_extension_protocol_options["1"].http_filters[0].name"#: name,
    "envoy.config.core.v3.ApiConfigSource.set_node_on_first_message_only":
      "the node is told once a stream, which the protocol allows whatever this says",
    "envoy.config.core.v3.Http1ProtocolOptions.allow_custom_methods":
      "every method that is a token is passed on, whatever this says",
    "envoy.config.core.v3.Http1ProtocolOptions.use_balsa_parser": "chooses between parsers; there is one",
    "envoy.config.cluster.v3.Cluster: envoy.config.core.v3.Http1ProtocolOptions.enable_trailers":
      "asks for what is done: trailers are passed on to and from upstreams",
    "envoy.config.cluster.v3.Cluster: envoy.config.core.v3.Http2ProtocolOptions.allow_connect":
      "asks for what is done: upgrades go to every upstream that allows them in its SETTINGS",
    "envoy.config.core.v3.Node.client_features": "written by the proxy itself",
    "envoy.config.core.v3.Node.dynamic_parameters": node,
    "envoy.config.core.v3.Node.extensions": node,
    "envoy.config.core.v3.Node.listening_addresses": node,
    "envoy.config.core.v3.Node.metadata": node,
    "envoy.config.core.v3.Node.user_agent_build_version": node,
    "envoy.config.core.v3.Node.user_agent_name": "written by the proxy itself",
    "envoy.config.core.v3.Node.user_agent_version": node,
    "envoy.config.core.v3.RuntimeDouble.runtime_key": runtime,
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport.tlv_as_pool_key":
      "asks for what is done: connections are shared only where the whole header is the same",
    "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions.idle_timeout":
      "for connections without a client; here each is made for its client and ends with it",
    "envoy.config.core.v3.SocketOption.description": "a note for people",
    "envoy.config.core.v3.TransportSocket.name": name,
    "envoy.config.core.v3.TypedExtensionConfig.name": name,
    "envoy.config.endpoint.v3.LocalityLbEndpoints.metadata": label,
    "envoy.config.listener.v3.Filter.name": name,
    "envoy.config.listener.v3.FilterChain.metadata": label,
    "envoy.config.listener.v3.Listener.drain_type":
      "only differs when health checks are failed by hand, which nobody can here",
    "envoy.config.listener.v3.Listener.metadata": label,
    "envoy.config.listener.v3.ListenerFilter.name": name,
    "envoy.config.route.v3.Route.decorator": "names spans; `tracing` is warned about",
    "envoy.config.route.v3.RouteConfiguration.metadata": label,
    "envoy.config.route.v3.VirtualHost.metadata": label,
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector.initial_read_buffer_size":
      "what has come is looked at, however much that is",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.is_optional":
      "read for every filter but the router, which is always known",
  ]
  /// The same of rules.
  static let silentInRules: [String: String] = [
    "istio.networking.v1alpha3.Server.name": "a name for people",
    "istio.networking.v1alpha3.SidecarPort.name": "a name for people",
    "istio.networking.v1alpha3.Sidecar: egress[0].port.protocol": "services say themselves what their ports speak",
    "istio.networking.v1alpha3.ServiceEntry.location": identities,
    "istio.networking.v1alpha3.WorkloadEntry.serviceAccount": identities,
  ]
  private static let identities = "decides about mutual TLS between workloads, which is not there yet"
}
