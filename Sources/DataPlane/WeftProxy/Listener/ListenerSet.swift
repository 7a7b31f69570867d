// ListenerSet: the listeners of one worker across configurations.

import WeftBase
import WeftModel
import WeftProxyAPI
package import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// The worker's listeners. Positions are stable for as long as a connection uses them.
struct ListenerSet: ~Copyable {
  struct Entry {
    var name: String
    /// None for a listener that only receives connections from another one.
    var id: ListenerID
    var snapshot: UInt32
    var config: ConfigRef<CompiledListener>
    var stats: StatBlock<ListenerMetric>
    var connections = 0
    var maximum: Int
    var life = ListenerLife.open
  }

  var entries: [Entry] = []
  /// Position of each loop listener, by its slot number.
  private var positions: [Int32] = []

  init() {}

  func position(of id: ListenerID) -> Int { id.index < positions.count ? Int(positions[id.index]) : -1 }

  /// The listener whose address is `address`, or the one for its port on all addresses.
  func owner(of address: SocketAddress, besides own: Int) -> Int? {
    var fallback: Int?
    for i in entries.indices where i != own && entries[i].life.accepts {
      let candidate = entries[i].config[].address
      if candidate == address { return i }
      if candidate.port == address.port, !candidate.isUnix, candidate.ip.isAny,
        candidate.ip.family == address.ip.family || candidate.ip.family == .v6
      {
        fallback = i
      }
    }
    return fallback
  }

  mutating func setPosition(_ position: Int, of id: ListenerID) {
    while positions.count <= id.index { positions.append(-1) }
    positions[id.index] = Int32(position)
  }

  mutating func insert(_ entry: Entry) -> Int {
    if let free = entries.firstIndex(where: { $0.life == .free }) {
      entries[free] = entry
      return free
    }
    entries.append(entry)
    return entries.count - 1
  }
}

/// What an update does to a worker's listeners.
///
/// It is worked out from the old set as a whole before any of it is done: what is opened takes places in the table that were free, and must
/// not be met again as if it had been there before.
struct ListenerPlan {
  /// The same socket: what follows it changes in place.
  var keep: [(position: Int, config: ConfigRef<CompiledListener>)] = []
  /// The same name, another socket.
  var replace: [(position: Int, config: ConfigRef<CompiledListener>)] = []
  /// Not wanted any more.
  var drain: [Int] = []
  var open: [ConfigRef<CompiledListener>] = []

  init(from entries: [ListenerSet.Entry], to snapshot: Snapshot) {
    var wanted: [String: ConfigRef<CompiledListener>] = [:]
    for listener in snapshot.listeners { wanted[listener[].config.name] = listener }
    for (i, entry) in entries.enumerated() where entry.life.accepts {
      guard let config = wanted.removeValue(forKey: entry.name) else {
        drain.append(i)
        continue
      }
      if config[].socketIdentity == entry.config[].socketIdentity {
        keep.append((i, config))
      } else {
        replace.append((i, config))
      }
    }
    for listener in snapshot.listeners {
      if let config = wanted.removeValue(forKey: listener[].config.name) { open.append(config) }
    }
  }
}

extension WorkerEngine {
  /// Brings the listeners in line with a snapshot.
  ///
  /// A listener whose socket stays the same changes in place: connections go on with the new form of their filter chain, those whose chain
  /// is gone drain. One with another socket is opened before the old one closes, whose connections drain; where it cannot be opened, the
  /// old one goes on.
  func applyListeners(_ snapshot: Snapshot) {
    let current = configuration[].current
    let plan = ListenerPlan(from: listenerTable[].entries, to: snapshot)
    for (i, config) in plan.keep { changeListener(i, to: config, current) }
    // What goes makes room for what comes to its address.
    drain(listeners: plan.drain)
    replaceListeners(plan.replace, current)
    for config in plan.open { _ = openListener(config, current) }
    assert(listens(as: snapshot), "after an update the listeners are those of the snapshot")
  }

