// Stage: the worker's build buffer. What one event makes for one connection leaves in one write, at the end of the turn.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftUpstream

/// Bytes built and not written yet: one run per connection and change of connection.
///
/// All of a turn's output leaves when the turn ends. A peer that is woken by the first of many writes finds the others when it looks, instead
/// of falling asleep between any two; waking a thread costs more than the rest of a write.
struct Stage: ~Copyable {
  /// Above this the stage is written before a turn has ended.
  static let limit = 48 << 10

  struct Run: BitwiseCopyable {
    var target: ConnectionID
    var start: Int
    var end: Int
  }

  var buffer = ByteBuffer(capacity: 64 << 10)
  /// Whom the bytes from `start` on are for.
  private(set) var target = ConnectionID.none
  private var start = 0
  /// What lies before `start`.
  private(set) var runs = MutableTable<Run>()

  var isEmpty: Bool { buffer.isEmpty }

  /// Begins a run for `c`.
  mutating func open(for c: ConnectionID) {
    if buffer.count > start { runs.append(Run(target: target, start: start, end: buffer.count)) }
    target = c
    start = buffer.count
  }

  mutating func removeAll() {
    buffer.removeAll()
    runs.removeAll()
    target = .none
    start = 0
  }

  /// Whether something waits for `c`.
  func holds(_ c: ConnectionID) -> Bool {
    if target == c { return true }
    for i in 0..<runs.count where runs[i].target == c { return true }
    return false
  }

  /// Drops what waits for `c`.
  mutating func drop(_ c: ConnectionID) {
    if target == c {
      buffer.truncate(to: start)
      target = .none
    }
    for i in 0..<runs.count where runs[i].target == c { runs[i].target = .none }
  }
}

extension WorkerEngine {
  /// Makes the stage ready for bytes to `c`.
  @inline(__always)
  func stage(for c: ConnectionID) {
    if stage[].target != c { openStage(for: c) }
  }

  private func openStage(for c: ConnectionID) {
    if stage[].buffer.count > Stage.limit { flushStage() }
    stage[].open(for: c)
    askEndOfTurn()
  }

  /// Sends `bytes` to `c` after what is staged: small ones with it, large ones at once and without a copy.
  func send(_ bytes: ByteView, to c: ConnectionID) {
    if bytes.isEmpty { return }
    if bytes.count <= limits.coalescedBytes {
      stage(for: c)
      stage[].buffer.append(bytes)
      return
    }
    flushStage()
    if turn[].outputFilters > 0 { showOutput(c, bytes) }
    note(loop.write(c, bytes), of: c)
  }

  /// Writes what is staged.
  func flushStage() {
    if stage[].isEmpty { return }
    stage[].open(for: .none)
    for i in 0..<stage[].runs.count {
      let run = stage[].runs[i]
      if run.target == .none { continue }
      if turn[].outputFilters > 0 { showOutput(run.target, stage[].buffer.view[run.start..<run.end]) }
      note(loop.write(run.target, stage[].buffer.view[run.start..<run.end]), of: run.target)
    }
    stage[].removeAll()
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
  func flushLater(downstream d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard slot[].flush.queue() else { return }
    turn[].flushDownstream.append(d)
    askEndOfTurn()
  }

  func flushLater(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    guard slot[].flush.queue() else { return }
    turn[].flushUpstream.append(u)
    askEndOfTurn()
  }

  func askEndOfTurn() {
    if turn[].endOfTurnAsked { return }
    turn[].endOfTurnAsked = true
    loop.atEndOfTurn(0)
  }

  /// Writes the output of every HTTP/2 connection that asked for it. Upstreams first: their requests have waited longest.
  func flushConnections() {
    if turn[].flushUpstream.isEmpty, turn[].flushDownstream.isEmpty { return }
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

  func flushHTTP2(downstream d: DownstreamIndex) {
    downstreams.ref(d)[].flush.flushed()
    writeHTTP2(downstream: d)
  }

  /// More output than this is not gathered in a turn: it is written, and what the connection does not take stops who fills it.
  @inline(__always) static var mostGathered: Int { 256 << 10 }

  func writeHTTP2(downstream d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    let h2 = slot[].h2
    if h2.isNone || !slot[].isOpen || h2[].output.isEmpty { return }
    if turn[].outputFilters > 0 { showOutput(slot[].connection, h2[].output.view) }
    let outcome = loop.write(slot[].connection, h2[].output.view)
    h2[].output.removeAll()
    if h2[].output.capacity > 64 << 10 { h2[].output.release() }
    switch outcome {
    case .written: h2[].outputFlushed()
    case .blocked: downstreamBlocked(d)
    case .queued, .closed: break
    }
  }

  func flushHTTP2(upstream u: UpstreamIndex) {
    upstreams.ref(u)[].flush.flushed()
    writeHTTP2(upstream: u)
  }

  func writeHTTP2(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    let h2 = slot[].h2
    if h2.isNone || slot[].life.isClosed || h2[].output.isEmpty { return }
    let outcome = loop.write(slot[].connection, h2[].output.view)
    h2[].output.removeAll()
    if h2[].output.capacity > 64 << 10 { h2[].output.release() }
    switch outcome {
    case .written: h2[].outputFlushed()
    case .blocked: upstreamBlocked(u)
    case .queued, .closed: break
    }
  }
}
