// The receiving half of an HTTP/2 connection: frames to events.

package import WeftBase

extension H2Connection {
  /// Takes the next step. On return `input` starts at the first byte not consumed. Heads and trailers land in `head`.
  package mutating func next(_ input: inout ByteView, head: MessageHead, now: MonotonicInstant) -> H2Event {
    if dead != 0 {
      if let i = streams.find(dead), streams[i].isDead || streams[i].isDone { streams.remove(at: i) }
      dead = 0
    }
    while true {
      if let failure {
        input = input.dropFirst(input.count)
        return .connectionError(failure.code, failure.detail)
      }
      if windowEventPending {
        windowEventPending = false
        return .windowOpened(stream: 0)
      }
      if prefaceLeft > 0 {
        if input.isEmpty { return .needMore }
        guard takePreface(&input) else { return fail(.protocolError, .preface) }
        continue
      }
      if dataLeft > 0 || paddingLeft > 0 {
        if let event = dataContent(&input) { return event }
        if dataLeft > 0 || paddingLeft > 0, input.isEmpty { return .needMore }
        continue
      }
      guard input.count >= H2FrameHeader.size else { return .needMore }
      let frame = H2FrameHeader(input)
      guard frame.length <= Int(limits.http2.maxFrameSize) else { return fail(.frameSizeError, .frameSize) }
      let isData = frame.type == H2FrameType.data
      // All but DATA are handled whole; a padded DATA frame needs its first byte.
      let need = isData ? (frame.has(H2Flag.padded) ? min(1, frame.length) : 0) : frame.length
      guard input.count >= H2FrameHeader.size + need else { return .needMore }
      framesReceived &+= 1
      let event: H2Event?
      if !settingsReceived, frame.type != H2FrameType.settings || frame.has(H2Flag.ack) {
        event = fail(.protocolError, .preface)
      } else if blockStream != 0, frame.type != H2FrameType.continuation || frame.stream != blockStream {
        event = fail(.protocolError, .continuation)
      } else if isData {
        input = input.dropFirst(H2FrameHeader.size)
        event = dataFrame(frame, &input, now.nanoseconds)
      } else {
        let payload = input[H2FrameHeader.size..<H2FrameHeader.size + frame.length]
        input = input.dropFirst(H2FrameHeader.size + frame.length)
        event = self.frame(frame, payload, head, now.nanoseconds)
      }
      if flood.outboundControl > limits.http2.maxOutboundControlFrames, failure == nil {
        condemn(.enhanceYourCalm, .outboundFlood)
        // A stream that this frame ended is told of first: the owner cannot find it any more when it ends those that are left.
        if let event, case .reset = event { return event }
        continue
      }
      if let event { return event }
    }
  }

  private mutating func takePreface(_ input: inout ByteView) -> Bool {
    let text = ByteView(H2Preface.text)
    let n = min(prefaceLeft, input.count)
    guard input.prefix(n).equals(text[text.count - prefaceLeft..<text.count - prefaceLeft + n]) else { return false }
    prefaceLeft -= n
    input = input.dropFirst(n)
    return true
  }

  /// Queues GOAWAY and makes the state final: the next event is the connection error.
  private mutating func condemn(_ code: H2ErrorCode, _ detail: H2ErrorDetail) {
    guard failure == nil else { return }
    writeGoAway(role == .server ? lastPeer : 0, code)
    failure = (code, detail)
  }

  /// Ends the connection at once. Not for a frame that has ended a stream the owner knows: that is told first.
  mutating func fail(_ code: H2ErrorCode, _ detail: H2ErrorDetail) -> H2Event {
    condemn(code, detail)
    return .connectionError(code, detail)
  }

  /// Resets the stream at `i` for the peer's fault and tells the owner.
  private mutating func streamError(_ i: Int, _ code: H2ErrorCode, _ detail: H2ErrorDetail, _ now: UInt64) -> H2Event {
    let id = streams[i].id
    lastStreamError = detail
    writeReset(id, code)
    recentResets.insert(id)
    let age = now &- streams[i].openedAt
    retire(i)
    streams[i].reset()
    if role == .server, flood.reset(age: age, limits.http2) { condemn(.enhanceYourCalm, .rapidReset) }
    dead = id
    return .reset(stream: id, code: code, byPeer: false)
  }

