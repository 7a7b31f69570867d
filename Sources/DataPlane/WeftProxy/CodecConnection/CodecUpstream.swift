// Endpoints that speak a codec's protocol: one connection carries many requests under numbers of ours, or one at a time.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  // MARK: Requests

  /// The connection takes the stream. Its message follows.
  func startMessage(_ s: StreamIndex, on u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    streams[s].upstreamID = slot[].codec[].open(s.rawValue)
    streams.pushLast(s, &slot[].streams)
    if !hasRoom(u) { unlist(upstream: u) }
  }

  /// Passes the whole message on, or keeps it until the connection takes it. May end the stream (one-way).
  func passMessage(_ s: StreamIndex, _ message: ByteView) {
    let stream = streams.ref(s)
    let isBlocked = upstreams[stream[].upstream].write == .blocked
    let keeps = stream[].bodyCopy == .kept
    if isBlocked || keeps { stream[].requestBody.append(message, pool: pool) }
    if isBlocked { return checkBody(s) }
    if keeps {
      stream[].requestBody.advance(message.count, keep: true, pool: pool)
      checkBody(s)
    }
    write(s, message)
    messageSent(s, message.count)
  }

  /// The message waited for the connection, or goes to another one. May end the stream (one-way).
  func pumpMessage(_ s: StreamIndex) {
    let stream = streams.ref(s)
    let count = stream[].requestBody.unsent
    guard count > 0, stream[].request.hasArrived || stream[].bytesReceived == UInt64(count),
      upstreams[stream[].upstream].write != .blocked
    else { return }
    write(s, stream[].requestBody.unsentView)
    stream[].requestBody.advance(count, keep: stream[].bodyCopy == .kept, pool: pool)
    stream[].requestFlow.resume()
    messageSent(s, count)
  }

  private func write(_ s: StreamIndex, _ message: ByteView) {
    let stream = streams.ref(s)
    let slot = upstreams.ref(stream[].upstream)
    stage(for: slot[].connection)
    let rest = slot[].codec[].readdress(message, to: UInt64(stream[].upstreamID), &stage[].buffer)
    send(rest, to: slot[].connection)
  }

  private func messageSent(_ s: StreamIndex, _ count: Int) {
    let stream = streams.ref(s)
    stream[].request.endPassed()
    stream[].lastActivity = now
    creditMessage(s, count)
    if stream[].expectsAnswer { return }
    // Nobody will answer: that it left is all there is to know.
    responseHead.startResponse(200, framing: .none)
    turn[].passed = PassedMessage()
    responseHead(s, responseHead, end: true)
  }

  // MARK: Answers

  func upstreamReceivedCodec(_ u: UpstreamIndex, _ bytes: ByteView) -> Int {
    let slot = upstreams.ref(u)
    let codec = slot[].codec
    var input = bytes
    // Whatever comes behind an answer that is skipped waits until all of it has come, if ever: nobody new is sent there.
    var skips = codec[].isSkipping
    defer { if skips, upstreams.contains(u), !slot[].life.isClosed, !codec[].isSkipping { freedCodec(u) } }
    while !slot[].life.isClosed {
      var message = ByteView.empty
      switch codec[].next(&input, responseHead, &message) {
      case .needMore: return keepsHalf(u) ? bytes.count - input.count : bytes.count
      case .message(_, let id, _):
        if let s = answered(u, id) {
          turn[].passed = PassedMessage(bytes: message)
          responseHead(s, responseHead, end: true)
          turn[].passed = PassedMessage()
        } else if codec[].exchange == .oneByOne {
          // Nobody asked: what comes cannot be told from the next answer.
          return brokenCodec(u, bytes)
        }
      // An answer to a request that has ended meanwhile is nobody's.
      case .refused(_, let id, _, _):
        if let s = answered(u, id) { unreadable(s) }
      case .oversize(_, let id, _, _):
        skips = true
        unlist(upstream: u)
        if let s = answered(u, id) { unreadable(s) }
      case .control(_, let wantsAnswer):
        slot[].ping.answered()
        slot[].deadline = .distantFuture
        guard wantsAnswer else { continue }
        stage(for: slot[].connection)
        codec[].answer(message, &stage[].buffer)
      case .lastCall:
        clusters[hosts[slot[].host].cluster].stats.add(.upstreamCxCloseNotify)
        drain(upstream: u)
      case .malformed: return brokenCodec(u, bytes)
      }
    }
    return bytes.count
  }

  /// The answer cannot be taken. May end the stream.
  private func unreadable(_ s: StreamIndex) {
    upstreamReset(s, .protocolError)
  }

  /// As for clients: false where the worker keeps too much of answers that have begun. Those that wait on the connection are told.
  private func keepsHalf(_ u: UpstreamIndex) -> Bool {
    let slot = upstreams.ref(u)
    turn[].halfAnswers += slot[].codec[].recount()
    if hasRoom(forHalf: slot[].codec[].partialBytes, of: turn[].halfAnswers) { return true }
    clusters[hosts[slot[].host].cluster].stats.add(.upstreamCxHalfMessageOverflow)
    closeWithStreams(u, .overflow)
    return false
  }

  private func brokenCodec(_ u: UpstreamIndex, _ bytes: ByteView) -> Int {
    clusters[hosts[upstreams[u].host].cluster].stats.add(.upstreamCxProtocolError)
    closeWithStreams(u, .protocolError)
    return bytes.count
  }

  /// The stream whose answer this is.
  private func answered(_ u: UpstreamIndex, _ id: UInt64) -> StreamIndex? {
    let codec = upstreams[u].codec
    let word = codec[].exchange == .multiplexed ? codec[].close(id) : codec[].closeOnly()
    guard let word else { return nil }
    let s = StreamIndex(rawValue: word)
    return streams.contains(s) && streams[s].upstream == u ? s : nil
  }

  /// Takes the stream off the connection, whose count has been told. A message cannot be called back: what answers come for it are dropped, or,
  /// where they could not be told from the next one's, the connection ends.
  func detachMessage(_ s: StreamIndex, _ u: UpstreamIndex, isComplete: Bool) {
    let slot = upstreams.ref(u)
    streams.unlink(s, &slot[].streams)
    _ = slot[].codec[].close(UInt64(streams[s].upstreamID))
    if slot[].life.isClosed { return }
    if slot[].codec[].exchange == .oneByOne, !isComplete {
      stage[].drop(slot[].connection)
      return close(upstream: u, .reset)
    }
    freed(upstream: u)
  }

  // MARK: Pools

  /// Whether the connection takes one more request.
  private func hasRoom(_ u: UpstreamIndex) -> Bool {
    let slot = upstreams.ref(u)
    return !slot[].codec[].isSkipping
      && slot[].active < (slot[].codec[].exchange == .multiplexed ? UInt32(limits.messagesUnderWay) : 1)
  }

  /// A connection of the host that speaks the stream's protocol and has room.
  func readyCodec(_ h: HostIndex, for s: StreamIndex) -> UpstreamIndex? {
    var u = hosts[h].speaking.first
    while !u.isNone {
      if speaks(u, s) { return u }
      u = upstreams[u].links.next
    }
    return nil
  }

  /// Whether the connection speaks what the stream does, configured alike.
  func speaks(_ u: UpstreamIndex, _ s: StreamIndex) -> Bool {
    upstreams[u].kind == .codec && streams[s].codec?[].identity == upstreams[u].codec[].identity
  }

  /// The connection has room: those who wait take it, then it is on offer.
  func freedCodec(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    // One that takes no answer is over as soon as it has left, and frees the connection again: those who wait are served here, not deeper.
    if slot[].codec[].isServing { return }
    slot[].codec[].isServing = true
    while slot[].life == .open, hasRoom(u), let s = nextWaiting(slot[].host, .codec, u) {
      _ = startWaiting(s, on: u)
    }
    slot[].codec[].isServing = false
    guard upstreams.contains(u), !slot[].life.isClosed else { return }
    // Those who waited may have taken the last requests that it carries.
    if slot[].life == .draining { return openForWaiting(slot[].host) }
    if hosts[slot[].host].isRemoved { return drain(upstream: u) }
    if hasRoom(u) { list(upstream: u) }
    if slot[].active == 0 { idleBegan(u) }
    openForWaiting(slot[].host)
  }

  // MARK: Signs of life

  /// Asks an endpoint that has said nothing for a while whether it is there. *Returns*: when to look again.
  func heartbeat(_ u: UpstreamIndex) -> MonotonicInstant {
    let slot = upstreams.ref(u)
    let interval = slot[].codec[].heartbeatInterval
    if interval == 0 { return .distantFuture }
    if slot[].nextPingAt <= now {
      let isSilent = slot[].framesAtPing == slot[].codec[].received
      slot[].framesAtPing = slot[].codec[].received
      if isSilent, slot[].ping != .outstanding {
        stage(for: slot[].connection)
        slot[].codec[].heartbeat(&stage[].buffer)
        slot[].ping.sent()
        slot[].deadline = now.advanced(nanoseconds: Int64(clamping: 2 * interval))
      }
      slot[].nextPingAt = now.advanced(nanoseconds: Int64(clamping: interval))
    }
    return min(slot[].nextPingAt, slot[].deadline)
  }

  /// Begins to look after a connection that has come about.
  func startHeartbeats(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    let interval = slot[].codec[].heartbeatInterval
    if interval == 0 { return }
    slot[].nextPingAt = now.advanced(nanoseconds: Int64(clamping: interval))
    arm(upstream: u, at: slot[].nextPingAt)
  }
}
