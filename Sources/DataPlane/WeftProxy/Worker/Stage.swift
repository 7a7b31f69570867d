// Stage: the worker's build buffer. What belongs to one connection and one event leaves in one write.

import WeftBase
import WeftHTTP
import WeftRuntime
import WeftUpstream

/// Bytes built for one connection, not written yet.
struct Stage: ~Copyable {
  var buffer = ByteBuffer(capacity: 64 << 10)
  var target = ConnectionID.none
}

extension WorkerEngine {
  /// Makes the stage ready for bytes to `c`: what it holds for another connection is written first.
  @inline(__always)
  func stage(for c: ConnectionID) {
    if stage[].target != c {
      flushStage()
      stage[].target = c
    }
  }

  /// Sends `bytes` to `c` after what is staged: small ones with it, large ones at once and without a copy.
  func send(_ bytes: ByteView, to c: ConnectionID) {
    if bytes.isEmpty { return }
    stage(for: c)
    if bytes.count <= limits.coalescedBytes {
      stage[].buffer.append(bytes)
      return
    }
    flushStage()
    note(loop.write(c, bytes), of: c)
  }

  /// Writes what is staged.
  @inline(__always)
  func flushStage() {
    if stage[].buffer.isEmpty { return }
    let target = stage[].target
    let outcome = loop.write(target, stage[].buffer.view)
    stage[].buffer.removeAll()
    stage[].target = .none
    note(outcome, of: target)
  }

  /// Acts on the answer of a write: above the high mark the other side's reading stops.
  @inline(__always)
  private func note(_ outcome: WriteOutcome, of c: ConnectionID) {
    if outcome == .blocked { blocked(c) }
  }

  @inline(never)
  private func blocked(_ c: ConnectionID) {
    let word = loop.user(c)
    let index = UInt32(truncatingIfNeeded: word)
    if word >> 32 == Side.downstream.rawValue, let d = downstreams.liveIndex(at: index) {
      downstreamBlocked(d)
    } else if word >> 32 == Side.upstream.rawValue, let u = upstreams.liveIndex(at: index) {
      upstreamBlocked(u)
    }
  }

  /// Asks for the output of an HTTP/2 connection to be written at the end of the turn.
  func flushLater(downstream d: SlabIndex) {
    let slot = downstreams.ref(d)
    if slot[].flags.contains(.flushQueued) { return }
    slot[].flags.insert(.flushQueued)
    turn[].flushDownstream.append(d)
    askEndOfTurn()
  }

  func flushLater(upstream u: SlabIndex) {
    let slot = upstreams.ref(u)
    if slot[].flags.contains(.flushQueued) { return }
    slot[].flags.insert(.flushQueued)
    turn[].flushUpstream.append(u)
    askEndOfTurn()
  }

  private func askEndOfTurn() {
    if turn[].endOfTurnAsked { return }
    turn[].endOfTurnAsked = true
    loop.atEndOfTurn(0)
  }

  /// Writes the output of every HTTP/2 connection that asked for it. Upstreams first: their requests have waited longest.
  func flushConnections() {
    var i = 0
    while i < turn[].flushUpstream.count {
      let u = turn[].flushUpstream[i]
      i += 1
      if upstreams.contains(u) { flushHTTP2(upstream: u) }
    }
    turn[].flushUpstream.removeAll(keepingCapacity: true)
    i = 0
    while i < turn[].flushDownstream.count {
      let d = turn[].flushDownstream[i]
      i += 1
      if downstreams.contains(d) { flushHTTP2(downstream: d) }
    }
    turn[].flushDownstream.removeAll(keepingCapacity: true)
  }

  func flushHTTP2(downstream d: SlabIndex) {
    let slot = downstreams.ref(d)
    slot[].flags.remove(.flushQueued)
    let h2 = slot[].h2
    if h2.isNone || !slot[].isOpen || h2[].output.isEmpty { return }
    let outcome = loop.write(slot[].connection, h2[].output.view)
    h2[].output.removeAll()
    if h2[].output.capacity > 64 << 10 { h2[].output.release() }
    switch outcome {
    case .written: h2[].outputFlushed()
    case .queued: if loop.queuedBytes(slot[].connection) == 0 { h2[].outputFlushed() }
    case .blocked: downstreamBlocked(d)
    case .closed: break
    }
  }

  func flushHTTP2(upstream u: SlabIndex) {
    let slot = upstreams.ref(u)
    slot[].flags.remove(.flushQueued)
    let h2 = slot[].h2
    if h2.isNone || slot[].flags.contains(.closed) || h2[].output.isEmpty { return }
    let outcome = loop.write(slot[].connection, h2[].output.view)
    h2[].output.removeAll()
    if h2[].output.capacity > 64 << 10 { h2[].output.release() }
    switch outcome {
    case .written: h2[].outputFlushed()
    case .queued: break
    case .blocked: upstreamBlocked(u)
    case .closed: break
    }
  }
}
