package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftXDSMessages

extension Converter {
  /// Hosts that one retry may be offered, to find one that it has not been at: what 100 million took a worker 2.4 s for.
  private static let mostHostSelections: Int64 = 4096

  /// `validatesByDefault`: what an unset `validate_clusters` means (true for tables inside a listener, false for
  /// discovered ones).
  package func routeConfiguration(
    _ value: Envoy_Config_Route_V3_RouteConfiguration, at: FieldPath = .root, validatesByDefault: Bool = false
  ) throws(ConfigError) -> RouteConfiguration {
    var out = RouteConfiguration(name: value.name)
    var names: [String: Int] = [:]
    for (i, host) in value.virtualHosts.enumerated() {
      let path = at.field("virtual_hosts").index(i)
      let converted = try virtualHost(host, path)
      if let first = names[converted.name] {
        throw fail(
          path.field("name"), "\"\(converted.name)\" is also the name of virtual_hosts[\(first)]; names must be unique")
      }
      names[converted.name] = i
      out.virtualHosts.append(converted)
    }
    try checkDomains(out.virtualHosts, at)
    out.headers.request = try mutations(
      add: value.requestHeadersToAdd, remove: value.requestHeadersToRemove, at, "request")
    out.headers.response = try mutations(
      add: value.responseHeadersToAdd, remove: value.responseHeadersToRemove, at, "response")
    out.internalOnlyHeaders = value.internalOnlyHeaders
    out.validateClusters = value.validateClusters?.value ?? validatesByDefault
    out.mostSpecificHeaderMutationsWin = value.mostSpecificHeaderMutationsWins
    out.maxDirectResponseBodyBytes = value.maxDirectResponseBodySizeBytes?.value ?? 4096
    out.ignorePortInHostMatching = value.ignorePortInHostMatching
    out.ignorePathParameters = value.ignorePathParametersInPathMatching
    out.mirrors = try mirrors(value.requestMirrorPolicies, at)
    out.filters = try filterOverrides(value.typedPerFilterConfig, at)
    unsupported(!value.vhostHeader.isEmpty, at, "vhost_header")
    unsupported(!value.internalOnlyHeaders.isEmpty, at, "internal_only_headers")
    return out
  }

  private func checkDomains(_ hosts: [VirtualHost], _ at: FieldPath) throws(ConfigError) {
    var seen: [String: String] = [:]
    for (h, host) in hosts.enumerated() {
      for (d, domain) in host.domains.enumerated() {
        let path = at.field("virtual_hosts").index(h).field("domains").index(d)
        _ = try headText(domain, path)
        let stars = domain.filter { $0 == "*" }.count
        guard !domain.isEmpty, stars == 0 || (stars == 1 && (domain.hasPrefix("*") || domain.hasSuffix("*"))) else {
          throw fail(path, "must be a name, *suffix, prefix* or *, is \"\(domain)\"")
        }
        if let other = seen[domain.lowercased()] {
          throw fail(
            path, "\"\(domain)\" is also a domain of virtual host \"\(other)\"; only unique values are allowed")
        }
        seen[domain.lowercased()] = host.name
      }
    }
  }

  func virtualHost(_ value: Envoy_Config_Route_V3_VirtualHost, _ at: FieldPath) throws(ConfigError) -> VirtualHost {
    let name = try required(value.name, at.field("name"))
    guard !value.domains.isEmpty else { throw fail(at.field("domains"), "needs at least one domain") }
    var out = VirtualHost(name: name, domains: value.domains)
    for (i, route) in value.routes.enumerated() {
      out.routes.append(try self.route(route, at.field("routes").index(i)))
    }
    switch value.requireTls {
    case .all: out.tlsRequirement = .all
    case .externalOnly: out.tlsRequirement = .externalOnly
    default: out.tlsRequirement = .none
    }
    out.headers.request = try mutations(
      add: value.requestHeadersToAdd, remove: value.requestHeadersToRemove, at, "request")
    out.headers.response = try mutations(
      add: value.responseHeadersToAdd, remove: value.responseHeadersToRemove, at, "response")
    out.retryPolicy = try value.retryPolicy.map { (p) throws(ConfigError) in
      try retryPolicy(p, at.field("retry_policy"))
    }
    out.includeRequestAttemptCount = value.includeRequestAttemptCount
    out.includeAttemptCountInResponse = value.includeAttemptCountInResponse
    out.includeIsTimeoutRetryHeader = value.includeIsTimeoutRetryHeader
    out.perRequestBufferLimitBytes =
      value.requestBodyBufferLimit.map { UInt32(clamping: $0.value) } ?? value.perRequestBufferLimitBytes?.value
    unsupported(!value.virtualClusters.isEmpty, at, "virtual_clusters")
    out.filters = try filterOverrides(value.typedPerFilterConfig, at)
    out.hedgesOnPerTryTimeout =
      try value.hedgePolicy.map { (p) throws(ConfigError) in try hedges(p, at.field("hedge_policy")) } ?? false
    unsupported(value.retryPolicyTypedConfig != nil, at, "retry_policy_typed_config")
    out.mirrors = try mirrors(value.requestMirrorPolicies, at)
    return out
  }

