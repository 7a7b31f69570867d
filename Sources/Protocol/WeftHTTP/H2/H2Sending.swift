// The sending half of an HTTP/2 connection.

package import WeftBase

extension H2Connection {
  // MARK: Connection frames

  /// Preface, SETTINGS and the connection's window.
  mutating func writeOpening() {
    let h2 = limits.http2
    if role == .client { output.append(H2Preface.text) }
    let at = output.count
    H2FrameHeader.write(length: 0, type: H2FrameType.settings, flags: 0, stream: 0, to: &output)
    if h2.decoderTableSize != 4096 { writeSetting(H2Setting.headerTableSize, h2.decoderTableSize) }
    if role == .client {
      writeSetting(H2Setting.enablePush, 0)
    } else {
      writeSetting(H2Setting.maxConcurrentStreams, h2.maxConcurrentStreams)
      if h2.allowsExtendedConnect { writeSetting(H2Setting.enableConnectProtocol, 1) }
    }
    if h2.initialStreamWindow != 65_535 { writeSetting(H2Setting.initialWindowSize, h2.initialStreamWindow) }
    if h2.maxFrameSize != 16_384 { writeSetting(H2Setting.maxFrameSize, h2.maxFrameSize) }
    writeSetting(H2Setting.maxHeaderListSize, UInt32(clamping: limits.headerBytes))
    patchLength(at)
    let grow = Int64(h2.initialConnectionWindow) - receiveWindow
    if grow > 0 {
      writeWindowUpdate(0, UInt32(grow))
      receiveWindow += grow
    }
    flood.outboundControl = 0
  }

  private mutating func writeSetting(_ id: UInt16, _ value: UInt32) {
    output.appendBigEndian(id)
    output.appendBigEndian(value)
  }

  /// Sets the length of the frame that starts at `at` to what follows its header.
  private mutating func patchLength(_ at: Int) {
    let length = output.count - at - H2FrameHeader.size
    let bytes: [3 of UInt8] = [
      UInt8(truncatingIfNeeded: length >> 16), UInt8(truncatingIfNeeded: length >> 8),
      UInt8(truncatingIfNeeded: length),
    ]
    for i in 0..<3 {
      var byte = bytes[i]
      unsafe withUnsafeBytes(of: &byte) { unsafe output.replace(at: at + i, with: ByteView($0)) }
    }
  }

  mutating func writeWindowUpdate(_ stream: H2StreamID, _ increment: UInt32) {
    H2FrameHeader.write(length: 4, type: H2FrameType.windowUpdate, flags: 0, stream: stream, to: &output)
    output.appendBigEndian(increment)
  }

  mutating func writeReset(_ stream: H2StreamID, _ code: H2ErrorCode) {
    H2FrameHeader.write(length: 4, type: H2FrameType.resetStream, flags: 0, stream: stream, to: &output)
    output.appendBigEndian(code.rawValue)
    flood.outboundControl += 1
  }

  mutating func writeGoAway(_ last: H2StreamID, _ code: H2ErrorCode) {
    H2FrameHeader.write(length: 8, type: H2FrameType.goAway, flags: 0, stream: 0, to: &output)
    output.appendBigEndian(last)
    output.appendBigEndian(code.rawValue)
  }

  /// First step of a graceful end: tells the peer to open no more streams (GOAWAY with 2³¹−1) while those in flight arrive.
  package mutating func shutdownNotice() {
    guard failure == nil, goAwaySent == nil else { return }
    writeGoAway(0x7fff_ffff, .noError)
    goAwaySent = 0x7fff_ffff
  }

  /// Final GOAWAY with the last stream we took; later ones are refused. Streams in flight go on.
  package mutating func goAway(_ code: H2ErrorCode = .noError) {
    guard failure == nil else { return }
    if let sent = goAwaySent, sent != 0x7fff_ffff { return }
    let last = role == .server ? lastPeer : 0
    writeGoAway(last, code)
    goAwaySent = last
  }

  /// Sends PING with `payload`; `pong(payload)` is the answer.
  package mutating func ping(_ payload: UInt64) {
    guard failure == nil else { return }
    H2FrameHeader.write(length: 8, type: H2FrameType.ping, flags: 0, stream: 0, to: &output)
    output.appendBigEndian(payload)
  }

  /// Everything ever put in `output` has left for the socket.
  package mutating func outputFlushed() { flood.outboundControl = 0 }