  /// Refuses a stream the owner never heard of.
  private mutating func refuse(
    _ id: H2StreamID, _ code: H2ErrorCode, _ detail: H2ErrorDetail, isPremature: Bool = true
  ) -> H2Event? {
    lastStreamError = detail
    rejectedStreams &+= 1
    writeReset(id, code)
    recentResets.insert(id)
    flood.closedStreams += 1
    if role == .server, isPremature, flood.reset(age: 0, limits.http2) { return fail(.enhanceYourCalm, .rapidReset) }
    return nil
  }

  private func isIdle(_ id: H2StreamID) -> Bool {
    if role == .server { return id & 1 == 0 ? true : id > lastPeer }
    return id & 1 == 0 ? true : id >= nextStreamID
  }

  private mutating func frame(
    _ frame: H2FrameHeader, _ payload: ByteView, _ head: MessageHead, _ now: UInt64
  ) -> H2Event? {
    switch frame.type {
    case H2FrameType.headers: return headersFrame(frame, payload, head, now)
    case H2FrameType.continuation: return continuationFrame(frame, payload, head, now)
    case H2FrameType.priority: return priorityFrame(frame, payload, now)
    case H2FrameType.resetStream: return resetFrame(frame, payload, now)
    case H2FrameType.settings: return settingsFrame(frame, payload, now)
    case H2FrameType.pushPromise: return fail(.protocolError, .pushPromise)
    case H2FrameType.ping: return pingFrame(frame, payload, now)
    case H2FrameType.goAway: return goAwayFrame(frame, payload)
    case H2FrameType.windowUpdate: return windowUpdateFrame(frame, payload, now)
    default:
      // Unknown frames are ignored (RFC 9113 §5.5), but not without end.
      return flood.controlFrame(limits.http2, now: now) ? fail(.enhanceYourCalm, .controlFlood) : nil
    }
  }

  // MARK: DATA

  private mutating func dataFrame(_ frame: H2FrameHeader, _ input: inout ByteView, _ now: UInt64) -> H2Event? {
    let id = frame.stream
    guard id != 0 else { return fail(.protocolError, .frameOnWrongStream) }
    var overhead = 0
    if frame.has(H2Flag.padded) {
      guard frame.length > 0, Int(input[0]) < frame.length else { return fail(.protocolError, .padding) }
      overhead = 1 + Int(input[0])
      input = input.dropFirst()
    }
    let content = frame.length - overhead
    receiveWindow -= Int64(frame.length)
    if receiveWindow < 0 { return fail(.flowControlError, .windowExceeded) }
    if isIdle(id) { return fail(.protocolError, .frameOnWrongStream) }
    let endStream = frame.has(H2Flag.endStream)
    if content == 0, !endStream {
      if flood.emptyFrame(limits.http2) { return fail(.enhanceYourCalm, .emptyFrameFlood) }
    } else {
      flood.emptyFrames = 0
      flood.dataFramesReceived += 1
    }
    dataStream = 0
    dataLeft = content
    paddingLeft = max(0, overhead - 1)
    dataEndsStream = endStream
    guard let i = streams.find(id), !streams[i].isDead else {
      // Closed: dropped and credited at once. Unless we reset it lately, the peer is told.
      creditConnection(frame.length)
      return recentResets.contains(id) ? nil : refuse(id, .streamClosed, .closedStream)
    }
    if let (code, detail) = dataFault(i, frame.length, content, endStream) {
      creditConnection(frame.length)
      return streamError(i, code, detail, now)
    }
    streams[i].receiveWindow -= Int64(frame.length)
    streams[i].unconsumed += UInt32(content)
    if overhead > 0 { credit(i, overhead) }
    if streams[i].contentLeft >= 0 { streams[i].contentLeft -= Int64(content) }
    dataStream = id
    if content == 0, endStream {
      dataStream = 0
      closeRemote(i)
      return .data(stream: id, .empty, endStream: true)
    }
    return nil
  }

  private func dataFault(
    _ i: Int, _ length: Int, _ content: Int, _ endStream: Bool
  ) -> (H2ErrorCode, H2ErrorDetail)? {
    let stream = streams[i]
    if stream.received.isClosed { return (.streamClosed, .closedStream) }
    if stream.received == .awaitingHead { return (.protocolError, .frameOnWrongStream) }
    // An empty frame needs no window, not even one that our settings have made negative (RFC 9113 §6.9.1).
    if length > 0, Int64(length) > stream.receiveWindow { return (.flowControlError, .windowExceeded) }
    if stream.facts.contains(.noContent), content > 0 { return (.protocolError, .contentLength) }
    if stream.contentLeft >= 0 {
      let left = stream.contentLeft - Int64(content)
      if left < 0 || (endStream && left > 0) { return (.protocolError, .contentLength) }
    }
    return nil
  }

