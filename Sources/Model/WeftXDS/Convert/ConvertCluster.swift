package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftXDSMessages

extension Converter {
  package func cluster(_ value: Envoy_Config_Cluster_V3_Cluster, at: FieldPath = .root) throws(ConfigError) -> Cluster {
    let name = try required(value.name, at.field("name"))
    var out = Cluster(name: name, discovery: try discovery(value, at))
    out.altStatName = value.altStatName
    out.metadata = flattened(value.metadata)
    if let assignment = value.loadAssignment {
      if case .eds = out.discovery {
        throw fail(at.field("load_assignment"), "cannot be set for a cluster of type EDS")
      }
      out.loadAssignment = try loadAssignment(assignment, at: at.field("load_assignment"))
    }
    out.loadBalancing = try loadBalancing(value, out.discovery, at)
    out.connectTimeout = try positive(value.connectTimeout, at.field("connect_timeout"), default: .seconds(5))
    out.perConnectionBufferLimitBytes = value.perConnectionBufferLimitBytes?.value ?? 1 << 20
    if let breakers = value.circuitBreakers {
      out.circuitBreakers = try circuitBreakers(breakers, at.field("circuit_breakers"))
    }
    if let outlier = value.outlierDetection {
      out.outlierDetection = try outlierDetection(outlier, at.field("outlier_detection"))
    }
    if let socket = value.transportSocket { try transportSocket(socket, &out, at.field("transport_socket")) }
    try protocols(value, &out, at)
    try dns(value, &out, at)
    out.binding = try value.upstreamBindConfig.map { (b) throws(ConfigError) in
      try binding(b, at.field("upstream_bind_config"))
    }
    out.tcpKeepalive = keepalive(value.upstreamConnectionOptions?.tcpKeepalive)
    if let options = value.upstreamConnectionOptions {
      let path = at.field("upstream_connection_options")
      unsupported(
        options.setLocalInterfaceNameOnUpstreamConnections, path, "set_local_interface_name_on_upstream_connections")
      unsupported(options.happyEyeballsConfig != nil, path, "happy_eyeballs_config")
    }
    for (i, check) in value.healthChecks.enumerated() {
      out.healthChecks.append(try healthCheck(check, at.field("health_checks").index(i)))
    }
    // A host that leaves discovery leaves at once, whatever its health: `ignore_health_on_host_removal` asks for what is done.
    unsupported(value.closeConnectionsOnHostHealthFailure, at, "close_connections_on_host_health_failure")
    unsupported(value.waitForWarmOnInit?.value ?? false, at, "wait_for_warm_on_init")
    out.trackTimeoutBudgets = value.trackClusterStats?.timeoutBudgets ?? false
    unsupported(!value.healthChecks.isEmpty, at, "health_checks")
    unsupported(value.lbSubsetConfig != nil, at, "lb_subset_config")
    unsupported(value.lrsServer != nil, at, "lrs_server")
    unsupported(!value.transportSocketMatches.isEmpty, at, "transport_socket_matches")
    unsupported(value.trackClusterStats != nil, at, "track_cluster_stats")
    unsupported(value.preconnectPolicy != nil, at, "preconnect_policy")
    unsupported(value.connectionPoolPerDownstreamConnection, at, "connection_pool_per_downstream_connection")
    unsupported(value.upstreamConfig != nil, at, "upstream_config")
    return out
  }

  private func discovery(_ value: Envoy_Config_Cluster_V3_Cluster, _ at: FieldPath) throws(ConfigError)
    -> Cluster.Discovery
  {
    switch value.clusterDiscoveryType {
    case .clusterType(let custom):
      throw unregistered(custom.name, custom.typedConfig?.typeUrl ?? "", at.field("cluster_type"))
    case nil, .type(.static): return .fixed
    case .type(.strictDns): return .strictDNS
    case .type(.logicalDns):
      let endpoints = value.loadAssignment?.endpoints.reduce(0) { $0 + $1.lbEndpoints.count } ?? 0
      guard endpoints == 1 else {
        throw fail(
          at.field("load_assignment"),
          "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint, has \(endpoints)")
      }
      return .logicalDNS
    case .type(.eds):
      let path = at.field("eds_cluster_config")
      guard let eds = value.edsClusterConfig else { throw fail(path, "is required for a cluster of type EDS") }
      return .eds(serviceName: eds.serviceName, source: try source(eds.edsConfig, path.field("eds_config")))
    case .type(.originalDst):
      guard value.loadAssignment == nil else {
        throw fail(at.field("load_assignment"), "ORIGINAL_DST clusters must have no load assignment configured")
      }
      var useHeader = false
      var header = "x-envoy-original-dst-host"
      if case .originalDstLbConfig(let config)? = value.lbConfig {
        useHeader = config.useHttpHeader
        if !config.httpHeaderName.isEmpty { header = config.httpHeaderName }
        unsupported(useHeader, at.field("original_dst_lb_config"), "use_http_header")
        unsupported(config.upstreamPortOverride != nil, at.field("original_dst_lb_config"), "upstream_port_override")
      }
      let cleanup = try positive(value.cleanupInterval, at.field("cleanup_interval"), default: .seconds(5))
      return .originalDestination(useHTTPHeader: useHeader, headerName: header, cleanupInterval: cleanup)
    case .type(let other):
      throw fail(at.field("type"), "must be STATIC, STRICT_DNS, LOGICAL_DNS, EDS or ORIGINAL_DST, is \(other.name)")
    }
  }

