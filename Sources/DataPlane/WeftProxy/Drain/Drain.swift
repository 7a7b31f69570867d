// Drain: ending connections without losing a request.

package import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// The worker drains: listeners accept no more, every connection is told to go elsewhere, idle ones at once. `whenEmpty` is called when no
  /// request is in flight any more, or when `deadline` has passed.
  package func drain(until deadline: MonotonicInstant, whenEmpty: @escaping () -> Void) {
    // Asked again, both wait for the same end.
    let others = turn[].whenDrained
    turn[].isDraining = true
    turn[].stopped = .all
    turn[].drainEnd = others == nil ? deadline : min(turn[].drainEnd, deadline)
    turn[].whenDrained = {
      others?()
      whenEmpty()
    }
    drain(listeners: Array(listenerTable[].entries.indices))
    drainTimer()
    flushStage()
  }

  /// Ends the listeners, or those for inbound traffic, and has their clients go elsewhere; the worker goes on. None of that kind opens again.
  ///
  /// `gracefully`: until the drain time is over they still accept, and say so with each response.
  package func drainListeners(inboundOnly: Bool, gracefully: Bool) {
    var chosen: [Int] = []
    for (i, entry) in listenerTable[].entries.enumerated() where entry.life.accepts {
      if !inboundOnly || entry.config[].config.trafficDirection == .inbound { chosen.append(i) }
    }
    if !gracefully {
      turn[].stopped = inboundOnly && turn[].stopped != .all ? .inbound : .all
      drain(listeners: chosen)
      return flushStage()
    }
    for i in chosen { listenerTable[].entries[i].life.farewell() }
    drainConnections(clients { listenerTable[].entries[Int(downstreams[$0].listener)].life != .open })
    loop.schedule(after: limits.drainTime) { [weak self] in
      self?.drainListeners(inboundOnly: inboundOnly, gracefully: false)
    }
    flushStage()
  }

  /// Looks now and then whether the drain is over.
  func drainTimer() {
    guard turn[].isDraining, let done = turn[].whenDrained else { return }
    if !isServing || turn[].drainEnd <= now {
      turn[].whenDrained = nil
      closeIdleUpstreams()
      return done()
    }
    _ = loop.schedule(at: now.advanced(nanoseconds: 10_000_000), token: 0)
  }

  /// Whether any client still waits for something. One that was idle and has been told the end is not waited for: what it sends now nobody
  /// would answer.
  private var isServing: Bool {
    var serving = false
    forEachClient { d in
      let slot = downstreams.ref(d)
      if slot[].life != .closedIdle || loop.queuedBytes(slot[].connection) > 0 { serving = true }
    }
    return serving
  }

  private func closeIdleUpstreams() {
    upstreams.forEach { u in
      let slot = upstreams.ref(u)
      if slot[].active == 0, slot[].life != .connecting { retire(upstream: u) }
    }
  }

  /// Asks one client to take its next request elsewhere.
  ///
  /// HTTP/1 learns with its next response (an idle connection closes at once). HTTP/2 learns by a GOAWAY that names no stream yet and a
  /// PING; its answer comes behind every request that left the client before it knew, and the final GOAWAY follows. TCP sessions run on.
  func beginDrain(downstream d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    if slot[].life.isClosed { return }
    slot[].farewell.becomesDue()
    switch slot[].kind {
    case .http1:
      if slot[].active == 0, slot[].decoder.isIdle, slot[].nextHead != .come { closeIdle(downstream: d) }
    case .http2:
      guard slot[].farewell.announce() else { return }
      slot[].stats?.add(.downstreamCxDrainClose)
      slot[].h2[].shutdownNotice()
      slot[].h2[].ping(Self.drainPing)
      flushLater(downstream: d)
      // A client that answers no PING has this long.
      let grace = slot[].manager?[].drainTimeout ?? 0
      let longest = slot[].active == 0 ? min(grace, Self.idleGrace) : grace
      slot[].drainDeadline = now.advanced(nanoseconds: Int64(clamping: max(longest, 1_000_000)))
      arm(downstream: d, at: slot[].drainDeadline)
    case .codec:
      guard slot[].farewell.announce() else { return }
      slot[].stats?.add(.downstreamCxDrainClose)
      // What was sent before the client knew is on its way; where the protocol has no word for it, each answer may be the last.
      guard sendLastCall(d) else { return finishDrain(downstream: d) }
      let grace = slot[].manager?[].drainTimeout ?? 0
      let longest = slot[].active == 0 ? min(grace, Self.idleGrace) : grace
      slot[].drainDeadline = now.advanced(nanoseconds: Int64(clamping: max(longest, 1_000_000)))
      arm(downstream: d, at: slot[].drainDeadline)
    case .http, .unmatched:
      // Nothing has come yet. The first request of a young connection may be on its way.
      let ready = slot[].accepted.advanced(nanoseconds: Int64(Self.idleGrace))
      if ready <= now { return closeIdle(downstream: d) }
      slot[].drainDeadline = ready
      arm(downstream: d, at: ready)
    case .tcp, .inside: break
    }
  }

  /// How long an idle HTTP/2 client may take to answer the PING behind the first GOAWAY, and a new one to begin, in nanoseconds.
  private static var idleGrace: UInt64 { 1_000_000_000 }
  private static var drainPing: UInt64 { 0x7765_6674_6472_6e31 }

  private func closeIdle(downstream d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].stats?.add(.downstreamCxDrainClose)
    close(downstream: d, .gracefully, idle: true)
  }

  /// The answer to a PING: whatever the client sent before it knew of the drain is here.
  func drainAnswered(downstream d: DownstreamIndex, _ payload: UInt64) {
    let slot = downstreams.ref(d)
    if payload == Self.drainPing, slot[].farewell.isAnnounced { finishDrain(downstream: d) }
  }

  /// The final GOAWAY; the connection closes when its last stream has ended.
  func finishDrain(downstream d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard slot[].farewell.finish() else { return }
    slot[].drainDeadline = .distantFuture
    if slot[].kind == .http2 {
      slot[].h2[].goAway()
      flushLater(downstream: d)
    }
    // One that has not gone by now is not served for as long as it likes: what it still sends is not read.
    if slot[].kind == .codec { slot[].life.noMoreRequests() }
    if slot[].active > 0 { return }
    close(downstream: d, .gracefully, idle: true)
  }
}
