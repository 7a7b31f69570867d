// The compiled forms that requests and connections read. Values only; the compiler beside this file builds them.

package import WeftBase
package import WeftModel
package import WeftProxyAPI
package import WeftRuntime
package import WeftTelemetry
import WeftUpstream

/// One immutable configuration as requests see it.
///
/// *Threads*: any; nothing in it changes after it was made. *Lifetimes*: everything a `ConfigRef` or `ByteView` in it
/// points to lives as long
/// as the snapshot.
package final class Snapshot: Sendable {
  package let version: UInt64
  package let listeners: [ConfigRef<CompiledListener>]
  /// Named by position in `CompiledRoute.cluster`; nil where a cluster was that is gone.
  package let clusters: ClusterList
  /// Where requests find the cluster that they name themselves.
  package let index: ClusterPositions
  /// The memory that views and tables point to, and the owners of the references.
  private let arena: ConstantArena
  private let boxes: SnapshotBoxes

  package init(
    version: UInt64, listeners: [ConfigRef<CompiledListener>], clusters: ClusterList, index: ClusterPositions,
    arena: ConstantArena, boxes: SnapshotBoxes
  ) {
    self.version = version
    self.listeners = listeners
    self.clusters = clusters
    self.index = index
    self.arena = arena
    self.boxes = boxes
  }
}

/// A listener. Read once per connection.
package struct CompiledListener {
  package var name: ByteView
  /// Hash of everything that makes up the socket; a change means a new socket, anything else is taken over in place.
  package var socketIdentity: UInt64
  package var address: SocketAddress
  package var options: ListenOptions
  package var bindsToPort: Bool
  /// Takes connections past the worker's soft limit.
  package var ignoresGlobalLimit = false
  /// In their order; the original destination is asked for at accept.
  package var filters: [CompiledListenerFilter] = []
  package var restoresOriginalDestination: Bool
  /// One of its filters lets connections to endpoints come from addresses that are not ours.
  package var bindsUpstreams = false
  /// Connections whose original destination is not asked for.
  package var originalDestinationDisabled: ConfiguredListenerFilter.Predicate?
  package var usesOriginalDestination: Bool
  package var filtersTimeout: UInt64
  package var continuesOnFiltersTimeout: Bool
  package var chains: [ConfigRef<CompiledFilterChain>]
  /// Nil when every connection takes chain 0.
  package var match: FilterChainTable?
  package var stats: ScopeID
  package var config: Listener

  package init(
    name: ByteView, socketIdentity: UInt64, address: SocketAddress, chains: [ConfigRef<CompiledFilterChain>],
    stats: ScopeID,
    config: Listener
  ) {
    self.name = name
    self.socketIdentity = socketIdentity
    self.address = address
    self.options = ListenOptions()
    self.bindsToPort = config.bindToPort
    self.restoresOriginalDestination = false
    self.usesOriginalDestination = config.useOriginalDestination
    self.filtersTimeout = UInt64(clamping: config.listenerFiltersTimeout.nanoseconds)
    self.continuesOnFiltersTimeout = config.continueOnListenerFiltersTimeout
    self.chains = chains
    self.match = nil
    self.stats = stats
    self.config = config
  }
}

extension ConfigRef<CompiledListener> {
  /// Whether where the client of a connection to `local` meant to go is to be found out.
  package func restoresDestination(of local: SocketAddress) -> Bool {
    self[].restoresOriginalDestination && !(self[].originalDestinationDisabled?.matches(port: local.port) ?? false)
  }
}

/// What a connection goes through.
package struct CompiledFilterChain {
  package enum Terminal { case http, tcp, filter }
  package var name: ByteView
  /// Hash of what makes it this chain and no other: what it matches, what it speaks. Chains of successive configurations with the same
  /// value are one chain that has changed.
  package var identity: UInt64 = 0
  package var terminal: Terminal
  /// Set when `terminal` is `http`, `tcp`.
  package var http: ConfigRef<CompiledHTTPManager>?
  package var tcp: ConfigRef<CompiledTCPProxy>?
  /// The extensions of the chain; nil where there are none.
  package var network: ConfigRef<NetworkFilterChain>?
  /// Makes a server session; nil for plain text.
  package var tls: (any DownstreamSecurity)?
  package var handshakeTimeout: UInt64

  package init(name: ByteView, terminal: Terminal) {
    self.name = name
    self.terminal = terminal
    self.http = nil
    self.tcp = nil
    self.network = nil
    self.tls = nil
    self.handshakeTimeout = 0
  }
}

extension ConfigRef<CompiledFilterChain> {
  /// Whether its network filters are the very ones of `other`, and with them what those keep of a connection.
  package func hasFilters(of other: ConfigRef<CompiledFilterChain>) -> Bool {
    switch (self[].network, other[].network) {
    case (nil, nil): true
    case (let own?, let others?): own == others
    default: false
    }
  }
}

/// Makes TLS sessions for accepted connections.
package protocol DownstreamSecurity: AnyObject, Sendable {
  /// False while a secret is missing: connections are refused.
  var isReady: Bool { get }
  func makeSession() -> any TransportSession
}