  // MARK: Heads

  /// Client: opens a stream with the request in `head`. `user` is the owner's word for it.
  /// Nil when no stream may be opened now (concurrency limit reached, GOAWAY seen, identifiers used up), or when the
  /// head cannot be sent.
  package mutating func sendRequest(
    _ head: MessageHead, endStream: Bool, user: UInt64, now: MonotonicInstant
  ) -> H2StreamID? {
    guard role == .client, availableStreams > 0, Self.isSendable(head, request: true) else { return nil }
    let id = nextStreamID
    nextStreamID += 2
    var stream = H2Stream()
    stream.id = id
    stream.sent.head()
    if endStream { stream.sent.end() }
    if head.method == .head { stream.facts.insert(.answersHEAD) }
    stream.sendWindow = peerInitialWindow
    stream.receiveWindow = localInitialWindow
    stream.openedAt = now.nanoseconds
    stream.user = user
    streams.insert(stream)
    active += 1
    flood.streamsOpened += 1
    let at = beginBlock(id)
    writeRequestPseudo(head)
    writeFields(head)
    endBlock(at, id, endStream: endStream)
    return id
  }

  /// Server: sends a response head; informational ones may precede the final one. False if the stream is gone or has its
  /// final head, or if HTTP/2 cannot carry the head: nothing has happened then, and another head may be sent in its place.
  @discardableResult
  package mutating func sendResponse(_ stream: H2StreamID, _ head: MessageHead, endStream: Bool) -> Bool {
    guard failure == nil, let i = streams.find(stream), streams[i].sent == .awaitingHead else { return false }
    guard Self.isSendable(head, request: false) else { return false }
    if !head.isInformational { streams[i].sent.head() }
    let at = beginBlock(stream)
    writeStatus(head.status)
    writeFields(head)
    endBlock(at, stream, endStream: endStream)
    if endStream { closeLocal(i) }
    return true
  }

  /// Sends trailers and ends our side. False if the stream is gone or has ended.
  @discardableResult
  package mutating func sendTrailers(_ stream: H2StreamID, _ trailers: MessageHead) -> Bool {
    guard failure == nil, let i = streams.find(stream), streams[i].sent == .open else { return false }
    let at = beginBlock(stream)
    writeFields(trailers)
    endBlock(at, stream, endStream: true)
    closeLocal(i)
    return true
  }

  /// What HTTP/2 cannot carry or would split elsewhere is not sent.
  private static func isSendable(_ head: MessageHead, request: Bool) -> Bool {
    let characters = unsafe head.cell.pointee.characters
    if request {
      let path = head.path
      guard characters.isToken(head.methodText), !head.authority.isEmpty,
        Authority.isValid(head.authority, characters),
        unsafe firstNonTarget(path.base, 0, path.count) == path.count
      else { return false }
      if path.isEmpty && (head.method != .connect || head.flags.contains(.extendedConnect)) { return false }
    } else {
      guard head.status >= 100, head.status < 600, head.status != 101 else { return false }
    }
    for field in head.fields where !field.flags.contains(.wireLine) && !field.flags.contains(.sound) {
      if !isFieldValue(field.value) || !characters.isToken(field.name) { return false }
    }
    return true
  }

  private mutating func writeRequestPseudo(_ head: MessageHead) {
    switch head.method {
    case .get: encoder.indexed(2, &output)
    case .post: encoder.indexed(3, &output)
    default: encoder.pseudo(2, head.methodText, indexes: head.method != .other, &output)
    }
    let isConnect = head.method == .connect && !head.flags.contains(.extendedConnect)
    if !isConnect {
      if head.scheme.equals("https") {
        encoder.indexed(7, &output)
      } else {
        encoder.indexed(6, &output)
      }
    }
    encoder.pseudo(1, head.authority, indexes: true, &output)
    if !isConnect { encoder.pseudo(4, head.path, indexes: false, &output) }
    if head.flags.contains(.extendedConnect) { encoder.pseudo(0, head.protocolText, indexes: true, &output) }
  }