  func route(_ value: Envoy_Config_Route_V3_Route, _ at: FieldPath) throws(ConfigError) -> Route {
    guard let match = value.match else { throw fail(at.field("match"), "is required") }
    let action: Route.Action
    switch value.action {
    case .route(let forward): action = .forward(try routeAction(forward, at.field("route")))
    case .redirect(let redirect): action = .redirect(try self.redirect(redirect, at.field("redirect")))
    case .directResponse(let response):
      let path = at.field("direct_response")
      guard (200..<600).contains(response.status) else {
        throw fail(path.field("status"), "must be 200 to 599, is \(response.status)")
      }
      unsupported(response.bodyFormat != nil, path, "body_format")
      action = .respond(
        DirectResponse(
          status: UInt16(response.status),
          body: try response.body.map { (b) throws(ConfigError) in try data(b, path.field("body")) }))
    case .nonForwardingAction: action = .nonForwarding
    case nil: throw fail(at, "needs one of route, redirect, direct_response")
    }
    var out = Route(match: try routeMatch(match, at.field("match")), action: action)
    out.name = value.name
    out.metadata = flattened(value.metadata)
    out.headers.request = try mutations(
      add: value.requestHeadersToAdd, remove: value.requestHeadersToRemove, at, "request")
    out.headers.response = try mutations(
      add: value.responseHeadersToAdd, remove: value.responseHeadersToRemove, at, "response")
    out.perRequestBufferLimitBytes =
      value.requestBodyBufferLimit.map { UInt32(clamping: $0.value) } ?? value.perRequestBufferLimitBytes?.value
    out.filters = try filterOverrides(value.typedPerFilterConfig, at)
    unsupported(value.tracing != nil, at, "tracing")
    unsupported(!value.statPrefix.isEmpty, at, "stat_prefix")
    return out
  }

  func routeMatch(_ value: Envoy_Config_Route_V3_RouteMatch, _ at: FieldPath) throws(ConfigError) -> RouteMatch {
    let path: RouteMatch.Path
    switch value.pathSpecifier {
    case .prefix(let text): path = .prefix(text)
    case .path(let text): path = .exact(text)
    case .pathSeparatedPrefix(let text):
      guard text.hasPrefix("/"), text.count > 1, !text.hasSuffix("/"), !text.contains("?"), !text.contains("#") else {
        throw fail(
          at.field("path_separated_prefix"), "must begin with / and not end with it, without ? and #; is \"\(text)\"")
      }
      path = .separatedPrefix(text)
    case .safeRegex(let pattern): path = .regex(try regex(pattern, at.field("safe_regex")))
    case .connectMatcher: path = .connect
    case .pathMatchPolicy(let policy):
      throw unregistered(
        policy.name, policy.typedConfig?.typeUrl ?? "",
        known: ["connect_matcher", "path", "path_separated_prefix", "prefix", "safe_regex"],
        at.field("path_match_policy"))
    case nil: throw fail(at, "needs one of prefix, path, safe_regex, path_separated_prefix, connect_matcher")
    }
    var out = RouteMatch(path)
    out.caseSensitive = value.caseSensitive?.value ?? true
    out.runtimeFraction = try value.runtimeFraction.map { (f) throws(ConfigError) in
      try runtimeFraction(f, at.field("runtime_fraction"))
    }
    out.headers = try headers(value.headers, at.field("headers"))
    for (i, parameter) in value.queryParameters.enumerated() {
      let path = at.field("query_parameters").index(i)
      let name = try required(parameter.name, path.field("name"))
      switch parameter.queryParameterMatchSpecifier {
      case .stringMatch(let matcher):
        out.queryParameters.append(
          QueryParameterMatcher(name: name, .string(try string(matcher, path.field("string_match")))))
      case .presentMatch(let wanted): out.queryParameters.append(QueryParameterMatcher(name: name, .present(wanted)))
      case nil: out.queryParameters.append(QueryParameterMatcher(name: name, .present(true)))
      }
    }
    out.grpc = value.grpc != nil
    out.tls = value.tlsContext.map { RouteMatch.TLS(presented: $0.presented?.value, validated: $0.validated?.value) }
    guard value.dynamicMetadata.isEmpty else {
      // Leaving a condition out would widen the match.
      throw fail(at.field("dynamic_metadata"), "is not supported")
    }
    return out
  }

