// What the walk cannot know by itself: what a message needs to be good, what a field needs beside it, values worth trying.
//
// Most fields need no line here. One is needed when a message is refused while it is empty (`seeds`), when a field means something only beside another
// one (`companions`), when none of the usual values is allowed (`values`), or when an `Any` holds something new (`extensions`).
import WeftBase
import WeftProtobuf
import WeftXDSMessages

enum ProbeTables {
  static let registry = TypeRegistry(EnvoyTypes.all)

  struct Companion: Sendable {
    var members: JSONValue
    /// Beside the field, or at the top of the document.
    var isForRoot = false
  }

  static func json(_ text: String) -> JSONValue {
    do { return try JSONValue(parsing: text) } catch { preconditionFailure("\(error) in \(text)") }
  }

  // MARK: Values

  /// Values of a field, in the order they are tried.
  static func values(for name: String, _ shape: FieldShape) -> [JSONValue] {
    if let own = values[name] ?? ruleValues[name] { return own }
    switch shape.kind {
    case .bool: return [true, false]
    case .integer: return [7, 1, 2, 60, 200, 300, 1024, 70_000]
    case .real: return [7, 0.5]
    case .text: return ["probe", "/probe", "127.0.0.9", "x-probe"]
    case .bytes: return ["cHJvYmU="]
    case .enumeration(let schema): return schema.names.map { .string($0) }
    case .message(let type): return wellKnown[type.schema.name] ?? [[:]]
    }
  }

  /// Of the messages whose JSON is no object of their fields.
  private static let wellKnown: [String: [JSONValue]] = [
    "google.protobuf.BoolValue": [true, false],
    "google.protobuf.UInt32Value": [7, 1, 2, 60, 200, 300, 1024, 70_000],
    "google.protobuf.UInt64Value": [7, 70_000],
    "google.protobuf.Int64Value": [7, 70_000],
    "google.protobuf.DoubleValue": [7, 0.5],
    "google.protobuf.StringValue": ["probe", "/probe"],
    "google.protobuf.Duration": ["7s", "0.5s", "60s"],
    "google.protobuf.Timestamp": ["2030-01-01T00:00:00Z"],
    "google.protobuf.Struct": [["probe": "x"]],
    "google.protobuf.Value": ["probe"],
    "google.protobuf.ListValue": [["probe"]],
    "google.protobuf.FieldMask": ["probe"],
  ]
}

// MARK: What documents need

