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
  /// Brings the listeners in line with a snapshot. Connections are not touched: those of a removed listener drain.
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
        let old = entry.snapshot
        listenerTable[].entries[i].snapshot = current
        listenerTable[].entries[i].config = config
        release(snapshot: old)
      } else {
        drainListener(i)
      }
    }
    for listener in snapshot.listeners where wanted[listener[].config.name] != nil { openListener(listener, current) }
  }

  private func openListener(_ config: ConfigRef<CompiledListener>, _ snapshot: UInt32) {
    let stats = registry.block(ListenerMetric.self, config[].stats, worker: number)
    var id = ListenerID.none
    if config[].bindsToPort {
      do throws(WeftError) {
        id = try loop.listen(on: config[].address, config[].options)
      } catch {
        listenerFailures[].append((config[].config.name, error.description))
        return
      }
    }
    retain(snapshot: snapshot)
    let position = listenerTable[].insert(
      ListenerSet.Entry(
        name: config[].config.name, id: id, snapshot: snapshot, config: config, stats: stats,
        maximum: config[].config.maxConnections.map(Int.init) ?? .max))
    if !id.slot.isNone { listenerTable[].setPosition(position, of: id) }
  }

  /// The listener accepts no more; its connections end when they are free.
  func drainListener(_ i: Int) {
    if listenerTable[].entries[i].isDraining || listenerTable[].entries[i].isFree { return }
    listenerTable[].entries[i].isDraining = true
    if !listenerTable[].entries[i].id.slot.isNone {
      loop.stopAccepting(listenerTable[].entries[i].id)
      listenerTable[].setPosition(-1, of: listenerTable[].entries[i].id)
    }
    downstreams.forEach { d in
      if downstreams[d].listener == UInt32(i) { beginDrain(downstream: d) }
    }
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
    let name = old[].name
    for (i, chain) in entry.config[].chains.enumerated() {
      guard chain[].name.equals(name), let manager = chain[].http, (chain[].tls == nil) == (old[].tls == nil) else {
        continue
      }
      retain(snapshot: entry.snapshot)
      release(snapshot: slot[].snapshot)
      slot[].snapshot = entry.snapshot
      slot[].chain = Int32(i)
      slot[].chainConfig = chain
      moveStats(slot, to: manager)
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

  /// Addresses the worker listens on, by listener name: for the admin interface and tests.
  package var listenerAddresses: [(name: String, address: SocketAddress)] {
    listenerTable[].entries.compactMap { entry in
      entry.isFree || entry.id.slot.isNone ? nil : (entry.name, loop.address(of: entry.id))
    }
  }
}
