// Clients that speak a codec's protocol: messages to request events, answers back.
//
// Such a connection stands beside HTTP/1 and HTTP/2 (`DownstreamKind.codec`) and lists its streams as HTTP/2 does. A message passes whole: its
// head is routed, its bytes are the request's content, and the answer is written in one piece, so that no stream ever waits for another's rest.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// The message or text that is being passed to a client: views that hold as long as the event that brought them.
struct PassedMessage {
  /// An endpoint's answer.
  var bytes = ByteView.empty
  /// Of an answer made here: what it tells people, and whether a limit of ours is its reason.
  var text = ByteView.empty
  var isOverload = false
}

extension WorkerEngine {
  func startCodec(_ d: DownstreamIndex, _ codec: ConfigRef<CompiledCodec>) {
    let slot = downstreams.ref(d)
    slot[].kind.codec()
    slot[].codec = codec[].open(.client)
    // Its listener has begun to drain meanwhile.
    if slot[].farewell.isDue { beginDrain(downstream: d) }
  }

  func receivedCodec(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    let slot = downstreams.ref(d)
    slot[].stats?.add(.downstreamCxRxBytesTotal, UInt64(bytes.count))
    let codec = slot[].codec
    var input = bytes
    while !slot[].life.isClosed {
      // The connection ends; whatever still comes belongs to nobody.
      if slot[].life == .closing { return bytes.count }
      if holdsBack(d) {
        pauseReading(downstream: d)
        codec[].settle()
        turn[].halfRequests += codec[].recount()
        return bytes.count - input.count
      }
      var message = ByteView.empty
      switch codec[].next(&input, requestHead, &message) {
      case .needMore:
        guard keepsHalf(d) else { return bytes.count }
        boundMessage(d)
        return bytes.count - input.count
      case .message(_, let id, let expectsAnswer):
        if let s = newMessage(d, id, expectsAnswer) { begin(s, message) }
      case .refused(_, let id, let expectsAnswer, let details), .oversize(_, let id, let expectsAnswer, let details):
        if let s = newMessage(d, id, expectsAnswer) { refuse(s, details) }
      case .control(_, let wantsAnswer):
        if wantsAnswer {
          stage(for: slot[].connection)
          codec[].answer(message, &stage[].buffer)
        }
      case .lastCall:
        slot[].life.noMoreRequests()
        if slot[].active == 0 { close(downstream: d, .gracefully) }
      case .malformed:
        slot[].life.noMoreRequests()
        slot[].stats?.add(.downstreamCxProtocolError)
        endStreams(ofDownstream: d)
        close(downstream: d, .gracefully)
        return bytes.count
      }
      slot[].nextHead.awaitedAnew()
      slot[].headDeadline = .distantFuture
    }
    return bytes.count
  }

  /// Counts what is kept of a message that has begun. *Returns*: false where the worker keeps too much of them: the connection has ended.
  private func keepsHalf(_ d: DownstreamIndex) -> Bool {
    let slot = downstreams.ref(d)
    turn[].halfRequests += slot[].codec[].recount()
    if hasRoom(forHalf: slot[].codec[].partialBytes, of: turn[].halfRequests) { return true }
    slot[].stats?.add(.downstreamCxHalfMessageOverflow)
    slot[].life.noMoreRequests()
    endStreams(ofDownstream: d)
    close(downstream: d, .reset)
    return false
  }

  /// Whether `bytes` of a message may be kept where all connections together keep `sum`. The usual message, cut where a segment ends, has room when
  /// large ones have none.
  func hasRoom(forHalf bytes: Int, of sum: Int) -> Bool {
    sum <= (bytes > limits.coalescedBytes ? 1 : 2) * limits.halfMessageBytes
  }

  /// A message that has begun has to be whole in the time of a head.
  private func boundMessage(_ d: DownstreamIndex) {
    if downstreams[d].codec[].hasPartial, downstreams[d].nextHead != .come { headBegan(d) }
  }

  /// Whether no further message is read for now: answers are not taken, enough requests are under way, or enough of them wait to be passed on.
  private func holdsBack(_ d: DownstreamIndex) -> Bool {
    let slot = downstreams.ref(d)
    if slot[].write == .blocked { return true }
    if slot[].codec[].exchange == .oneByOne { return slot[].active > 0 }
    return slot[].active >= UInt32(limits.messagesUnderWay)
      || slot[].codec[].held > (slot[].manager?[].bufferLimit ?? 0)
  }