extension ProbeTables {
  static let tcpProxy = json(
    #"{"@type":"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"t","cluster":"c"}"#
  )
  static let cares: JSONValue = [
    "name": "cares",
    "typed_config": [
      "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
    ],
  ]
  static let router = json(
    #"{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}"#)
  static let codec = json(
    #"{"@type":"type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"}"#)

  /// The least a message needs to be good, by its full name, or by that of the field it stands in.
  static let seeds: [String: JSONValue] = [
    "envoy.extensions.filters.network.dubbo_proxy.v3.DubboFilter": ["name": "envoy.filters.dubbo.router"],
    "envoy.extensions.filters.network.dubbo_proxy.v3.RouteConfiguration": [
      "interface": "a", "routes": [["match": [:], "route": ["cluster": "c"]]],
    ],
    "envoy.extensions.filters.network.dubbo_proxy.v3.Route": ["match": [:], "route": ["cluster": "c"]],
    "envoy.extensions.filters.network.dubbo_proxy.v3.RouteAction": ["cluster": "c"],
    "envoy.extensions.filters.network.dubbo_proxy.v3.MethodMatch": ["name": ["exact": "x"]],
    "envoy.extensions.filters.network.dubbo_proxy.v3.MultipleRouteConfiguration": [
      "name": "m", "route_config": [["interface": "a", "routes": [["match": [:], "route": ["cluster": "c"]]]]],
    ],
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit": ["stat_prefix": "p", "max_connections": 5],
    "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit": [
      "stat_prefix": "p", "token_bucket": ["max_tokens": 5, "fill_interval": "1s"],
    ],
    "envoy.config.core.v3.RuntimeFeatureFlag": ["default_value": false],
    "envoy.config.bootstrap.v3.Bootstrap.typed_dns_resolver_config": cares,
    "envoy.config.cluster.v3.Cluster.typed_dns_resolver_config": cares,
    // Empty options are as good as none.
    "envoy.config.core.v3.Http1ProtocolOptions": ["accept_http_10": true],
    "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat.stateful_formatter": [
      "name": "preserve_case",
      "typed_config": [
        "@type":
          "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
      ],
    ],
    "envoy.config.listener.v3.Listener": [
      "name": "l", "address": ["socket_address": ["address": "127.0.0.1", "port_value": 1]],
      "filter_chains": [["filters": [["name": "t", "typed_config": tcpProxy]]]],
    ],
    "envoy.config.endpoint.v3.ClusterLoadAssignment": ["cluster_name": "c", "endpoints": [["priority": 1]]],
    "envoy.config.cluster.v3.Cluster": ["name": "one", "type": "STATIC"],
    "envoy.extensions.transport_sockets.tls.v3.Secret": [
      "name": "s", "generic_secret": ["secret": ["inline_string": "x"]],
    ],
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit": [
      "stat_prefix": "p", "token_bucket": ["max_tokens": 5, "fill_interval": "1s"],
      "filter_enabled": ["default_value": ["numerator": 100]],
      // Descriptors mean nothing without.
      "rate_limits": [["actions": [["generic_key": ["descriptor_value": "v"]]]]],
    ],
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute": [
      "mutations": ["request_mutations": [["remove": "a"]]]
    ],
    "envoy.config.common.mutation_rules.v3.HeaderMutation": ["remove": "x"],
    "envoy.config.route.v3.RouteAction.RequestMirrorPolicy": ["cluster": "c"],
    "envoy.config.core.v3.KeyValueMutation": ["remove": "x"],
    "envoy.config.core.v3.KeyValueAppend": ["record": ["key": "k", "value": "v"]],
    "envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor": [
      "entries": [["key": "k", "value": "v"]], "token_bucket": ["max_tokens": 5, "fill_interval": "1s"],
    ],
    "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry": ["key": "k", "value": "v"],
    "envoy.config.route.v3.RateLimit": ["actions": [["remote_address": [:]]]],
    "envoy.config.route.v3.RateLimit.Action": ["remote_address": [:]],
    "envoy.config.route.v3.RateLimit.Action.GenericKey": ["descriptor_value": "v"],
    "envoy.config.route.v3.RateLimit.Action.RequestHeaders": ["header_name": "x", "descriptor_key": "k"],
    "envoy.config.route.v3.RateLimit.Action.HeaderValueMatch": ["descriptor_value": "v", "headers": [["name": "x"]]],
    "envoy.type.matcher.v3.ListStringMatcher": ["patterns": [["exact": "x"]]],
    "envoy.type.v3.FractionalPercent": ["numerator": 5],
    "envoy.type.v3.TokenBucket": ["max_tokens": 5, "fill_interval": "1s"],
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz": [
      "grpc_service": ["envoy_grpc": ["cluster_name": "c"]], "with_request_body": ["max_request_bytes": 5],
    ],
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.status_on_error": ["code": "Unauthorized"],
    "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute": [
      "check_settings": ["context_extensions": ["a": "b"]]
    ],
    "envoy.extensions.filters.http.ext_authz.v3.BufferSettings": ["max_request_bytes": 5],
    "envoy.extensions.filters.http.ext_authz.v3.HttpService": [
      "server_uri": ["uri": "http://a", "cluster": "c", "timeout": "1s"]
    ],
    "envoy.extensions.filters.common.fault.v3.FaultRateLimit": ["fixed_limit": ["limit_kbps": 5]],
    "envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit": ["limit_kbps": 5],
    "envoy.extensions.filters.http.fault.v3.FaultAbort": ["http_status": 500],
    "envoy.extensions.filters.common.fault.v3.FaultDelay": ["fixed_delay": "1s"],
    "envoy.config.accesslog.v3.AccessLog": [
      "name": "log",
      "typed_config": [
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/p",
      ],
    ],
    "envoy.config.accesslog.v3.AccessLogFilter": ["not_health_check_filter": [:]],
    "envoy.config.accesslog.v3.AndFilter": [
      "filters": [["not_health_check_filter": [:]], ["not_health_check_filter": [:]]]
    ],
    "envoy.config.accesslog.v3.OrFilter": [
      "filters": [["not_health_check_filter": [:]], ["not_health_check_filter": [:]]]
    ],
    "envoy.config.accesslog.v3.ComparisonFilter": ["value": ["default_value": 5]],
    "envoy.config.accesslog.v3.StatusCodeFilter": ["comparison": ["value": ["default_value": 5]]],
    "envoy.config.accesslog.v3.DurationFilter": ["comparison": ["value": ["default_value": 5]]],
    "envoy.config.accesslog.v3.HeaderFilter": ["header": ["name": "x"]],
    "envoy.config.accesslog.v3.RuntimeFilter": ["runtime_key": "a.key"],
    "envoy.config.bootstrap.v3.Admin": ["address": ["socket_address": ["address": "127.0.0.1", "port_value": 1]]],
    "envoy.config.core.v3.Address": ["socket_address": ["address": "127.0.0.1", "port_value": 1]],
    "envoy.config.core.v3.SocketAddress": ["address": "127.0.0.1", "port_value": 1],
    "envoy.config.core.v3.Pipe": ["path": "/p"],
    "envoy.config.core.v3.EnvoyInternalAddress": ["server_listener_name": "l"],
    "envoy.config.core.v3.CidrRange": ["address_prefix": "10.0.0.0"],
    "envoy.config.core.v3.SocketOption": ["level": 1, "name": 2, "int_value": 3],
    "envoy.config.core.v3.ConfigSource": ["ads": [:]],
    "envoy.config.core.v3.PathConfigSource": ["path": "/p"],
    "envoy.config.core.v3.WatchedDirectory": ["path": "/d"],
    "envoy.config.core.v3.ApiConfigSource": [
      "api_type": "GRPC", "grpc_services": [["envoy_grpc": ["cluster_name": "xds"]]],
    ],
    "envoy.config.core.v3.GrpcService": ["envoy_grpc": ["cluster_name": "xds"]],
    "envoy.config.core.v3.GrpcService.EnvoyGrpc": ["cluster_name": "xds"],
    "envoy.config.core.v3.HeaderValue": ["key": "k", "value": "v"],
    "envoy.config.core.v3.HeaderValueOption": ["header": ["key": "k", "value": "v"]],
    "envoy.config.core.v3.DataSource": ["inline_string": "x"],
    "envoy.config.core.v3.SubstitutionFormatString": ["text_format": "x"],
    "envoy.config.core.v3.HealthCheck": [
      "timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": [:],
    ],
    "envoy.config.core.v3.HealthCheck.HttpHealthCheck": ["path": "/"],
    "envoy.config.core.v3.KeepaliveSettings": ["timeout": "1s"],
    "envoy.config.core.v3.TransportSocket": [
      "name": "tls",
      "typed_config": ["@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"],
    ],
    "envoy.config.core.v3.Metadata": ["filter_metadata": ["envoy.lb": ["canary": true]]],
    "envoy.config.endpoint.v3.LbEndpoint": [
      "endpoint": ["address": ["socket_address": ["address": "127.0.0.1", "port_value": 1]]]
    ],
    "envoy.config.endpoint.v3.Endpoint": ["address": ["socket_address": ["address": "127.0.0.1", "port_value": 1]]],
    "envoy.config.cluster.v3.Cluster.EdsClusterConfig": ["eds_config": ["ads": [:]]],
    "envoy.config.cluster.v3.LoadBalancingPolicy": [
      "policies": [
        [
          "typed_extension_config": [
            "name": "p",
            "typed_config": [
              "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.random.v3.Random"
            ],
          ]
        ]
      ]
    ],
    "envoy.config.listener.v3.AdditionalAddress": [
      "address": ["socket_address": ["address": "127.0.0.1", "port_value": 2]]
    ],
    "envoy.config.listener.v3.FilterChain": [
      "filters": [["name": "t", "typed_config": tcpProxy]]
    ],
    "envoy.config.listener.v3.Filter": ["name": "t", "typed_config": tcpProxy],
    "envoy.config.listener.v3.ListenerFilter": [
      "name": "l",
      "typed_config": [
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"
      ],
    ],
    "envoy.config.listener.v3.ListenerFilterChainMatchPredicate": ["any_match": true],
    "envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet": [
      "rules": [["any_match": true], ["any_match": true]]
    ],
    "envoy.config.route.v3.VirtualHost": ["name": "v", "domains": ["*"]],
    "envoy.config.route.v3.Route": ["match": ["prefix": "/"], "route": ["cluster": "c"]],
    "envoy.config.route.v3.RouteMatch": ["prefix": "/"],
    "envoy.config.route.v3.RouteAction": ["cluster": "c"],
    "envoy.config.route.v3.DirectResponseAction": ["status": 200],
    "envoy.config.route.v3.WeightedCluster": ["clusters": [["name": "c", "weight": 1]]],
    "envoy.config.route.v3.WeightedCluster.ClusterWeight": ["name": "c", "weight": 1],
    "envoy.config.route.v3.HeaderMatcher": ["name": "x"],
    "envoy.config.route.v3.QueryParameterMatcher": ["name": "x"],
    "envoy.config.cluster.v3.Cluster.RefreshRate": ["base_interval": "1s"],
    "envoy.config.route.v3.RetryPolicy.RetryBackOff": ["base_interval": "1s"],
    "envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff": ["reset_headers": [["name": "x"]]],
    "envoy.config.route.v3.RetryPolicy.ResetHeader": ["name": "x"],
    "envoy.config.bootstrap.v3.RuntimeLayer": ["name": "l", "static_layer": ["a": 1]],
    // Keys are asked for where there is a fault.
    "envoy.extensions.filters.http.fault.v3.HTTPFault": [
      "abort": ["http_status": 418, "percentage": ["numerator": 7]]
    ],
    "envoy.config.route.v3.RetryPolicy.RetryPriority": [
      "name": "envoy.retry_priorities.previous_priorities",
      "typed_config": [
        "@type":
          "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        "update_frequency": 2,
      ],
    ],
    "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig": ["update_frequency": 2],
    "envoy.config.route.v3.RetryPolicy.RetryHostPredicate": ["name": "envoy.retry_host_predicates.previous_hosts"],
    "envoy.config.route.v3.RouteAction.HashPolicy": ["header": ["header_name": "x"]],
    "envoy.config.route.v3.RouteAction.HashPolicy.Header": ["header_name": "x"],
    "envoy.config.route.v3.RouteAction.HashPolicy.Cookie": ["name": "x"],
    "envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter": ["name": "x"],
    "envoy.config.route.v3.RouteAction.HashPolicy.FilterState": ["key": "x"],
    "envoy.config.route.v3.RouteAction.UpgradeConfig": ["upgrade_type": "websocket"],
    "envoy.config.core.v3.RuntimeFractionalPercent": ["default_value": ["numerator": 5]],
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": [
      "stat_prefix": "h", "route_config": [:], "http_filters": [["name": "router", "typed_config": router]],
    ],
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter": [
      "name": "router", "typed_config": router,
    ],
    "envoy.extensions.filters.http.router.v3.Router.upstream_http_filters": ["name": "codec", "typed_config": codec],
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.http_filters": ["name": "codec", "typed_config": codec],
    "envoy.extensions.filters.network.http_connection_manager.v3.Rds": [
      "route_config_name": "r", "config_source": ["ads": [:]],
    ],
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy": ["stat_prefix": "t", "cluster": "c"],
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster": [
      "clusters": [["name": "c", "weight": 1]]
    ],
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight": ["name": "c", "weight": 1],
    "envoy.config.core.v3.BindConfig": ["source_address": ["address": "127.0.0.1", "port_value": 1]],
    "envoy.config.core.v3.BindConfig.additional_source_addresses": ["address": "::1", "port_value": 1],
    "envoy.config.core.v3.ExtraSourceAddress": ["address": ["address": "::1", "port_value": 1]],
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.Rule": [
      "tlv_type": 5, "on_tlv_present": ["key": "k"],
    ],
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair": ["key": "k"],
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate": [
      "certificate_chain": ["inline_string": "c"], "private_key": ["inline_string": "k"],
    ],
    "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig": ["name": "s", "sds_config": ["ads": [:]]],
    "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext": [
      "default_validation_context": [:],
      "validation_context_sds_secret_config": ["name": "s", "sds_config": ["ads": [:]]],
    ],
    "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher": ["san_type": "DNS", "matcher": ["exact": "x"]],
    "envoy.extensions.transport_sockets.tls.v3.GenericSecret": ["secret": ["inline_string": "x"]],
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": ["explicit_http_config": ["http_protocol_options": [:]]],
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig": ["http_protocol_options": [:]],
    "envoy.type.matcher.v3.StringMatcher": ["exact": "x"],
    "envoy.type.matcher.v3.RegexMatcher": ["regex": "x"],
    "envoy.type.matcher.v3.RegexMatchAndSubstitute": ["pattern": ["regex": "x"]],
    "envoy.type.v3.Int32Range": ["start": 1, "end": 100],
    "envoy.type.v3.Int64Range": ["start": 100, "end": 200],
  ]

  /// What must stand beside a field before it means anything.
  static let companions: [String: Companion] = [
    "envoy.config.cluster.v3.Cluster.eds_cluster_config": Companion(members: ["type": "EDS"]),
    "envoy.config.cluster.v3.Cluster.least_request_lb_config": Companion(members: ["lb_policy": "LEAST_REQUEST"]),
    "envoy.config.cluster.v3.Cluster.original_dst_lb_config": Companion(members: [
      "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
    ]),
    "envoy.config.cluster.v3.Cluster.cleanup_interval": Companion(members: [
      "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
    ]),
    "envoy.config.core.v3.ProxyProtocolPassThroughTLVs.tlv_type": Companion(members: ["match_type": "INCLUDE"]),
    "envoy.config.cluster.v3.Cluster.ring_hash_lb_config": Companion(members: ["lb_policy": "RING_HASH"]),
    "envoy.config.cluster.v3.Cluster.maglev_lb_config": Companion(members: ["lb_policy": "MAGLEV"]),
    "envoy.config.cluster.v3.Cluster.CommonLbConfig.consistent_hashing_lb_config": Companion(
      members: ["lb_policy": "MAGLEV"], isForRoot: true),
    "envoy.config.cluster.v3.CircuitBreakers.Thresholds.priority": Companion(members: ["max_connections": 9]),
    "envoy.config.core.v3.HeaderValue.raw_value": Companion(members: ["value": nil]),
    // Absent options are Weft's own, where HTTP/1.0 is served.
    "envoy.config.core.v3.Http1ProtocolOptions.accept_http_10": Companion(members: ["enable_trailers": true]),
    "envoy.config.core.v3.CidrRange.address_prefix": Companion(members: ["prefix_len": 8]),
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit.max_dynamic_descriptors": Companion(members: [
      "descriptors": [["entries": [["key": "k"]], "token_bucket": ["max_tokens": 5, "fill_interval": "1s"]]]
    ]),
    // Only what nobody knows can be left out.
    "envoy.config.route.v3.FilterConfig.is_optional": Companion(members: ["config": anyExtension[0]]),
    "envoy.config.route.v3.WeightedCluster.ClusterWeight.cluster_header": Companion(members: ["name": nil]),
    "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.match_subject_alt_names": Companion(
      members: [
        "trusted_ca": ["inline_string": "c"]
      ]),
    "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.match_typed_subject_alt_names": Companion(
      members: ["trusted_ca": ["inline_string": "c"]]),
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.auto_config": Companion(
      members: [
        "transport_socket": [
          "name": "tls",
          "typed_config": [
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
          ],
        ]
      ], isForRoot: true),
  ]

  /// Values to try where none of the usual ones is allowed.
  static let values: [String: [JSONValue]] = [
    "envoy.config.core.v3.CidrRange.address_prefix": ["11.0.0.0"],
    "envoy.config.endpoint.v3.LbEndpoint.endpoint_name": ["probe"],
    "envoy.config.core.v3.GrpcService.EnvoyGrpc.cluster_name": ["c", "d"],
    "envoy.config.listener.v3.FilterChainMatch.transport_protocol": ["tls"],
    "envoy.config.route.v3.RetryPolicy.RetryHostPredicate.name": ["envoy.retry_host_predicates.omit_canary_hosts"],
  ]

  /// What an `Any` may hold, by the field that holds it.
  static let extensions: [String: [JSONValue]] = [
    "envoy.config.route.v3.RetryPolicy.RetryPriority.typed_config": [
      [
        "@type":
          "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
        "update_frequency": 3,
      ]
    ],
    "envoy.config.listener.v3.Filter.typed_config": [
      tcpProxy,
      [
        "@type": "type.googleapis.com/envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy", "stat_prefix": "d",
        "route_config": [["interface": "a", "routes": [["match": [:], "route": ["cluster": "c"]]]]],
      ],
      json(
        #"""
        {"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":"h",
        "route_config":{},"http_filters":[{"name":"router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}
        """#),
    ],
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.typed_config": [router, codec],
    "envoy.config.listener.v3.ListenerFilter.typed_config": [
      "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
      "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
      "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
      "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
      "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
    ].map { ["@type": .string("type.googleapis.com/\($0)")] },
    "envoy.config.accesslog.v3.AccessLog.typed_config": [
      ["@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/p"],
      ["@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"],
      ["@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog"],
    ],
    "envoy.config.core.v3.TransportSocket.typed_config": [
      json(
        #"""
        {"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext","common_tls_context":{"tls_certificates":
        [{"certificate_chain":{"inline_string":"c"},"private_key":{"inline_string":"k"}}]}}
        """#),
      json(
        #"""
        {"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext","common_tls_context":{"validation_context":
        {"trusted_ca":{"inline_string":"c"}}}}
        """#),
      ["@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"],
      json(
        #"""
        {"@type":"type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport","config":{"version":"V2"},
        "transport_socket":{"name":"r","typed_config":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}
        """#),
    ],
    "envoy.config.cluster.v3.Cluster.typed_extension_protocol_options": [
      json(
        #"""
        {"@type":"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions","explicit_http_config":{"http_protocol_options":{}}}
        """#),
      ["@type": "type.googleapis.com/envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions"],
    ],
    "envoy.config.core.v3.TypedExtensionConfig.typed_config": [
      "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
      "envoy.extensions.load_balancing_policies.random.v3.Random",
      "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
      "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
      "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
      "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality",
      "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
      "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
    ].map { ["@type": .string("type.googleapis.com/\($0)")] },
    "envoy.config.route.v3.RouteConfiguration.typed_per_filter_config": [routeFilter],
    "envoy.config.route.v3.VirtualHost.typed_per_filter_config": [routeFilter],
    "envoy.config.route.v3.Route.typed_per_filter_config": [routeFilter],
    "envoy.config.route.v3.WeightedCluster.ClusterWeight.typed_per_filter_config": [routeFilter],
    "envoy.config.route.v3.FilterConfig.config": [cors],
    "envoy.config.route.v3.RetryPolicy.RetryHostPredicate.typed_config": [
      "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
      "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate",
    ].map { ["@type": .string("type.googleapis.com/\($0)")] },
  ]

  private static let cors: JSONValue = [
    "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy"
  ]
  private static let routeFilter: JSONValue = [
    "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": cors,
  ]

  /// What a second level of routes says, where the order of levels matters.
  static let otherOverrides: [String: JSONValue] = [
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute": [
      "mutations": ["request_mutations": [["remove": "b"]]]
    ]
  ]

  static let anyExtension: [JSONValue] = [["@type": "type.googleapis.com/google.protobuf.StringValue", "value": "x"]]
}