  private func loadBalancing(
    _ value: Envoy_Config_Cluster_V3_Cluster, _ discovery: Cluster.Discovery, _ at: FieldPath
  ) throws(ConfigError) -> LoadBalancing {
    var out = LoadBalancing()
    let hashing = value.commonLbConfig?.consistentHashingLbConfig
    try checkBounds(of: value, at)
    try checkPolicy(value, discovery, at)
    switch value.lbPolicy {
    case .roundRobin: out.policy = .roundRobin
    case .leastRequest: out.policy = .balancer(try leastRequest(value.lbConfig, at))
    case .random: out.policy = .random
    case .ringHash: out.policy = .balancer(try ringHash(value.lbConfig, hashing, at))
    case .maglev: out.policy = .balancer(try maglev(value.lbConfig, hashing, at))
    case .clusterProvided: out.policy = .clusterProvided
    case .loadBalancingPolicyConfig:
      if value.loadBalancingPolicy == nil {
        throw fail(at.field("load_balancing_policy"), "is required with LOAD_BALANCING_POLICY_CONFIG")
      }
    default: throw fail(at.field("lb_policy"), "is unknown: \(value.lbPolicy.name)")
    }
    if case .roundRobinLbConfig(let config)? = value.lbConfig {
      unsupported(config.slowStartConfig != nil, at.field("round_robin_lb_config"), "slow_start_config")
    }
    if let common = value.commonLbConfig {
      let path = at.field("common_lb_config")
      out.panicThresholdPercent = try percent(
        common.healthyPanicThreshold, path.field("healthy_panic_threshold"), default: 50)
      switch common.localityConfigSpecifier {
      case .localityWeightedLbConfig: out.localityWeighted = true
      case .zoneAwareLbConfig(let zone):
        out.failTrafficOnPanic = zone.failTrafficOnPanic
        unsupported(true, path, "zone_aware_lb_config")
      case nil: break
      }
      if let window = try duration(common.updateMergeWindow, path.field("update_merge_window")) {
        out.updateMergeWindow = window
      }
      unsupported(common.ignoreNewHostsUntilFirstHc, path, "ignore_new_hosts_until_first_hc")
      unsupported(common.overrideHostStatus != nil, path, "override_host_status")
    }
    if let policy = value.loadBalancingPolicy {
      let field = FieldPath().field("load_balancing_policy")
      let at = at.appending(field)
      guard try loadBalancingPolicy(policy, &out, at, field) else {
        let known = extensions.loadBalancers.values.sorted() + ["envoy.load_balancing_policies.wrr_locality"]
        throw fail(at, "Didn't find a registered load balancer factory; known are \(known.joined(separator: ", "))")
      }
    }
    return out
  }