  /// Whether exactly the listeners of `snapshot` are there: the invariant behind every update. One that could not be opened may be missing or,
  /// if it was to move, be where it was; one that was told to stop is not opened again.
  func listens(as snapshot: Snapshot) -> Bool {
    if turn[].stopped != .none { return true }
    let failed = Set(listenerFailures[].map(\.name))
    var wanted: [String: ConfigRef<CompiledListener>] = [:]
    for listener in snapshot.listeners { wanted[listener[].config.name] = listener }
    var present: [String: ConfigRef<CompiledListener>] = [:]
    for entry in listenerTable[].entries where entry.life.accepts {
      if present.updateValue(entry.config, forKey: entry.name) != nil { return false }
    }
    for (name, listener) in wanted {
      guard let found = present.removeValue(forKey: name) else {
        if failed.contains(name) { continue }
        return false
      }
      if found[].socketIdentity != listener[].socketIdentity, !failed.contains(name) { return false }
    }
    return present.isEmpty
  }

  private func changeListener(_ i: Int, to config: ConfigRef<CompiledListener>, _ current: UInt32) {
    retain(snapshot: current)
    let gone = connections(of: i, without: config)
    let old = listenerTable[].entries[i].snapshot
    listenerTable[].entries[i].snapshot = current
    listenerTable[].entries[i].config = config
    drainConnections(gone)
    release(snapshot: old)
  }

  /// Connections of the listener at `i` whose filter chain is not among those of `config`.
  private func connections(of i: Int, without config: ConfigRef<CompiledListener>) -> [DownstreamIndex] {
    let old = listenerTable[].entries[i].config
    let kept = Set(config[].chains.map { $0[].identity })
    if old[].chains.allSatisfy({ kept.contains($0[].identity) }) { return [] }
    return clients { d in
      let slot = downstreams.ref(d)
      guard slot[].listener == UInt32(i), let chain = slot[].chainConfig else { return false }
      return !kept.contains(chain[].identity)
    }
  }

  /// Moves listeners to other sockets.
  ///
  /// Each opens before it drains, unless one of those that move holds its new address for itself (its own old socket, or two that change
  /// places): that one has to let go first. Whoever then cannot open goes back to where it was.
  private func replaceListeners(
    _ moves: [(position: Int, config: ConfigRef<CompiledListener>)], _ current: UInt32
  ) {
    var early: Set<Int> = []
    for (_, config) in moves {
      for (i, _) in moves where Self.excludes(listenerTable[].entries[i].config, config) { early.insert(i) }
    }
    // A drained listener without connections lets its snapshot go; it may still be needed.
    let left = early.map { (position: $0, entry: listenerTable[].entries[$0]) }
    for (_, entry) in left { retain(snapshot: entry.snapshot) }
    drain(listeners: early.sorted())
    for (i, config) in moves {
      if openListener(config, current) {
        if !early.contains(i) { drain(listeners: [i]) }
      } else if let old = left.first(where: { $0.position == i })?.entry {
        _ = openListener(old.config, old.snapshot)
      }
    }
    for (_, entry) in left { release(snapshot: entry.snapshot) }
  }

  /// Whether the socket of `old` keeps `new` from opening: two at one address need SO_REUSEPORT on both.
  private static func excludes(_ old: ConfigRef<CompiledListener>, _ new: ConfigRef<CompiledListener>) -> Bool {
    guard old[].bindsToPort, new[].bindsToPort, old[].address == new[].address else { return false }
    return old[].options.sharing != .reusePort || new[].options.sharing != .reusePort || new[].address.isUnix
  }

  /// *Returns*: whether it listens now, if it is to.
  private func openListener(_ config: ConfigRef<CompiledListener>, _ snapshot: UInt32) -> Bool {
    switch turn[].stopped {
    case .none: break
    case .inbound: if config[].config.trafficDirection == .inbound { return false }
    case .all: return false
    }
    let manager = registry.block(
      ListenerManagerMetric.self, registry.scope(ScopeKey(.listenerManager)), worker: number)
    let stats = registry.block(ListenerMetric.self, config[].stats, worker: number)
    var id = ListenerID.none
    if config[].bindsToPort {
      do throws(WeftError) {
        id = try loop.listen(on: config[].address, config[].options)
      } catch {
        listenerFailures[].append((config[].config.name, error.message))
        manager.add(.listenerCreateFailure)
        return false
      }
    }
    retain(snapshot: snapshot)
    let position = listenerTable[].insert(
      ListenerSet.Entry(
        name: config[].config.name, id: id, snapshot: snapshot, config: config, stats: stats,
        maximum: config[].config.maxConnections.map(Int.init) ?? .max))
    if !id.slot.isNone { listenerTable[].setPosition(position, of: id) }
    manager.add(.listenerCreateSuccess)
    return true
  }

