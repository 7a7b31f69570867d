/// Turns a connection's bytes into requests and routes them.
package struct HTTPConnectionManager: Hashable, Sendable {
  package enum Codec: Hashable, Sendable { case auto, http1, http2 }
  package enum Routes: Hashable, Sendable {
    case inline(RouteConfiguration)
    case discovered(name: String, source: ConfigSource)
  }
  package enum ServerHeader: Hashable, Sendable { case overwrite, appendIfAbsent, passThrough }
  package enum EscapedSlashes: Hashable, Sendable {
    case keepUnchanged, reject, unescapeAndRedirect, unescapeAndForward
  }
  package enum Underscores: Hashable, Sendable { case allow, reject, dropHeader }
  package enum PortStripping: Hashable, Sendable { case none, matching, any }
  package enum ForwardClientCertificate: Hashable, Sendable {
    case sanitize, forwardOnly, appendForward, sanitizeSet, alwaysForwardOnly
  }

  package var statPrefix: String
  package var codec: Codec = .auto
  /// The protocol that is spoken instead of HTTP: what stands in front of the manager in the chain.
  package var protocolCodec: ExtensionConfig?
  package var routes: Routes
  package var filters: [ConfiguredFilter] = []
  package var http1 = HTTP1Options()
  package var http2 = HTTP2Options()
  /// CONNECT with a protocol (RFC 8441) is announced and taken.
  package var allowConnect = false

  // Time-outs; `nil` means none.
  package var streamIdleTimeout: Duration? = .seconds(300)
  package var requestTimeout: Duration?
  package var requestHeadersTimeout: Duration?
  package var drainTimeout: Duration = .seconds(5)
  package var delayedCloseTimeout: Duration? = .seconds(1)
  package var idleTimeout: Duration? = .seconds(3600)
  package var maxConnectionDuration: Duration?
  package var maxStreamDuration: Duration?

  // Limits.
  package var maxRequestHeadersBytes: UInt32 = 60 * 1024
  package var maxHeadersCount: UInt32 = 100
  package var maxRequestsPerConnection: UInt32?

  // Addresses and identity.
  package var useRemoteAddress = false
  package var trustedHopsXFF: UInt32 = 0
  package var skipXFFAppend = false
  package var internalAddressRanges: [CIDRRange] = []
  package var forwardClientCertificate: ForwardClientCertificate = .sanitize
  package var setClientCertificateDetails = ClientCertificateDetails()

  // Headers and paths.
  package var serverName = "envoy"
  package var serverHeader: ServerHeader = .overwrite
  package var via = ""
  package var generateRequestID = true
  package var preserveExternalRequestID = false
  package var alwaysSetRequestIDInResponse = false
  package var addUserAgent = false
  package var normalizePath = false
  package var mergeSlashes = false
  package var escapedSlashes: EscapedSlashes = .keepUnchanged
  package var underscores: Underscores = .allow
  package var portStripping: PortStripping = .none
  package var stripTrailingHostDot = false
  package var proxy100Continue = false
  /// `websocket`, `CONNECT`, …; in lower case.
  package var upgrades: [UpgradeConfiguration] = []

  package var accessLogs: [AccessLog] = []
  package var accessLogFlushInterval: Duration?
  package var accessLogOnNewRequest = false

  package init(statPrefix: String, routes: Routes) {
    self.statPrefix = statPrefix
    self.routes = routes
  }
}

/// Parts of the client's certificate that go into `x-forwarded-client-cert`.
package struct ClientCertificateDetails: Hashable, Sendable {
  package var subject = false
  package var certificate = false
  package var chain = false
  package var dns = false
  package var uri = false
  package init() {}
}

/// A protocol that a request may ask to switch to.
package struct UpgradeConfiguration: Hashable, Sendable {
  package var type: String
  package var enabled: Bool
  /// A route's CONNECT ends here: its bytes go on as TCP (`connect_config`).
  package var terminates: Bool
  /// A connection manager's: the filters of such requests, the router last; nil: those of all others.
  package var filters: [ConfiguredFilter]?
  package init(
    type: String, enabled: Bool = true, terminates: Bool = false, filters: [ConfiguredFilter]? = nil
  ) {
    self.type = type
    self.enabled = enabled
    self.terminates = terminates
    self.filters = filters
  }
}

/// A filter of the HTTP chain. The router ends every chain.
package struct ConfiguredFilter: Hashable, Sendable {
  package enum Configuration: Hashable, Sendable {
    case router(RouterOptions)
    case filter(ExtensionConfig)
  }
  /// As configured: routes name the filter by it.
  package var name: String
  package var configuration: Configuration
  /// Off, except for routes that turn it on.
  package var isDisabled = false
  package init(name: String, _ configuration: Configuration) {
    self.name = name
    self.configuration = configuration
  }
}

package struct RouterOptions: Hashable, Sendable {
  package var suppressEnvoyHeaders = false
  package var respectExpectedRequestTimeout = false
  /// In front of the endpoints of clusters that have none of their own, without the codec that ends them.
  package var upstreamFilters: [ConfiguredFilter] = []
  package init() {}
}

/// HTTP/1 settings of a listener. To clusters none of them means anything.
package struct HTTP1Options: Hashable, Sendable {
  package var allowAbsoluteURL = true
  /// Weft answers HTTP/1.0 unless told otherwise.
  package var acceptHTTP10 = true
  package var defaultHostForHTTP10 = ""
  package var enableTrailers = false
  package init() {}
}

/// HTTP/2 settings of one side: both sides read each of them.
package struct HTTP2Options: Hashable, Sendable {
  package var hpackTableBytes: UInt32 = 4096
  package var maxConcurrentStreams: UInt32 = 1024
  package var initialStreamWindowBytes: UInt32 = 16 << 20
  package var initialConnectionWindowBytes: UInt32 = 24 << 20
  package var maxOutboundControlFrames: UInt32 = 1_000
  package var maxConsecutiveEmptyFrames: UInt32 = 1
  package var keepalive: Keepalive?

  package struct Keepalive: Hashable, Sendable {
    /// Time between PINGs; `nil` sends none on a timer.
    package var interval: Duration?
    package var timeout: Duration
    package var intervalJitterPercent = 15.0
    /// Ping before the first stream after this much silence.
    package var connectionIdleInterval: Duration?
    package init(interval: Duration? = nil, timeout: Duration) {
      self.interval = interval
      self.timeout = timeout
    }
  }
  package init() {}
}
