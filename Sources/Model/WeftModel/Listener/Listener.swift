package import WeftBase

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
  package var listenerFilters: [ConfiguredListenerFilter] = []
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

extension Listener {
  /// The chains and, last, the default chain.
  package var allChains: [FilterChain] { filterChains + (defaultFilterChain.map { [$0] } ?? []) }

  /// The field that a chain stands in, by its number among all.
  package func path(ofChain index: Int) -> FieldPath {
    index < filterChains.count
      ? FieldPath().field("filter_chains").index(index) : FieldPath().field("default_filter_chain")
  }

  /// The connection manager of a chain, its last filter.
  package func path(ofManagerIn chain: Int) -> FieldPath {
    path(ofChain: chain).field("filters").index(allChains[chain].filters.count - 1).field("typed_config")
  }
}
