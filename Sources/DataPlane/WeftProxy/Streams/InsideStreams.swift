// InsideStreams: streams whose origin is the proxy itself (D15): what a filter asks a service, and what accompanies a client's stream.
//
// Such a stream goes the way of any other: the cluster's balancer, breakers, pools, TLS, time-outs and statistics. Only its downstream differs: a slot
// of kind `inside`, without a socket, in which the answer gathers. *Who ends it*: its answer, its failure, or the end of the stream that waits for it.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// What a stream of our own is for.
enum InsidePurpose: UInt8, BitwiseCopyable {
  /// A filter waits for its answer.
  case ask
  /// The copy of a request, for whose answer nobody waits.
  case mirror
  /// A further attempt of a client's request beside the first (`Router/Backup.swift`).
  case backup
}

extension WorkerEngine {
  /// Sends the request that lies on the desk to the cluster at `position`, for the hold `token` names. May resume the hold at once.
  func ask(_ token: HoldToken, _ position: Int32, _ timeoutNanoseconds: UInt64) {
    let owner = streams.ref(token.stream)
    let snapshot = owner[].snapshot
    let state = clusterState(snapshot, position)
    let head = desk[].callHead
    guard !state.isNone, let s = openInside(snapshot, .ask, token) else {
      callBody[].removeAll()
      return resume(token, .failed)
    }
    owner[].asked = s
    let stream = streams.ref(s)
    stream[].cluster = state
    clusters[state].activeRequests += 1
    stream[].request.endArrived()
    stream[].bodyCopy.keep()
    stream[].requestEndedAt = now
    if head.isGRPC { stream[].flags.insert(.isGRPC) }
    if !callBody[].isEmpty { head.framing = .length(UInt64(callBody[].count)) }
    stream[].requestBody.append(callBody[].view, pool: pool)
    callBody[].removeAll()
    stream[].timeout = timeoutNanoseconds
    if timeoutNanoseconds > 0 {
      stream[].totalDeadline = now.advanced(nanoseconds: Int64(clamping: timeoutNanoseconds))
    }
    // As a router tells every endpoint.
    head.set(.envoyInternal, ByteView("true"))
    if timeoutNanoseconds > 0 { head.set(.envoyExpectedTimeout, head.decimal(max(1, timeoutNanoseconds / 1_000_000))) }
    stream[].head = StoredHead(head, pool: pool)
    attempt(s, head)
    if streams.contains(s) { armStream(s) }
  }

  /// A stream of our own; `token` says who waits for it, or whom it accompanies. Nil at the limit.
  func openInside(_ snapshot: UInt32, _ purpose: InsidePurpose, _ token: HoldToken) -> StreamIndex? {
    var connection = DownstreamConnection(
      connection: .none, listener: .max, snapshot: snapshot, peer: .loopback(port: 0), local: .loopback(port: 0),
      decoder: H1Decoder(role: .request, limits: HTTPLimits()), now: now)
    connection.kind.inside()
    connection.purpose = purpose
    connection.token = token
    connection.active = 1
    guard let d = downstreams.insert(connection) else { return nil }
    guard
      let s = streams.insert(Stream(downstream: d, downstreamID: 0, snapshot: snapshot, random: random(), now: now))
    else {
      downstreams.remove(d)
      return nil
    }
    turn[].insideClients += 1
    downstreams[d].stream = s
    // Once for the stream, once for the slot that stands for its client.
    retain(snapshot: snapshot)
    retain(snapshot: snapshot)
    return s
  }

  // MARK: The answer

  /// The head of the answer to a stream of our own. May end the stream.
  func insideHead(_ s: StreamIndex, _ head: MessageHead, end: Bool) {
    let stream = streams.ref(s)
    if downstreams[stream[].downstream].purpose == .ask {
      stream[].responseHead?.release(to: pool)
      stream[].responseHead = StoredHead(head, pool: pool)
    }
    if end { responseEnded(s) }
  }

  /// Content of the answer. May end the stream.
  func insideData(_ s: StreamIndex, _ data: ByteView, end: Bool) {
    let stream = streams.ref(s)
    creditResponse(s, data.count)
    if downstreams[stream[].downstream].purpose == .mirror {
      if end { responseEnded(s) }
      return
    }
    if stream[].responseBody.count + data.count > limits.insideAnswerBytes {
      clusters[stream[].cluster].stats.add(.upstreamRqInsideAnswerTooLarge)
      return insideFailed(s)
    }
    stream[].responseBody.append(data, pool: pool)
    if end { responseEnded(s) }
  }

  /// The answer is whole: ends the stream, and resumes the one that waits for it.
  func insideDone(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].response.endPassed()
    if downstreams[stream[].downstream].purpose == .mirror { return finish(s) }
    let token = downstreams[stream[].downstream].token
    guard let head = stream[].responseHead else { return insideFailed(s) }
    // The views on the desk live until the stream is finished, which is after the filter has seen them.
    head.view(in: desk[].answerHead)
    if let trailers = stream[].responseTrailers {
      trailers.view(in: trailerHead)
      for field in trailerHead.fields { desk[].answerHead.append(named: field.name, field.value) }
    }
    desk[].answerBody = stream[].responseBody.unsentView
    forgetAsked(token)
    resume(token, .response)
    desk[].answerBody = .empty
    desk[].answerHead.reset()
    if streams.contains(s) { finish(s) }
  }

  /// No answer is to be had: ends the stream, and tells the one that waits for it.
  func insideFailed(_ s: StreamIndex) {
    switch downstreams[streams[s].downstream].purpose {
    case .ask: break
    case .mirror: return finish(s)
    case .backup: return backupRefused(s, 503, .empty, details: "backup_failed", overloaded: false)
    }
    let token = downstreams[streams[s].downstream].token
    forgetAsked(token)
    finish(s)
    resume(token, .failed)
  }

  private func forgetAsked(_ token: HoldToken) {
    if streams.contains(token.stream) { streams[token.stream].asked = .none }
  }

  /// Every connection that a client made.
  func forEachClient(_ body: (DownstreamIndex) -> Void) {
    downstreams.forEach { if downstreams[$0].kind != .inside { body($0) } }
  }

  /// The connections that clients made of which `isMeant` says so.
  func clients(where isMeant: (DownstreamIndex) -> Bool) -> [DownstreamIndex] {
    var list: [DownstreamIndex] = []
    forEachClient { if isMeant($0) { list.append($0) } }
    return list
  }

  /// The last thing of a stream of our own: its slot's time-out and the slot.
  func closeInside(_ d: DownstreamIndex) {
    if !downstreams[d].timer.id.isNone { loop.cancel(downstreams[d].timer.id) }
    let snapshot = downstreams[d].snapshot
    downstreams.remove(d)
    turn[].insideClients -= 1
    release(snapshot: snapshot)
  }

  /// The stream is answered or ends: whatever a filter of it waited for is not waited for any more.
  @inline(__always)
  func letGo(_ s: StreamIndex) {
    if streams[s].frame.phase != .running { stopHolding(s) }
  }

  @inline(never)
  private func stopHolding(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].frame.phase == .responseHeld { dropHeldResponse(s) }
    stream[].frame.phase.released()
    stream[].frame.hold &+= 1
    stream[].frame.until = .distantFuture
    stream[].frame.bodyLimit = -1
    let asked = stream[].asked
    stream[].asked = .none
    if !asked.isNone, streams.contains(asked) { finish(asked) }
  }
}
