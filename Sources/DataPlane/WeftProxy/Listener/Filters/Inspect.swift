// Inspect: a connection's way through its listener filters.

import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// A connection has come and its listener has filters: it begins with the first of them.
  func startInspection(_ d: DownstreamIndex, _ listener: ConfigRef<CompiledListener>) {
    let slot = downstreams.ref(d)
    let facts = ConnectionFacts(destination: slot[].local, source: slot[].peer, worker: number)
    inspections[][d.index] = Inspection(listener: listener, facts: facts)
    if listener[].filtersTimeout > 0 {
      slot[].headDeadline = now.advanced(nanoseconds: Int64(clamping: listener[].filtersTimeout))
      arm(downstream: d, at: slot[].headDeadline)
    }
    // Filters that need no bytes are done at once.
    _ = inspect(d, .empty)
  }

  /// Shows the filters what has come. *Returns*: how many bytes were taken, by them and by the chain that was entered.
  func inspect(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    guard var inspection = inspections[].removeValue(forKey: d.index) else { return bytes.count }
    let listener = inspection.listener
    var taken = 0
    while inspection.position < listener[].filters.count {
      let place = listener[].filters[inspection.position]
      let rest = bytes.dropFirst(taken)
      let verdict: ListenerFilterVerdict =
        place.isDisabled(for: inspection.facts) ? .done(taking: 0) : place.filter.inspect(rest, &inspection.facts)
      switch verdict {
      case .needMore where rest.count < place.filter.limit:
        inspection.facts.seen = rest.count
        inspections[][d.index] = inspection
        return taken
      case .done(let count):
        taken += count
        inspection.position += 1
        inspection.facts.seen = 0
      case .needMore, .refuse:
        listenerTable[].entries[Int(downstreams[d].listener)].stats.add(.downstreamListenerFilterError)
        close(downstream: d, .reset)
        return bytes.count
      }
    }
    enterChain(d, inspection.facts)
    if downstreams[d].life.isClosed { return bytes.count }
    let rest = bytes.dropFirst(taken)
    // Bytes left unconsumed go to the session that was just started.
    return taken + (rest.isEmpty || downstreams[d].transport.isSecure ? 0 : downstreamReceived(d, rest))
  }

  /// The time of the listener filters is over: the end, or the chain that fits what is known.
  func inspectionTimedOut(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    let listener = listenerTable[].entries[Int(slot[].listener)]
    listener.stats.add(.downstreamPreCxTimeout)
    guard let inspection = inspections[].removeValue(forKey: d.index),
      inspection.listener[].continuesOnFiltersTimeout
    else { return close(downstream: d, .reset) }
    enterChain(d, inspection.facts)
    if slot[].life.isClosed || slot[].transport.isSecure { return }
    // What has come already waits for more to come, unless it is asked for.
    if slot[].read == .open {
      loop.pauseReading(slot[].connection)
      loop.resumeReading(slot[].connection)
    }
  }

  /// Puts a connection into the filter chain that fits what its listener filters found.
  func enterChain(_ d: DownstreamIndex, _ facts: ConnectionFacts) {
    let slot = downstreams.ref(d)
    if slot[].peer != facts.source {
      slot[].peer = facts.source
      namePeer(d)
    }
    slot[].local = facts.destination
    if !facts.values.isEmpty { connectionMetadata[][d.index] = ConnectionMetadata(facts.values) }
    if facts.upstreamSource != nil || !facts.passedExtensions.isEmpty {
      connectionOrigins[][d.index] = ConnectionOrigin(source: facts.upstreamSource, extensions: facts.passedExtensions)
    }
    let compiled = listenerTable[].entries[Int(slot[].listener)].config
    enterChain(d, compiled[].match?.match(facts) ?? (compiled[].chains.isEmpty ? -1 : 0))
  }

  /// The peer's address as forwarding fields show it.
  func namePeer(_ d: DownstreamIndex) {
    scratch[].removeAll()
    downstreams[d].peer.ip.unmapped.write(to: &scratch[])
    downstreams[d].peerText = ShortText(scratch[].view)
  }
}