  func routeAction(_ value: Envoy_Config_Route_V3_RouteAction, _ at: FieldPath) throws(ConfigError) -> RouteAction {
    let cluster: ClusterSpecifier
    switch value.clusterSpecifier {
    case .cluster(let name): cluster = .cluster(try required(name, at.field("cluster")))
    case .clusterHeader(let name):
      cluster = .header(try headText(try required(name, at.field("cluster_header")), at.field("cluster_header")))
    case .weightedClusters(let split): cluster = .weighted(try weighted(split, at.field("weighted_clusters")))
    case .clusterSpecifierPlugin: throw fail(at.field("cluster_specifier_plugin"), "is not supported")
    case nil: throw fail(at, "needs one of cluster, cluster_header, weighted_clusters")
    }
    var out = RouteAction(cluster: cluster)
    switch value.clusterNotFoundResponseCode {
    case .notFound: out.clusterNotFoundStatus = 404
    case .internalServerError: out.clusterNotFoundStatus = 500
    default: out.clusterNotFoundStatus = 503
    }
    guard value.prefixRewrite.isEmpty || value.regexRewrite == nil else {
      throw fail(at.field("regex_rewrite"), "only one of prefix_rewrite and regex_rewrite may be set")
    }
    if !value.prefixRewrite.isEmpty {
      out.prefixRewrite = try headText(value.prefixRewrite, at.field("prefix_rewrite"))
    }
    out.regexRewrite = try value.regexRewrite.map { (r) throws(ConfigError) in try rewrite(r, at.field("regex_rewrite"))
    }
    switch value.hostRewriteSpecifier {
    case .hostRewriteLiteral(let host), .hostRewrite(let host):
      out.hostRewrite = .literal(try headText(host, at.field("host_rewrite_literal")))
    case .autoHostRewrite(let flag): out.hostRewrite = flag.value ? .automatic : .none
    case .hostRewriteHeader(let name): out.hostRewrite = .header(try headText(name, at.field("host_rewrite_header")))
    case .hostRewritePathRegex(let regex):
      out.hostRewrite = .pathRegex(try rewrite(regex, at.field("host_rewrite_path_regex")))
    case nil: break
    }
    out.appendXForwardedHost = value.appendXForwardedHost
    out.timeout = try duration(value.timeout, at.field("timeout"))
    out.idleTimeout = try duration(value.idleTimeout, at.field("idle_timeout"))
    out.grpcTimeoutHeaderMax = try duration(value.maxGrpcTimeout, at.field("max_grpc_timeout"))
    out.grpcTimeoutHeaderOffset = try duration(value.grpcTimeoutOffset, at.field("grpc_timeout_offset")) ?? .zero
    out.grpcTimeoutBounds = .request
    if let limits = value.maxStreamDuration {
      // Beside it none of the route's own time-outs counts, nor the default one.
      out.timeout = .zero
      let path = at.field("max_stream_duration")
      out.maxStreamDuration = try duration(limits.maxStreamDuration, path.field("max_stream_duration"))
      out.grpcTimeoutHeaderMax = try duration(limits.grpcTimeoutHeaderMax, path.field("grpc_timeout_header_max"))
      out.grpcTimeoutHeaderOffset =
        try duration(limits.grpcTimeoutHeaderOffset, path.field("grpc_timeout_header_offset")) ?? .zero
      out.grpcTimeoutBounds = .stream
    }
    out.retryPolicy = try value.retryPolicy.map { (p) throws(ConfigError) in
      try retryPolicy(p, at.field("retry_policy"))
    }
    out.priority = value.priority == .high ? .high : .standard
    for (i, policy) in value.hashPolicy.enumerated() {
      if let policy = try hashPolicy(policy, at.field("hash_policy").index(i)) { out.hashPolicies.append(policy) }
    }
    try differ(value.upgradeConfigs.map(\.upgradeType), at.field("upgrade_configs"))
    for (i, upgrade) in value.upgradeConfigs.enumerated() {
      let path = at.field("upgrade_configs").index(i)
      out.upgrades.append(
        UpgradeConfiguration(
          type: try required(upgrade.upgradeType, path.field("upgrade_type")), enabled: upgrade.enabled?.value ?? true,
          terminates: upgrade.connectConfig != nil))
      if let connect = upgrade.connectConfig {
        unsupported(connect.proxyProtocolConfig != nil, path.field("connect_config"), "proxy_protocol_config")
        unsupported(connect.allowPost, path.field("connect_config"), "allow_post")
      }
    }
    out.mirrors = try mirrors(value.requestMirrorPolicies, at)
    unsupported(value.metadataMatch != nil, at, "metadata_match")
    out.hedgesOnPerTryTimeout = try value.hedgePolicy.map { (p) throws(ConfigError) in
      try hedges(p, at.field("hedge_policy"))
    }
    unsupported(value.internalRedirectPolicy != nil, at, "internal_redirect_policy")
    unsupported(value.retryPolicyTypedConfig != nil, at, "retry_policy_typed_config")
    unsupported(value.flushTimeout != nil, at, "flush_timeout")
    unsupported(!value.pathRewrite.isEmpty, at, "path_rewrite")
    if let policy = value.pathRewritePolicy {
      throw unregistered(
        policy.name, policy.typedConfig?.typeUrl ?? "", known: ["prefix_rewrite", "regex_rewrite"],
        at.field("path_rewrite_policy"))
    }
    return out
  }

