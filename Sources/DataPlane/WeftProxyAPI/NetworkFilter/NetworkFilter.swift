// NetworkFilter: what the author of a network filter writes.
//
// It stands in a filter chain before the terminal filter: one of `TerminalFilter`, or the connection manager or TCP proxy, which are the engine's.
// Like an HTTP filter it is a trivial struct whose fields are its state, here for one connection, and its `Config` is what its message compiled
// to. It conforms to one protocol per event it takes; events it does not take cost nothing. A worked example:
//
//     package struct Doorkeeper: NewConnectionFilter, ConnectionEndFilter {
//       package static var name: StaticString { "envoy.filters.network.doorkeeper" }
//       package static var message: String { Example_Doorkeeper.schema.name }
//       package struct Config: BitwiseCopyable { var inside: SharedCounter; var most: UInt64 }
//       package static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config { … }
//       var isInside = false
//       package init(_ config: Config) {}
//       package mutating func newConnection(_ x: borrowing NetworkCall<Config>) -> NetworkVerdict {
//         isInside = x.config.inside.take(limit: x.config.most)
//         return isInside ? .go : .close
//       }
//       package mutating func connectionEnded(_ x: borrowing NetworkCall<Config>) { if isInside { x.config.inside.give() } }
//     }
//
// *Order*: new connection, bytes that come, end run the chain from its first filter on, bytes that leave from its last. *Threads*: the worker's.

public import WeftBase
public import WeftModel
package import WeftTelemetry

/// What becomes of an event.
@frozen @usableFromInline
package enum NetworkVerdict: UInt8, BitwiseCopyable, Sendable {
  /// The next filter's turn, and in the end the terminal filter's.
  case go
  /// The connection rests for a time (`NetworkCall.wait`): nothing is read. Then `resumed` is asked, or the filter lets it go on.
  case hold
  /// The socket is closed at once; what waits to be sent is dropped.
  case close
}

/// What a network filter's configuration is compiled with.
@usableFromInline
package struct NetworkFilterContext {
  /// Where texts, tables and owners go that live as long as the configuration.
  package let storage: SnapshotStorage
  package let metrics: MetricsRegistry
  private let buckets: SharedBuckets
  private let load: (DataSource) throws(ConfigError) -> [UInt8]

  /// `load` reads what lies in files and in the environment.
  package init(
    storage: SnapshotStorage, metrics: MetricsRegistry, buckets: SharedBuckets = SharedBuckets(),
    load: @escaping (DataSource) throws(ConfigError) -> [UInt8]
  ) {
    self.storage = storage
    self.metrics = metrics
    self.buckets = buckets
    self.load = load
  }

  /// The bytes a message names; they live as long as the configuration. *Errors*: the path inside the source.
  package func bytes(of source: DataSource) throws(ConfigError) -> ByteView { storage.bytes(try load(source)) }

  /// The blocks of every worker for the scope `prefix` (`connection_limit.*.`, with `*` for `name`), by the worker's number.
  package func stats<M: Metric>(_ metric: M.Type, _ prefix: String, name: String) -> ConstantTable<StatBlock<M>> {
    storage.stats(metric, prefix, name: name, metrics)
  }

  /// A bucket of this chain's own or, with a key, the one of all chains that say the same of it.
  package func bucket(_ settings: TokenBucketSettings, sharedBy key: String) -> TokenBucket {
    key.isEmpty ? TokenBucket(TokenRate(settings), storage) : buckets.bucket(key, settings, for: storage)
  }
}

/// A network filter: its configuration and its state before the first event.
@usableFromInline
package protocol NetworkFilter: BitwiseCopyable, SendableMetatype {
  associatedtype Config: BitwiseCopyable
  /// Envoy's canonical name: `envoy.filters.network.connection_limit`.
  static var name: StaticString { get }
  /// Full name of the message that configures it.
  static var message: String { get }
  /// Cold: checks and compiles what was configured, once per filter chain. *Errors*: the field's path inside the message that is wrong, and what
  /// is allowed there.
  static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config
  /// The state before the first event. Asked once per chain and copied into every connection's block.
  init(_ config: Config)
}

/// Sees a connection when its filter chain is chosen: behind the listener filters, before TLS and anything that is read.
@usableFromInline
package protocol NewConnectionFilter: NetworkFilter {
  mutating func newConnection(_ x: borrowing NetworkCall<Config>) -> NetworkVerdict
  static func _newConnection(_ at: NetworkSite) -> NetworkVerdict
}

/// Sees what comes from the client, behind TLS, each byte once and before the terminal filter.
@usableFromInline
package protocol InputFilter: NetworkFilter {
  mutating func input(_ bytes: ByteView, _ x: borrowing NetworkCall<Config>) -> NetworkVerdict
  static func _input(_ at: NetworkSite, _ bytes: ByteView) -> NetworkVerdict
}

/// Sees what goes to the client, before TLS. It can neither hold nor change it.
@usableFromInline
package protocol OutputFilter: NetworkFilter {
  mutating func output(_ bytes: ByteView, _ x: borrowing NetworkCall<Config>)
  static func _output(_ at: NetworkSite, _ bytes: ByteView)
}

/// Is asked when the time it held the connection for is over. Without it the connection goes on.
@usableFromInline
package protocol HoldingNetworkFilter: NetworkFilter {
  mutating func resumed(_ x: borrowing NetworkCall<Config>) -> NetworkVerdict
  static func _resumed(_ at: NetworkSite) -> NetworkVerdict
}

/// Hears of the end of each connection whose beginning it was asked about: to give back what it counted.
@usableFromInline
package protocol ConnectionEndFilter: NetworkFilter {
  mutating func connectionEnded(_ x: borrowing NetworkCall<Config>)
  static func _connectionEnded(_ at: NetworkSite)
}

// The engine's way in, as with HTTP filters: a static requirement with an `@inlinable` default.
extension NewConnectionFilter {
  @inlinable package static func _newConnection(_ at: NetworkSite) -> NetworkVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.newConnection(NetworkCall(at))
  }
}
extension InputFilter {
  @inlinable package static func _input(_ at: NetworkSite, _ bytes: ByteView) -> NetworkVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.input(bytes, NetworkCall(at))
  }
}
extension OutputFilter {
  @inlinable package static func _output(_ at: NetworkSite, _ bytes: ByteView) {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.output(bytes, NetworkCall(at))
  }
}
extension HoldingNetworkFilter {
  @inlinable package static func _resumed(_ at: NetworkSite) -> NetworkVerdict {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.resumed(NetworkCall(at))
  }
}
extension ConnectionEndFilter {
  @inlinable package static func _connectionEnded(_ at: NetworkSite) {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.connectionEnded(NetworkCall(at))
  }
}
