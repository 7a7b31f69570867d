// HTTP/2 from clients: frames to request events.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  func receivedHTTP2(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    let slot = downstreams.ref(d)
    slot[].stats?.add(.downstreamCxRxBytesTotal, UInt64(bytes.count))
    let h2 = slot[].h2
    var input = bytes
    // Credits come in many small frames: who waits for the connection's window has all of them at once, and fills whole frames.
    var windowOpened = false
    while !slot[].life.isClosed {
      switch h2[].next(&input, head: requestHead, now: now) {
      case .headers(let id, let end):
        startRequest(onHTTP2: d, id, end: end)
      case .trailers(let id):
        if let s = stream(h2, id) {
          requestTrailers(s, requestHead)
          requestEnd(s)
        }
      case .data(let id, let data, let end):
        guard let s = stream(h2, id) else {
          h2[].consumed(id, data.count)
          continue
        }
        requestData(s, data, end: end && streams[s].requestTrailers == nil)
        if end, streams.contains(s) { requestEnd(s) }
      case .headersTooLarge(let id):
        refuseTooLarge(d, id)
      case .reset(let id, _, let byPeer):
        if let s = stream(h2, id) {
          streams[s].responseFlags.insert(byPeer ? .downstreamRemoteReset : .downstreamProtocolError)
          streams[s].details = byPeer ? ByteView("http2.remote_reset") : ByteView(h2[].lastStreamError.text)
          slot[].stats?.add(.downstreamRqRxReset)
          streams[s].client.left()
          finish(s)
        }
      case .windowOpened(let id):
        if id == 0 {
          windowOpened = true
        } else if let s = stream(h2, id) {
          pumpResponse(s)
        }
      case .goAway:
        // The client opens no more streams; what is in flight goes on.
        slot[].life.noMoreRequests()
        if slot[].active == 0 { close(downstream: d, .gracefully) }
      case .settings: break
      case .pong(let payload):
        if payload == Self.alivePing { slot[].pingDeadline = .distantFuture }
        drainAnswered(downstream: d, payload)
      case .connectionError(_, let detail):
        slot[].life.noMoreRequests()
        slot[].stats?.add(.downstreamCxProtocolError)
        if detail == .rapidReset { slot[].stats?.add(.downstreamRqTooManyPrematureResets) }
        endStreams(ofDownstream: d)
        close(downstream: d, .gracefully)
        return bytes.count
      case .needMore:
        let consumed = bytes.count - input.count
        if windowOpened {
          forEachStream(ofDownstream: d) { pumpResponse($0) }
          if slot[].life.isClosed { return consumed }
        }
        boundFrame(d, hasRest: !input.isEmpty, isProgress: consumed > 0)
        flushLater(downstream: d)
        return consumed
      }
    }
    return bytes.count
  }

  /// A preface, head or frame that has begun has to end in the time of a head; the codec gives no event for half of one.
  private func boundFrame(_ d: DownstreamIndex, hasRest: Bool, isProgress: Bool) {
    let slot = downstreams.ref(d)
    let isOwed = slot[].h2[].awaitsPeer || (hasRest && slot[].active == 0)
    if slot[].nextHead == .come {
      if isOwed, slot[].h2[].awaitsPeer || !isProgress { return }
      slot[].nextHead.awaitedAnew()
      slot[].headDeadline = .distantFuture
    }
    if isOwed { headBegan(d) }
  }

  private static var alivePing: UInt64 { 0x7765_6674_616c_6976 }

  /// When the next PING of `connection_keepalive` goes.
  func armPing(_ d: DownstreamIndex, _ manager: ConfigRef<CompiledHTTPManager>) {
    let slot = downstreams.ref(d)
    let spread = manager[].pingInterval / 100 * manager[].pingJitterPercent
    let interval = manager[].pingInterval + (spread > 0 ? random() % spread : 0)
    slot[].nextPingAt = now.advanced(nanoseconds: Int64(clamping: interval))
    arm(downstream: d, at: slot[].nextPingAt)
  }

  /// Sends the PING that is due, and ends a connection that has answered none and sent nothing else. *Returns*: when to look again.
  func ping(_ d: DownstreamIndex) -> MonotonicInstant {
    let slot = downstreams.ref(d)
    guard slot[].nextPingAt != .distantFuture, let manager = slot[].manager else { return .distantFuture }
    // A change of configuration may have taken them away.
    if manager[].pingInterval == 0 {
      (slot[].nextPingAt, slot[].pingDeadline) = (.distantFuture, .distantFuture)
      return .distantFuture
    }
    let frames = UInt32(truncatingIfNeeded: slot[].h2[].framesReceived)
    if slot[].pingDeadline <= now {
      if frames == slot[].framesAtPing {
        slot[].stats?.add(.downstreamCxHTTP2KeepaliveTimeout)
        endStreams(ofDownstream: d)
        close(downstream: d, .reset)
        return .distantFuture
      }
      // Whoever sends anything is there; its answer may be behind it.
      slot[].framesAtPing = frames
      slot[].pingDeadline = now.advanced(nanoseconds: Int64(clamping: manager[].pingTimeout))
    }
    if slot[].nextPingAt <= now {
      if slot[].pingDeadline == .distantFuture {
        slot[].h2[].ping(Self.alivePing)
        slot[].framesAtPing = frames
        slot[].pingDeadline = now.advanced(nanoseconds: Int64(clamping: manager[].pingTimeout))
        flushLater(downstream: d)
      }
      armPing(d, manager)
    }
    return min(slot[].nextPingAt, slot[].pingDeadline)
  }

  /// The stream of a number.
  private func stream(_ h2: H2Cell, _ id: H2StreamID) -> StreamIndex? {
    guard let word = h2[].user(id), word != 0 else { return nil }
    let index = StreamIndex(rawValue: word)
    return streams.contains(index) ? index : nil
  }

  private func startRequest(onHTTP2 d: DownstreamIndex, _ id: H2StreamID, end: Bool) {
    let slot = downstreams.ref(d)
    slot[].stats?.add(.downstreamRqHTTP2Total)
    guard let s = newStream(d, id) else {
      slot[].stats?.add(.downstreamRqOverloadClose)
      slot[].h2[].reset(id, .refusedStream, now: now)
      return flushLater(downstream: d)
    }
    slot[].h2[].setUser(id, s.rawValue)
    let stream = streams.ref(s)
    stream[].flags.insert(.clientAcceptsTrailers)
    if end {
      stream[].request.endArrived()
      stream[].requestEndedAt = now
      requestHead.framing = .none
    }
    beginRequest(s, requestHead)
  }

  private func refuseTooLarge(_ d: DownstreamIndex, _ id: H2StreamID) {
    guard let s = newUnheardStream(d, id) else { return downstreams[d].h2[].reset(id, .refusedStream, now: now) }
    downstreams[d].h2[].setUser(id, s.rawValue)
    if downstreams[d].h2[].hasPeerEnded(id) { streams[s].request.endArrived() }
    streams[s].responseFlags.insert(.downstreamProtocolError)
    localReply(s, 431, .empty, details: "http2.headers_too_large")
  }

  /// After a response on an HTTP/2 connection: what its stream was when it ended.
  func finishHTTP2(
    _ d: DownstreamIndex, _ id: H2StreamID, _ request: MessageState, _ response: MessageState, _ client: ClientState,
    credit: Int
  ) {
    let slot = downstreams.ref(d)
    let h2 = slot[].h2
    if slot[].life.isClosed { return }
    if client == .gone {
      if h2[].contains(id), !response.isSent { h2[].reset(id, .cancel, now: now) }
    } else if request.hasArrived {
      h2[].consumed(id, credit)
    } else if h2[].contains(id) {
      // The response is complete, the request is not: it may stop.
      h2[].reset(id, .noError, now: now)
    }
    flushLater(downstream: d)
    if slot[].active > 0 { return }
    slot[].idleSince = now
    if slot[].farewell == .final || slot[].life == .closing {
      return close(downstream: d, .gracefully)
    }
    armIdle(d)
  }
}