  /// Whether an attempt goes on beside the next one. What else a policy may say Envoy does not carry out either.
  private func hedges(_ value: Envoy_Config_Route_V3_HedgePolicy, _ at: FieldPath) throws(ConfigError) -> Bool {
    if let count = value.initialRequests?.value {
      guard count >= 1 else { throw fail(at.field("initial_requests"), "must be at least 1, is \(count)") }
      unsupported(count > 1, at, "initial_requests")
    }
    unsupported((value.additionalRequestChance?.numerator ?? 0) > 0, at, "additional_request_chance")
    return value.hedgeOnPerTryTimeout
  }

  /// Where copies of requests go.
  func mirrors(
    _ values: [Envoy_Config_Route_V3_RouteAction.RequestMirrorPolicy], _ parent: FieldPath
  ) throws(ConfigError) -> [MirrorPolicy] {
    var out: [MirrorPolicy] = []
    for (i, value) in values.enumerated() {
      let at = parent.field("request_mirror_policies").index(i)
      guard value.cluster.isEmpty != value.clusterHeader.isEmpty else {
        throw fail(at, "needs exactly one of cluster, cluster_header")
      }
      var policy = MirrorPolicy(cluster: value.cluster)
      policy.clusterHeader = try headText(value.clusterHeader, at.field("cluster_header"))
      if let fraction = value.runtimeFraction {
        policy.fraction = try runtimeFraction(fraction, at.field("runtime_fraction"))
      }
      policy.disableShadowHostSuffix = value.disableShadowHostSuffixAppend
      policy.hostRewriteLiteral = try headText(value.hostRewriteLiteral, at.field("host_rewrite_literal"))
      // Nothing is traced yet, and false asks for nothing else.
      unsupported(value.traceSampled?.value ?? false, at, "trace_sampled")
      out.append(policy)
    }
    return out
  }

  func weighted(_ value: Envoy_Config_Route_V3_WeightedCluster, _ at: FieldPath) throws(ConfigError)
    -> WeightedClusters
  {
    guard !value.clusters.isEmpty else { throw fail(at.field("clusters"), "needs at least one cluster") }
    var out = WeightedClusters([])
    out.runtimeKeyPrefix = value.runtimeKeyPrefix
    for (i, entry) in value.clusters.enumerated() {
      let path = at.field("clusters").index(i)
      guard entry.name.isEmpty != entry.clusterHeader.isEmpty else {
        throw fail(path, "needs exactly one of name, cluster_header")
      }
      var converted = WeightedClusters.Entry(name: entry.name, weight: entry.weight?.value ?? 0)
      converted.header = try headText(entry.clusterHeader, path.field("cluster_header"))
      converted.headers.request = try mutations(
        add: entry.requestHeadersToAdd, remove: entry.requestHeadersToRemove, path, "request")
      converted.headers.response = try mutations(
        add: entry.responseHeadersToAdd, remove: entry.responseHeadersToRemove, path, "response")
      if case .hostRewriteLiteral(let host)? = entry.hostRewriteSpecifier {
        converted.hostRewriteLiteral = try headText(host, path.field("host_rewrite_literal"))
      }
      unsupported(entry.metadataMatch != nil, path, "metadata_match")
      converted.filters = try filterOverrides(entry.typedPerFilterConfig, path)
      out.entries.append(converted)
    }
    try out.checkWeights(at)
    if case .headerName(let name)? = value.randomValueSpecifier {
      out.randomValueHeader = name
      unsupported(true, at, "header_name")
    }
    if case .useHashPolicy? = value.randomValueSpecifier { unsupported(true, at, "use_hash_policy") }
    return out
  }

