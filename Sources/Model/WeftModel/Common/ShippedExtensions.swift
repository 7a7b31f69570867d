// Made by `make docs` from the registries of extensions.

extension KnownExtensions {
  /// Those that weft-proxy comes with, for whoever writes configuration for it and cannot ask it.
  package static let shipped: KnownExtensions = {
    var known = KnownExtensions()
    known.httpFilters = [
      "envoy.extensions.filters.http.cors.v3.Cors": "envoy.filters.http.cors",
      "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz": "envoy.filters.http.ext_authz",
      "envoy.extensions.filters.http.fault.v3.HTTPFault": "envoy.filters.http.fault",
      "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation": "envoy.filters.http.header_mutation",
      "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit": "envoy.filters.http.local_ratelimit",
    ]
    known.upstreamFilters = [
      "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation": "envoy.filters.http.header_mutation"
    ]
    known.routeFilters = [
      "envoy.extensions.filters.http.cors.v3.CorsPolicy",
      "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
      "envoy.extensions.filters.http.fault.v3.HTTPFault",
      "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
      "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    ]
    known.listenerFilters = [
      "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector": "envoy.filters.listener.http_inspector",
      "envoy.extensions.filters.listener.original_dst.v3.OriginalDst": "envoy.filters.listener.original_dst",
      "envoy.extensions.filters.listener.original_src.v3.OriginalSrc": "envoy.filters.listener.original_src",
      "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol": "envoy.filters.listener.proxy_protocol",
      "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": "envoy.filters.listener.tls_inspector",
    ]
    known.networkFilters.merge(
      [
        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit":
          "envoy.filters.network.connection_limit",
        "envoy.extensions.filters.network.direct_response.v3.Config": "envoy.filters.network.direct_response",
        "envoy.extensions.filters.network.echo.v3.Echo": "envoy.filters.network.echo",
        "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit": "envoy.filters.network.local_ratelimit",
      ]
    ) { $1 }
    known.terminalFilters.formUnion([
      "envoy.extensions.filters.network.direct_response.v3.Config",
      "envoy.extensions.filters.network.echo.v3.Echo",
    ])
    known.loadBalancers = [
      "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest":
        "envoy.load_balancing_policies.least_request",
      "envoy.extensions.load_balancing_policies.maglev.v3.Maglev": "envoy.load_balancing_policies.maglev",
      "envoy.extensions.load_balancing_policies.random.v3.Random": "envoy.load_balancing_policies.random",
      "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash": "envoy.load_balancing_policies.ring_hash",
      "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin": "envoy.load_balancing_policies.round_robin",
    ]
    known.retryPriorities = [
      "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig":
        "envoy.retry_priorities.previous_priorities"
    ]
    known.protocols = [
      "envoy.extensions.filters.network.generic_proxy.codecs.dubbo.v3.DubboCodecConfig": "Dubbo"
    ]
    known.accessLogs = [
      "envoy.extensions.access_loggers.file.v3.FileAccessLog": "envoy.access_loggers.file",
      "envoy.extensions.access_loggers.stream.v3.StderrAccessLog": "envoy.access_loggers.stderr",
      "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog": "envoy.access_loggers.stdout",
    ]
    return known
  }()
}
