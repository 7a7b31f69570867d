// Deadlines: every time-out of connections and streams, looked at when the one timer of a connection fires.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  // MARK: Arming

  /// Makes the connection's timer fire at `deadline` or earlier.
  @inline(__always)
  func arm(downstream d: DownstreamIndex, at deadline: MonotonicInstant) {
    let slot = downstreams.ref(d)
    if slot[].timer.at <= deadline { return }
    if !slot[].timer.id.isNone { loop.cancel(slot[].timer.id) }
    slot[].timer.id = loop.schedule(at: deadline, token: Self.word(d))
    slot[].timer.at = deadline
  }

  @inline(__always)
  func arm(upstream u: UpstreamIndex, at deadline: MonotonicInstant) {
    let slot = upstreams.ref(u)
    if slot[].timer.at <= deadline { return }
    if !slot[].timer.id.isNone { loop.cancel(slot[].timer.id) }
    slot[].timer.id = loop.schedule(at: deadline, token: Self.word(u))
    slot[].timer.at = deadline
  }

  /// Arms for the earliest deadline of the stream.
  func armStream(_ s: StreamIndex) {
    let deadline = earliest(s)
    if deadline != .distantFuture { arm(downstream: streams[s].downstream, at: deadline) }
  }

  /// An attempt began, or the request of one is complete: its own time-outs run. That for the answer waits for the end of the request.
  func armTry(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].tryIdleTimeout > 0 {
      arm(
        downstream: stream[].downstream, at: now.advanced(nanoseconds: Int64(clamping: stream[].tryIdleTimeout)))
    }
    if stream[].tryTimeout > 0, stream[].request.hasArrived, !stream[].response.hasStarted {
      stream[].tryDeadline = now.advanced(nanoseconds: Int64(clamping: stream[].tryTimeout))
      arm(downstream: stream[].downstream, at: stream[].tryDeadline)
    }
  }

  func armIdle(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    var deadline = MonotonicInstant.distantFuture
    if let manager = slot[].manager, manager[].idleTimeout > 0 {
      deadline = now.advanced(nanoseconds: Int64(clamping: manager[].idleTimeout))
    }
    if slot[].kind == .http2 { deadline = min(deadline, now + limits.idleMemoryTime) }
    if deadline != .distantFuture { arm(downstream: d, at: deadline) }
  }

  func earliest(_ s: StreamIndex) -> MonotonicInstant {
    let stream = streams.ref(s)
    var deadline = min(stream[].totalDeadline, stream[].tryDeadline, stream[].lifeDeadline)
    deadline = min(deadline, stream[].requestDeadline, stream[].retryAt, stream[].frame.until)
    if stream[].idleTimeout > 0 {
      deadline = min(deadline, stream[].lastActivity.advanced(nanoseconds: Int64(clamping: stream[].idleTimeout)))
    }
    if stream[].tryIdleTimeout > 0, attemptRuns(stream) {
      deadline = min(deadline, stream[].lastActivity.advanced(nanoseconds: Int64(clamping: stream[].tryIdleTimeout)))
    }
    return deadline
  }

  /// Whether anything is still expected of the attempt's upstream.
  @inline(__always)
  private func attemptRuns(_ stream: SlotRef<Stream>) -> Bool {
    stream[].request.hasStarted && !stream[].response.hasArrived
  }

  /// All of the answer is here: what was to be waited for has come, an endpoint's answer or one made here. How long the client takes to read
  /// it is the business of the idle time-out and of the stream's longest life.
  @inline(__always)
  func answerComplete(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].response.endArrived()
    stream[].totalDeadline = .distantFuture
    stream[].tryDeadline = .distantFuture
    stream[].requestDeadline = .distantFuture
    stream[].retryAt = .distantFuture
  }

  // MARK: Firing

  func downstreamTimer(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    // A timer that was replaced may still have been on its way: it then only looks too early.
    slot[].timer = LazyTimer()
    if slot[].life.isClosed { return }
    if slot[].kind == .inside {
      let s = slot[].stream
      expire(s)
      if streams.contains(s) { armStream(s) }
      return
    }
    if slot[].headDeadline <= now {
      // It is we who do not read: the rest of a message has its time from when we do. All else that is due is due.
      guard slot[].kind == .codec, slot[].nextHead == .come, slot[].read == .paused else { return headTimedOut(d) }
      headBegan(d)
    }
    if slot[].kind == .tcp {
      if slot[].headDeadline != .distantFuture { arm(downstream: d, at: slot[].headDeadline) }
      return timerTCP(d)
    }
    if slot[].drainDeadline <= now {
      slot[].drainDeadline = .distantFuture
      lifeEnded(d)
      if !downstreams.contains(d) || slot[].life.isClosed { return }
    }
    if !slot[].stream.isNone { expire(slot[].stream) }
    if slot[].kind.hasMany { forEachStream(ofDownstream: d) { expire($0) } }
    if slot[].life.isClosed { return }
    var next = min(slot[].headDeadline, slot[].drainDeadline)
    if slot[].kind == .http2 {
      next = min(next, ping(d))
      if slot[].life.isClosed { return }
    }
    if slot[].active == 0 {
      if let manager = slot[].manager, manager[].idleTimeout > 0 {
        let idleEnd = slot[].idleSince.advanced(nanoseconds: Int64(clamping: manager[].idleTimeout))
        if idleEnd <= now { return idleTimedOut(d) }
        next = min(next, idleEnd)
      }
      if slot[].kind == .http2 { next = min(next, releaseMemory(of: slot[].h2, idleSince: slot[].idleSince)) }
    } else {
      if !slot[].stream.isNone { next = min(next, earliest(slot[].stream)) }
      if slot[].kind.hasMany { forEachStream(ofDownstream: d) { next = min(next, earliest($0)) } }
    }
    if next != .distantFuture { arm(downstream: d, at: next) }
  }

  /// Acts on whichever deadline of the stream has passed. May end the stream.
  private func expire(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].retryAt <= now { return retryDue(s) }
    if stream[].frame.until <= now {
      if stream[].frame.phase != .running { return resume(HoldToken(stream: s, hold: stream[].frame.hold), .time) }
      stream[].frame.until = .distantFuture
      return pumpResponse(s)
    }
    if stream[].totalDeadline <= now { return totalTimedOut(s) }
    if stream[].tryDeadline <= now { return tryTimedOut(s) }
    if stream[].lifeDeadline <= now { return lifeTimedOut(s) }
    if stream[].requestDeadline <= now, !stream[].request.hasArrived {
      downstreams[stream[].downstream].stats?.add(.downstreamRqTimeout)
      stream[].requestDeadline = .distantFuture
      return localReply(s, 408, ByteView("request timeout"), details: "request_overall_timeout")
    }
    if stream[].tryIdleTimeout > 0, attemptRuns(stream),
      stream[].lastActivity.advanced(nanoseconds: Int64(clamping: stream[].tryIdleTimeout)) <= now
    {
      clusters[stream[].cluster].stats.add(.upstreamRqPerTryIdleTimeout)
      countTimeout(s)
      return upstreamReset(s, .perTryIdleTimeout)
    }
    if stream[].idleTimeout > 0,
      stream[].lastActivity.advanced(nanoseconds: Int64(clamping: stream[].idleTimeout)) <= now
    {
      idleTimedOut(stream: s)
    }
  }

  private func totalTimedOut(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].totalDeadline = .distantFuture
    if stream[].race == .backup { return }
    // A default time-out is for answers that do not come; a stream that has begun to answer is not cut.
    if stream[].response.hasStarted, stream[].boundsAnswerOnly { return }
    clusters[stream[].cluster].stats.add(.upstreamRqTimeout)
    countTimeout(s)
    countFailure(s)
    if clusters[stream[].cluster].hasOutlierDetection, stream[].attemptTime == .running { report(s, .localFailure) }
    if stream[].race == .owner { backupsTimedOut(s) }
    stream[].responseFlags.insert(.upstreamRequestTimeout)
    if stream[].response.hasStarted {
      stream[].details = ByteView("response_timeout")
      return abort(s, byClient: false)
    }
    localReply(
      s, 504, ByteView("upstream request timeout"), details: "response_timeout",
      grpcStatus: stream[].timeoutIsClients ? GRPCStatusMapping.deadlineExceeded : nil)
  }

  private func tryTimedOut(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].tryDeadline = .distantFuture
    if hedges(s) { return attemptIsLate(s) }
    clusters[stream[].cluster].stats.add(.upstreamRqPerTryTimeout)
    countTimeout(s)
    upstreamReset(s, .perTryTimeout)
  }

  private func lifeTimedOut(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].lifeDeadline = .distantFuture
    let slot = downstreams.ref(stream[].downstream)
    slot[].stats?.add(.downstreamRqMaxDurationReached)
    if !stream[].cluster.isNone { clusters[stream[].cluster].stats.add(.upstreamRqMaxDurationReached) }
    stream[].responseFlags.insert(.upstreamMaxStreamDurationReached)
    if stream[].response.hasStarted {
      stream[].details = ByteView("max_duration_timeout")
      return abort(s, byClient: false)
    }
    localReply(
      s, stream[].request.hasArrived ? 504 : 408, ByteView("downstream duration timeout"),
      details: "max_duration_timeout", grpcStatus: GRPCStatusMapping.deadlineExceeded)
  }

  private func idleTimedOut(stream s: StreamIndex) {
    let stream = streams.ref(s)
    downstreams[stream[].downstream].stats?.add(.downstreamRqIdleTimeout)
    stream[].responseFlags.insert(.streamIdleTimeout)
    if stream[].response.hasStarted {
      stream[].details = ByteView("stream_idle_timeout")
      return abort(s, byClient: false)
    }
    localReply(
      s, stream[].request.hasArrived ? 504 : 408, ByteView("stream timeout"), details: "stream_idle_timeout")
  }

  /// What was to come first did not come in time: the end of what the listener filters wait for, of a handshake, or of a head.
  private func headTimedOut(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].headDeadline = .distantFuture
    // A client that began neither version's way in full is answered in the older one.
    if slot[].kind == .http, slot[].nextHead == .come { startHTTP1(d) }
    switch slot[].kind {
    case .http1: return headTimedOutHTTP1(d)
    case .http2 where slot[].nextHead == .come:
      slot[].stats?.add(.downstreamRqHeaderTimeout)
      slot[].h2[].goAway()
      endStreams(ofDownstream: d)
      return close(downstream: d, .gracefully)
    case .codec where slot[].nextHead == .come:
      slot[].stats?.add(.downstreamRqHeaderTimeout)
      endStreams(ofDownstream: d)
      return close(downstream: d, .gracefully)
    default: break
    }
    if slot[].kind == .unmatched { return inspectionTimedOut(d) }
    listenerTable[].entries[Int(slot[].listener)].stats.add(.downstreamCxTransportSocketConnectTimeout)
    close(downstream: d, .reset)
  }

  private func headTimedOutHTTP1(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].life.noMoreRequests()
    guard let s = newUnheardStream(d, 0) else { return close(downstream: d, .reset) }
    slot[].stream = s
    streams[s].request.endArrived()
    switch slot[].manager?[].headTimeReason {
    case .requestTimeout:
      slot[].stats?.add(.downstreamRqTimeout)
      localReply(s, 408, ByteView("request timeout"), details: "request_overall_timeout")
    case .streamIdleTimeout:
      slot[].stats?.add(.downstreamRqIdleTimeout)
      streams[s].responseFlags.insert(.streamIdleTimeout)
      localReply(s, 408, ByteView("stream timeout"), details: "stream_idle_timeout")
    default:
      slot[].stats?.add(.downstreamRqHeaderTimeout)
      localReply(s, 408, ByteView("request header timeout"), details: "request_header_timeout")
    }
  }

  private func idleTimedOut(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].stats?.add(.downstreamCxIdleTimeout)
    if slot[].kind == .http2 { slot[].h2[].goAway() }
    close(downstream: d, .gracefully)
  }

  /// The connection has lived as long as it may: no new request, and the end when it is free.
  private func lifeEnded(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    if slot[].kind.hasMany, slot[].farewell.isAnnounced { return finishDrain(downstream: d) }
    if !slot[].farewell.isDue { slot[].stats?.add(.downstreamCxMaxDurationReached) }
    beginDrain(downstream: d)
  }

  func upstreamTimer(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    slot[].timer = LazyTimer()
    if slot[].life.isClosed { return }
    let cluster = clusters.ref(hosts[slot[].host].cluster)
    let config = cluster[].config
    if slot[].deadline <= now {
      slot[].deadline = .distantFuture
      if slot[].life == .connecting {
        close(upstream: u, .reset)
        return slot[].life.connectTimedOut()
      }
      if slot[].ping == .outstanding {
        let isCodec = slot[].kind == .codec
        let frames = isCodec ? slot[].codec[].received : UInt32(truncatingIfNeeded: slot[].h2[].framesReceived)
        if frames == slot[].framesAtPing { return closeWithStreams(u, .connectionTermination) }
        // Whoever sends anything is there.
        if isCodec { slot[].ping.answered() }
        slot[].framesAtPing = frames
        slot[].deadline =
          isCodec ? .distantFuture : now.advanced(nanoseconds: Int64(clamping: config[].pingTimeout))
      }
    }
    if slot[].lifeDeadline <= now {
      slot[].lifeDeadline = .distantFuture
      cluster[].stats.add(.upstreamCxMaxDurationReached)
      drain(upstream: u)
      if slot[].life.isClosed { return }
    }
    var next = min(slot[].deadline, slot[].lifeDeadline)
    if slot[].kind == .http2, config[].pingInterval > 0, config[].pingTimeout > 0, slot[].life != .connecting {
      if slot[].nextPingAt <= now {
        slot[].nextPingAt = nextPing(config)
        if slot[].ping != .outstanding { sendPing(u, timeout: config[].pingTimeout) }
      }
      next = min(next, slot[].deadline, slot[].nextPingAt)
    }
    if slot[].kind == .codec, slot[].life != .connecting { next = min(next, heartbeat(u)) }
    if slot[].active == 0, slot[].life != .connecting, config[].idleTimeout > 0, slot[].kind != .tcp {
      let end = slot[].idleSince.advanced(nanoseconds: Int64(clamping: config[].idleTimeout))
      if end <= now {
        cluster[].stats.add(.upstreamCxIdleTimeout)
        return retire(upstream: u)
      }
      next = min(next, end)
    }
    if slot[].active == 0, slot[].kind == .http2 {
      next = min(next, releaseMemory(of: slot[].h2, idleSince: slot[].idleSince))
    }
    if next != .distantFuture { arm(upstream: u, at: next) }
  }

  /// Gives back what the last streams of an idle connection needed; or tells when it is time.
  private func releaseMemory(of h2: H2Cell, idleSince: MonotonicInstant) -> MonotonicInstant {
    let due = idleSince + limits.idleMemoryTime
    if due > now { return due }
    h2[].releaseIdleMemory()
    return .distantFuture
  }

  func workerTimer(_ token: UInt64) {
    drainTimer()
  }
}
