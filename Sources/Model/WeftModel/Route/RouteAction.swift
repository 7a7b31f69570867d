/// Forwards to a cluster.
package struct RouteAction: Hashable, Sendable {
  package enum HostRewrite: Hashable, Sendable {
    case none
    case literal(String)
    /// The host name of the endpoint that is chosen.
    case automatic
    case header(String)
    case pathRegex(RegexRewrite)
  }
  package enum Priority: UInt8, Hashable, Sendable { case standard, high }

  package var cluster: ClusterSpecifier
  /// Status when the cluster does not exist: 503, 404 or 500.
  package var clusterNotFoundStatus: UInt16 = 503
  package var prefixRewrite: String?
  package var regexRewrite: RegexRewrite?
  package var hostRewrite: HostRewrite = .none
  package var appendXForwardedHost = false
  /// From the end of the request to the end of the response, retries included. Zero disables. `nil` was not configured:
  /// 15 s for answers, but
  /// Weft does not cut a stream that has begun to answer.
  package var timeout: Duration?
  /// Overrides the connection manager's stream idle time-out; zero disables it.
  package var idleTimeout: Duration?
  package var maxStreamDuration: Duration?
  /// Upper bound for the client's `grpc-timeout`, which is ignored when this is `nil`; zero honours it as it is.
  package var grpcTimeoutHeaderMax: Duration?
  package var grpcTimeoutHeaderOffset: Duration = .zero
  package var grpcTimeoutBounds = GRPCTimeoutBounds.stream
  package var retryPolicy: RetryPolicy?
  /// An attempt whose time (`RetryPolicy.perTryTimeout`) is over goes on beside the next one; `nil`: as the virtual host says.
  package var hedgesOnPerTryTimeout: Bool?
  package var priority: Priority = .standard
  package var hashPolicies: [HashPolicy] = []
  package var mirrors: [MirrorPolicy] = []
  package var upgrades: [UpgradeConfiguration] = []

  package static let defaultTimeout: Duration = .seconds(15)

  package init(cluster: ClusterSpecifier) { self.cluster = cluster }
}

/// How the cluster of a route is named.
package enum ClusterSpecifier: Hashable, Sendable {
  case cluster(String)
  /// The value of a request header names it.
  case header(String)
  case weighted(WeightedClusters)
}

/// A split of the requests over several clusters.
package struct WeightedClusters: Hashable, Sendable {
  package struct Entry: Hashable, Sendable {
    /// Either a cluster's name, or empty when `header` names the request header that holds it.
    package var name: String
    package var header = ""
    package var weight: UInt32
    package var headers = HeaderPolicies()
    package var hostRewriteLiteral: String?
    /// By the filter's name.
    package var filters: [String: FilterOverride] = [:]
    package init(name: String, weight: UInt32) {
      self.name = name
      self.weight = weight
    }
  }
  package var entries: [Entry]
  /// The weight of each entry is that of the runtime key `<prefix>.<its name>`, where there is one.
  package var runtimeKeyPrefix = ""
  /// Request header whose integer value replaces the random draw.
  package var randomValueHeader = ""
  package init(_ entries: [Entry]) { self.entries = entries }
  package var totalWeight: UInt64 { entries.reduce(0) { $0 + UInt64($1.weight) } }
}

/// Answers with a `Location` built from the request's.
package struct Redirect: Hashable, Sendable {
  package enum PathRewrite: Hashable, Sendable {
    case none
    case path(String)
    case prefix(String)
    case regex(RegexRewrite)
  }
  package var https = false
  package var scheme = ""
  package var host = ""
  package var port: UInt16 = 0
  package var path: PathRewrite = .none
  /// 301, 302, 303, 307 or 308.
  package var status: UInt16 = 301
  package var stripQuery = false
  package init() {}
}

/// Answers without an upstream.
package struct DirectResponse: Hashable, Sendable {
  package var status: UInt16
  package var body: DataSource?
  package init(status: UInt16, body: DataSource? = nil) {
    self.status = status
    self.body = body
  }
}

/// What of a request feeds the hash of consistent balancing.
package struct HashPolicy: Hashable, Sendable {
  package enum Source: Hashable, Sendable {
    case header(name: String, rewrite: RegexRewrite?)
    /// With `ttl`, a request that has no such cookie is given one; zero: until the client ends.
    case cookie(name: String, path: String, ttl: Duration?, attributes: [CookieAttribute])
    case sourceIP
    case queryParameter(String)
  }
  package struct CookieAttribute: Hashable, Sendable {
    package var name: String
    package var value: String
    package init(name: String, value: String) { (self.name, self.value) = (name, value) }
  }
  package var source: Source
  /// Stop once this policy has produced a hash.
  package var terminal: Bool
  package init(_ source: Source, terminal: Bool = false) {
    self.source = source
    self.terminal = terminal
  }
}

/// Sends a copy of the request whose answer is thrown away.
package struct MirrorPolicy: Hashable, Sendable {
  /// Either a cluster's name, or empty when `clusterHeader` names the request header that holds it.
  package var cluster: String
  package var clusterHeader = ""
  package var fraction: RuntimeFraction
  /// The copy's authority has no `-shadow` behind its name.
  package var disableShadowHostSuffix = false
  /// The copy's authority; empty: the request's own.
  package var hostRewriteLiteral = ""
  package init(cluster: String, fraction: RuntimeFraction = RuntimeFraction(FractionalPercent(100))) {
    self.cluster = cluster
    self.fraction = fraction
  }
}

/// What a client's `grpc-timeout` limits.
package enum GRPCTimeoutBounds: Sendable, Hashable {
  /// The request, as the route's time-out, which it replaces (`max_grpc_timeout`).
  case request
  /// The stream, as its longest life (`grpc_timeout_header_max`).
  case stream
}