  /// Delivers what has come of the current DATA frame; nil when there is nothing to tell.
  private mutating func dataContent(_ input: inout ByteView) -> H2Event? {
    if dataLeft > 0 {
      if input.isEmpty { return nil }
      let content = input.prefix(dataLeft)
      input = input.dropFirst(content.count)
      dataLeft -= content.count
      guard dataStream != 0 else { return nil }
      let id = dataStream
      guard let i = streams.find(id), !streams[i].isDead else {
        // Reset by the owner in the middle of the frame: what is left was credited with it.
        dataStream = 0
        return nil
      }
      let ends = dataEndsStream && dataLeft == 0
      if ends { closeRemote(i) }
      return .data(stream: id, content, endStream: ends)
    }
    let n = min(paddingLeft, input.count)
    input = input.dropFirst(n)
    paddingLeft -= n
    return nil
  }

  // MARK: HEADERS

  private mutating func headersFrame(
    _ frame: H2FrameHeader, _ payload: ByteView, _ head: MessageHead, _ now: UInt64
  ) -> H2Event? {
    let id = frame.stream
    guard id != 0 else { return fail(.protocolError, .frameOnWrongStream) }
    guard id & 1 == 1 else { return fail(.protocolError, .streamIdentifier) }
    var fragment = payload
    if frame.has(H2Flag.padded) {
      guard let pad = fragment.first, Int(pad) < fragment.count else { return fail(.protocolError, .padding) }
      fragment = fragment.dropFirst().dropLast(Int(pad))
    }
    var selfDependent = false
    if frame.has(H2Flag.priority) {
      guard fragment.count >= 5 else { return fail(.frameSizeError, .frameSize) }
      selfDependent = fragment.loadBigEndianUInt32(at: 0) & 0x7fff_ffff == id
      fragment = fragment.dropFirst(5)
    }
    if fragment.isEmpty, !frame.has(H2Flag.endStream) {
      if flood.emptyFrame(limits.http2) { return fail(.enhanceYourCalm, .emptyFrameFlood) }
    } else {
      flood.emptyFrames = 0
    }
    blockFlags = frame.flags & H2Flag.endStream | (selfDependent ? H2Flag.priority : 0)
    if frame.has(H2Flag.endHeaders) { return headerBlock(id, fragment, head, now) }
    blockStream = id
    blockFrames = 0
    block.removeAll()
    block.append(fragment)
    return nil
  }

  private mutating func continuationFrame(
    _ frame: H2FrameHeader, _ payload: ByteView, _ head: MessageHead, _ now: UInt64
  ) -> H2Event? {
    guard blockStream != 0 else { return fail(.protocolError, .continuation) }
    blockFrames += 1
    if blockFrames > limits.http2.maxContinuations { return fail(.enhanceYourCalm, .continuationFlood) }
    // The coded block is bounded, too: nothing is collected that could not be accepted.
    if block.count + payload.count > limits.headerBytes + 16_384 {
      return fail(.enhanceYourCalm, .headersTooLarge)
    }
    block.append(payload)
    guard frame.has(H2Flag.endHeaders) else { return nil }
    blockStream = 0
    // Literals are views of the collected block: it stays as it is until the next block begins.
    return headerBlock(frame.stream, block.view, head, now)
  }

  private mutating func headerBlock(
    _ id: H2StreamID, _ fragment: ByteView, _ head: MessageHead, _ now: UInt64
  ) -> H2Event? {
    let endStream = blockFlags & H2Flag.endStream != 0
    let selfDependent = blockFlags & H2Flag.priority != 0
    let index = streams.find(id)
    var ignored = false
    var kind = H2HeadBuilder.Kind.request
    if let index {
      let received = streams[index].received
      if received == .reset {
        ignored = true
      } else if role == .server || received != .awaitingHead {
        kind = .trailers
      } else {
        kind = .response
      }
    } else if role == .server {
      if id <= lastPeer {
        guard recentResets.contains(id) else { return fail(.streamClosed, .closedStream) }
        ignored = true
      }
    } else {
      guard id < nextStreamID else { return fail(.protocolError, .streamIdentifier) }
      ignored = true
    }
    // The block is decoded in any case: the peer's table must stay in step with ours.
    var builder = H2HeadBuilder(head, kind: kind, limits: limits)
    decoder.begin()
    if ignored { decoder.discards = true }
    var rest = fragment
    do throws(HPACKError) {
      while let field = try decoder.next(&rest, scratch: head) {
        if ignored { continue }
        builder.add(field)
        if builder.isTooLarge { decoder.discards = true }
      }
    } catch { return fail(.compressionError, .hpack) }
    if ignored { return nil }
    let verdict =
      selfDependent
      ? .malformed(.selfDependency)
      : builder.finish(endStream: endStream, allowsExtendedConnect: limits.http2.allowsExtendedConnect)
    if let index {
      return kind == .trailers
        ? trailersEvent(index, verdict, endStream, now)
        : responseEvent(index, verdict, builder.contentLength, endStream, head, now)
    }
    return requestEvent(id, verdict, builder.contentLength, endStream, head, now)
  }