  /// Settings are checked whether or not the policy in force reads them, as Envoy does: somebody meant something by them.
  private func checkBounds(of value: Envoy_Config_Cluster_V3_Cluster, _ at: FieldPath) throws(ConfigError) {
    switch value.lbConfig {
    case .ringHashLbConfig(let config)?:
      let path = at.field("ring_hash_lb_config")
      for (size, field) in [
        (config.minimumRingSize, "minimum_ring_size"), (config.maximumRingSize, "maximum_ring_size"),
      ] {
        guard let size = size?.value, size > HashTableSizes.largestRing else { continue }
        throw fail(path.field(field), "must be at most \(HashTableSizes.largestRing), is \(size)")
      }
    case .maglevLbConfig(let config)?:
      guard let size = config.tableSize?.value, size > HashTableSizes.largestTable else { break }
      throw fail(
        at.field("maglev_lb_config").field("table_size"), "must be at most \(HashTableSizes.largestTable), is \(size)")
    case .leastRequestLbConfig(let config)?:
      guard let choices = config.choiceCount?.value, choices < 2 else { break }
      throw fail(at.field("least_request_lb_config").field("choice_count"), "must be 2 or more, is \(choices)")
    default: break
    }
    guard let factor = value.commonLbConfig?.consistentHashingLbConfig?.hashBalanceFactor?.value, factor < 100 else {
      return
    }
    throw fail(
      at.field("common_lb_config").field("consistent_hashing_lb_config").field("hash_balance_factor"),
      "must be 100 or more, is \(factor)")
  }

  /// *Errors*: a policy that does not go with what stands beside it.
  private func checkPolicy(
    _ value: Envoy_Config_Cluster_V3_Cluster, _ discovery: Cluster.Discovery, _ at: FieldPath
  ) throws(ConfigError) {
    let isOriginal = if case .originalDestination = discovery { true } else { false }
    if isOriginal != (value.lbPolicy == .clusterProvided) || (isOriginal && value.loadBalancingPolicy != nil) {
      throw fail(
        at.field(value.loadBalancingPolicy != nil && isOriginal ? "load_balancing_policy" : "lb_policy"),
        isOriginal
          ? "must be CLUSTER_PROVIDED for a cluster of type ORIGINAL_DST"
          : "may be CLUSTER_PROVIDED for a cluster of type ORIGINAL_DST only")
    }
    guard value.loadBalancingPolicy != nil, let common = value.commonLbConfig else { return }
    let partial =
      switch common.localityConfigSpecifier {
      case .localityWeightedLbConfig: "locality_weighted_lb_config"
      case .zoneAwareLbConfig: "zone_aware_lb_config"
      case nil: common.consistentHashingLbConfig != nil ? "consistent_hashing_lb_config" : ""
      }
    if !partial.isEmpty {
      throw fail(
        at.field("common_lb_config").field(partial),
        "cannot be combined with load_balancing_policy, whose own message says it")
    }
  }

  private typealias LBConfig = Envoy_Config_Cluster_V3_Cluster.LbConfigOneOf
  private typealias Hashing = Envoy_Config_Cluster_V3_Cluster.CommonLbConfig.ConsistentHashingLbConfig

  private func leastRequest(_ config: LBConfig?, _ at: FieldPath) throws(ConfigError) -> ExtensionConfig {
    var message = Envoy_Extensions_LoadBalancingPolicies_LeastRequest_V3_LeastRequest()
    if case .leastRequestLbConfig(let config)? = config {
      message.choiceCount = config.choiceCount
      // Not the key of runtime beside it: there is none.
      message.activeRequestBias = config.activeRequestBias.map { bias in
        var out = Envoy_Config_Core_V3_RuntimeDouble()
        out.defaultValue = bias.defaultValue
        return out
      }
      unsupported(config.slowStartConfig != nil, at.field("least_request_lb_config"), "slow_start_config")
    }
    return ExtensionConfig(message)
  }

  private func ringHash(
    _ config: LBConfig?, _ hashing: Hashing?, _ at: FieldPath
  ) throws(ConfigError) -> ExtensionConfig {
    var message = Envoy_Extensions_LoadBalancingPolicies_RingHash_V3_RingHash()
    if case .ringHashLbConfig(let config)? = config {
      _ = try HashTableSizes.ring(
        minimum: config.minimumRingSize, maximum: config.maximumRingSize, at.field("ring_hash_lb_config"))
      message.minimumRingSize = config.minimumRingSize
      message.maximumRingSize = config.maximumRingSize
      message.hashFunction = config.hashFunction == .murmurHash2 ? .murmurHash2 : .xxHash
    }
    message.consistentHashingLbConfig = consistentHashing(hashing)
    return ExtensionConfig(message)
  }

  private func maglev(
    _ config: LBConfig?, _ hashing: Hashing?, _ at: FieldPath
  ) throws(ConfigError) -> ExtensionConfig {
    var message = Envoy_Extensions_LoadBalancingPolicies_Maglev_V3_Maglev()
    if case .maglevLbConfig(let config)? = config {
      _ = try HashTableSizes.table(config.tableSize, at.field("maglev_lb_config"))
      message.tableSize = config.tableSize
    }
    message.consistentHashingLbConfig = consistentHashing(hashing)
    return ExtensionConfig(message)
  }