  /// The listeners at `positions` accept no more; their connections end when they are free. Clients are looked for once for all of them.
  func drain(listeners positions: [Int]) {
    var ending = Set<UInt32>()
    for i in positions where listenerTable[].entries[i].life.accepts {
      ending.insert(UInt32(i))
      let id = listenerTable[].entries[i].id
      if !id.slot.isNone { loop.acceptWaiting(id) }
      listenerTable[].entries[i].life.drained()
      if !id.slot.isNone {
        loop.stopAccepting(id)
        listenerTable[].setPosition(-1, of: id)
      }
    }
    if ending.isEmpty { return }
    drainConnections(clients { ending.contains(downstreams[$0].listener) })
    for i in ending.sorted() { retireListener(Int(i)) }
  }

  /// Lets go of a listener without connections that is no longer wanted.
  func retireListener(_ i: Int) {
    guard listenerTable[].entries[i].connections == 0, listenerTable[].entries[i].life.retired() else { return }
    release(snapshot: listenerTable[].entries[i].snapshot)
  }

  /// A connection whose configuration was replaced takes over the new one, if its listener and filter chain are still there; else it
  /// serves this request as before and then ends.
  func refreshChain(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    let position = Int(slot[].listener)
    let entry = listenerTable[].entries[position]
    if entry.snapshot == slot[].snapshot { return }
    guard entry.life.accepts, let old = slot[].chainConfig else { return }
    for (i, chain) in entry.config[].chains.enumerated() {
      guard chain[].identity == old[].identity, chain.hasFilters(of: old), let manager = chain[].http else {
        continue
      }
      retain(snapshot: entry.snapshot)
      release(snapshot: slot[].snapshot)
      slot[].snapshot = entry.snapshot
      slot[].chain = Int32(i)
      slot[].chainConfig = chain
      moveStats(slot, to: manager)
      releaseCertificateText(slot)
      slot[].manager = manager
      return
    }
    beginDrain(downstream: d)
  }

  /// Gauges follow the connection when its statistics go by another name.
  private func moveStats(_ slot: SlotRef<DownstreamConnection>, to manager: ConfigRef<CompiledHTTPManager>) {
    let fresh = registry.block(HTTPMetric.self, manager[].scope, worker: number)
    guard let old = slot[].stats, slot[].manager?[].scope != manager[].scope else { return }
    slot[].stats = fresh
    old.subtract(.downstreamCxActive)
    fresh.add(.downstreamCxActive)
    old.subtract(.downstreamRqActive, UInt64(slot[].active))
    fresh.add(.downstreamRqActive, UInt64(slot[].active))
    if slot[].transport.isSecure {
      old.subtract(.downstreamCxSSLActive)
      fresh.add(.downstreamCxSSLActive)
    }
    if slot[].kind == .http1 {
      old.subtract(.downstreamCxHTTP1Active)
      fresh.add(.downstreamCxHTTP1Active)
    } else if slot[].kind == .http2 {
      old.subtract(.downstreamCxHTTP2Active)
      fresh.add(.downstreamCxHTTP2Active)
    }
  }

  /// Open connections of clients.
  package var clientConnections: Int { Int(downstreams.count) - turn[].insideClients }

  /// How often there was no room for a connection, a request, a host, a cluster or the state of a filter: none of them may go uncounted.
  package var tableRefusals: UInt64 {
    downstreams.refusals + upstreams.refusals + streams.refusals + hosts.refusals + clusters.refusals
      + networkBlocks.refusals
  }

  /// Listeners that are gone from the configuration and still have connections.
  package var drainingListeners: Int {
    listenerTable[].entries.count { $0.life == .draining && $0.connections > 0 }
  }

  /// Addresses the worker listens on, by listener name: for the admin interface and tests.
  package var listenerAddresses: [(name: String, address: SocketAddress)] {
    listenerTable[].entries.compactMap { entry in
      entry.life.accepts && !entry.id.slot.isNone ? (entry.name, loop.address(of: entry.id)) : nil
    }
  }
}