  private mutating func requestEvent(
    _ id: H2StreamID, _ verdict: H2HeadBuilder.Verdict, _ contentLength: UInt64?, _ endStream: Bool,
    _ head: MessageHead, _ now: UInt64
  ) -> H2Event? {
    lastPeer = id
    recentResets.remove(id)
    if let last = goAwaySent, id > last {
      // Ignored as RFC 9113 §6.8 says; the peer knows from our GOAWAY.
      rejectedStreams &+= 1
      recentResets.insert(id)
      return nil
    }
    flood.streamsOpened += 1
    if active >= Int(limits.http2.maxConcurrentStreams) {
      // What left the peer before it knew the limit is not held against it: at most another limit's worth.
      let isExcused = !settingsAcknowledged && flood.earlyRefusals < Int(limits.http2.maxConcurrentStreams)
      if isExcused { flood.earlyRefusals += 1 }
      return refuse(id, .refusedStream, .concurrencyExceeded, isPremature: !isExcused)
    }
    if case .malformed(let detail) = verdict { return refuse(id, .protocolError, detail) }
    if endStream, let n = contentLength, n > 0, !isTooLarge(verdict) {
      return refuse(id, .protocolError, .contentLength)
    }
    var stream = H2Stream()
    stream.id = id
    stream.received.head()
    if endStream { stream.received.end() }
    if head.method == .head { stream.facts.insert(.answersHEAD) }
    stream.sendWindow = peerInitialWindow
    stream.receiveWindow = localInitialWindow
    if let n = contentLength { stream.contentLeft = Int64(n) }
    stream.openedAt = now
    streams.insert(stream)
    active += 1
    if isTooLarge(verdict) {
      head.reset()
      return .headersTooLarge(stream: id)
    }
    return .headers(stream: id, endStream: endStream)
  }

  private func isTooLarge(_ verdict: H2HeadBuilder.Verdict) -> Bool {
    if case .tooLarge = verdict { return true }
    return false
  }

  private mutating func responseEvent(
    _ i: Int, _ verdict: H2HeadBuilder.Verdict, _ contentLength: UInt64?, _ endStream: Bool, _ head: MessageHead,
    _ now: UInt64
  ) -> H2Event? {
    switch verdict {
    case .malformed(let detail): return streamError(i, .protocolError, detail, now)
    case .tooLarge: return streamError(i, .enhanceYourCalm, .headersTooLarge, now)
    case .valid: break
    }
    let id = streams[i].id
    if streams[i].received.isClosed { return streamError(i, .streamClosed, .closedStream, now) }
    if head.isInformational {
      if endStream { return streamError(i, .protocolError, .pseudoHeader, now) }
      head.framing = .none
      if Int(streams[i].informational) >= limits.informationalResponses {
        return fail(.enhanceYourCalm, .emptyFrameFlood)
      }
      if streams[i].informational < .max { streams[i].informational += 1 }
      return .headers(stream: id, endStream: false)
    }
    streams[i].received.head()
    if streams[i].facts.contains(.answersHEAD) || head.status == 204 || head.status == 304 {
      streams[i].facts.insert(.noContent)
      head.framing = .none
      if streams[i].facts.contains(.answersHEAD) { head.flags.insert(.answersHEAD) }
    } else if let n = contentLength {
      if endStream, n > 0 { return streamError(i, .protocolError, .contentLength, now) }
      streams[i].contentLeft = Int64(n)
    }
    if endStream { closeRemote(i) }
    return .headers(stream: id, endStream: endStream)
  }