  private func consistentHashing(
    _ hashing: Hashing?
  ) -> Envoy_Extensions_LoadBalancingPolicies_Common_V3_ConsistentHashingLbConfig {
    var out = Envoy_Extensions_LoadBalancingPolicies_Common_V3_ConsistentHashingLbConfig()
    out.useHostnameForHashing = hashing?.useHostnameForHashing ?? false
    out.hashBalanceFactor = hashing?.hashBalanceFactor
    return out
  }

  /// The first policy of the list that is known wins, as Envoy does. False when none is. `own` is where the list stands in the cluster, wherever
  /// that stands: a cluster is the same at another place of a file.
  private func loadBalancingPolicy(
    _ value: Envoy_Config_Cluster_V3_LoadBalancingPolicy, _ out: inout LoadBalancing, _ at: FieldPath, _ own: FieldPath
  ) throws(ConfigError) -> Bool {
    for (i, policy) in value.policies.enumerated() {
      guard let any = policy.typedExtensionConfig?.typedConfig else { continue }
      let field = FieldPath().field("policies").index(i).field("typed_extension_config").field("typed_config")
      let path = at.appending(field)
      if any.holds(Envoy_Extensions_LoadBalancingPolicies_WrrLocality_V3_WrrLocality.self) {
        let locality = try unpack(any, Envoy_Extensions_LoadBalancingPolicies_WrrLocality_V3_WrrLocality.self, path)
        out.localityWeighted = true
        guard let inner = locality.endpointPickingPolicy else {
          throw fail(path.field("endpoint_picking_policy"), "is required")
        }
        let picking = FieldPath().field("endpoint_picking_policy")
        return try loadBalancingPolicy(
          inner, &out, path.appending(picking), own.appending(field).appending(picking))
      }
      guard let config = try? extensionConfig(any, path), extensions.hasLoadBalancer(config.typeName) else { continue }
      (out.policy, out.policyPath) = (.balancer(config), own.appending(field))
      return true
    }
    return false
  }

  private func protocols(_ value: Envoy_Config_Cluster_V3_Cluster, _ out: inout Cluster, _ at: FieldPath)
    throws(ConfigError)
  {
    // The options of old, overridden by the typed ones.
    if let options = value.http2ProtocolOptions {
      out.upstreamProtocol = .http2
      out.http2 = try http2(options, at.field("http2_protocol_options"))
    }
    if value.protocolSelection == .useDownstreamProtocol { out.upstreamProtocol = .useDownstream }
    try clientHTTP1(value.httpProtocolOptions, at.field("http_protocol_options"))
    if let common = value.commonHttpProtocolOptions {
      try commonOptions(common, &out, at.field("common_http_protocol_options"))
    }
    if let upstream = value.upstreamHttpProtocolOptions {
      serverNames(upstream, &out, at.field("upstream_http_protocol_options"))
    }
    out.maxRequestsPerConnection = out.maxRequestsPerConnection ?? value.maxRequestsPerConnection?.value
    for (name, any) in value.typedExtensionProtocolOptions.sorted(by: { $0.key < $1.key }) {
      let path = at.field("typed_extension_protocol_options").key(name)
      if any.holds(Envoy_Extensions_Upstreams_Tcp_V3_TcpProtocolOptions.self) {
        // The time a connection may be there without a client. Here each is made for its client and ends with it.
        let options = try unpack(any, Envoy_Extensions_Upstreams_Tcp_V3_TcpProtocolOptions.self, path)
        _ = try duration(options.idleTimeout, path.field("idle_timeout"))
        continue
      }
      guard any.holds(Envoy_Extensions_Upstreams_Http_V3_HttpProtocolOptions.self) else {
        throw unregistered(name, any.typeUrl, path)
      }
      let options = try unpack(any, Envoy_Extensions_Upstreams_Http_V3_HttpProtocolOptions.self, path)
      try httpOptions(options, &out, path)
    }
  }