  private func redirect(_ value: Envoy_Config_Route_V3_RedirectAction, _ at: FieldPath) throws(ConfigError) -> Redirect
  {
    var out = Redirect()
    switch value.schemeRewriteSpecifier {
    case .httpsRedirect(let flag): out.https = flag
    case .schemeRedirect(let scheme): out.scheme = try headText(scheme, at.field("scheme_redirect"))
    case nil: break
    }
    out.host = try headText(value.hostRedirect, at.field("host_redirect"))
    guard value.portRedirect <= 65_535 else {
      throw fail(at.field("port_redirect"), "must be 0 to 65535, is \(value.portRedirect)")
    }
    out.port = UInt16(value.portRedirect)
    switch value.pathRewriteSpecifier {
    case .pathRedirect(let path): out.path = .path(try headText(path, at.field("path_redirect")))
    case .prefixRewrite(let prefix): out.path = .prefix(try headText(prefix, at.field("prefix_rewrite")))
    case .regexRewrite(let regex): out.path = .regex(try rewrite(regex, at.field("regex_rewrite")))
    case nil: break
    }
    switch value.responseCode {
    case .movedPermanently: out.status = 301
    case .found: out.status = 302
    case .seeOther: out.status = 303
    case .temporaryRedirect: out.status = 307
    case .permanentRedirect: out.status = 308
    default:
      throw fail(at.field("response_code"), "must be one of the five redirect codes, is \(value.responseCode.name)")
    }
    out.stripQuery = value.stripQuery
    return out
  }

  private func hashPolicy(_ value: Envoy_Config_Route_V3_RouteAction.HashPolicy, _ at: FieldPath) throws(ConfigError)
    -> HashPolicy?
  {
    let source: HashPolicy.Source
    switch value.policySpecifier {
    case .header(let header):
      source = .header(
        name: try headText(
          try required(header.headerName, at.field("header").field("header_name")),
          at.field("header").field("header_name")),
        rewrite: try header.regexRewrite.map { (r) throws(ConfigError) in
          try rewrite(r, at.field("header").field("regex_rewrite"))
        })
    case .cookie(let cookie): source = try self.cookie(cookie, at.field("cookie"))
    case .connectionProperties(let properties):
      // Without it the policy hashes nothing.
      guard properties.sourceIp else { return nil }
      source = .sourceIP
    case .queryParameter(let parameter):
      source = .queryParameter(try required(parameter.name, at.field("query_parameter").field("name")))
    case .filterState: throw fail(at.field("filter_state"), "is not supported: nothing sets filter state")
    case nil: throw fail(at, "needs one of header, cookie, connection_properties, query_parameter")
    }
    return HashPolicy(source, terminal: value.terminal)
  }

  private func cookie(
    _ value: Envoy_Config_Route_V3_RouteAction.HashPolicy.Cookie, _ at: FieldPath
  ) throws(ConfigError) -> HashPolicy.Source {
    // All of it becomes part of a field of the answer.
    let name = try headText(try required(value.name, at.field("name")), at.field("name"))
    var attributes: [HashPolicy.CookieAttribute] = []
    for (i, attribute) in value.attributes.enumerated() {
      let path = at.field("attributes").index(i)
      attributes.append(
        HashPolicy.CookieAttribute(
          name: try headText(try required(attribute.name, path.field("name")), path.field("name")),
          value: try headText(attribute.value, path.field("value"))))
    }
    return .cookie(
      name: name, path: try headText(value.path, at.field("path")), ttl: try duration(value.ttl, at.field("ttl")),
      attributes: attributes)
  }

  /// *Errors*: an upgrade that is configured twice: which of the two holds?
  func differ(_ upgrades: [String], _ at: FieldPath) throws(ConfigError) {
    var known: Set<String> = []
    for (i, type) in upgrades.enumerated() where !known.insert(type.lowercased()).inserted {
      throw fail(at.index(i).field("upgrade_type"), "is configured twice: \"\(type)\"")
    }
  }