  private mutating func trailersEvent(
    _ i: Int, _ verdict: H2HeadBuilder.Verdict, _ endStream: Bool, _ now: UInt64
  ) -> H2Event? {
    let stream = streams[i]
    if stream.received.isClosed { return streamError(i, .streamClosed, .closedStream, now) }
    switch verdict {
    case .malformed(let detail): return streamError(i, .protocolError, detail, now)
    case .tooLarge: return streamError(i, .enhanceYourCalm, .headersTooLarge, now)
    case .valid: break
    }
    guard endStream else { return streamError(i, .protocolError, .headerField, now) }
    if stream.contentLeft > 0 { return streamError(i, .protocolError, .contentLength, now) }
    closeRemote(i)
    return .trailers(stream: stream.id)
  }

  // MARK: Control frames

  private mutating func priorityFrame(_ frame: H2FrameHeader, _ payload: ByteView, _ now: UInt64) -> H2Event? {
    guard frame.stream != 0 else { return fail(.protocolError, .frameOnWrongStream) }
    if flood.priorityFrame(limits.http2) { return fail(.enhanceYourCalm, .priorityFlood) }
    let isSized = frame.length == 5
    let isSelfDependent = isSized && payload.loadBigEndianUInt32(at: 0) & 0x7fff_ffff == frame.stream
    if isSized, !isSelfDependent { return nil }
    let code = isSized ? H2ErrorCode.protocolError : .frameSizeError
    let detail = isSized ? H2ErrorDetail.selfDependency : .frameSize
    if let i = streams.find(frame.stream), !streams[i].isDead {
      return streamError(i, code, detail, now)
    }
    // A reset may not name an idle stream.
    if isIdle(frame.stream) { return fail(code, detail) }
    return refuse(frame.stream, code, detail)
  }

  private mutating func resetFrame(_ frame: H2FrameHeader, _ payload: ByteView, _ now: UInt64) -> H2Event? {
    guard frame.length == 4 else { return fail(.frameSizeError, .frameSize) }
    guard frame.stream != 0, !isIdle(frame.stream) else { return fail(.protocolError, .frameOnWrongStream) }
    guard let i = streams.find(frame.stream), !streams[i].isDead else { return nil }
    let id = frame.stream
    let age = now &- streams[i].openedAt
    let wasClosed = streams[i].isClosed
    retire(i)
    streams[i].reset()
    if role == .server, !wasClosed, flood.reset(age: age, limits.http2) { condemn(.enhanceYourCalm, .rapidReset) }
    dead = id
    return .reset(stream: id, code: H2ErrorCode(rawValue: payload.loadBigEndianUInt32(at: 0)), byPeer: true)
  }

  private mutating func settingsFrame(_ frame: H2FrameHeader, _ payload: ByteView, _ now: UInt64) -> H2Event? {
    guard frame.stream == 0 else { return fail(.protocolError, .frameOnWrongStream) }
    if flood.controlFrame(limits.http2, now: now) { return fail(.enhanceYourCalm, .controlFlood) }
    if frame.has(H2Flag.ack) {
      guard frame.length == 0 else { return fail(.frameSizeError, .frameSize) }
      if !settingsAcknowledged {
        settingsAcknowledged = true
        decoder.confirmTableSize(Int(limits.http2.decoderTableSize))
        // A window smaller than the protocol's initial one holds from now on.
        let delta = Int64(limits.http2.initialStreamWindow) - localInitialWindow
        localInitialWindow += delta
        if delta != 0 { for i in 0..<streams.capacity where streams[i].id != 0 { streams[i].receiveWindow += delta } }
      }
      return nil
    }
    guard frame.length % 6 == 0 else { return fail(.frameSizeError, .frameSize) }
    // Who names no limit has none.
    if !settingsReceived { peerMaxConcurrent = .max }
    settingsReceived = true
    var at = 0
    while at < payload.count {
      let id = payload.loadBigEndianUInt16(at: at)
      let value = payload.loadBigEndianUInt32(at: at + 2)
      at += 6
      if let event = setting(id, value) { return event }
    }
    H2FrameHeader.write(length: 0, type: H2FrameType.settings, flags: H2Flag.ack, stream: 0, to: &output)
    flood.outboundControl += 1
    return .settings
  }

