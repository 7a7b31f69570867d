package import WeftBase

/// A named group of endpoints and how to reach them.
package struct Cluster: Hashable, Sendable {
  package enum Discovery: Hashable, Sendable {
    case fixed
    /// Every address of every name is a host.
    case strictDNS
    /// One host, whose address is whatever the name gives for the next connection.
    case logicalDNS
    case eds(serviceName: String, source: ConfigSource)
    /// The address the connection was going to.
    case originalDestination(useHTTPHeader: Bool, headerName: String, cleanupInterval: Duration)
  }
  package enum DNSFamily: Hashable, Sendable { case auto, v4Only, v6Only, v4Preferred, all }
  /// What is spoken to the endpoints.
  package enum UpstreamProtocol: Hashable, Sendable {
    case http1, http2
    /// HTTP/2 where ALPN agrees on it, else HTTP/1.1.
    case automatic
    /// The version the downstream request came in.
    case useDownstream
  }

  package var name: String
  /// Name in the statistics; `name` when empty.
  package var altStatName = ""
  package var discovery: Discovery
  /// What formats may ask of the cluster's metadata, by its path: `namespace:key`.
  package var metadata: [String: String] = [:]
  package var loadBalancing = LoadBalancing()
  /// Endpoints of `fixed` and DNS clusters.
  package var loadAssignment: LoadAssignment
  package var connectTimeout: Duration = .seconds(5)
  package var perConnectionBufferLimitBytes: UInt32 = 1 << 20
  package var circuitBreakers = CircuitBreakers()
  package var outlierDetection: OutlierDetection?
  package var tls: UpstreamTLSContext?
  package var upstreamProtocol: UpstreamProtocol = .http1
  package var http2 = HTTP2Options()
  /// Where copies of its requests go, whatever their routes say; empty: as those say.
  package var mirrors: [MirrorPolicy] = []
  /// In front of the endpoints, without the codec that ends them.
  package var filters: [ConfiguredFilter] = []

  package var idleTimeout: Duration? = .seconds(3600)
  package var maxConnectionDuration: Duration?
  package var maxRequestsPerConnection: UInt32?
  package var maxResponseHeadersBytes: UInt32 = 60 * 1024
  package var autoSNI = false
  package var autoSANValidation = false
  /// The request header that takes the place of the authority in both; empty: none.
  package var autoSNIHeader = ""

  package var dnsRefreshRate: Duration = .seconds(5)
  package var dnsFailureRefreshBase: Duration?
  package var dnsFailureRefreshMax: Duration?
  package var respectDNSTTL = false
  package var dnsFamily: DNSFamily = .auto
  /// nil: the system's.
  package var dnsResolver: DNSResolver?

  /// Where its connections come from; nil: wherever the kernel says.
  package var binding: UpstreamBinding?
  package var tcpKeepalive: TCPKeepalive?
  /// The header that each of its connections begins with.
  package var proxyProtocol: ProxyProtocolHeaderSettings?
  package var healthChecks: [HealthCheck] = []
  package var trackTimeoutBudgets = false

  package init(name: String, discovery: Discovery = .fixed) {
    self.name = name
    self.discovery = discovery
    self.loadAssignment = LoadAssignment(clusterName: name)
  }

  /// The name under which statistics are kept.
  package var statName: String { altStatName.isEmpty ? name : altStatName }
}

/// Who is asked for the names of a DNS cluster, and how.
package struct DNSResolver: Hashable, Sendable {
  /// IP addresses and ports; empty: those of the system.
  package var servers: [Address] = []
  package var usesTCP = false
  /// Whether the system's search domains are tried.
  package var searches = true
  /// Of the first try; later ones wait longer. nil: the default.
  package var timeout: Duration?
  package var tries: UInt32?
  package init() {}
}

/// Our own side of connections to endpoints.
package struct UpstreamBinding: Hashable, Sendable {
  /// The address to connect from.
  package var address: Address?
  /// The one for endpoints of the other family.
  package var otherAddress: Address?
  /// Whether the machine need not have the address yet.
  package var freebind = false
  package var socketOptions: [SocketOption] = []
  package init() {}
}