  private mutating func writeStatus(_ status: UInt16) {
    switch status {
    case 200: encoder.indexed(8, &output)
    case 204: encoder.indexed(9, &output)
    case 206: encoder.indexed(10, &output)
    case 304: encoder.indexed(11, &output)
    case 400: encoder.indexed(12, &output)
    case 404: encoder.indexed(13, &output)
    case 500: encoder.indexed(14, &output)
    default:
      var digits: (UInt8, UInt8, UInt8) = (
        UInt8(48 + status / 100 % 10), UInt8(48 + status / 10 % 10), UInt8(48 + status % 10)
      )
      unsafe withUnsafeBytes(of: &digits) {
        unsafe encoder.pseudo(8, ByteView($0), indexes: true, &output)
      }
    }
  }

  private mutating func writeFields(_ head: MessageHead) {
    let isTrailers = head.flags.contains(.trailers)
    var i = 0
    while i < head.slotCount {
      let field = head.field(at: i)
      i &+= 1
      if field.flags.contains(.removed) || field.id.isConnectionSpecific { continue }
      switch field.id {
      case .other:
        encoder.field(
          name: Self.lowercased(field.name, head), value: field.value, id: .other,
          neverIndexed: field.flags.contains(.neverIndexed), &output)
        continue
      case .host: continue
      case .te: if !field.value.equals("trailers") { continue }
      case .contentLength:
        // Written from the framing, or as received where it tells of content not sent.
        if case .length = head.framing { continue }
        if case .chunked = head.framing { continue }
      default: break
      }
      if isTrailers, field.id.isForbiddenInTrailers { continue }
      encoder.field(
        name: ByteView(field.id.text), value: field.value, id: field.id,
        neverIndexed: field.flags.contains(.neverIndexed), &output)
    }
    if !isTrailers, case .length(let n) = head.framing, !head.isInformational, head.status != 204 {
      encoder.field(
        name: ByteView(HeaderName.contentLength.text), value: head.decimal(n), id: .contentLength,
        neverIndexed: false, &output)
    }
  }

  /// `name` in lower case; copied only when it is not.
  private static func lowercased(_ name: ByteView, _ head: MessageHead) -> ByteView {
    if unsafe head.cell.pointee.characters.all(name, CharacterTable.lowerToken) { return name }
    return unsafe head.build(name.count) { room in
      for i in 0..<name.count { unsafe room[i] = ASCII.lowercased(name[i]) }
      return name.count
    }
  }

  /// Starts a HEADERS frame; the block is written straight behind its header.
  private mutating func beginBlock(_ stream: H2StreamID) -> Int {
    let at = output.count
    H2FrameHeader.write(length: 0, type: H2FrameType.headers, flags: 0, stream: stream, to: &output)
    encoder.begin(&output)
    return at
  }

  /// Finishes the HEADERS frame at `at`; a block larger than a frame goes on in CONTINUATION frames.
  private mutating func endBlock(_ at: Int, _ stream: H2StreamID, endStream: Bool) {
    let start = at + H2FrameHeader.size
    let length = output.count - start
    let endStreamFlag = endStream ? H2Flag.endStream : 0
    if length <= peerMaxFrame {
      patchHeader(at, length, H2FrameType.headers, H2Flag.endHeaders | endStreamFlag)
      return
    }
    var rest = ByteBuffer(capacity: length)
    rest.append(output.view[start..<start + length])
    output.truncate(to: at)
    var type = H2FrameType.headers
    while !rest.isEmpty {
      let n = min(rest.count, peerMaxFrame)
      let isLast = n == rest.count
      let flags = (isLast ? H2Flag.endHeaders : 0) | (type == H2FrameType.headers ? endStreamFlag : 0)
      H2FrameHeader.write(length: n, type: type, flags: flags, stream: stream, to: &output)
      output.append(rest.view.prefix(n))
      rest.consume(n)
      type = H2FrameType.continuation
    }
  }

  private mutating func patchHeader(_ at: Int, _ length: Int, _ type: UInt8, _ flags: UInt8) {
    var head = UInt32(truncatingIfNeeded: length << 8 | Int(type)).bigEndian
    unsafe withUnsafeBytes(of: &head) { unsafe output.replace(at: at, with: ByteView($0)) }
    var byte = flags
    unsafe withUnsafeBytes(of: &byte) { unsafe output.replace(at: at + 4, with: ByteView($0)) }
  }

  // MARK: Content

