// HTTP/1 from clients: bytes to request events.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  func receivedHTTP1(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    let slot = downstreams.ref(d)
    slot[].stats?.add(.downstreamCxRxBytesTotal, UInt64(bytes.count))
    var input = bytes
    while !slot[].life.isClosed {
      let s = slot[].stream
      if s.isNone {
        // The connection ends; whatever still comes belongs to nobody.
        if slot[].life == .closing { return bytes.count }
        if slot[].write == .blocked {
          pauseReading(downstream: d)
          break
        }
      } else {
        let stream = streams.ref(s)
        if stream[].request.hasArrived && !stream[].tunnel.isOpen {
          // A pipelined request, or the first bytes of a tunnel that is not open yet: they wait.
          if input.isEmpty { break }
          pauseReading(downstream: d)
          break
        }
        // Behind the last byte of a known length no more will come to bring the end along: it is taken now.
        if stream[].requestFlow == .paused, stream[].requestLeft != 0 {
          pauseReading(downstream: d)
          break
        }
      }
      switch slot[].decoder.next(&input, head: requestHead) {
      case .head:
        slot[].nextHead.awaitedAnew()
        slot[].headDeadline = .distantFuture
        startRequest(onHTTP1: d, &input)
      case .data(let data):
        if !s.isNone { requestData(s, data, end: false) }
      case .trailers:
        if !s.isNone { requestTrailers(s, requestHead) }
      case .end:
        if !s.isNone { requestEnd(s) }
      case .needMore:
        if s.isNone && !input.isEmpty && slot[].nextHead != .come { headBegan(d) }
        return bytes.count - input.count
      case .invalid(let error):
        refuse(d, error)
        return bytes.count
      }
    }
    return slot[].life.isClosed ? bytes.count : bytes.count - input.count
  }

  private func startRequest(onHTTP1 d: DownstreamIndex, _ input: inout ByteView) {
    let slot = downstreams.ref(d)
    slot[].stats?.add(.downstreamRqHTTP1Total)
    guard let s = newStream(d, 0) else {
      slot[].stats?.add(.downstreamRqOverloadClose)
      return close(downstream: d, .reset)
    }
    slot[].stream = s
    let head = requestHead
    let stream = streams.ref(s)
    if head.flags.contains(.closesConnection) { stream[].flags.insert(.clientCloses) }
    if head.version == .http10 { stream[].flags.insert(.clientHTTP10) }
    // A request without content is complete with its head: known here, it costs no second look and leaves in one piece.
    if !head.hasContent, case .end = slot[].decoder.next(&input, head: trailerHead) {
      stream[].request.endArrived()
      stream[].requestEndedAt = now
    }
    beginRequest(s, head)
  }

  /// The first bytes of a head, or of the preface that tells what kind of head, have come, not all of it.
  func headBegan(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].nextHead.came()
    if let limit = slot[].manager?[].headTime {
      slot[].headDeadline = now.advanced(nanoseconds: Int64(clamping: limit))
    } else if slot[].kind == .codec {
      // Half a message is kept here, which may be megabytes: it has an end also where no time-out is configured.
      slot[].headDeadline = now + limits.messageTime
    } else {
      return
    }
    arm(downstream: d, at: slot[].headDeadline)
  }

  /// Bytes that are no HTTP: answered where an answer is still possible, and the connection ends.
  private func refuse(_ d: DownstreamIndex, _ error: H1Error) {
    let slot = downstreams.ref(d)
    slot[].life.noMoreRequests()
    slot[].stats?.add(.downstreamCxProtocolError)
    var s = slot[].stream
    if s.isNone {
      guard let fresh = newUnheardStream(d, 0) else { return close(downstream: d, .reset) }
      s = fresh
      slot[].stream = s
      streams[s].request.endArrived()
    }
    streams[s].responseFlags.insert(.downstreamProtocolError)
    if streams[s].response.hasStarted {
      streams[s].details = ByteView(error.detail)
      return abort(s, byClient: true)
    }
    localReply(s, error.status, ByteView.empty, details: error.detail)
  }

  /// After a response on an HTTP/1 connection: the next request, or the end.
  func finishHTTP1(_ d: DownstreamIndex, keep: Bool) {
    let slot = downstreams.ref(d)
    slot[].stream = .none
    if slot[].life.isClosed { return }
    if slot[].decoder.awaitsTunnelDecision { slot[].decoder.refuseTunnel() }
    if !keep || slot[].life == .closing {
      slot[].life.noMoreRequests()
      return close(downstream: d, .gracefully)
    }
    slot[].idleSince = now
    armIdle(d)
    resumeReading(downstream: d)
  }
}
