// The request's way from the client: head, body, trailers, end.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// A stream on a downstream connection, or nil at the limit.
  func newStream(_ d: DownstreamIndex, _ id: H2StreamID) -> StreamIndex? {
    let slot = downstreams.ref(d)
    if slot[].snapshot != configuration[].current { refreshChain(d) }
    guard
      let s = streams.insert(
        Stream(downstream: d, downstreamID: id, snapshot: slot[].snapshot, random: random(), now: now))
    else { return nil }
    retain(snapshot: slot[].snapshot)
    if slot[].kind.hasMany { streams.pushLastSibling(s, &slot[].streams) }
    slot[].active &+= 1
    slot[].requests &+= 1
    if let stats = slot[].stats {
      stats.add(.downstreamRqTotal)
      stats.add(.downstreamRqActive)
    }
    return s
  }

  /// A stream of a request whose head does not come, or cannot be read: it is answered, and its answer logged, without having begun.
  func newUnheardStream(_ d: DownstreamIndex, _ id: H2StreamID) -> StreamIndex? {
    guard let s = newStream(d, id) else { return nil }
    streams[s].logNeeds = downstreams[d].manager?[].logNeeds ?? .nothing
    return s
  }

  /// A complete request head has come. May end the stream (local reply).
  func beginRequest(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    guard let manager = slot[].manager else { return }

    var flags = stream[].flags
    if head.flags.contains(.extendedConnect) { takeExtendedConnect(head) }
    switch head.method {
    case .head: flags.insert([.isHEAD, .idempotent])
    case .connect:
      stream[].tunnel.connectAsked()
    default: if head.method.isIdempotent { flags.insert(.idempotent) }
    }
    if head.flags.contains(.upgrade), head.method != .connect, !isCleartextHTTP2(head) {
      stream[].tunnel.upgradeAsked()
    }
    if head.flags.contains(.acceptsTrailers) { flags.insert(.clientAcceptsTrailers) }
    if case .length(let n) = head.framing { stream[].requestLeft = Int64(clamping: n) }
    if head.isGRPC { flags.insert(.isGRPC) }
    stream[].flags = flags

    stream[].idleTimeout = manager[].streamIdleTimeout
    stream[].logNeeds = manager[].logNeeds
    // A tunnel's client goes on sending: there is no whole request to wait for.
    if manager[].requestTimeout > 0, !stream[].request.hasArrived, head.framing != .tunnel {
      stream[].requestDeadline = now.advanced(nanoseconds: Int64(clamping: manager[].requestTimeout))
    }
    if manager[].maxStreamDuration > 0 {
      stream[].lifeDeadline = now.advanced(nanoseconds: Int64(clamping: manager[].maxStreamDuration))
    }
    if slot[].requests >= manager[].maxRequestsPerConnection, !slot[].farewell.isDue {
      slot[].farewell.becomesDue()
      slot[].stats?.add(.downstreamCxMaxRequestsReached)
      if slot[].kind.hasMany { beginDrain(downstream: d) }
    }

    if let refusal = normalise(head, s, d) {
      keepForLog(s, head)
      if refusal.closes { stream[].flags.insert(.clientCloses) }
      return localReply(s, refusal.status, .empty, details: refusal.details)
    }
    if head.flags.contains(.expectsContinue), !manager[].proxiesContinue {
      head.remove(.expect)
      sendContinue(s)
    }
    route(s, head)
    if streams.contains(s) { armStream(s) }
  }

  private func isCleartextHTTP2(_ head: MessageHead) -> Bool {
    guard let value = head.first(.upgrade) else { return true }
    return value.equalsIgnoringCase("h2c")
  }

  /// Content of the request.
  func requestData(_ s: StreamIndex, _ data: ByteView, end: Bool) {
    let stream = streams.ref(s)
    stream[].bytesReceived &+= UInt64(data.count)
    stream[].lastActivity = now
    var end = end
    if stream[].requestLeft > 0 {
      stream[].requestLeft -= Int64(data.count)
      // Known by length: the last piece carries the end, so that it needs no frame or write of its own. HTTP/2 says itself when it ends:
      // trailers may follow.
      if stream[].requestLeft <= 0, !isHTTP2(downstream: stream[].downstream) { end = true }
    }
    if stream[].flags.contains(.localReply) || stream[].isResponseOver {
      creditRequest(s, data.count)
      // Nobody is given the rest: a copy would never be whole.
      if !stream[].companions.isNone { endCompanions(s) }
      return
    }
    // What comes while a filter holds the head is shown to all when they have seen that.
    if stream[].frame.phase != .held, !filterContent(s, request: data, end: end) { return }
    if !stream[].companions.isNone {
      feedMirrors(s, data, end: end)
      if !streams.contains(s) { return }
    }
    passRequest(s, data, end: end)
  }

  /// Passes content on to the upstream, or keeps it for when that is possible.
  func passRequest(_ s: StreamIndex, _ data: ByteView, end: Bool) {
    let stream = streams.ref(s)
    let keeps = stream[].bodyCopy == .kept
    if !stream[].request.hasStarted || stream[].requestBody.unsent > 0 || stream[].upstream.isNone
      || holdsTunnel(s)
    {
      if stream[].frame.phase == .held, keepHeldBody(s, data) { return }
      stream[].requestBody.append(data, pool: pool)
      stream[].requestCredit += isHTTP2(downstream: stream[].downstream) ? data.count : 0
      checkBody(s)
      if stream[].request.hasStarted, !stream[].upstream.isNone { pumpRequest(s) }
      return
    }
    let u = stream[].upstream
    let slot = upstreams.ref(u)
    if slot[].kind == .http2 {
      if keeps { stream[].requestBody.append(data, pool: pool) }
      let accepted = sendHTTP2Data(request: s, data, end: end)
      if keeps {
        stream[].requestBody.advance(accepted, keep: true, pool: pool)
      } else if accepted < data.count {
        stream[].requestBody.append(data.dropFirst(accepted), pool: pool)
      }
      creditRequest(s, accepted)
      if accepted < data.count {
        stream[].requestCredit += isHTTP2(downstream: stream[].downstream) ? data.count - accepted : 0
        pauseRequest(s)
      } else if end, slot[].write != .blocked {
        // An end without bytes that finds the connection blocked is left to `requestEnd`.
        stream[].request.endPassed()
      }
    } else if slot[].kind == .codec {
      return passMessage(s, data)
    } else {
      if keeps {
        stream[].requestBody.append(data, pool: pool)
        stream[].requestBody.advance(data.count, keep: true, pool: pool)
      }
      writeHTTP1(request: s, data)
      if slot[].write == .blocked {
        stream[].requestCredit += isHTTP2(downstream: stream[].downstream) ? data.count : 0
        pauseRequest(s)
      } else {
        creditRequest(s, data.count)
      }
      // A body of declared length is complete with its last byte; HTTP/1 has nothing to send for the end.
      if end, !stream[].flags.contains(.requestChunked), !stream[].tunnel.isOpen { stream[].request.endPassed() }
    }
    if keeps { checkBody(s) }
  }

  /// Bytes of a tunnel that the upstream has not granted yet are kept: on an HTTP/1 connection they would be read as a request, and
  /// behind an HTTP/2 one there may be another HTTP/1 connection.
  @inline(__always)
  private func holdsTunnel(_ s: StreamIndex) -> Bool {
    let stream = streams.ref(s)
    guard stream[].tunnel.isPending else { return false }
    // An upgrade's own content has a length or chunks.
    return stream[].requestLeft < 0 && !stream[].flags.contains(.requestChunked)
  }

  /// Writes content to an HTTP/1 upstream in the framing its head announced.
  private func writeHTTP1(request s: StreamIndex, _ data: ByteView) {
    if data.isEmpty { return }
    let stream = streams.ref(s)
    let c = upstreams[stream[].upstream].connection
    if stream[].flags.contains(.requestChunked) { writeChunk(data, to: c) } else { send(data, to: c) }
  }

  /// One chunk; a large one is not copied.
  func writeChunk(_ data: ByteView, to c: ConnectionID) {
    stage(for: c)
    if data.count <= limits.coalescedBytes {
      H1Encoder.writeChunk(data, to: &stage[].buffer)
      return
    }
    H1Encoder.writeChunkStart(data.count, to: &stage[].buffer)
    send(data, to: c)
    stage(for: c)
    H1Encoder.writeChunkEnd(to: &stage[].buffer)
  }

  /// Keeps the body within its limits: gives retries up, then holds the client back.
  func checkBody(_ s: StreamIndex) {
    let stream = streams.ref(s)
    let limit = bufferLimit(s)
    if stream[].bodyCopy == .kept, stream[].requestBody.count > limit {
      stream[].bodyCopy.outgrown()
      if !stream[].cluster.isNone { clusters[stream[].cluster].stats.add(.retryOrShadowAbandoned) }
      stream[].requestBody.forgetSent(pool: pool)
    }
    // What is unsent waits for a connection or a window; half the limit is enough to have ready.
    if stream[].requestBody.unsent > limit / 2 { pauseRequest(s) }
  }

  func bufferLimit(_ s: StreamIndex) -> Int {
    let stream = streams.ref(s)
    let base = downstreams[stream[].downstream].manager?[].bufferLimit ?? 1 << 20
    guard let route = stream[].route else { return base }
    return min(base, route[].bufferLimit)
  }

  func requestTrailers(_ s: StreamIndex, _ trailers: MessageHead) {
    let stream = streams.ref(s)
    if stream[].flags.contains(.localReply) || stream[].response.isSent { return }
    // A tunnel is bytes; HTTP/2's trailers end it and say nothing.
    if stream[].tunnel.isAsked, !stream[].flags.contains(.requestChunked) { return }
    if let chain = stream[].filters { filterTrailers(s, request: trailers, chain) }
    stream[].requestTrailers?.release(to: pool)
    stream[].requestTrailers = StoredHead(trailers, pool: pool)
  }

  /// All of the request has arrived.
  func requestEnd(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].request.hasArrived { return }
    stream[].request.endArrived()
    stream[].requestEndedAt = now
    stream[].requestDeadline = .distantFuture
    if stream[].tunnel.isOpen {
      // The client has said all it has to say; the upstream may go on. What it said still has to arrive.
      if !stream[].request.isSent { return endRequestIfDrained(s) }
      return finishTunnelIfOver(s)
    }
    startTotalTimeout(s)
    if stream[].response.isSent {
      if !stream[].companions.isNone, !stream[].flags.contains(.localReply) { endMirrors(s) }
      return finish(s)
    }
    if stream[].requestTrailers == nil, stream[].frame.phase != .held, !filterContent(s, request: .empty, end: true) {
      return
    }
    if !stream[].companions.isNone { endMirrors(s) }
    guard stream[].request.hasStarted else {
      if stream[].frame.phase == .held { heldRequestEnded(s) }
      return
    }
    armTry(s)
    if !stream[].request.isSent { endRequestIfDrained(s) }
  }

  /// Passes the end on when nothing of the body waits before it. May end the stream (a tunnel whose other direction has ended).
  private func endRequestIfDrained(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].requestBody.unsent == 0, !stream[].upstream.isNone, !stream[].request.isSent else {
      return
    }
    let u = stream[].upstream
    let slot = upstreams.ref(u)
    // A conversation has not begun, much less ended; what may have ended is the content of the request for it.
    if stream[].tunnel.isPending,
      slot[].kind == .http2 || !stream[].flags.contains(.requestChunked)
    {
      return
    }
    stream[].request.endPassed()
    if slot[].kind == .http2 {
      if let trailers = stream[].requestTrailers {
        trailers.view(in: trailerHead)
        if stream[].flags.contains(.filtersAttempts) { filterAttempt(s, trailers: trailerHead) }
        slot[].h2[].sendTrailers(stream[].upstreamID, trailerHead)
      } else {
        _ = slot[].h2[].sendData(stream[].upstreamID, .empty, endStream: true)
      }
      flushLater(upstream: u)
    } else if stream[].tunnel.isOpen {
      flushStage()
      loop.finishWriting(slot[].connection)
    } else if stream[].flags.contains(.requestChunked) {
      stage(for: slot[].connection)
      if let trailers = stream[].requestTrailers {
        trailers.view(in: trailerHead)
        if stream[].flags.contains(.filtersAttempts) { filterAttempt(s, trailers: trailerHead) }
        H1Encoder.writeLastChunk(trailers: trailerHead, to: &stage[].buffer)
      } else {
        H1Encoder.writeLastChunk(to: &stage[].buffer)
      }
    }
    if stream[].tunnel.isOpen { finishTunnelIfOver(s) }
  }

  /// The upstream takes bytes again (or for the first time): sends what waits. May end the stream.
  func pumpRequest(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].request.hasStarted, !stream[].upstream.isNone, !holdsTunnel(s) else { return }
    let u = stream[].upstream
    let slot = upstreams.ref(u)
    if slot[].kind == .codec { return pumpMessage(s) }
    let waiting = stream[].requestBody.unsent
    if waiting > 0 {
      if slot[].write == .blocked { return }
      let view = stream[].requestBody.unsentView
      let keep = stream[].bodyCopy == .kept
      let end = stream[].request.hasArrived && stream[].requestTrailers == nil
      var accepted = waiting
      if slot[].kind == .http2 {
        accepted = sendHTTP2Data(request: s, view, end: end)
        if end, accepted == waiting { stream[].request.endPassed() }
      } else {
        writeHTTP1(request: s, view)
      }
      stream[].requestBody.advance(accepted, keep: keep, pool: pool)
      if accepted > 0 { stream[].lastActivity = now }
      if stream[].requestBody.unsent > 0 { return }
    }
    if slot[].write == .blocked { return }
    if stream[].request.hasArrived {
      if !stream[].request.isSent {
        endRequestIfDrained(s)
      } else if stream[].tunnel.isOpen {
        finishTunnelIfOver(s)
      }
      guard streams.contains(s) else { return }
    }
    resumeRequest(s)
  }

  private func sendHTTP2Data(request s: StreamIndex, _ data: ByteView, end: Bool) -> Int {
    let stream = streams.ref(s)
    let u = stream[].upstream
    let slot = upstreams.ref(u)
    if slot[].h2[].output.count > Self.mostGathered { writeHTTP2(upstream: u) }
    if slot[].write == .blocked { return 0 }
    let accepted = slot[].h2[].sendData(stream[].upstreamID, data, endStream: end)
    flushLater(upstream: u)
    return accepted
  }

  // MARK: Back-pressure on the client

  func isHTTP2(downstream d: DownstreamIndex) -> Bool { downstreams[d].kind == .http2 }

  func pauseRequest(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].requestFlow.pause() else { return }
    if !stream[].cluster.isNone { clusters[stream[].cluster].stats.add(.upstreamFlowControlBackedUp) }
    // HTTP/1: `receivedHTTP1` stops at the flag; HTTP/2: credit is withheld.
    if downstreams[stream[].downstream].kind == .tcp { pauseReading(downstream: stream[].downstream) }
  }

  func resumeRequest(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if downstreams[stream[].downstream].kind == .codec {
      stream[].requestFlow.resume()
      return resumeCodec(stream[].downstream)
    }
    if stream[].requestCredit > 0 {
      let n = stream[].requestCredit
      stream[].requestCredit = 0
      creditRequest(s, n)
    }
    guard stream[].requestFlow.resume() else { return }
    if !stream[].cluster.isNone { clusters[stream[].cluster].stats.add(.upstreamFlowControlDrained) }
    if downstreams[stream[].downstream].kind != .http2 { resumeReading(downstream: stream[].downstream) }
  }

  /// HTTP/2: the client may send `n` bytes more.
  func creditRequest(_ s: StreamIndex, _ n: Int) {
    let stream = streams.ref(s)
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    if slot[].kind == .codec { return creditMessage(s, n) }
    guard slot[].kind == .http2, n > 0, stream[].client != .gone else { return }
    slot[].h2[].consumed(stream[].downstreamID, n)
    flushLater(downstream: d)
  }
}
