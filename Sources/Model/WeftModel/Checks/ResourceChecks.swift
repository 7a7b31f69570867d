package import WeftBase

/// What a resource must be before a proxy can use it, beyond its form: the checks of the strictest reader, without files, other
/// resources or I/O.
///
/// Two ask it: the data plane before it acknowledges a resource, and the control plane before it sends one, so that nothing leaves
/// which the other side would refuse. Each check is for the smallest part that can be left out by itself: a virtual host, a
/// filter chain, a cluster, an endpoint's address.
/// *Errors*: the first thing that cannot be used, with its path from the part on, spelled as in Envoy's schema.
package struct ResourceChecks: Sendable {
  /// Why a pattern is not a valid RE2 expression; nil when it is. Given, because the model has no RE2.
  private let regexProblem: @Sendable (String) -> String?
  /// Why a text is not a format string; nil when it is.
  private let formatProblem: @Sendable (String) -> String?

  package init(
    regexProblem: @escaping @Sendable (String) -> String?, formatProblem: @escaping @Sendable (String) -> String?
  ) {
    self.regexProblem = regexProblem
    self.formatProblem = formatProblem
  }

  // MARK: Routes

  /// One virtual host: its names and all its routes. What it shares with others, `DomainClaims` knows.
  package func check(_ host: VirtualHost, bodyLimit: UInt32 = .max) throws(ConfigError) {
    for (i, domain) in host.domains.enumerated() {
      try Self.checkText(domain, FieldPath().field("domains").index(i))
    }
    try check(host.headers, .root)
    if let policy = host.retryPolicy { try check(policy, FieldPath().field("retry_policy")) }
    for (i, route) in host.routes.enumerated() {
      do throws(ConfigError) { try check(route, bodyLimit: bodyLimit) } catch {
        throw error.inside(FieldPath().field("routes").index(i))
      }
    }
  }

  /// One route.
  package func check(_ route: Route, bodyLimit: UInt32 = .max) throws(ConfigError) {
    try check(route.match, FieldPath().field("match"))
    try check(route.headers, .root)
    switch route.action {
    case .forward(let action):
      do throws(ConfigError) { try check(action) } catch { throw error.inside(FieldPath().field("route")) }
    case .redirect(let redirect): try check(redirect, FieldPath().field("redirect"))
    case .respond(let response):
      guard case .inline(let bytes)? = response.body, bytes.count > Int(bodyLimit) else { return }
      throw ConfigError(
        path: FieldPath().field("direct_response").field("body"),
        "has \(bytes.count) bytes, max_direct_response_body_size_bytes allows \(bodyLimit)")
    case .nonForwarding: break
    }
  }

  private func check(_ match: RouteMatch, _ at: FieldPath) throws(ConfigError) {
    if case .regex(let pattern) = match.path { try check(regex: pattern, at.field("safe_regex").field("regex")) }
    try check(match.headers, at.field("headers"))
    for (i, parameter) in match.queryParameters.enumerated() {
      guard case .string(let matcher) = parameter.condition else { continue }
      try check(matcher, at.field("query_parameters").index(i).field("string_match"))
    }
  }

  private func check(_ matchers: [HeaderMatcher], _ at: FieldPath) throws(ConfigError) {
    for (i, matcher) in matchers.enumerated() {
      guard case .string(let text) = matcher.condition else { continue }
      try check(text, at.index(i).field("string_match"))
    }
  }

  private func check(_ matcher: StringMatcher, _ at: FieldPath) throws(ConfigError) {
    switch matcher.pattern {
    case .exact: break
    case .prefix(let text): if text.isEmpty { throw ConfigError(path: at.field("prefix"), "must not be empty") }
    case .suffix(let text): if text.isEmpty { throw ConfigError(path: at.field("suffix"), "must not be empty") }
    case .contains(let text): if text.isEmpty { throw ConfigError(path: at.field("contains"), "must not be empty") }
    case .regex(let pattern): try check(regex: pattern, at.field("safe_regex").field("regex"))
    }
  }

  private func check(_ action: RouteAction) throws(ConfigError) {
    if case .weighted(let split) = action.cluster {
      let at = FieldPath().field("weighted_clusters")
      try split.checkWeights(at)
      for (i, entry) in split.entries.enumerated() {
        let path = at.field("clusters").index(i)
        try check(entry.headers, path)
        if let host = entry.hostRewriteLiteral { try Self.checkText(host, path.field("host_rewrite_literal")) }
      }
    }
    if let prefix = action.prefixRewrite { try Self.checkText(prefix, FieldPath().field("prefix_rewrite")) }
    if let rewrite = action.regexRewrite { try check(rewrite, FieldPath().field("regex_rewrite")) }
    switch action.hostRewrite {
    case .literal(let host): try Self.checkText(host, FieldPath().field("host_rewrite_literal"))
    case .header(let name): try Self.checkText(name, FieldPath().field("host_rewrite_header"))
    case .pathRegex(let rewrite): try check(rewrite, FieldPath().field("host_rewrite_path_regex"))
    case .none, .automatic: break
    }
    if let policy = action.retryPolicy { try check(policy, FieldPath().field("retry_policy")) }
  }

  private func check(_ policy: RetryPolicy, _ at: FieldPath) throws(ConfigError) {
    try check(policy.retriableHeaders, at.field("retriable_headers"))
    try check(policy.retriableRequestHeaders, at.field("retriable_request_headers"))
  }

  private func check(_ redirect: Redirect, _ at: FieldPath) throws(ConfigError) {
    try Self.checkText(redirect.host, at.field("host_redirect"))
    try Self.checkText(redirect.scheme, at.field("scheme_redirect"))
    switch redirect.path {
    case .none: break
    case .path(let text): try Self.checkText(text, at.field("path_redirect"))
    case .prefix(let text): try Self.checkText(text, at.field("prefix_rewrite"))
    case .regex(let rewrite): try check(rewrite, at.field("regex_rewrite"))
    }
  }

  private func check(_ rewrite: RegexRewrite, _ at: FieldPath) throws(ConfigError) {
    try check(regex: rewrite.pattern, at.field("pattern").field("regex"))
    try Self.checkText(rewrite.substitution, at.field("substitution"))
  }

  private func check(_ headers: HeaderPolicies, _ at: FieldPath) throws(ConfigError) {
    for (field, changes) in [
      ("request_headers_to_add", headers.request), ("response_headers_to_add", headers.response),
    ] {
      for (i, option) in changes.add.enumerated() {
        let path = at.field(field).index(i).field("header").field("value")
        try Self.checkText(option.value, path)
        if let problem = formatProblem(option.value) {
          throw ConfigError(path: path, "value of header \(option.name): \(problem)")
        }
      }
    }
  }

  private func check(regex pattern: String, _ at: FieldPath) throws(ConfigError) {
    if let problem = regexProblem(pattern) { throw ConfigError(path: at, problem) }
  }

  /// Text that becomes a header or a part of one: nothing that ends a line.
  package static func checkText(_ text: String, _ at: FieldPath) throws(ConfigError) {
    if !HeaderText.isValue(text) {
      throw ConfigError(path: at, "must not hold line breaks or NUL")
    }
  }

  // MARK: Listeners

  /// One filter chain, by itself. What it shares with others, `FilterChainClaims` knows.
  package func check(_ chain: FilterChain) throws(ConfigError) {
    let at = FieldPath().field("filters").index(max(chain.filters.count - 1, 0)).field("typed_config")
    switch chain.filters.last {
    case nil: throw ConfigError(path: FieldPath().field("filters"), "is empty; a chain needs a terminal filter")
    case .tcpProxy(let proxy)?:
      guard case .weighted(let split) = proxy.cluster else { return }
      guard split.contains(where: { $0.weight > 0 }) else {
        throw ConfigError(
          path: at.field("weighted_clusters"), "sum of weights is 0; at least one cluster needs a weight")
      }
    case .httpConnectionManager(let manager)?:
      guard case .inline(let routes) = manager.routes else { return }
      var claims = DomainClaims()
      for (i, host) in routes.virtualHosts.enumerated() {
        do throws(ConfigError) {
          try claims.claim(host.domains)
          try check(host, bodyLimit: routes.maxDirectResponseBodyBytes)
        } catch {
          throw error.inside(at.field("route_config").field("virtual_hosts").index(i))
        }
      }
    case .filter?: break
    }
  }

  // MARK: Clusters

  /// One cluster, with the endpoints that are part of it. Those that come apart are checked address by address.
  package func check(_ cluster: Cluster) throws(ConfigError) {
    for (l, locality) in cluster.loadAssignment.localities.enumerated() {
      for (e, endpoint) in locality.endpoints.enumerated() {
        let at = FieldPath().field("load_assignment").field("endpoints").index(l).field("lb_endpoints").index(e)
          .field("endpoint").field("address")
        if cluster.discovery == .strictDNS || cluster.discovery == .logicalDNS, case .socket = endpoint.address {
          continue
        }
        try Self.checkLiteral(endpoint.address, at)
      }
    }
    if let tls = cluster.tls {
      let at = FieldPath().field("transport_socket").field("typed_config").field("sni")
      try Self.checkText(tls.sni, at)
      guard tls.sni.utf8.count <= 255 else { throw ConfigError(path: at, "must not be longer than 255 bytes") }
    }
  }

  // MARK: Addresses

  /// Bytes that the path of a Unix socket may have: what `sockaddr_un` holds, beside the final NUL.
  package static let longestSocketPath = 107

  /// An address without a name to resolve: for listeners, and for clusters that resolve nothing.
  package static func checkLiteral(_ address: Address, _ at: FieldPath) throws(ConfigError) {
    switch address {
    case .socket(let host, _):
      guard IPText.parse(host) != nil else {
        throw ConfigError(
          path: at.field("socket_address").field("address"), "malformed IP address: \(host); an IP literal is needed")
      }
    case .pipe(let path): try checkSocketPath(path, at.field("pipe").field("path"))
    case .internalListener:
      throw ConfigError(path: at.field("envoy_internal_address"), "internal listeners are not supported")
    }
  }

  package static func checkSocketPath(_ path: String, _ at: FieldPath) throws(ConfigError) {
    guard path.utf8.count <= longestSocketPath else {
      throw ConfigError(
        path: at, "\"\(path)\" is longer than a socket path may be (\(longestSocketPath) bytes)")
    }
  }
}

extension WeightedClusters {
  /// *Errors*: shares that cannot be drawn: their sum must be 1 to 2^32 - 1.
  package func checkWeights(_ at: FieldPath) throws(ConfigError) {
    guard totalWeight > 0 else {
      throw ConfigError(path: at, "sum of weights is 0; at least one cluster needs a weight of 1 or more")
    }
    guard totalWeight <= UInt64(UInt32.max) else {
      throw ConfigError(path: at, "sum of weights is \(totalWeight), at most \(UInt32.max) is allowed")
    }
  }
}
