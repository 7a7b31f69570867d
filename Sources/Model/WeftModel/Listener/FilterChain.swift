/// Network filters for the connections that match, optionally behind TLS.
package struct FilterChain: Hashable, Sendable {
  package var name: String
  package var match = FilterChainMatch()
  package var filters: [ConfiguredNetworkFilter] = []
  /// `nil` takes the bytes as they are.
  package var tls: DownstreamTLSContext?
  /// Limit of the downstream handshake; `nil` is unlimited.
  package var transportSocketConnectTimeout: Duration?

  package init(name: String = "") { self.name = name }
}

/// Which connections a chain takes. Empty members match everything; the most specific chain wins step by step, in the
/// order of the members.
package struct FilterChainMatch: Hashable, Sendable {
  package enum SourceType: UInt8, Hashable, Sendable { case any, sameIPOrLoopback, external }

  package var destinationPort: UInt16?
  package var destinationPrefixes: [CIDRRange] = []
  /// Exact names or `*.suffix`.
  package var serverNames: [String] = []
  /// `raw_buffer` or `tls`; empty matches any.
  package var transportProtocol = ""
  package var applicationProtocols: [String] = []
  package var directSourcePrefixes: [CIDRRange] = []
  package var sourceType: SourceType = .any
  package var sourcePrefixes: [CIDRRange] = []
  package var sourcePorts: [UInt16] = []

  package init() {}
}

/// What a connection goes through; the last one of a chain is terminal.
package enum ConfiguredNetworkFilter: Hashable, Sendable {
  case httpConnectionManager(HTTPConnectionManager)
  case tcpProxy(TCPProxy)
  /// An extension's.
  case filter(ExtensionConfig)
}

/// The filters that end a chain and are the engine's own.
package enum TerminalNetworkFilter: String, CaseIterable, Sendable {
  case dubboProxy = "envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy"
  case httpConnectionManager =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
  case tcpProxy = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"

  /// Envoy's canonical name.
  package var name: String {
    switch self {
    case .dubboProxy: "envoy.filters.network.dubbo_proxy"
    case .httpConnectionManager: "envoy.filters.network.http_connection_manager"
    case .tcpProxy: "envoy.filters.network.tcp_proxy"
    }
  }

  /// Their messages, each with the filter's canonical name.
  package static let known = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0.name) })
}

/// A token bucket as it was configured.
package struct TokenBucketSettings: Hashable, Sendable {
  package var maximum: UInt32
  package var tokensPerFill: UInt32
  package var fillInterval: Duration

  package init(maximum: UInt32, tokensPerFill: UInt32, fillInterval: Duration) {
    self.maximum = maximum
    self.tokensPerFill = tokensPerFill
    self.fillInterval = fillInterval
  }
}

/// Relays bytes to a cluster.
package struct TCPProxy: Hashable, Sendable {
  package var statPrefix: String
  package var cluster: ClusterChoice
  /// Closes when no byte moved for this long; `nil` never does.
  package var idleTimeout: Duration? = .seconds(3600)
  package var maxDownstreamConnectionDuration: Duration?
  package var maxConnectAttempts: UInt32 = 1
  /// Balancing by hash takes the client's address.
  package var hashesSource = false
  package var accessLogs: [AccessLog] = []
  /// A line every so often while the connection lives.
  package var accessLogFlushInterval: Duration?

  package enum ClusterChoice: Hashable, Sendable {
    case single(String)
    case weighted([Weighted])
  }
  package struct Weighted: Hashable, Sendable {
    package var name: String
    package var weight: UInt32
    package init(name: String, weight: UInt32) {
      self.name = name
      self.weight = weight
    }
  }

  package init(statPrefix: String, cluster: ClusterChoice) {
    self.statPrefix = statPrefix
    self.cluster = cluster
  }
}