  /// Sends as much of `data` as both windows and `limit` allow; returns how much. `endStream` takes effect when all of it
  /// was accepted (empty data with `endStream` ends the stream always). When a window stopped it, `windowOpened` follows.
  package mutating func sendData(_ stream: H2StreamID, _ data: ByteView, endStream: Bool, limit: Int = .max) -> Int {
    guard failure == nil, let i = streams.find(stream), streams[i].sent == .open else { return 0 }
    let window = Int(max(0, min(streams[i].sendWindow, sendWindow)))
    let accepted = min(data.count, window, max(0, limit))
    if accepted < data.count, accepted == window {
      streams[i].facts.insert(.waitsForWindow)
      if sendWindow <= Int64(accepted) { connectionBlocked = true }
    }
    let ends = endStream && accepted == data.count
    var sent = 0
    output.reserve(accepted + (accepted / peerMaxFrame + 1) * H2FrameHeader.size)
    while sent < accepted || (ends && accepted == 0) {
      let n = min(accepted - sent, peerMaxFrame)
      let isLast = sent + n == accepted
      H2FrameHeader.write(
        length: n, type: H2FrameType.data, flags: ends && isLast ? H2Flag.endStream : 0, stream: stream, to: &output)
      output.append(data[sent..<sent + n])
      sent += n
      flood.dataFramesSent += 1
      if isLast { break }
    }
    streams[i].sendWindow -= Int64(accepted)
    sendWindow -= Int64(accepted)
    if ends { closeLocal(i) }
    return accepted
  }

  /// Ends the stream at once in both directions. Its unconsumed content is credited back. No event follows.
  package mutating func reset(_ stream: H2StreamID, _ code: H2ErrorCode, now: MonotonicInstant) {
    guard failure == nil, let i = streams.find(stream), !streams[i].isDead else { return }
    writeReset(stream, code)
    // The owner's own decision: not held against the peer.
    flood.outboundControl -= 1
    recentResets.insert(stream)
    drop(i)
  }

  /// `n` bytes of content that `data` delivered were taken: returns their credit to the peer, in steps of half a window.
  /// A no-op for a stream that is gone: its credit has been returned.
  package mutating func consumed(_ stream: H2StreamID, _ n: Int) {
    guard failure == nil, n > 0, let i = streams.find(stream), !streams[i].isDead else { return }
    let n = min(n, Int(streams[i].unconsumed))
    streams[i].unconsumed -= UInt32(n)
    credit(i, n)
    if streams[i].isDone, stream != dead { streams.remove(at: i) }
  }

  /// Returns `n` bytes of credit for the stream at `i` and for the connection.
  mutating func credit(_ i: Int, _ n: Int) {
    creditConnection(n)
    if streams[i].received.isClosed { return }
    streams[i].pendingCredit += UInt32(n)
    let pending = Int64(streams[i].pendingCredit)
    if pending * 2 >= Int64(limits.http2.initialStreamWindow) {
      writeWindowUpdate(streams[i].id, streams[i].pendingCredit)
      streams[i].receiveWindow += pending
      streams[i].pendingCredit = 0
    }
  }

  mutating func creditConnection(_ n: Int) {
    pendingCredit += n
    if pendingCredit * 2 >= max(65_535, Int(limits.http2.initialConnectionWindow)) {
      writeWindowUpdate(0, UInt32(pendingCredit))
      receiveWindow += Int64(pendingCredit)
      pendingCredit = 0
    }
  }

  // MARK: Ends

  /// Our side has ended.
  mutating func closeLocal(_ i: Int) {
    streams[i].sent.end()
    countClosed(i)
    // With content the owner still holds, the slot stays to take its credit.
    if streams[i].isDone, streams[i].id != dead { streams.remove(at: i) }
  }

  /// The peer's side has ended. The slot stays readable while the event that says so is handled.
  mutating func closeRemote(_ i: Int) {
    streams[i].received.end()
    countClosed(i)
    if streams[i].isDone { dead = streams[i].id }
  }

  private mutating func countClosed(_ i: Int) {
    guard streams[i].isClosed else { return }
    active -= 1
    flood.closedStreams += 1
  }

  /// Frees the stream at `i` at once, crediting what nobody will consume now.
  mutating func drop(_ i: Int) {
    retire(i)
    streams.remove(at: i)
  }

  /// Takes the stream at `i` out of all accounts.
  mutating func retire(_ i: Int) {
    if !streams[i].isClosed {
      active -= 1
      flood.closedStreams += 1
    }
    let left = Int(streams[i].unconsumed)
    streams[i].unconsumed = 0
    if left > 0 { creditConnection(left) }
  }
}
