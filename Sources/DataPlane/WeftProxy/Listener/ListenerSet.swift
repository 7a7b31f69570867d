// ListenerSet: the listeners of one worker across configurations.

import WeftBase
import WeftModel
package import WeftRuntime
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
    /// Removed from the configuration (or the worker drains): no new connection; gone with its last one.
    var isDraining = false
    /// Its clients are told to go elsewhere with their next response.
    var endsConnections = false
    var isFree = false
  }

  var entries: [Entry] = []
  /// Position of each loop listener, by its slot number.
  private var positions: [Int32] = []

  init() {}

  func position(of id: ListenerID) -> Int { id.index < positions.count ? Int(positions[id.index]) : -1 }

  /// The listener whose address is `address`, or the one for its port on all addresses.
  func owner(of address: SocketAddress, besides own: Int) -> Int? {
    var fallback: Int?
    for i in entries.indices where i != own && !entries[i].isFree && !entries[i].isDraining {
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
    if let free = entries.firstIndex(where: \.isFree) {
      entries[free] = entry
      return free
    }
    entries.append(entry)
    return entries.count - 1
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
    var wanted: [String: ConfigRef<CompiledListener>] = [:]
    for listener in snapshot.listeners { wanted[listener[].config.name] = listener }
    for i in listenerTable[].entries.indices
    where !listenerTable[].entries[i].isFree && !listenerTable[].entries[i].isDraining {
      let entry = listenerTable[].entries[i]
      if let config = wanted[entry.name], config[].socketIdentity == entry.config[].socketIdentity {
        // The same socket: what follows it changes in place.
        wanted[entry.name] = nil
        retain(snapshot: current)
        let gone = connections(of: i, without: config)
        let old = entry.snapshot
        listenerTable[].entries[i].snapshot = current
        listenerTable[].entries[i].config = config
        drainConnections(gone)
        release(snapshot: old)
      } else if let config = wanted[entry.name] {
        wanted[entry.name] = nil
        replaceListener(i, by: config, current)
      } else {
        drainListener(i)
      }
    }
    for listener in snapshot.listeners where wanted[listener[].config.name] != nil {
      _ = openListener(listener, current)
    }
  }

  /// Connections of the listener at `i` whose filter chain is not among those of `config`.
  private func connections(of i: Int, without config: ConfigRef<CompiledListener>) -> [SlabIndex] {
    let old = listenerTable[].entries[i].config
    let kept = Set(config[].chains.map { $0[].identity })
    if old[].chains.allSatisfy({ kept.contains($0[].identity) }) { return [] }
    var gone: [SlabIndex] = []
    downstreams.forEach { d in
      let slot = downstreams.ref(d)
      if slot[].listener == UInt32(i), let chain = slot[].chainConfig, !kept.contains(chain[].identity) {
        gone.append(d)
      }
    }
    return gone
  }

  private func replaceListener(_ i: Int, by config: ConfigRef<CompiledListener>, _ snapshot: UInt32) {
    let old = listenerTable[].entries[i].config
    // Two sockets on one address need SO_REUSEPORT on both.
    let shares = old[].options.reusePort && config[].options.reusePort && !config[].address.isUnix
    let collides = old[].address == config[].address && !shares
    if collides { drainListener(i) }
    if openListener(config, snapshot), !collides { drainListener(i) }
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
        listenerFailures[].append((config[].config.name, error.description))
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

  /// The listener accepts no more; its connections end when they are free.
  func drainListener(_ i: Int) {
    if listenerTable[].entries[i].isDraining || listenerTable[].entries[i].isFree { return }
    if !listenerTable[].entries[i].id.slot.isNone { loop.acceptWaiting(listenerTable[].entries[i].id) }
    listenerTable[].entries[i].isDraining = true
    listenerTable[].entries[i].endsConnections = true
    if !listenerTable[].entries[i].id.slot.isNone {
      loop.stopAccepting(listenerTable[].entries[i].id)
      listenerTable[].setPosition(-1, of: listenerTable[].entries[i].id)
    }
    var connections: [SlabIndex] = []
    downstreams.forEach { d in
      if downstreams[d].listener == UInt32(i) { connections.append(d) }
    }
    drainConnections(connections)
    retireListener(i)
  }

  /// Lets go of a listener without connections that is no longer wanted.
  func retireListener(_ i: Int) {
    let entry = listenerTable[].entries[i]
    guard entry.isDraining, entry.connections == 0, !entry.isFree else { return }
    listenerTable[].entries[i].isFree = true
    release(snapshot: entry.snapshot)
  }

  /// A connection whose configuration was replaced takes over the new one, if its listener and filter chain are still there; else it
  /// serves this request as before and then ends.
  func refreshChain(_ d: SlabIndex) {
    let slot = downstreams.ref(d)
    let position = Int(slot[].listener)
    let entry = listenerTable[].entries[position]
    if entry.snapshot == slot[].snapshot { return }
    guard !entry.isDraining, let old = slot[].chainConfig else { return }
    for (i, chain) in entry.config[].chains.enumerated() {
      guard chain[].identity == old[].identity, let manager = chain[].http else { continue }
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
    if slot[].flags.contains(.secure) {
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
  package var clientConnections: Int { Int(downstreams.count) }

  /// Listeners that are gone from the configuration and still have connections.
  package var drainingListeners: Int {
    listenerTable[].entries.count { $0.isDraining && !$0.isFree && $0.connections > 0 }
  }

  /// Addresses the worker listens on, by listener name: for the admin interface and tests.
  package var listenerAddresses: [(name: String, address: SocketAddress)] {
    listenerTable[].entries.compactMap { entry in
      entry.isFree || entry.isDraining || entry.id.slot.isNone ? nil : (entry.name, loop.address(of: entry.id))
    }
  }
}