  private func httpOptions(
    _ value: Envoy_Extensions_Upstreams_Http_V3_HttpProtocolOptions, _ out: inout Cluster, _ at: FieldPath
  ) throws(ConfigError) {
    if let common = value.commonHttpProtocolOptions {
      try commonOptions(common, &out, at.field("common_http_protocol_options"))
    }
    if let upstream = value.upstreamHttpProtocolOptions {
      serverNames(upstream, &out, at.field("upstream_http_protocol_options"))
    }
    switch value.upstreamProtocolOptions {
    case .explicitHttpConfig(let config):
      let path = at.field("explicit_http_config")
      switch config.protocolConfig {
      case .httpProtocolOptions(let options):
        out.upstreamProtocol = .http1
        try clientHTTP1(options, path.field("http_protocol_options"))
      case .http2ProtocolOptions(let options):
        out.upstreamProtocol = .http2
        out.http2 = try http2(options, path.field("http2_protocol_options"))
      case nil: throw fail(path, "needs one of http_protocol_options, http2_protocol_options")
      }
    case .useDownstreamProtocolConfig(let config):
      out.upstreamProtocol = .useDownstream
      let path = at.field("use_downstream_protocol_config")
      try clientHTTP1(config.httpProtocolOptions, path.field("http_protocol_options"))
      out.http2 = try http2(config.http2ProtocolOptions, path.field("http2_protocol_options"))
    case .autoConfig(let config):
      let path = at.field("auto_config")
      out.upstreamProtocol = .automatic
      guard out.tls != nil else {
        throw fail(path, "auto_config is only for clusters with a transport socket that speaks ALPN (TLS)")
      }
      try clientHTTP1(config.httpProtocolOptions, path.field("http_protocol_options"))
      out.http2 = try http2(config.http2ProtocolOptions, path.field("http2_protocol_options"))
    case nil: throw fail(at, "needs one of explicit_http_config, use_downstream_protocol_config, auto_config")
    }
    out.filters = try upstreamFilters(value.httpFilters, at.field("http_filters"))
    out.mirrors = try mirrors(value.requestMirrorPolicies, at)
    unsupported(!value.hashPolicy.isEmpty, at, "hash_policy")
    unsupported(value.retryPolicy != nil, at, "retry_policy")
  }

  /// What a TLS connection takes from the request.
  private func serverNames(
    _ value: Envoy_Config_Core_V3_UpstreamHttpProtocolOptions, _ out: inout Cluster, _ at: FieldPath
  ) {
    out.autoSNI = value.autoSni
    out.autoSANValidation = value.autoSanValidation
    out.autoSNIHeader = value.overrideAutoSniHeader.lowercased()
    if out.autoSANValidation, let tls = out.tls, !tls.common.verifiesPeer {
      warn(
        at.field("auto_san_validation"),
        "has no effect: without a trusted_ca in the transport socket's validation context no certificate is checked")
    }
  }

  private func commonOptions(_ value: Envoy_Config_Core_V3_HttpProtocolOptions, _ out: inout Cluster, _ at: FieldPath)
    throws(ConfigError)
  {
    out.idleTimeout = try timeout(value.idleTimeout, at.field("idle_timeout"), default: .seconds(3600))
    out.maxConnectionDuration = try timeout(
      value.maxConnectionDuration, at.field("max_connection_duration"), default: nil)
    out.maxRequestsPerConnection = value.maxRequestsPerConnection.flatMap { $0.value == 0 ? nil : $0.value }
    if let kilobytes = value.maxResponseHeadersKb?.value {
      guard (1...8192).contains(kilobytes) else {
        throw fail(at.field("max_response_headers_kb"), "must be 1 to 8192, is \(kilobytes)")
      }
      out.maxResponseHeadersBytes = kilobytes * 1024
    }
    unsupported(value.maxStreamDuration != nil, at, "max_stream_duration")
    unsupported(value.maxHeadersCount != nil, at, "max_headers_count")
    unsupported(value.headersWithUnderscoresAction != .allow, at, "headers_with_underscores_action")
  }

