// CompiledCluster: a cluster as the engine reads it.

package import WeftBase
package import WeftHTTP
package import WeftModel
package import WeftProxyAPI
package import WeftRuntime
package import WeftTelemetry

/// A cluster of one snapshot. *Units*: time-outs in nanoseconds, 0 is off.
///
/// *Lifetimes*: pools, breakers and outlier state live in the worker's `ClusterState`, which goes on when name and `identity` are the same.
package struct CompiledCluster {
  package var config: Cluster
  package var name: ByteView
  package var metadata = ConstantTable<MetadataValue>()
  /// Where copies of its requests go, whatever their routes say.
  package var mirrors = ConstantTable<CompiledMirror>()
  /// Hash of everything a connection depends on: protocol, TLS, options. A change means new connections.
  package var identity: UInt64
  package var scope: ScopeID
  package var endpoints: [CompiledEndpoint]
  package var upstreamProtocol: Cluster.UpstreamProtocol
  package var limits: HTTPLimits
  package var options = ConnectionOptions()
  package var connectTimeout: UInt64
  package var idleTimeout: UInt64 = 0
  package var maxConnectionDuration: UInt64 = 0
  package var maxRequestsPerConnection: UInt32 = .max
  /// HTTP/2: a PING after this much silence before the next stream, how often while streams run, and how long its answer may take.
  package var pingAfterIdle: UInt64 = 0
  package var pingInterval: UInt64 = 0
  /// At most so much longer than `pingInterval`, by chance: many connections must not ping at the same time.
  package var pingJitter: UInt64 = 0
  package var pingTimeout: UInt64 = 0
  package var isOriginalDestination = false
  /// One host whose address is that of the newest answer: it counts for new connections, those that are there stay.
  package var isLogical = false
  /// ORIGINAL_DST: how long a host stays that nothing uses.
  package var cleanupInterval: UInt64 = 0
  package var security: (any UpstreamSecurity)?
  /// SNI, when not taken from the request or the endpoint.
  package var serverName = ""
  /// SNI is the endpoint's name, if it has one.
  package var sendsHostname = false
  /// SNI is the request's authority; the certificate must carry it. Either gives each authority pools of its own.
  package var sendsAuthority = false
  package var checksAuthority = false
  /// What each connection says before anything else.
  package var proxyHeader: ProxyPreface?
  /// Not every connection serves every request: any of the three.
  package var keepsApart = false
  /// The local address for endpoints of the other family than that of `options.bindTo`.
  package var otherBinding: SocketAddress?
  /// The header whose value takes the authority's place in both.
  package var authorityHeader = ByteView.empty
  /// Usage of the circuit breakers, shared by all workers and kept from snapshot to snapshot.
  package var breakers = CircuitBreakerState()
  package var breakerLimits = CircuitBreakerLimits()
  package var highBreakerLimits = CircuitBreakerLimits()
  /// Shared by all workers and kept from snapshot to snapshot; nil when there is no detection.
  package var outlier: OutlierMonitor?
  /// Keep the cells of `endpoints` for those who still use this cluster when its hosts have changed.
  package var outlierBlocks: [OutlierMonitor.Block] = []
  /// Chooses hosts; nil where they come with connections.
  package var balancer: CompiledBalancer?
  /// In front of the endpoints; nil: those of the request's router, if it has any.
  package var filters: ConfigRef<HTTPFilterChain>?
  /// Where the balancer's tables are found.
  package var tables = BalancerTables()
  /// Weights by locality number, for locality-weighted balancing.
  package var localityWeights: [UInt32: UInt32] = [:]

  package init(
    config: Cluster, name: ByteView, identity: UInt64, scope: ScopeID, endpoints: [CompiledEndpoint],
    limits: HTTPLimits,
    connectTimeout: UInt64
  ) {
    self.config = config
    self.name = name
    self.identity = identity
    self.scope = scope
    self.endpoints = endpoints
    self.upstreamProtocol = config.upstreamProtocol
    self.limits = limits
    self.connectTimeout = connectTimeout
  }
}

extension BalancerHost {
  /// As it is configured.
  package init(_ endpoint: CompiledEndpoint) {
    self.init(
      weight: endpoint.weight, priority: endpoint.priority, locality: endpoint.locality,
      availability: endpoint.availability, key: endpoint.hashKey, isCanary: endpoint.isCanary)
  }
}

/// An endpoint of a compiled cluster.
package struct CompiledEndpoint {
  package var address: SocketAddress
  package var hostname: ByteView
  package var weight: UInt32
  package var priority: UInt32
  /// Position of its locality in the load assignment.
  package var locality: UInt32
  package var health: HealthStatus
  package var isCanary: Bool
  /// What balancing by hash hashes of it; empty without.
  package var hashKey = ByteView.empty
  /// Where outcomes are recorded; nil without outlier detection.
  package var outlier: OutlierMonitor.HostCells?

  /// What balancing makes of `health`.
  package var availability: HostAvailability {
    health == .degraded ? .degraded : health.isAvailable ? .healthy : .unhealthy
  }

  package init(
    address: SocketAddress, hostname: ByteView = .empty, weight: UInt32 = 1, priority: UInt32 = 0, locality: UInt32 = 0,
    health: HealthStatus = .unknown, isCanary: Bool = false
  ) {
    self.address = address
    self.hostname = hostname
    self.weight = weight
    self.priority = priority
    self.locality = locality
    self.health = health
    self.isCanary = isCanary
  }
}

/// Makes TLS sessions for connections to endpoints.
package protocol UpstreamSecurity: AnyObject, Sendable {
  /// False while a secret is missing: connections fail.
  var isReady: Bool { get }
  /// A hash of everything that connections depend on: the contents of certificates and keys, not where they came from. The same in every
  /// process.
  var identity: UInt64 { get }
  /// `serverName` is sent as SNI (empty: none). With `expected`, the server's certificate must carry that name, too, where it is checked.
  /// `protocols` are offered where the configuration names none itself.
  func makeSession(serverName: String, expecting expected: String?, protocols: UpstreamProtocols)
    -> any TransportSession
}

/// What a connection to an endpoint will speak.
package enum UpstreamProtocols: BitwiseCopyable, Sendable {
  /// Whatever the client speaks: nothing we know a name of.
  case opaque
  case http1, http2, anyHTTP

  /// Their names in ALPN, in order of preference.
  package var names: [String] {
    switch self {
    case .opaque: []
    case .http1: ["http/1.1"]
    case .http2: ["h2"]
    case .anyHTTP: ["h2", "http/1.1"]
    }
  }
}