  func resumeCodec(_ d: DownstreamIndex) {
    if downstreams[d].read == .paused, !holdsBack(d) { resumeReading(downstream: d) }
  }

  private func newMessage(_ d: DownstreamIndex, _ id: UInt64, _ expectsAnswer: Bool) -> StreamIndex? {
    let slot = downstreams.ref(d)
    guard let s = newStream(d, 0) else {
      slot[].stats?.add(.downstreamRqOverloadClose)
      close(downstream: d, .reset)
      return nil
    }
    let stream = streams.ref(s)
    stream[].codec = slot[].manager?[].protocolCodec
    stream[].clientNumber = id
    stream[].expectsAnswer = expectsAnswer
    return s
  }

  private func begin(_ s: StreamIndex, _ message: ByteView) {
    let stream = streams.ref(s)
    stream[].requestCredit = message.count
    downstreams[stream[].downstream].codec[].held += message.count
    beginRequest(s, requestHead)
    if streams.contains(s) { requestData(s, message, end: true) }
    if streams.contains(s) { requestEnd(s) }
  }

  private func refuse(_ s: StreamIndex, _ details: StaticString) {
    let stream = streams.ref(s)
    stream[].request.endArrived()
    stream[].requestEndedAt = now
    stream[].responseFlags.insert(.downstreamProtocolError)
    stream[].logNeeds = downstreams[stream[].downstream].manager?[].logNeeds ?? .nothing
    localReply(s, 400, .empty, details: details)
  }

  /// `n` bytes of the request were passed on. A stream of the proxy's own holds nobody back.
  func creditMessage(_ s: StreamIndex, _ n: Int) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    guard slot[].kind == .codec else { return }
    let taken = min(n, stream[].requestCredit)
    stream[].requestCredit -= taken
    slot[].codec[].held -= taken
    if stream[].client != .gone { resumeCodec(stream[].downstream) }
  }

  // MARK: Answers

  /// Writes the answer: what `turn[].passed` holds. Ends the stream.
  func passAnswer(_ s: StreamIndex) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    if stream[].expectsAnswer {
      stage(for: slot[].connection)
      if stream[].flags.contains(.localReply) {
        writeReply(s, stream[].status)
      } else {
        let message = turn[].passed.bytes
        stream[].bytesSent &+= UInt64(message.count)
        let rest = slot[].codec[].readdress(message, to: stream[].clientNumber, &stage[].buffer)
        send(rest, to: slot[].connection)
      }
      boundAnswers(stream[].downstream)
    }
    responseSent(s)
  }

  private func writeReply(_ s: StreamIndex, _ status: UInt16) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    let text = turn[].passed.text.isEmpty ? stream[].details : turn[].passed.text
    slot[].codec[].write(
      CodecReply(status: status, isOverload: turn[].passed.isOverload, text: text, id: stream[].clientNumber),
      &stage[].buffer)
  }

  /// Endpoints cannot be held back for one of many clients: a client that asks and does not read ends when too much waits for it.
  private func boundAnswers(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard slot[].write == .blocked, loop.queuedBytes(slot[].connection) > limits.queuedAnswerBytes else {
      return
    }
    slot[].stats?.add(.downstreamRqOverloadClose)
    close(downstream: d, .reset)
  }

  /// The stream cannot be answered as it should be. Its client is told: no protocol has a reset of one message. Ends the stream.
  func abortMessage(_ s: StreamIndex) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    if stream[].expectsAnswer, !stream[].response.hasStarted, slot[].isOpen {
      stage(for: slot[].connection)
      turn[].passed = PassedMessage()
      writeReply(s, 502)
    }
    finish(s)
  }

  /// After an answer, or the end of a request without one. `rest`: what of its message nobody took.
  func finishCodec(_ d: DownstreamIndex, rest: Int) {
    let slot = downstreams.ref(d)
    slot[].codec[].held -= rest
    if slot[].life.isClosed { return }
    if slot[].active == 0 {
      slot[].idleSince = now
      if slot[].farewell == .final || slot[].life == .closing { return close(downstream: d, .gracefully) }
      armIdle(d)
    }
    resumeCodec(d)
  }

  /// Tells a client to go elsewhere with its next request. *Returns*: whether its protocol has a word for that.
  func sendLastCall(_ d: DownstreamIndex) -> Bool {
    let slot = downstreams.ref(d)
    stage(for: slot[].connection)
    return slot[].codec[].lastCall(&stage[].buffer)
  }
}
