// LoadBalancerPolicy: what the author of a balancing policy writes.
//
// The engine decides *which list* a pick is made from: priority, health, panic and (for policies without hashes) locality. A policy chooses from a
// list: a struct of plain values that is made anew whenever the list changes, with its tables in the balancer's memory. So nothing of it can be
// retained, released or leak, and a pick is one static witness away, without allocation. A worked example stands in docs/adding/balancer.md:
//
//     package struct Random: LoadBalancerPolicy {
//       package static var name: StaticString { "envoy.load_balancing_policies.random" }
//       package static var message: String { Example_Random.schema.name }
//       package struct Config: BitwiseCopyable {}
//       package static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config { … }
//       private let hosts: FlatTable<Int32>
//       package init(_ config: Config, _ list: borrowing BalancerList) { hosts = list.positions() }
//       package mutating func pick(_ x: borrowing BalancerPick) -> Int32 { hosts[x.draw(below: hosts.count)] }
//     }
//
// *Threads*: one state per list, cluster and worker; only `Config` is shared, and immutable.

public import WeftBase
public import WeftModel
package import WeftTelemetry

/// What of a host is hashed, for policies that give each key a host of its own.
@frozen @usableFromInline
package enum HashedName: UInt8, BitwiseCopyable, Sendable {
  /// The policy does without hashes: none is computed for it.
  case none
  case address
  case hostname
}

/// What the engine does differently for one configuration of a policy.
@frozen @usableFromInline
package struct BalancerTraits: BitwiseCopyable, Sendable {
  @usableFromInline package var hashes = HashedName.none
  /// The policy's own message asks for weights of localities. With hashes they are part of the hosts' weights.
  @usableFromInline package var weighsLocalities = false
  /// The policy has a `table`.
  @usableFromInline package var hasTable = false
  @inlinable package init() {}
}

/// A way to choose a host of a list.
@usableFromInline
package protocol LoadBalancerPolicy: BitwiseCopyable, SendableMetatype {
  associatedtype Config: BitwiseCopyable
  /// Envoy's canonical name: `envoy.load_balancing_policies.ring_hash`.
  static var name: StaticString { get }
  /// Full name of the message that configures it.
  static var message: String { get }
  /// Cold: checks and compiles what was configured. *Errors*: the field's path inside the message that is wrong, and what is allowed there.
  static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config
  static func traits(_ config: Config) -> BalancerTraits
  /// What is costly to make and the same for all equal lists: asked for with `hasTable` only, on a thread that serves nobody. It outlives its lists: it
  /// may hold nothing that points into one.
  static func table(_ config: Config, _ list: borrowing BalancerList) -> BalancerTable
  /// The state for a list, which has at least one member and, with `hasTable`, its table. What it needs of the list it copies.
  init(_ config: Config, _ list: borrowing BalancerList)
  /// Chooses one: its `position`. Never allocates.
  mutating func pick(_ x: borrowing BalancerPick) -> Int32
  static func _pick(_ state: UnsafeMutableRawPointer, _ x: borrowing BalancerPick) -> Int32
}

extension LoadBalancerPolicy {
  package static func traits(_ config: Config) -> BalancerTraits { BalancerTraits() }
  package static func table(_ config: Config, _ list: borrowing BalancerList) -> BalancerTable {
    BalancerTable { _ in 0 }
  }

  // The engine's way in: see HTTPFilter.
  @inlinable package static func _pick(_ state: UnsafeMutableRawPointer, _ x: borrowing BalancerPick) -> Int32 {
    unsafe state.assumingMemoryBound(to: Self.self).pointee.pick(x)
  }
}

/// One of those that share the load of a list.
@frozen @usableFromInline
package struct BalancerCandidate: BitwiseCopyable {
  /// What a pick answers.
  @usableFromInline package let position: Int32
  /// Its share, relative to the others; more than 0. For policies that hash, all shares together are 1.
  @usableFromInline package let weight: Double
  /// What is hashed of it; empty for policies without hashes.
  @usableFromInline package let key: ByteView

  @inlinable package init(position: Int32, weight: Double, key: ByteView = .empty) {
    (self.position, self.weight, self.key) = (position, weight, key)
  }
}

/// Those a policy chooses from, as long as it is being made.
@safe @usableFromInline
package struct BalancerList: ~Copyable {
  private let candidates: [BalancerCandidate]
  /// Where tables go.
  @usableFromInline package let memory: BalancerMemory
  package let hasEqualWeights: Bool
  private let random: UnsafeMutablePointer<RandomSource>
  private let table: BalancerTable?

  package init(
    _ candidates: [BalancerCandidate], _ memory: BalancerMemory, _ random: UnsafeMutablePointer<RandomSource>,
    table: BalancerTable? = nil
  ) {
    self.candidates = candidates
    self.table = table
    self.memory = memory
    hasEqualWeights = candidates.allSatisfy { $0.weight == candidates[0].weight }
    unsafe self.random = random
  }

  package var count: Int { candidates.count }
  package subscript(i: Int) -> BalancerCandidate { candidates[i] }

  /// The positions alone.
  package func positions() -> FlatTable<Int32> {
    let table = memory.table(0 as Int32, count: count)
    for i in table.indices { table[i] = candidates[i].position }
    return table
  }

  package func draw(below bound: Int) -> Int { unsafe random.pointee.next(below: bound) }

  /// What the policy's `table` made for this list.
  package func table<Root: BitwiseCopyable>(as root: Root.Type) -> Root {
    guard let table else { preconditionFailure("a list without its table") }
    return table.root(as: root)
  }
}