  private mutating func setting(_ id: UInt16, _ value: UInt32) -> H2Event? {
    switch id {
    case H2Setting.headerTableSize: encoder.peerTableSize(Int(value))
    case H2Setting.enablePush:
      if value > 1 || (role == .client && value == 1) { return fail(.protocolError, .settingValue) }
    case H2Setting.maxConcurrentStreams: peerMaxConcurrent = value
    case H2Setting.initialWindowSize:
      guard Int64(value) <= H2FrameHeader.maxWindow else { return fail(.flowControlError, .settingValue) }
      let delta = Int64(value) - peerInitialWindow
      peerInitialWindow = Int64(value)
      if delta == 0 { return nil }
      for i in 0..<streams.capacity where streams[i].id != 0 {
        streams[i].sendWindow += delta
        if streams[i].sendWindow > H2FrameHeader.maxWindow { return fail(.flowControlError, .windowOverflow) }
        if streams[i].facts.contains(.waitsForWindow), streams[i].sendWindow > 0 {
          streams[i].facts.remove(.waitsForWindow)
          windowEventPending = true
        }
      }
    case H2Setting.maxFrameSize:
      guard value >= 16_384, value <= 16_777_215 else { return fail(.protocolError, .settingValue) }
      // Larger frames gain nothing and would hold other streams up.
      peerMaxFrame = min(Int(value), 16_384)
    case H2Setting.enableConnectProtocol:
      // What was allowed once may not be taken back (RFC 8441 §3).
      guard value == 1 || (value == 0 && !peerAllowsExtendedConnect) else { return fail(.protocolError, .settingValue) }
      if role == .client { peerAllowsExtendedConnect = value == 1 }
    default: break
    }
    return nil
  }

  private mutating func pingFrame(_ frame: H2FrameHeader, _ payload: ByteView, _ now: UInt64) -> H2Event? {
    guard frame.stream == 0 else { return fail(.protocolError, .frameOnWrongStream) }
    guard frame.length == 8 else { return fail(.frameSizeError, .frameSize) }
    if frame.has(H2Flag.ack) {
      return .pong(UInt64(bigEndian: payload.loadUInt64(at: 0).littleEndian))
    }
    if flood.ping(limits.http2, now: now) { return fail(.enhanceYourCalm, .controlFlood) }
    H2FrameHeader.write(length: 8, type: H2FrameType.ping, flags: H2Flag.ack, stream: 0, to: &output)
    output.append(payload)
    flood.outboundControl += 1
    return nil
  }

  private mutating func goAwayFrame(_ frame: H2FrameHeader, _ payload: ByteView) -> H2Event? {
    guard frame.stream == 0 else { return fail(.protocolError, .frameOnWrongStream) }
    guard frame.length >= 8 else { return fail(.frameSizeError, .frameSize) }
    let last = payload.loadBigEndianUInt32(at: 0) & 0x7fff_ffff
    if let earlier = peerGoAway, last > earlier { return fail(.protocolError, .goAwayIdentifier) }
    peerGoAway = last
    return .goAway(lastStream: last, code: H2ErrorCode(rawValue: payload.loadBigEndianUInt32(at: 4)))
  }

  private mutating func windowUpdateFrame(_ frame: H2FrameHeader, _ payload: ByteView, _ now: UInt64) -> H2Event? {
    guard frame.length == 4 else { return fail(.frameSizeError, .frameSize) }
    if flood.windowUpdate(limits.http2) { return fail(.enhanceYourCalm, .windowUpdateFlood) }
    let increment = Int64(payload.loadBigEndianUInt32(at: 0) & 0x7fff_ffff)
    if frame.stream == 0 {
      if increment == 0 { return fail(.protocolError, .zeroWindowUpdate) }
      sendWindow += increment
      if sendWindow > H2FrameHeader.maxWindow { return fail(.flowControlError, .windowOverflow) }
      guard connectionBlocked, sendWindow > 0 else { return nil }
      connectionBlocked = false
      return .windowOpened(stream: 0)
    }
    if isIdle(frame.stream) { return fail(.protocolError, .frameOnWrongStream) }
    guard let i = streams.find(frame.stream), !streams[i].isDead else { return nil }
    if increment == 0 { return streamError(i, .protocolError, .zeroWindowUpdate, now) }
    streams[i].sendWindow += increment
    if streams[i].sendWindow > H2FrameHeader.maxWindow {
      return streamError(i, .flowControlError, .windowOverflow, now)
    }
    guard streams[i].facts.contains(.waitsForWindow), streams[i].sendWindow > 0 else { return nil }
    streams[i].facts.remove(.waitsForWindow)
    return .windowOpened(stream: frame.stream)
  }
}