  private func retryPriority(
    _ value: Envoy_Config_Route_V3_RetryPolicy.RetryPriority, _ at: FieldPath
  ) throws(ConfigError) -> ExtensionConfig {
    guard case .typedConfig(let any)? = value.configType else {
      throw unregistered(value.name, "", known: extensions.retryPriorities.values, at)
    }
    let path = at.field("typed_config")
    let config = try extensionConfig(any, path)
    guard extensions.hasRetryPriority(config.typeName) else {
      throw unregistered(value.name, config.typeName, known: extensions.retryPriorities.values, path)
    }
    return config
  }

  func retryPolicy(_ value: Envoy_Config_Route_V3_RetryPolicy, _ at: FieldPath) throws(ConfigError) -> RetryPolicy {
    let (conditions, unknown) = RetryPolicy.Conditions.parse(value.retryOn)
    for word in unknown { warn(at.field("retry_on"), "\"\(word)\" is no known condition and has no effect") }
    var out = RetryPolicy(retryOn: conditions)
    out.maxRetries = value.numRetries?.value ?? 1
    out.perTryTimeout = try timeout(value.perTryTimeout, at.field("per_try_timeout"), default: nil)
    out.perTryIdleTimeout = try timeout(value.perTryIdleTimeout, at.field("per_try_idle_timeout"), default: nil)
    for (i, status) in value.retriableStatusCodes.enumerated() {
      guard (100..<600).contains(status) else {
        throw fail(at.field("retriable_status_codes").index(i), "must be 100 to 599, is \(status)")
      }
      out.retriableStatusCodes.append(UInt16(status))
    }
    out.retriableHeaders = try headers(value.retriableHeaders, at.field("retriable_headers"))
    out.retriableRequestHeaders = try headers(value.retriableRequestHeaders, at.field("retriable_request_headers"))
    if let backoff = value.retryBackOff {
      let path = at.field("retry_back_off")
      guard backoff.baseInterval != nil else { throw fail(path.field("base_interval"), "is required") }
      out.backoffIsDefault = false
      out.backoffBase = try positive(backoff.baseInterval, path.field("base_interval"), default: .milliseconds(25))
      out.backoffMax = try positive(backoff.maxInterval, path.field("max_interval"), default: out.backoffBase * 10)
      guard out.backoffMax >= out.backoffBase else {
        throw fail(path.field("max_interval"), "must be greater than or equal to the base_interval")
      }
    }
    if let limited = value.rateLimitedRetryBackOff {
      let path = at.field("rate_limited_retry_back_off")
      guard !limited.resetHeaders.isEmpty else { throw fail(path.field("reset_headers"), "needs at least one header") }
      var backoff = RetryPolicy.RateLimitedBackoff(resetHeaders: [])
      for (i, header) in limited.resetHeaders.enumerated() {
        backoff.resetHeaders.append(
          RetryPolicy.RateLimitedBackoff.ResetHeader(
            name: try required(header.name, path.field("reset_headers").index(i).field("name")),
            format: header.format == .unixTimestamp ? .unixTimestamp : .seconds))
      }
      backoff.maxInterval = try positive(limited.maxInterval, path.field("max_interval"), default: .seconds(300))
      out.rateLimitedBackoff = backoff
    }
    for (i, predicate) in value.retryHostPredicate.enumerated() {
      let path = at.field("retry_host_predicate").index(i)
      var name = predicate.name
      if case .typedConfig(let any)? = predicate.configType {
        name = Self.typeName(any.typeUrl)
        nameOnly(any, path.field("typed_config"))
      }
      switch name {
      case "envoy.retry_host_predicates.previous_hosts",
        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate":
        out.avoidPreviousHosts = true
      case "envoy.retry_host_predicates.omit_canary_hosts",
        "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate":
        out.omitCanaryHosts = true
      default: throw unregistered(predicate.name, name, path)
      }
    }
    // More selections than a worker may spend on one retry change next to nothing.
    out.hostSelectionMaxAttempts = UInt32(min(Self.mostHostSelections, max(1, value.hostSelectionRetryMaxAttempts)))
    out.priority = try value.retryPriority.map { (p) throws(ConfigError) in
      try retryPriority(p, at.field("retry_priority"))
    }
    unsupported(!value.retryOptionsPredicates.isEmpty, at, "retry_options_predicates")
    return out
  }
}