/// What a pick may look at. Lent: it cannot be kept.
@safe @frozen @usableFromInline
package struct BalancerPick: ~Copyable {
  /// The request's hash; a draw of its own for a request that has none. 0 for policies without hashes.
  @usableFromInline package let hash: UInt64
  /// How often this pick has been made already, and met a host that the request had tried before.
  @usableFromInline package var attempt: UInt32 = 0
  @usableFromInline let running: FlatTable<UInt32>
  /// Requests that run on all hosts of the cluster.
  @usableFromInline package let allActive: UInt32
  @usableFromInline package let memory: BalancerMemory
  @usableFromInline let random: UnsafeMutablePointer<RandomSource>

  @inlinable package init(
    hash: UInt64, running: FlatTable<UInt32>, allActive: UInt32, _ memory: BalancerMemory,
    _ random: UnsafeMutablePointer<RandomSource>
  ) {
    self.hash = hash
    self.running = running
    self.allActive = allActive
    self.memory = memory
    unsafe self.random = random
  }

  @inlinable package func draw(below bound: Int) -> Int { unsafe random.pointee.next(below: bound) }
  /// Requests that run on a host, of this worker.
  @inlinable package func active(_ position: Int32) -> UInt32 { running[Int(position)] }
}

/// What a policy's configuration is compiled with.
@usableFromInline
package struct BalancerContext {
  /// Where texts, tables and owners go that live as long as the configuration.
  package let storage: SnapshotStorage
  package let metrics: MetricsRegistry
  /// The cluster's name in statistics.
  package let cluster: String

  package init(storage: SnapshotStorage, metrics: MetricsRegistry, cluster: String) {
    self.storage = storage
    self.metrics = metrics
    self.cluster = cluster
  }

  /// Gauges of the policy below `cluster.<name>.<prefix>`. Whoever made a table last sets them.
  package func gauges<M: Metric>(_ metric: M.Type, _ prefix: String) -> StatBlock<M> {
    metrics.sharedGauges(
      metric, storage.scope(ScopeKey(.filter, cluster, "cluster.*." + prefix), of: metric, metrics))
  }
}

/// A policy and what its configuration compiled to. *Shape*: trivial; the snapshot's storage keeps `config`.
@safe @frozen @usableFromInline
package struct CompiledBalancer: BitwiseCopyable, @unchecked Sendable {  // a metatype and immutable configuration
  @usableFromInline package let policy: any LoadBalancerPolicy.Type
  @usableFromInline let config: UnsafeRawPointer
  package let traits: BalancerTraits
  package let stateSize: Int
  package let stateAlignment: Int
  /// The cluster and the message: where they differ, so may tables.
  package let mark: ByteView

  /// *Errors*: what the policy says of its message.
  package init<P: LoadBalancerPolicy>(
    _ policy: P.Type, _ config: ExtensionConfig, _ context: BalancerContext
  ) throws(ConfigError) {
    let compiled = try P.compile(config, context)
    self.policy = policy
    unsafe self.config = UnsafeRawPointer(context.storage.keep(compiled).pointer)
    traits = P.traits(compiled)
    stateSize = MemoryLayout<P>.stride
    stateAlignment = MemoryLayout<P>.alignment
    mark = context.storage.bytes(Array(context.cluster.utf8) + [0] + config.message)
  }

  package func makeTable(_ list: borrowing BalancerList) -> BalancerTable {
    unsafe Self.table(policy, config, list)
  }

  private static func table<P: LoadBalancerPolicy>(
    _ policy: P.Type, _ config: UnsafeRawPointer, _ list: borrowing BalancerList
  ) -> BalancerTable {
    unsafe P.table(config.assumingMemoryBound(to: P.Config.self).pointee, list)
  }

  /// Makes a state of `stateSize` bytes at `place`.
  package func makeState(_ list: borrowing BalancerList, at place: UnsafeMutableRawPointer) {
    unsafe Self.make(policy, config, list, place)
  }

  private static func make<P: LoadBalancerPolicy>(
    _ policy: P.Type, _ config: UnsafeRawPointer, _ list: borrowing BalancerList, _ place: UnsafeMutableRawPointer
  ) {
    unsafe place.initializeMemory(as: P.self, to: P(config.assumingMemoryBound(to: P.Config.self).pointee, list))
  }
}

extension LoadBalancerRegistry {
  /// *Errors*: no policy is configured by that message; what the policy says of it.
  package func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> CompiledBalancer {
    guard let policy = self[configuredBy: config.typeName] else {
      throw ConfigError(
        "no balancing policy is configured by \(config.typeName); known are \(known.values.sorted().joined(separator: ", "))"
      )
    }
    return try CompiledBalancer(policy, config, context)
  }
}
