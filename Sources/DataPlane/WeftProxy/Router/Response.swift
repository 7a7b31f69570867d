// The response's way back: head, body, trailers, end, from the upstream to the client.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// A response head has come from the upstream, informational, final, or 101. May end the stream.
  func responseHead(_ s: StreamIndex, _ head: MessageHead, end: Bool) {
    let stream = streams.ref(s)
    stream[].lastActivity = now
    if stream[].response.headArrived() { stream[].upstreamFirstByte = now }
    if head.isInformational { return informational(s, head) }
    if stream[].tunnel.isAsked, let fault = answerTunnel(s, head) { return tunnelFault(s, fault) }

    let filtered = stream[].flags.contains(.filtersAttempts) ? filterAnswer(s, head, end: end) : .go
    let state = clusters.ref(stream[].cluster)
    let status = head.status
    stream[].tryDeadline = .distantFuture
    if stream[].flags.contains(.isGRPC), let text = head.first(.grpcStatus) {
      stream[].grpcStatus = GRPCStatusMapping.status(in: text)
    }
    state[].stats.add(.upstreamRqCompleted)
    state[].stats.add(ClusterMetric.codeClass(status))
    state[].stats.countStatus(status)
    if state[].hasOutlierDetection { report(s, .response(outcomeStatus(stream, status))) }
    countOutcome(s, status, end: end)
    if stream[].race != .none { return raceHead(s, head, filtered, end: end) }
    if stream[].flags.contains(.hasRetryPolicy), filtered == .go, losesAnswer(s, head, end: end) { return }
    answer(s, head, filtered, end: end)
  }

  /// The head of an answer to one of several attempts. May end the stream.
  @inline(never)
  private func raceHead(_ a: StreamIndex, _ head: MessageHead, _ filtered: FilterVerdict, end: Bool) {
    if filtered == .go, losesAnswer(a, head, end: end) { return }
    let s = winner(a)
    answer(s, head, filtered, end: end)
    // Not before the head has been passed on: connections that are freed serve others, and they use the same scratch.
    if streams.contains(s), !streams[s].companions.isNone { endCompanions(s) }
  }

  /// The answer is the client's. May end the stream.
  @inline(__always)
  private func answer(_ s: StreamIndex, _ head: MessageHead, _ filtered: FilterVerdict, end: Bool) {
    let stream = streams.ref(s)
    let state = clusters.ref(stream[].cluster)
    let status = head.status
    if stream[].retryPermit == .held {
      giveRetry(s)
      if status < 500 { state[].stats.add(.upstreamRqRetrySuccess) }
    }
    if end { answerComplete(s) }

    if filtered != .go { return stopAttempt(s, filtered) }
    stream[].status = status
    head.removeHopByHop(keepUpgrade: stream[].tunnel.isOpen)
    let ends = end || (!head.hasContent && head.framing != .tunnel && head.framing != .untilClose)
    guard decorate(s, head, end: ends) else { return }
    passResponseHead(s, head, end: ends)
    if streams.contains(s), stream[].tunnel.isOpen { pumpRequest(s) }
  }

  /// The status that says how the host fared: a gRPC failure in a response of nothing but a head counts as its HTTP counterpart.
  private func outcomeStatus(_ stream: SlotRef<Stream>, _ status: UInt16) -> UInt16 {
    let call = stream[].grpcStatus
    return call == 0 || call == GRPCStatusMapping.none || status >= 500
      ? status : GRPCStatusMapping.httpStatus(of: call)
  }

  private func informational(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    clusters[stream[].cluster].stats.add(.upstreamRq1xx)
    // Whose answer will be the client's is not known yet.
    if stream[].race != .none { return }
    if stream[].flags.contains(.clientHTTP10) || stream[].client == .gone { return }
    // 100 was answered here unless it is proxied.
    if head.status == 100, !(downstreams[stream[].downstream].manager?[].proxiesContinue ?? false) { return }
    head.removeHopByHop()
    let slot = downstreams.ref(stream[].downstream)
    if slot[].kind == .inside { return }
    // One that the client's version has no form for is left out: the final answer does not depend on it.
    if slot[].kind == .http2 {
      slot[].h2[].sendResponse(stream[].downstreamID, head, endStream: false)
      flushLater(downstream: stream[].downstream)
    } else {
      stage(for: slot[].connection)
      try? H1Encoder.writeResponse(head, to: &stage[].buffer)
    }
  }

  /// What the route, the filters and the connection manager, in this order, do to a final response head. False when a filter ended the stream or
  /// answers it otherwise.
  func decorate(_ s: StreamIndex, _ head: MessageHead, end: Bool) -> Bool {
    let stream = streams.ref(s)
    guard let manager = downstreams[stream[].downstream].manager else { return true }
    if !manager[].suppressesEnvoyHeaders, stream[].upstreamStarted != .zero, !stream[].flags.contains(.localReply) {
      let took = (now.nanoseconds &- stream[].upstreamStarted.nanoseconds) / 1_000_000
      head.set(.envoyUpstreamServiceTime, head.decimal(took), flags: .sound)
    }
    if stream[].newCookies != 0, !stream[].flags.contains(.localReply) { giveCookies(s, head) }
    if let route = stream[].route {
      if route[].includesAttemptCountInResponse {
        head.set(.envoyAttemptCount, head.decimal(UInt64(stream[].attempts)))
      }
      let entry = Int(stream[].weightedCluster)
      if entry >= 0, !route[].entryChangesLast {
        apply(route[].weighted[entry].responseChanges, to: head, s, response: head)
      }
      apply(route[].responseChanges, to: head, s, response: head)
      if entry >= 0, route[].entryChangesLast {
        apply(route[].weighted[entry].responseChanges, to: head, s, response: head)
      }
    }
    if let chain = stream[].filters, !filterResponse(s, stream, head, chain, end: end) { return false }
    finishHead(s, head, manager)
    return true
  }

  /// What the connection manager adds to a response head, last of all.
  @inline(__always)
  func finishHead(_ s: StreamIndex, _ head: MessageHead, _ manager: ConfigRef<CompiledHTTPManager>) {
    let stream = streams.ref(s)
    switch manager[].serverHeader {
    case .overwrite: head.set(.server, manager[].serverName)
    case .appendIfAbsent: if !head.contains(.server) { head.append(.server, manager[].serverName) }
    case .passThrough: break
    }
    if !manager[].via.isEmpty { head.appendJoined(.via, separator: ByteView(", "), manager[].via) }
    if manager[].requestIDInResponse || stream[].flags.contains(.tellsRequestID), let kept = stream[].head {
      kept.view(in: replayHead)
      if let id = replayHead.first(.requestID) { head.set(.requestID, head.copy(id)) }
    }
    if !head.contains(.date) { head.append(.date, dateText(), flags: .sound) }
  }

  /// Encodes a final head for the client; `isPlain` says that nothing in it can be refused. May end the stream when nothing follows.
  func passResponseHead(_ s: StreamIndex, _ head: MessageHead, end: Bool, isPlain: Bool = false) {
    let stream = streams.ref(s)
    let status = head.status
    stream[].status = status
    if stream[].keepsResponseHead {
      stream[].responseHead?.release(to: pool)
      stream[].responseHead = StoredHead(head, pool: pool)
    }
    if stream[].client == .gone { return began(s) }
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    if slot[].kind == .inside {
      began(s)
      return insideHead(s, head, end: end)
    }
    if slot[].kind == .http2 {
      if status == 101 { head.becomeExtendedConnectAnswer() }
      let bare = end && stream[].responseTrailers == nil
      let sent = slot[].h2[].sendResponse(stream[].downstreamID, head, endStream: bare)
      flushLater(downstream: d)
      if !sent {
        // The codec has the stream, so it is the head that cannot be sent.
        return slot[].h2[].contains(stream[].downstreamID) ? unsendableResponse(s, isPlain) : clientGone(s)
      }
      began(s)
      countResponse(slot, status)
      if bare { return responseSent(s) }
      return
    }
    if slot[].kind == .codec {
      began(s)
      countResponse(slot, status)
      return passAnswer(s)
    }
    let tunnel = stream[].tunnel.isOpen
    // Delimited by the end of the upstream's connection: to whoever understands chunks, a cut must not look like the end.
    if head.framing == .untilClose, !stream[].flags.contains(.clientHTTP10), !stream[].flags.contains(.isHEAD) {
      head.framing = .chunked
    }
    var options = H1HeadOptions(connection: .persist, answersHEAD: stream[].flags.contains(.isHEAD))
    if tunnel {
      options.connection = head.status == 101 ? .upgrade : .persist
    } else if !keepsAlive(s, head) {
      options.connection = .close
      slot[].life.noMoreRequests()
    } else if stream[].flags.contains(.clientHTTP10) {
      options.connection = .keepAlive
    }
    stream[].flags.remove(.responseChunked)
    if case .chunked = head.framing {
      if stream[].flags.contains(.clientHTTP10) {
        head.framing = .untilClose
      } else {
        stream[].flags.insert(.responseChunked)
      }
    }
    if stream[].flags.contains(.isHEAD) { head.flags.insert(.answersHEAD) }
    stage(for: slot[].connection)
    do throws(H1EncodeError) {
      try H1Encoder.writeResponse(head, options: options, to: &stage[].buffer)
    } catch {
      return unsendableResponse(s, isPlain)
    }
    began(s)
    countResponse(slot, status)
    if tunnel {
      // What was a complete request is the beginning of a conversation.
      stream[].request.reopened()
      slot[].decoder.startTunnel()
      resumeReading(downstream: d)
    }
    if end || stream[].flags.contains(.isHEAD) && !tunnel { responseEnded(s) }
  }

  /// The final head was passed to the client.
  @inline(__always)
  private func began(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].response.headPassed()
    stream[].responseStartedAt = now
  }

  /// The client's version of HTTP has no form for this head, and nothing of it was written. The client gets the plainest answer there is,
  /// which always has one. Ends the stream, and no endpoint is to blame: decoders let only sound fields in, so the field that cannot be
  /// written comes from configuration.
  @inline(never)
  private func unsendableResponse(_ s: StreamIndex, _ isPlain: Bool) {
    if isPlain { return abort(s, byClient: false) }
    plainReply(s, 500, details: "response_unserialisable")
  }

  /// Whether an HTTP/1 client's connection goes on after this response.
  private func keepsAlive(_ s: StreamIndex, _ head: MessageHead) -> Bool {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    if stream[].flags.contains(.clientCloses) || slot[].life == .closing { return false }
    if slot[].farewell.isDue { return false }
    // What follows a CONNECT that was refused may have been meant for the tunnel.
    if stream[].tunnel.isConnect { return false }
    if turn[].isDraining || listenerTable[].entries[Int(slot[].listener)].life != .open {
      slot[].stats?.add(.downstreamCxDrainClose)
      return false
    }
    if head.framing == .untilClose, !stream[].flags.contains(.isHEAD) { return false }
    if case .chunked = head.framing, stream[].flags.contains(.clientHTTP10) { return false }
    // An early response: the rest of the request would have to be read for nothing.
    if !stream[].request.hasArrived {
      slot[].stats?.add(.downstreamRqResponseBeforeRqComplete)
      return !isEarlyEnd(s, head)
    }
    return true
  }

  /// Nobody will read the rest of the request: the response is complete already, or made here.
  private func isEarlyEnd(_ s: StreamIndex, _ head: MessageHead) -> Bool {
    let stream = streams.ref(s)
    return stream[].flags.contains(.localReply) || stream[].response.hasArrived || !head.hasContent
  }

  private func countResponse(_ slot: SlotRef<DownstreamConnection>, _ status: UInt16) {
    guard let stats = slot[].stats else { return }
    switch status {
    case ..<200: stats.add(.downstreamRq1xx)
    case ..<300: stats.add(.downstreamRq2xx)
    case ..<400: stats.add(.downstreamRq3xx)
    case ..<500: stats.add(.downstreamRq4xx)
    default: stats.add(.downstreamRq5xx)
    }
    stats.add(.downstreamRqCompleted)
  }

  // MARK: Body

  /// Content of the response. May end the stream.
  func responseData(_ s: StreamIndex, _ data: ByteView, end: Bool) {
    let stream = streams.ref(s)
    stream[].lastActivity = now
    if end { answerComplete(s) }
    if stream[].client == .gone {
      creditResponse(s, data.count)
      return
    }
    stream[].bytesSent &+= UInt64(data.count)
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    if slot[].kind == .inside { return insideData(s, data, end: end) }
    if stream[].frame.phase != .responseHeld, !filterContent(s, response: data, end: end) { return }
    if stream[].responseBody.unsent > 0 || stream[].frame.gatesResponse {
      stream[].responseBody.append(data, pool: pool)
      stream[].responseCredit += data.count
      pauseResponse(s)
      if stream[].frame.isPaced { pumpResponse(s) }
      return
    }
    if slot[].kind == .http2 {
      let last = end && stream[].responseTrailers == nil
      let accepted = sendHTTP2Data(response: s, data, end: last)
      creditResponse(s, accepted)
      if accepted < data.count {
        stream[].responseBody.append(data.dropFirst(accepted), pool: pool)
        stream[].responseCredit += data.count - accepted
        pauseResponse(s)
      } else if last, slot[].write != .blocked {
        responseSent(s)
      }
      // An end without bytes that found the connection blocked follows when that drains.
      return
    }
    writeHTTP1(response: s, data)
    if slot[].write == .blocked {
      stream[].responseCredit += data.count
      pauseResponse(s)
    } else {
      creditResponse(s, data.count)
    }
    if end { responseEnded(s) }
  }

  private func writeHTTP1(response s: StreamIndex, _ data: ByteView) {
    if data.isEmpty || streams[s].flags.contains(.isHEAD) { return }
    let c = downstreams[streams[s].downstream].connection
    if streams[s].flags.contains(.responseChunked) { writeChunk(data, to: c) } else { send(data, to: c) }
  }

  private func sendHTTP2Data(response s: StreamIndex, _ data: ByteView, end: Bool) -> Int {
    let stream = streams.ref(s)
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    if slot[].h2[].output.count > Self.mostGathered { writeHTTP2(downstream: d) }
    if slot[].write == .blocked { return 0 }
    let accepted = slot[].h2[].sendData(stream[].downstreamID, data, endStream: end)
    flushLater(downstream: d)
    return accepted
  }

  func responseTrailers(_ s: StreamIndex, _ trailers: MessageHead) {
    let stream = streams.ref(s)
    if stream[].flags.contains(.filtersAttempts) { filterAnswer(s, trailers: trailers) }
    if stream[].flags.contains(.isGRPC), let text = trailers.first(.grpcStatus) {
      stream[].grpcStatus = GRPCStatusMapping.status(in: text)
    }
    if stream[].tunnel.isOpen { return }
    // Filters see the trailers of a held response after its head.
    if let chain = stream[].filters, stream[].frame.phase != .responseHeld {
      filterTrailers(s, response: trailers, chain)
    }
    stream[].responseTrailers?.release(to: pool)
    stream[].responseTrailers = StoredHead(trailers, pool: pool)
  }

  /// All of the response has arrived. May end the stream.
  func responseEnded(_ s: StreamIndex) {
    let stream = streams.ref(s)
    answerComplete(s)
    if stream[].response.isSent { return }
    if stream[].client == .gone { return finish(s) }
    if downstreams[stream[].downstream].kind == .inside { return insideDone(s) }
    if stream[].frame.phase == .responseHeld { return }
    if stream[].responseTrailers == nil, !filterContent(s, response: .empty, end: true) { return }
    if stream[].responseBody.unsent > 0 { return }
    endResponse(s)
  }

  /// Passes the end of the response on. Ends the stream.
  private func endResponse(_ s: StreamIndex) {
    let stream = streams.ref(s)
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    if slot[].kind == .http2 {
      if slot[].write == .blocked { return }
      if let trailers = stream[].responseTrailers {
        trailers.view(in: trailerHead)
        slot[].h2[].sendTrailers(stream[].downstreamID, trailerHead)
      } else if slot[].h2[].contains(stream[].downstreamID) {
        _ = slot[].h2[].sendData(stream[].downstreamID, .empty, endStream: true)
      }
      flushLater(downstream: d)
    } else if stream[].flags.contains(.responseChunked), !stream[].flags.contains(.isHEAD) {
      stage(for: slot[].connection)
      if let trailers = stream[].responseTrailers, forwardsTrailers(s) {
        trailers.view(in: trailerHead)
        H1Encoder.writeLastChunk(trailers: trailerHead, to: &stage[].buffer)
      } else {
        H1Encoder.writeLastChunk(to: &stage[].buffer)
      }
    } else if stream[].tunnel.isOpen {
      flushStage()
      loop.finishWriting(slot[].connection)
      slot[].life.noMoreRequests()
    }
    responseSent(s)
  }

  private func forwardsTrailers(_ s: StreamIndex) -> Bool {
    let stream = streams.ref(s)
    return stream[].flags.contains(.clientAcceptsTrailers)
      || (downstreams[stream[].downstream].manager?[].forwardsTrailersToHTTP1 ?? false)
  }

  /// The client has been given everything. Ends the stream, unless its request goes on in a tunnel.
  func responseSent(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].response.endPassed()
    if stream[].tunnel.isOpen, !stream[].request.isSent, stream[].client != .gone {
      return
    }
    finish(s)
  }

  /// The client takes bytes again: sends what waits. May end the stream.
  func pumpResponse(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].client == .gone || stream[].response.isSent { return }
    let slot = downstreams.ref(stream[].downstream)
    if slot[].write == .blocked { return }
    if stream[].frame.phase == .responseHeld { return }
    // A pipelined request may have been stopped by the answer before its own.
    if !stream[].response.hasStarted { return resumeResponse(s) }
    var waiting = stream[].responseBody.unsent
    if waiting > 0 {
      var view = stream[].responseBody.unsentView
      var last = stream[].response.hasArrived && stream[].responseTrailers == nil
      if stream[].frame.isPaced {
        let allowed = paced(s, waiting)
        if allowed == 0 { return }
        if allowed < waiting { last = false }
        waiting = allowed
        view = view.prefix(allowed)
      }
      var accepted = waiting
      if slot[].kind == .http2 {
        accepted = sendHTTP2Data(response: s, view, end: last)
      } else {
        writeHTTP1(response: s, view)
      }
      if stream[].frame.isPaced { unspend(s, waiting - accepted) }
      stream[].responseBody.advance(accepted, keep: false, pool: pool)
      if accepted > 0 { stream[].lastActivity = now }
      let credit = min(accepted, stream[].responseCredit)
      stream[].responseCredit -= credit
      creditResponse(s, credit)
      if stream[].responseBody.unsent > 0 { return }
      if slot[].kind == .http2, last { return responseSent(s) }
    }
    if stream[].response.hasArrived { return endResponse(s) }
    resumeResponse(s)
  }

  // MARK: Back-pressure on the upstream

  func pauseResponse(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard !stream[].upstream.isNone, stream[].responseFlow.pause() else { return }
    let slot = upstreams.ref(stream[].upstream)
    if !stream[].cluster.isNone { clusters[stream[].cluster].stats.add(.upstreamFlowControlPausedReading) }
    if slot[].kind != .http2 { pauseReading(upstream: stream[].upstream) }
  }

  func resumeResponse(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].responseCredit > 0 {
      let n = stream[].responseCredit
      stream[].responseCredit = 0
      creditResponse(s, n)
    }
    guard stream[].responseFlow.resume() else { return }
    if !stream[].cluster.isNone { clusters[stream[].cluster].stats.add(.upstreamFlowControlResumedReading) }
    if !stream[].upstream.isNone, upstreams[stream[].upstream].kind != .http2 {
      resumeReading(upstream: stream[].upstream)
    }
  }

  /// HTTP/2: the upstream may send `n` bytes more.
  func creditResponse(_ s: StreamIndex, _ n: Int) {
    let stream = streams.ref(s)
    guard n > 0, !stream[].upstream.isNone else { return }
    let slot = upstreams.ref(stream[].upstream)
    guard slot[].kind == .http2 else { return }
    slot[].h2[].consumed(stream[].upstreamID, n)
    flushLater(upstream: stream[].upstream)
  }
}