  private func dns(_ value: Envoy_Config_Cluster_V3_Cluster, _ out: inout Cluster, _ at: FieldPath) throws(ConfigError)
  {
    out.dnsRefreshRate = try positive(
      value.dnsRefreshRate, at.field("dns_refresh_rate"), default: .seconds(5), moreThan: .milliseconds(1))
    if let rate = value.dnsFailureRefreshRate {
      let path = at.field("dns_failure_refresh_rate")
      guard rate.baseInterval != nil else { throw fail(path.field("base_interval"), "is required") }
      let base = try positive(
        rate.baseInterval, path.field("base_interval"), default: .seconds(5), moreThan: .milliseconds(1))
      let most = try positive(
        rate.maxInterval, path.field("max_interval"), default: base * 10, moreThan: .milliseconds(1))
      guard most >= base else {
        throw fail(path.field("max_interval"), "must be greater than or equal to the base_interval")
      }
      (out.dnsFailureRefreshBase, out.dnsFailureRefreshMax) = (base, most)
    }
    out.respectDNSTTL = value.respectDnsTtl
    switch value.dnsLookupFamily {
    case .v4Only: out.dnsFamily = .v4Only
    case .v6Only: out.dnsFamily = .v6Only
    case .v4Preferred: out.dnsFamily = .v4Preferred
    case .all: out.dnsFamily = .all
    default: out.dnsFamily = .auto
    }
    if let resolver = value.typedDnsResolverConfig {
      out.dnsResolver = try dnsResolver(resolver, at.field("typed_dns_resolver_config"))
    } else if value.useTcpForDnsLookups {
      out.dnsResolver = DNSResolver()
      out.dnsResolver?.usesTCP = true
    } else {
      out.dnsResolver = dnsResolver
    }
  }

  /// *Errors*: a resolver that is not known here, or a setting that would make others be asked than those that are named: names looked up
  /// elsewhere than configured are a fault that nobody sees.
  func dnsResolver(_ value: Envoy_Config_Core_V3_TypedExtensionConfig, _ at: FieldPath) throws(ConfigError)
    -> DNSResolver
  {
    let path = at.field("typed_config")
    guard let any = value.typedConfig,
      any.holds(Envoy_Extensions_Network_DnsResolver_Cares_V3_CaresDnsResolverConfig.self)
    else { throw unregistered(value.name, value.typedConfig?.typeUrl ?? "", path) }
    let cares = try unpack(any, Envoy_Extensions_Network_DnsResolver_Cares_V3_CaresDnsResolverConfig.self, path)
    var out = DNSResolver()
    for (i, resolver) in cares.resolvers.enumerated() {
      let at = path.field("resolvers").index(i)
      let server = try address(resolver, at)
      guard case .socket(let host, _) = server, IPText.parse(host) != nil else {
        throw fail(at, "must be the address of a resolver: an IP literal and a port")
      }
      out.servers.append(server)
    }
    guard !cares.useResolversAsFallback else {
      throw fail(path.field("use_resolvers_as_fallback"), "is not supported: the resolvers named are asked first")
    }
    out.usesTCP = cares.dnsResolverOptions?.useTcpForDnsLookups ?? false
    out.searches = !(cares.dnsResolverOptions?.noDefaultSearchDomain ?? false)
    if let seconds = cares.queryTimeoutSeconds?.value { out.timeout = .seconds(Int64(clamping: max(1, seconds))) }
    if let tries = cares.queryTries?.value { out.tries = max(1, tries) }
    unsupported(cares.filterUnroutableFamilies, path, "filter_unroutable_families")
    unsupported(cares.udpMaxQueries != nil, path, "udp_max_queries")
    unsupported(cares.rotateNameservers, path, "rotate_nameservers")
    unsupported(cares.edns0MaxPayloadSize != nil, path, "edns0_max_payload_size")
    unsupported(cares.maxUdpChannelDuration != nil, path, "max_udp_channel_duration")
    return out
  }

  private func circuitBreakers(_ value: Envoy_Config_Cluster_V3_CircuitBreakers, _ at: FieldPath) throws(ConfigError)
    -> CircuitBreakers
  {
    var out = CircuitBreakers()
    for (i, thresholds) in value.thresholds.enumerated() {
      let path = at.field("thresholds").index(i)
      var converted = CircuitBreakers.Thresholds()
      if let n = thresholds.maxConnections?.value { converted.maxConnections = n }
      if let n = thresholds.maxPendingRequests?.value { converted.maxPendingRequests = n }
      if let n = thresholds.maxRequests?.value { converted.maxRequests = n }
      if let n = thresholds.maxRetries?.value { converted.maxRetries = n }
      converted.maxConnectionPools = thresholds.maxConnectionPools?.value
      converted.trackRemaining = thresholds.trackRemaining
      if let budget = thresholds.retryBudget {
        var kept = CircuitBreakers.RetryBudget()
        kept.percent = try percent(
          budget.budgetPercent, path.field("retry_budget").field("budget_percent"), default: 20)
        kept.minConcurrency = budget.minRetryConcurrency?.value ?? 3
        converted.retryBudget = kept
      }
      unsupported(thresholds.maxConnectionPools != nil, path, "max_connection_pools")
      switch thresholds.priority {
      case .default: out.standard = converted
      case .high: out.high = converted
      default: throw fail(path.field("priority"), "must be DEFAULT or HIGH, is \(thresholds.priority.name)")
      }
    }
    unsupported(!value.perHostThresholds.isEmpty, at, "per_host_thresholds")
    return out
  }

