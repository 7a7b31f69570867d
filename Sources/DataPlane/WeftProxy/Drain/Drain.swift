// Drain: ending connections without losing a request.

package import WeftBase
import WeftHTTP
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// The worker drains: listeners accept no more, every connection is told to go elsewhere, idle ones at once. `whenEmpty` is called when the
  /// last one has gone or `deadline` has passed.
  package func drain(until deadline: MonotonicInstant, whenEmpty: @escaping () -> Void) {
    turn[].isDraining = true
    turn[].drainEnd = deadline
    turn[].whenDrained = whenEmpty
    for i in listenerTable[].entries.indices { drainListener(i) }
    drainTimer()
    flushStage()
  }

  /// Looks now and then whether the drain is over.
  func drainTimer() {
    guard turn[].isDraining, let done = turn[].whenDrained else { return }
    if downstreams.count == 0 || turn[].drainEnd <= now {
      turn[].whenDrained = nil
      return done()
    }
    _ = loop.schedule(at: now.advanced(nanoseconds: 10_000_000), token: 0)
  }

  /// Asks one client to take its next request elsewhere.
  ///
  /// HTTP/1 learns with its next response (an idle connection closes at once), HTTP/2 by a GOAWAY that names no stream yet, followed by the
  /// final one when requests that were on their way have arrived. TCP sessions run to their end.
  func beginDrain(downstream d: SlabIndex) {
    let slot = downstreams.ref(d)
    if slot[].flags.contains(.closed) { return }
    slot[].flags.insert(.lastRequest)
    switch slot[].kind {
    case .http1:
      if slot[].active == 0, slot[].decoder.isIdle, !slot[].flags.contains(.headStarted) {
        slot[].stats?.add(.downstreamCxDrainClose)
        close(downstream: d, .gracefully)
      }
    case .http2:
      if slot[].flags.contains(.goAwayAnnounced) { return }
      slot[].flags.insert(.goAwayAnnounced)
      slot[].stats?.add(.downstreamCxDrainClose)
      slot[].h2[].shutdownNotice()
      flushLater(downstream: d)
      // Requests that left the client before it saw the notice arrive within a round trip or two.
      let grace = slot[].manager?[].drainTimeout ?? 0
      slot[].drainDeadline = now.advanced(nanoseconds: Int64(clamping: max(grace, 1_000_000)))
      arm(downstream: d, at: slot[].drainDeadline)
    case .http:
      close(downstream: d, .gracefully)
    case .unmatched, .tcp: break
    }
  }

  /// The final GOAWAY; the connection closes when its last stream has ended.
  func finishDrain(downstream d: SlabIndex) {
    let slot = downstreams.ref(d)
    if slot[].flags.contains(.goAwayFinal) { return }
    slot[].flags.insert(.goAwayFinal)
    slot[].h2[].goAway()
    flushLater(downstream: d)
    if slot[].active == 0 { close(downstream: d, .gracefully) }
  }
}