/// The PROXY protocol header that connections to endpoints begin with.
package struct ProxyProtocolHeaderSettings: Hashable, Sendable {
  package enum Version: UInt8, Hashable, Sendable { case text = 1, binary = 2 }
  /// An extension (TLV) of the header.
  package struct Extension: Hashable, Sendable {
    package var type: UInt8
    package var value: [UInt8]
    package init(type: UInt8, value: [UInt8]) {
      self.type = type
      self.value = value
    }
  }

  package var version = Version.text
  /// Extensions that came with the client's own header and are passed on.
  package var passed = ExtensionTypes()
  /// Those that each header has, whatever the client's had of their types.
  package var added: [Extension] = []
  package init() {}
}

/// Which types of extensions of a PROXY protocol header are meant.
package enum ExtensionTypes: Hashable, Sendable {
  case all
  case some(Set<UInt8>)

  package init() { self = .some([]) }

  package func contains(_ type: UInt8) -> Bool {
    switch self {
    case .all: true
    case .some(let types): types.contains(type)
    }
  }
}

/// How a host is chosen.
package struct LoadBalancing: Hashable, Sendable {
  package enum Policy: Hashable, Sendable {
    /// An extension chooses.
    case balancer(ExtensionConfig)
    /// Hosts come with connections.
    case clusterProvided

    /// A policy of Envoy's, by the folder and its message; empty bytes are its defaults.
    private static func policy(_ folder: String, _ message: String, _ bytes: [UInt8] = []) -> Policy {
      .balancer(
        ExtensionConfig(typeName: "envoy.extensions.load_balancing_policies.\(folder).v3.\(message)", message: bytes))
    }
    package static var roundRobin: Policy { policy("round_robin", "RoundRobin") }
    package static var leastRequest: Policy { policy("least_request", "LeastRequest") }
    package static var random: Policy { policy("random", "Random") }
    package static var ringHash: Policy { policy("ring_hash", "RingHash") }
    package static var maglev: Policy { policy("maglev", "Maglev") }
  }
  package struct SlowStart: Hashable, Sendable {
    package var window: Duration
    package var aggression = 1.0
    package var minimumWeightPercent = 10.0
    package init(window: Duration) { self.window = window }
  }
  package var policy: Policy = .roundRobin
  /// Where it stands in the cluster, to name what is wrong with it.
  package var policyPath = FieldPath().field("lb_policy")
  package var slowStart: SlowStart?
  /// Below this share of healthy hosts the whole priority is used; 0 never does.
  package var panicThresholdPercent = 50.0
  package var failTrafficOnPanic = false
  package var localityWeighted = false
  package var zoneAware: ZoneAware?
  /// Changes of hosts' health, weight and metadata that come within this time of the last change wait until it is over; zero: none waits.
  package var updateMergeWindow = Duration.seconds(1)
  package struct ZoneAware: Hashable, Sendable {
    package var routingEnabledPercent = 100.0
    package var minimumClusterSize: UInt64 = 6
    package var failTrafficOnPanic = false
    package init() {}
  }
  package init() {}
}

/// An active health check.
package struct HealthCheck: Hashable, Sendable {
  package enum Checker: Hashable, Sendable {
    case http(path: String, host: String, expectedStatuses: [Range<UInt16>])
    case tcp(send: [UInt8], receive: [[UInt8]])
    case grpc(serviceName: String, authority: String)
  }
  package var checker: Checker
  package var timeout: Duration
  package var interval: Duration
  package var unhealthyThreshold: UInt32
  package var healthyThreshold: UInt32
  package var noTrafficInterval: Duration = .seconds(60)
  package init(
    checker: Checker, timeout: Duration, interval: Duration, unhealthyThreshold: UInt32, healthyThreshold: UInt32
  ) {
    self.checker = checker
    self.timeout = timeout
    self.interval = interval
    self.unhealthyThreshold = unhealthyThreshold
    self.healthyThreshold = healthyThreshold
  }
}