  private func outlierDetection(_ value: Envoy_Config_Cluster_V3_OutlierDetection, _ at: FieldPath) throws(ConfigError)
    -> OutlierDetection
  {
    var out = OutlierDetection()
    if let n = value.consecutive5xx?.value { out.consecutive5xx = n }
    if let n = value.consecutiveGatewayFailure?.value { out.consecutiveGatewayFailure = n }
    if let n = value.consecutiveLocalOriginFailure?.value { out.consecutiveLocalOriginFailure = n }
    out.enforcingConsecutive5xx = try percent(
      value.enforcingConsecutive5xx, at.field("enforcing_consecutive_5xx"), default: 100)
    out.enforcingConsecutiveGatewayFailure = try percent(
      value.enforcingConsecutiveGatewayFailure, at.field("enforcing_consecutive_gateway_failure"), default: 0)
    out.enforcingConsecutiveLocalOriginFailure = try percent(
      value.enforcingConsecutiveLocalOriginFailure, at.field("enforcing_consecutive_local_origin_failure"), default: 100
    )
    out.enforcingSuccessRate = try percent(value.enforcingSuccessRate, at.field("enforcing_success_rate"), default: 100)
    out.enforcingLocalOriginSuccessRate = try percent(
      value.enforcingLocalOriginSuccessRate, at.field("enforcing_local_origin_success_rate"), default: 100)
    out.enforcingFailurePercentage = try percent(
      value.enforcingFailurePercentage, at.field("enforcing_failure_percentage"), default: 0)
    out.failurePercentageThreshold = try percent(
      value.failurePercentageThreshold, at.field("failure_percentage_threshold"), default: 85)
    out.maxEjectionPercent = try percent(value.maxEjectionPercent, at.field("max_ejection_percent"), default: 10)
    out.splitExternalLocalOriginErrors = value.splitExternalLocalOriginErrors
    out.interval = try positive(value.interval, at.field("interval"), default: .seconds(10))
    out.baseEjectionTime = try positive(value.baseEjectionTime, at.field("base_ejection_time"), default: .seconds(30))
    out.maxEjectionTime = try positive(
      value.maxEjectionTime, at.field("max_ejection_time"), default: max(.seconds(300), out.baseEjectionTime))
    guard out.maxEjectionTime >= out.baseEjectionTime else {
      throw fail(at.field("max_ejection_time"), "must not be below base_ejection_time")
    }
    if let jitter = try duration(value.maxEjectionTimeJitter, at.field("max_ejection_time_jitter")) {
      out.maxEjectionTimeJitter = jitter
    }
    out.alwaysEjectOneHost = value.alwaysEjectOneHost?.value ?? true
    if let n = value.successRateMinimumHosts?.value { out.successRateMinimumHosts = n }
    if let n = value.successRateRequestVolume?.value { out.successRateRequestVolume = n }
    if let n = value.successRateStdevFactor?.value { out.successRateStdevFactor = n }
    if let n = value.failurePercentageMinimumHosts?.value { out.failurePercentageMinimumHosts = n }
    if let n = value.failurePercentageRequestVolume?.value { out.failurePercentageRequestVolume = n }
    unsupported(
      value.successfulActiveHealthCheckUnejectHost != nil, at, "successful_active_health_check_uneject_host")
    return out
  }

