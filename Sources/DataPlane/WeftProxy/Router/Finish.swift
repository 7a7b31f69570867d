// Finish: the only place where a stream's slot is given back; and the ways a stream ends before its time.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Ends a stream: statistics, log, the upstream connection back to its pool, the downstream connection to its next request.
  func finish(_ s: StreamIndex) {
    let stream = streams.ref(s)
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    if stream[].race == .owner { endRace(s) }
    // A companion is off its owner's list first: who is given its connection may be refused, and end the owner with all that accompanies it.
    if slot[].kind == .inside { part(s) }
    let (request, response, client) = (stream[].request, stream[].response, stream[].client)
    let tunnel = stream[].tunnel
    if stream[].place == .waiting { clusters[stream[].cluster].stats.add(.upstreamRqCancelled) }
    leaveWaiting(s)
    // What was sent behind a refused CONNECT or upgrade cannot be known to have been read as what it was.
    let isComplete = response.hasArrived && request.isSent
    detach(s, reusable: isComplete && !tunnel.isAsked, orderly: isComplete && tunnel.isOpen)
    if let stats = stream[].upgradeStats { stats.subtract(.downstreamCxUpgradesActive) }
    uncount(s)
    giveRetry(s)
    // Not before it is off its host's list: a connection that a companion leaves goes to whoever waits.
    if !stream[].companions.isNone { endCompanions(s) }

    let took = (now.nanoseconds &- stream[].started.nanoseconds) / 1_000_000
    if let stats = slot[].stats {
      stats.subtract(.downstreamRqActive)
      stats.record(.downstreamRqTime, took)
    }
    if !stream[].cluster.isNone {
      let state = clusters.ref(stream[].cluster)
      if stream[].upstreamStarted != .zero {
        state[].stats.record(.upstreamRqTime, (now.nanoseconds &- stream[].upstreamStarted.nanoseconds) / 1_000_000)
      }
      state[].activeRequests -= 1
      if state[].pieces == 0 { releaseIfUnused(cluster: stream[].cluster) }
    }
    if let chain = stream[].filters {
      letGo(s)
      if stream[].frame.owes { endFilters(s, chain) }
    }
    if let manager = slot[].manager, manager[].hasAccessLogs { log(s, manager) }

    stream[].head?.release(to: pool)
    stream[].ownRetry?.release(to: pool)
    stream[].responseHead?.release(to: pool)
    stream[].requestTrailers?.release(to: pool)
    stream[].responseTrailers?.release(to: pool)
    stream[].requestBody.release(to: pool)
    stream[].responseBody.release(to: pool)

    let closes = stream[].flags.contains(.clientCloses)
    let id = stream[].downstreamID
    let credit = stream[].requestCredit
    let snapshot = stream[].snapshot
    if slot[].kind.hasMany {
      streams.unlinkSibling(s, &slot[].streams)
    }
    streams.remove(s)
    slot[].active &-= 1
    release(snapshot: snapshot)
    if slot[].kind == .http2 {
      finishHTTP2(d, id, request, response, client, credit: credit)
    } else if slot[].kind == .http1 {
      finishHTTP1(d, keep: request.hasArrived && response.isSent && !tunnel.isOpen && !closes)
    } else if slot[].kind == .codec {
      finishCodec(d, rest: credit)
    } else if slot[].kind == .inside {
      closeInside(d)
    } else {
      slot[].stream = .none
    }
  }

  /// Takes the stream off its upstream connection. A connection whose exchange is not complete is not used again; it is cut, unless
  /// the end was `orderly` and what was written last still has to arrive.
  func detach(_ s: StreamIndex, reusable: Bool, orderly: Bool = false) {
    let stream = streams.ref(s)
    let u = stream[].upstream
    guard !u.isNone else { return }
    stream[].upstream = .none
    stream[].place.disconnected()
    stream[].responseFlow.resume()
    giveRequest(s)
    let slot = upstreams.ref(u)
    if stream[].keepsResponseHead { stream[].lastHost = slot[].address }
    slot[].active &-= 1
    if slot[].kind == .http2 {
      streams.unlink(s, &slot[].streams)
      let id = stream[].upstreamID
      if reusable || orderly {
        slot[].h2[].consumed(id, stream[].responseCredit)
        stream[].responseCredit = 0
        // An answer that has no content is over with its head. A server that leaves its side open would keep a place in `max_concurrent_streams`.
        // Its end may lie in what has been read already, so this is looked at when the turn ends.
        if stream[].flags.contains(.isHEAD) || Self.forbidsContent(stream[].status), !slot[].h2[].hasPeerEnded(id) {
          turn[].openAnswers.append(OpenAnswer(upstream: u, id: id))
        }
      } else if slot[].h2[].contains(id) {
        slot[].h2[].reset(id, .cancel, now: now)
        if !stream[].cluster.isNone { clusters[stream[].cluster].stats.add(.upstreamRqTxReset) }
      }
      if slot[].life.isClosed { return }
      flushLater(upstream: u)
      freed(upstream: u)
      return
    }
    if slot[].kind == .codec { return detachMessage(s, u, isComplete: reusable) }
    slot[].stream = .none
    if slot[].life.isClosed { return }
    if reusable, slot[].decoder.isIdle, slot[].life == .open {
      // An end that is known, but not read yet, must not meet the request that follows at once.
      if slot[].read == .paused || !hosts.ref(slot[].host)[].waiting.isEmpty, loop.peerEnds(slot[].connection) {
        return retire(upstream: u)
      }
      resumeReading(upstream: u)
      freed(upstream: u)
    } else {
      // A request that was built but not written yet: nobody needs it any more.
      if !reusable, !orderly { stage[].drop(slot[].connection) }
      if reusable { return retire(upstream: u) }
      close(upstream: u, orderly ? .gracefully : .reset)
    }
  }

  /// Resets streams whose answers are over and that their servers have not ended: each has a place in the connection.
  @inline(never)
  func resetOpenAnswers() {
    while let open = turn[].openAnswers.popLast() {
      guard upstreams.contains(open.upstream) else { continue }
      let slot = upstreams.ref(open.upstream)
      guard !slot[].life.isClosed, !slot[].h2[].hasPeerEnded(open.id) else { continue }
      slot[].h2[].reset(open.id, .cancel, now: now)
      clusters[hosts[slot[].host].cluster].stats.add(.upstreamRqTxReset)
      flushLater(upstream: open.upstream)
      freed(upstream: open.upstream)
    }
  }

  /// The client is gone: what runs on its behalf ends. Ends the stream.
  func clientGone(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].client.left() else { return }
    if !stream[].response.isSent {
      if stream[].responseFlags.isEmpty || !stream[].response.hasStarted {
        stream[].responseFlags.insert(.downstreamConnectionTermination)
        stream[].details = ByteView("downstream_remote_disconnect")
      }
      downstreams[stream[].downstream].stats?.add(.downstreamRqRxReset)
    }
    finish(s)
  }

  /// Ends a stream whose response cannot be completed: HTTP/2 resets it, HTTP/1 ends the connection.
  func abort(_ s: StreamIndex, byClient: Bool) {
    let stream = streams.ref(s)
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    if slot[].kind == .inside { return insideFailed(s) }
    stream[].client.left()
    if let stats = slot[].stats {
      stats.add(.downstreamRqTxReset)
      if stream[].response.hasStarted { stats.add(.rqResetAfterDownstreamResponseStarted) }
    }
    if slot[].kind == .http2 {
      if slot[].h2[].contains(stream[].downstreamID) {
        let code: H2ErrorCode =
          stream[].tunnel.isOpen ? .connectError : byClient ? .protocolError : .internalError
        slot[].h2[].reset(stream[].downstreamID, code, now: now)
        flushLater(downstream: d)
      }
      return finish(s)
    }
    if slot[].kind == .codec { return abortMessage(s) }
    // What was passed on already still leaves; a client sees a short body, never a complete one.
    if stage[].holds(slot[].connection) { flushStage() }
    slot[].life.noMoreRequests()
    // Where the end of the connection is the end of the body, only a reset tells a cut from an end.
    let endsByClose =
      stream[].flags.contains(.clientHTTP10) && stream[].responseLeft < 0 && !stream[].flags.contains(.localReply)
    close(
      downstream: d,
      stream[].response.hasStarted && !endsByClose && loop.queuedBytes(slot[].connection) > 0
        ? .gracefully : .reset)
    finish(s)
  }

  // MARK: Upstream failures

  /// The attempt ended without a complete response. Retries, answers, or aborts.
  func upstreamReset(_ s: StreamIndex, _ reason: UpstreamResetReason, transportFailure: StaticString? = nil) {
    let stream = streams.ref(s)
    if stream[].response.isSent || stream[].client == .gone {
      detach(s, reusable: false)
      return finish(s)
    }
    if stream[].response.hasArrived,
      stream[].response.hasStarted || stream[].frame.phase == .responseHeld
    {
      // The response is whole; only the client has not taken all of it yet.
      detach(s, reusable: stream[].request.isSent && !stream[].tunnel.isOpen)
      return tunnelStopped(s)
    }
    // An answer that a filter holds and that is not whole is none.
    letGo(s)
    let started = stream[].request.hasStarted
    let reused = stream[].flags.contains(.reusedConnection)
    let answered = !stream[].response.isAwaited
    let state = clusters.ref(stream[].cluster)
    if state[].hasOutlierDetection, reason != .overflow { report(s, .localFailure) }
    countFailure(s)
    if reason == .remoteReset || reason == .remoteRefusedStream || reason == .connectionTermination {
      state[].stats.add(.upstreamRqRxReset)
    }
    detach(s, reusable: false)
    // Who was given the connection may have been another attempt of the same request, and have failed for good.
    if !streams.contains(s) || stream[].flags.contains(.localReply) { return }

    if stream[].response.hasStarted {
      stream[].responseFlags.insert(reason.words.flag)
      stream[].details = ByteView(reason.words.detailsMidway)
      return abort(s, byClient: false)
    }
    uncount(s)
    giveRetry(s)
    // A connection that had been idle died before it answered: the request was not processed, or may safely be repeated. A policy that speaks
    // of such an end decides alone.
    let unprocessed = reason == .remoteRefusedStream
    let died = reused && !answered && reason == .connectionTermination && stream[].flags.contains(.idempotent)
    if unprocessed || died, canReplay(s), stream[].automaticRetry != .spent, stream[].race != .owner,
      !isRuled(owner(of: s), reason, requestStarted: started)
    {
      stream[].automaticRetry.spend()
      state[].stats.add(.upstreamRqRetry)
      return again(s)
    }
    attemptFailed(s, reason, requestStarted: started)
  }

  /// Tells the client why there is no answer. Ends the stream.
  func upstreamFailed(_ s: StreamIndex, _ reason: UpstreamResetReason) {
    let stream = streams.ref(s)
    let words = reason.words
    stream[].responseFlags.insert(words.flag)
    localReply(
      s, reason.status, words.body(after: stream[].attempts), details: words.details, overloaded: reason == .overflow)
  }

  /// Tells outlier detection what an attempt came to.
  func report(_ s: StreamIndex, _ outcome: UpstreamOutcome) {
    let stream = streams.ref(s)
    guard !stream[].host.isNone, hosts[stream[].host].position >= 0 else { return }
    let state = clusters.ref(stream[].cluster)
    let position = Int(hosts[stream[].host].position)
    guard let outlier = state[].outlier, position < state[].members[].cells.count,
      let cells = state[].members[].cells[position]
    else { return }
    if let event = outlier.record(cells, outcome, now: now) {
      for metric in event.metrics { state[].stats.add(metric) }
      if case .eject = event.verdict {
        let scope = state[].config[].scope
        outlier.publishLevels { registry.publish($0, scope) }
      }
      refreshEjections(stream[].cluster)
    }
  }
}
