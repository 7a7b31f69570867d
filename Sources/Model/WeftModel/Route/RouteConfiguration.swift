/// Which request goes where: virtual hosts by `Host`/`:authority`, each with an ordered list of routes.
package struct RouteConfiguration: Hashable, Sendable {
  package var name: String
  package var virtualHosts: [VirtualHost] = []
  package var headers = HeaderPolicies()
  /// Headers that outsiders may not set.
  package var internalOnlyHeaders: [String] = []
  /// Refuse a table that names a cluster which does not exist.
  package var validateClusters = false
  /// For requests whose virtual host and route name none.
  package var mirrors: [MirrorPolicy] = []
  package var mostSpecificHeaderMutationsWin = false
  package var maxDirectResponseBodyBytes: UInt32 = 4096
  package var ignorePortInHostMatching = false
  /// Routes see paths without the `;parameters` of their segments.
  package var ignorePathParameters = false
  /// By the filter's name.
  package var filters: [String: FilterOverride] = [:]
  package init(name: String) { self.name = name }
}

/// Routes for a set of domains: `a.com`, `*.a.com`, `a.*`, or `*`.
package struct VirtualHost: Hashable, Sendable {
  package enum TLSRequirement: Hashable, Sendable { case none, externalOnly, all }
  package var name: String
  package var domains: [String]
  package var routes: [Route] = []
  package var tlsRequirement: TLSRequirement = .none
  package var headers = HeaderPolicies()
  package var retryPolicy: RetryPolicy?
  /// For routes that say nothing of it.
  package var hedgesOnPerTryTimeout = false
  /// For requests whose route names none.
  package var mirrors: [MirrorPolicy] = []
  package var includeRequestAttemptCount = false
  package var includeAttemptCountInResponse = false
  package var includeIsTimeoutRetryHeader = false
  package var perRequestBufferLimitBytes: UInt32?
  /// By the filter's name.
  package var filters: [String: FilterOverride] = [:]
  package init(name: String, domains: [String]) {
    self.name = name
    self.domains = domains
  }
}

/// A condition and what to do when it holds.
package struct Route: Hashable, Sendable {
  package enum Action: Hashable, Sendable {
    case forward(RouteAction)
    case redirect(Redirect)
    case respond(DirectResponse)
    /// Handled by the proxy itself; a request that arrives here has no destination.
    case nonForwarding
  }
  package var name = ""
  package var match: RouteMatch
  package var action: Action
  package var headers = HeaderPolicies()
  /// What formats may ask of the route's metadata, by its path: `namespace:key`.
  package var metadata: [String: String] = [:]
  package var perRequestBufferLimitBytes: UInt32?
  /// By the filter's name.
  package var filters: [String: FilterOverride] = [:]
  package init(match: RouteMatch, action: Action) {
    self.match = match
    self.action = action
  }
}

/// When a route applies: every member must hold.
package struct RouteMatch: Hashable, Sendable {
  package enum Path: Hashable, Sendable {
    /// Bytes at the start of the path: `/api` matches `/apidev`.
    case prefix(String)
    case exact(String)
    /// Whole segments: `/api` matches `/api` and `/api/x`, not `/apidev`.
    case separatedPrefix(String)
    /// RE2 over the whole path without its query.
    case regex(String)
    /// A CONNECT request.
    case connect
  }
  package struct TLS: Hashable, Sendable {
    package var presented: Bool?
    package var validated: Bool?
    package init(presented: Bool? = nil, validated: Bool? = nil) {
      self.presented = presented
      self.validated = validated
    }
  }
  package var path: Path
  /// Has no effect on `regex`.
  package var caseSensitive = true
  package var runtimeFraction: RuntimeFraction?
  package var headers: [HeaderMatcher] = []
  package var queryParameters: [QueryParameterMatcher] = []
  /// Only requests whose content type is gRPC's.
  package var grpc = false
  package var tls: TLS?
  package init(_ path: Path) { self.path = path }
}