  package func loadAssignment(
    _ value: Envoy_Config_Endpoint_V3_ClusterLoadAssignment, at: FieldPath = .root
  ) throws(ConfigError) -> LoadAssignment {
    var out = LoadAssignment(clusterName: try required(value.clusterName, at.field("cluster_name")))
    for (l, group) in value.endpoints.enumerated() {
      let path = at.field("endpoints").index(l)
      var converted = LocalityEndpoints()
      converted.locality = locality(group.locality)
      guard group.priority <= 128 else { throw fail(path.field("priority"), "must be 0 to 128, is \(group.priority)") }
      converted.priority = group.priority
      if let weight = group.loadBalancingWeight?.value {
        guard weight >= 1 else { throw fail(path.field("load_balancing_weight"), "must be 1 or more, is 0") }
        converted.weight = weight
      }
      for (e, endpoint) in group.lbEndpoints.enumerated() {
        converted.endpoints.append(try self.endpoint(endpoint, path.field("lb_endpoints").index(e)))
      }
      unsupported(group.proximity != nil, path, "proximity")
      out.localities.append(converted)
    }
    if let policy = value.policy {
      let path = at.field("policy")
      if let factor = policy.overprovisioningFactor?.value {
        guard factor >= 1 else { throw fail(path.field("overprovisioning_factor"), "must be 1 or more, is 0") }
        out.overprovisioningPercent = factor
      }
      for drop in policy.dropOverloads {
        out.dropOverloads.append(
          DropOverload(
            category: drop.category, fraction: drop.dropPercentage.map { fraction($0) } ?? FractionalPercent(0)))
      }
      if policy.endpointStaleAfter != nil {
        out.endpointStaleAfter = try positive(
          policy.endpointStaleAfter, path.field("endpoint_stale_after"), default: .zero)
      }
      unsupported(!policy.dropOverloads.isEmpty, path, "drop_overloads")
      unsupported(policy.endpointStaleAfter != nil, path, "endpoint_stale_after")
      unsupported(policy.weightedPriorityHealth, path, "weighted_priority_health")
    }
    return out
  }

  private func endpoint(_ value: Envoy_Config_Endpoint_V3_LbEndpoint, _ at: FieldPath) throws(ConfigError) -> Endpoint {
    if case .endpointName? = value.hostIdentifier {
      throw fail(at.field("endpoint_name"), "is not supported; use endpoint")
    }
    guard case .endpoint(let inner)? = value.hostIdentifier else { throw fail(at.field("endpoint"), "is required") }
    let path = at.field("endpoint")
    var out = Endpoint(address: try address(inner.address, path.field("address")))
    out.hostname = inner.hostname
    switch value.healthStatus {
    case .healthy: out.health = .healthy
    case .unhealthy: out.health = .unhealthy
    case .draining: out.health = .draining
    case .timeout: out.health = .timeout
    case .degraded: out.health = .degraded
    default: out.health = .unknown
    }
    if let weight = value.loadBalancingWeight?.value {
      guard weight >= 1 else { throw fail(at.field("load_balancing_weight"), "must be 1 or more, is 0") }
      out.weight = weight
    }
    if case .boolValue(true)? = value.metadata?.filterMetadata["envoy.lb"]?.fields["canary"]?.kind { out.canary = true }
    if case .stringValue(let key)? = value.metadata?.filterMetadata["envoy.lb"]?.fields["hash_key"]?.kind {
      out.hashKey = key
    }
    return out
  }

  private func healthCheck(_ value: Envoy_Config_Core_V3_HealthCheck, _ at: FieldPath) throws(ConfigError)
    -> HealthCheck
  {
    let checker: HealthCheck.Checker
    switch value.healthChecker {
    case .httpHealthCheck(let http):
      let path = at.field("http_health_check")
      var statuses: [Range<UInt16>] = []
      for (i, range) in http.expectedStatuses.enumerated() {
        guard range.start >= 100, range.end <= 600, range.start < range.end else {
          throw fail(path.field("expected_statuses").index(i), "must be a range within 100 to 600")
        }
        statuses.append(UInt16(range.start)..<UInt16(range.end))
      }
      checker = .http(
        path: try required(http.path, path.field("path")), host: http.host,
        expectedStatuses: statuses.isEmpty ? [200..<201] : statuses)
    case .tcpHealthCheck: checker = .tcp(send: [], receive: [])
    case .grpcHealthCheck(let grpc): checker = .grpc(serviceName: grpc.serviceName, authority: grpc.authority)
    case nil: throw fail(at, "needs one of http_health_check, tcp_health_check, grpc_health_check")
    }
    guard value.timeout != nil else { throw fail(at.field("timeout"), "is required") }
    guard value.interval != nil else { throw fail(at.field("interval"), "is required") }
    guard let unhealthy = value.unhealthyThreshold?.value else {
      throw fail(at.field("unhealthy_threshold"), "is required")
    }
    guard let healthy = value.healthyThreshold?.value else { throw fail(at.field("healthy_threshold"), "is required") }
    return HealthCheck(
      checker: checker, timeout: try positive(value.timeout, at.field("timeout"), default: .seconds(1)),
      interval: try positive(value.interval, at.field("interval"), default: .seconds(5)), unhealthyThreshold: unhealthy,
      healthyThreshold: healthy)
  }
}
