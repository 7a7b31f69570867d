/// An address that accepts connections, and what becomes of them.
package struct Listener: Hashable, Sendable {
  package enum TrafficDirection: Hashable, Sendable { case unspecified, inbound, outbound }

  package var name: String
  package var address: Address
  package var additionalAddresses: [Address] = []
  /// Prefix of the statistics; the address when empty.
  package var statPrefix = ""
  package var filterChains: [FilterChain] = []
  package var defaultFilterChain: FilterChain?
  package var listenerFilters: [ListenerFilter] = []
  package var listenerFiltersTimeout: Duration = .seconds(15)
  package var continueOnListenerFiltersTimeout = false
  /// Soft limit of what one connection may have buffered, in each direction.
  package var perConnectionBufferLimitBytes: UInt32 = 1 << 20
  /// Hand the connection to the listener that owns its original destination.
  package var useOriginalDestination = false
  /// `false` for a listener that only receives connections from another one.
  package var bindToPort = true
  package var transparent = false
  package var freebind = false
  package var reusePort = true
  package var tcpBacklog: UInt32?
  package var tcpFastOpenQueueLength: UInt32?
  package var tcpKeepalive: TCPKeepalive?
  package var socketOptions: [SocketOption] = []
  package var trafficDirection: TrafficDirection = .unspecified
  package var ignoreGlobalConnectionLimit = false
  package var maxConnections: UInt32?
  package var maxConnectionsToAcceptPerSocketEvent: UInt32?
  package var exactBalance = false
  /// One line per connection, whatever its filter chain logs.
  package var accessLogs: [AccessLog] = []

  package init(name: String, address: Address) {
    self.name = name
    self.address = address
  }
}

/// What looks at a connection before its filter chain is chosen.
package struct ListenerFilter: Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    case tlsInspector(TLSInspector)
    case httpInspector
    case originalDestination
    case proxyProtocol(ProxyProtocol)
  }

  package struct TLSInspector: Hashable, Sendable {
    /// Largest ClientHello; a larger one ends the connection.
    package var maximumClientHelloBytes = 16_384
    /// A broken ClientHello ends the connection, instead of being plain text.
    package var closesOnErrors = false
    package init() {}
  }

  package struct ProxyProtocol: Hashable, Sendable {
    /// Keeps the value of one type of extension (TLV).
    package struct Rule: Hashable, Sendable {
      package var type: UInt8
      package var space: String
      package var key: String
      package init(type: UInt8, space: String, key: String) {
        self.type = type
        self.space = space
        self.key = key
      }
    }

    /// Connections without a header are taken as they are.
    package var allowsRequestsWithoutHeader = false
    /// Version 1, and version 2.
    package var allowsText = true
    package var allowsBinary = true
    package var rules: [Rule] = []
    package var statPrefix = ""
    package init() {}
  }

  /// Connections that a filter has no part in.
  package indirect enum Predicate: Hashable, Sendable {
    case any
    case destinationPorts(Range<Int32>)
    case not(Predicate)
    case all([Predicate])
    case anyOf([Predicate])
  }

  package var kind: Kind
  package var disabled: Predicate?

  package init(_ kind: Kind, disabled: Predicate? = nil) {
    self.kind = kind
    self.disabled = disabled
  }
}
