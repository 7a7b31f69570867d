// HTTP/1.0 and HTTP/1.1 bytes to events, for requests and responses.

package import WeftBase

/// A pull parser of one side of an HTTP/1 connection.
///
/// *Shape*: a trivially copyable struct of under 100 bytes, kept in the connection's slot. All text lands in the scratch.
/// *Cost*: O(n) in the bytes received however they are split; no allocation.
///
/// The owner calls `next` until it says `needMore`, handing the unconsumed rest again together with more bytes (the same
/// rest, contiguous, from its first byte): the decoder remembers how far it has scanned.
package struct H1Decoder: BitwiseCopyable {
  package enum Role: UInt8, BitwiseCopyable, Sendable { case request, response }

  enum State: UInt8, BitwiseCopyable {
    /// Before or inside a head.
    case head
    /// Response role: no request is outstanding.
    case unexpected
    case fixed, untilClose, tunnel
    case chunkSize, chunkExtension, chunkSizeEnd, chunkData, chunkDataEnd, chunkDataLast, trailers
    /// Content is complete; `end` has not been told.
    case end
    /// A tunnel was asked for; its first bytes wait.
    case undecided
    /// The connection is of no more use; what comes is dropped.
    case closed
    case failed
  }

  let role: Role
  private var state: State
  private var error = H1Error.truncated
  private var request = HTTPMethod.get
  private var upgradeRequested = false
  private var closesAfterEnd = false
  private var tunnelAfterEnd = false
  private var requestLineSeen = false
  private var digits: UInt8 = 0
  private var informationalCount: UInt8 = 0
  private var informationalLimit: UInt8
  private let acceptsHTTP10: Bool

  /// Bytes of the incomplete head or trailer section in front of the input that hold no end of head.
  private var scanned: UInt32 = 0
  private var extensionBytes: UInt32 = 0
  private var extensionTotal: UInt32 = 0
  /// Bytes left of fixed-length content or of the chunk; while reading a size line, the size so far.
  private var remaining: UInt64 = 0
  private var contentSeen: UInt64 = 0

  private let requestLineLimit: UInt32
  private let headerBytes: UInt32
  private let headerCount: UInt32
  private let chunkExtension: UInt32
  private let chunkExtensionTotal: UInt32
  private let trailerBytes: UInt32
  private let trailerCount: UInt32

  package init(role: Role, limits: HTTPLimits) {
    self.role = role
    state = role == .request ? .head : .unexpected
    acceptsHTTP10 = limits.acceptsHTTP10
    informationalLimit = UInt8(clamping: limits.informationalResponses)
    requestLineLimit = UInt32(clamping: limits.requestLine)
    headerBytes = UInt32(clamping: limits.headerBytes)
    headerCount = UInt32(clamping: limits.headerCount)
    chunkExtension = UInt32(clamping: limits.chunkExtension)
    chunkExtensionTotal = UInt32(clamping: limits.chunkExtensionTotal)
    trailerBytes = UInt32(clamping: limits.trailerBytes)
    trailerCount = UInt32(clamping: limits.trailerCount)
  }

  /// Takes the next step. On return `input` starts at the first byte not consumed.
  @inline(__always)
  package mutating func next(_ input: inout ByteView, head: MessageHead) -> H1Event {
    switch state {
    case .head: return nextHead(&input, head)
    case .end: return finish()
    default: return nextContent(&input, head)
    }
  }

  /// The peer's FIN: `end` for content delimited by close, `needMore` between messages, else `invalid(.truncated)`.
  package mutating func endOfInput() -> H1Event {
    switch state {
    case .untilClose, .tunnel:
      state = .closed
      return .end
    case .head where scanned == 0 && role == .request, .unexpected, .closed, .undecided:
      state = .closed
      return .needMore
    case .end: return finish()
    case .failed: return .invalid(error)
    default: return fail(.truncated)
    }
  }

  /// Response role: what the next response answers. Call it once per request sent, before feeding the response.
  package mutating func expectResponse(to method: HTTPMethod, upgradeRequested: Bool = false) {
    precondition(role == .response)
    guard state == .unexpected else { return }
    request = method
    self.upgradeRequested = upgradeRequested
    informationalCount = 0
    state = .head
  }

  /// Request role, after `end` of a CONNECT or upgrade request, whose following bytes are held back until the answer is
  /// known: 2xx or 101 was sent. From now on every byte comes as `data`, without end.
  package mutating func startTunnel() {
    if state == .undecided { state = .tunnel }
  }

  /// Response role: the other side speaks no HTTP. From now on every byte comes as `data`, until the end of the input.
  package mutating func startOpaque() {
    precondition(role == .response && state == .unexpected)
    state = .tunnel
  }

  /// Request role: the upgrade or CONNECT was answered otherwise; the held bytes are the next request.
  package mutating func refuseTunnel() {
    guard state == .undecided else { return }
    // After a refused CONNECT the client may have sent tunnel bytes already: never read them as a request.
    state = closesAfterEnd || request == .connect ? .closed : .head
  }

  /// Between messages: no byte of the next one has been consumed or seen.
  package var isIdle: Bool { (state == .head || state == .unexpected) && scanned == 0 }

  /// A CONNECT or upgrade request is complete and waits for `startTunnel` or `refuseTunnel`.
  package var awaitsTunnelDecision: Bool { state == .undecided }

  // MARK: Heads

  @inline(__always)
  private mutating func nextHead(_ input: inout ByteView, _ head: MessageHead) -> H1Event {
    if scanned > 0 {
      guard Self.holdsEndOfHead(input, from: Int(scanned)) else { return wait(input) }
    }
    head.reset()
    var parser = H1HeadParser(input, head: head)
    do throws(H1Error) {
      let isRequest = role == .request
      let started = isRequest ? try parser.requestLine(limit: Int(requestLineLimit)) : try parser.statusLine()
      if !started { return wait(input) }
      let complete = try parser.fieldLines(
        maxBytes: Int(headerBytes), maxCount: Int(headerCount), strict: isRequest, trailers: false)
      if !complete { return wait(input) }
      if isRequest {
        try parser.finishRequest(acceptsHTTP10: acceptsHTTP10)
      } else {
        try parser.finishResponse(to: request, upgradeRequested: upgradeRequested)
      }
    } catch { return fail(error) }
    unsafe head.cell.pointee.source = input.prefix(parser.i)
    input = input.dropFirst(parser.i)
    scanned = 0
    requestLineSeen = false
    return begin(head)
  }

  /// Sets up the content after a complete head.
  @inline(__always)
  private mutating func begin(_ head: MessageHead) -> H1Event {
    closesAfterEnd = head.flags.contains(.closesConnection)
    var informational = false
    if role == .request {
      request = head.method
      tunnelAfterEnd = head.method == .connect || head.flags.contains(.upgrade)
    } else {
      informational = head.isInformational
      if informational {
        informationalCount &+= 1
        if informationalCount > informationalLimit { return fail(.informationalFlood) }
      }
    }
    switch head.framing {
    case .none: state = informational ? .head : .end
    case .length(let n):
      remaining = n
      state = n == 0 ? .end : .fixed
    case .chunked:
      startChunk()
      extensionTotal = 0
      contentSeen = 0
    case .untilClose: state = .untilClose
    case .tunnel: state = .tunnel
    }
    return .head
  }

  /// The head is not complete: remember what has been searched, refuse what is already too long.
  @inline(never)
  private mutating func wait(_ input: ByteView) -> H1Event {
    if role == .request, !requestLineSeen, input.count > Int(requestLineLimit) + 2 {
      // The search runs once: either the line ends within the limit or the request is refused.
      guard input.prefix(Int(requestLineLimit) + 2).dropFirst(2).contains(10) else { return fail(.requestLineTooLong) }
      requestLineSeen = true
    }
    if input.count > Int(headerBytes) { return fail(.headerTooLarge) }
    scanned = UInt32(truncatingIfNeeded: input.count)
    return .needMore
  }

  /// True when a line end followed by an empty line lies at or behind `from` (or just before it).
  private static func holdsEndOfHead(_ input: ByteView, from: Int) -> Bool {
    var i = max(0, from - 3)
    while let lf = input.firstIndex(of: 10, from: i) {
      if lf + 1 < input.count, input[lf + 1] == 10 { return true }
      if lf + 2 < input.count, input[lf + 1] == 13, input[lf + 2] == 10 { return true }
      i = lf + 1
    }
    return false
  }

  // MARK: Content

  @inline(never)
  private mutating func nextContent(_ input: inout ByteView, _ head: MessageHead) -> H1Event {
    while true {
      switch state {
      case .fixed:
        if input.isEmpty { return .needMore }
        let data = take(&input)
        if remaining == 0 { state = .end }
        return .data(data)
      case .untilClose, .tunnel:
        if input.isEmpty { return .needMore }
        let data = input
        input = input.dropFirst(input.count)
        return .data(data)
      case .chunkSize, .chunkExtension, .chunkSizeEnd, .chunkDataEnd, .chunkDataLast:
        if input.isEmpty { return .needMore }
        if let error = chunkFraming(&input) { return fail(error) }
      case .chunkData:
        if input.isEmpty { return .needMore }
        let data = take(&input)
        contentSeen &+= UInt64(data.count)
        if remaining == 0 { state = .chunkDataEnd }
        return .data(data)
      case .trailers:
        guard let event = nextTrailers(&input, head) else { continue }
        return event
      case .end: return finish()
      case .head: return nextHead(&input, head)
      case .undecided: return .needMore
      case .closed:
        input = input.dropFirst(input.count)
        return .needMore
      case .unexpected:
        return input.isEmpty ? .needMore : fail(.unsolicitedResponse)
      case .failed: return .invalid(error)
      }
    }
  }

  private mutating func take(_ input: inout ByteView) -> ByteView {
    let n = remaining < UInt64(input.count) ? Int(remaining) : input.count
    let data = input.prefix(n)
    input = input.dropFirst(n)
    remaining &-= UInt64(n)
    return data
  }

  private mutating func startChunk() {
    state = .chunkSize
    remaining = 0
    digits = 0
    extensionBytes = 0
  }

  /// Consumes chunk framing byte by byte until data, trailers or the end of `input`.
  private mutating func chunkFraming(_ input: inout ByteView) -> H1Error? {
    var i = 0
    let n = input.count
    defer { input = input.dropFirst(i) }
    while i < n {
      let c = input[i]
      switch state {
      case .chunkSize:
        if let digit = ASCII.hexadecimalValue(c) {
          // Sixteen digits hold every size there is; more are an attempt to overflow or to stall.
          if digits == 16 || remaining >> 58 != 0 { return .chunkSize }
          remaining = remaining << 4 | UInt64(digit)
          digits &+= 1
        } else if digits == 0 {
          return .chunkSize
        } else if c == 13 {
          state = .chunkSizeEnd
        } else if c == UInt8(ascii: ";") || (c == 32 && role == .response) {
          // Some servers pad sizes with blanks. From a client they are refused: only who wants to be misread sends them.
          state = .chunkExtension
        } else {
          return c == 10 ? .bareCRorLF : .chunkSize
        }
      case .chunkExtension:
        if c == 13 {
          state = .chunkSizeEnd
        } else if c == 10 {
          return .bareCRorLF
        } else if (c < 32 && c != 9) || c == 127 {
          return .chunkExtension
        } else {
          extensionBytes &+= 1
          extensionTotal &+= 1
          let budget = UInt64(chunkExtensionTotal) &+ contentSeen >> 10
          if extensionBytes > chunkExtension || UInt64(extensionTotal) > budget { return .chunkExtensionTooLarge }
        }
      case .chunkSizeEnd:
        guard c == 10 else { return .bareCRorLF }
        i += 1
        state = remaining == 0 ? .trailers : .chunkData
        return nil
      case .chunkDataEnd:
        guard c == 13 else { return .chunkEnd }
        state = .chunkDataLast
      case .chunkDataLast:
        guard c == 10 else { return .chunkEnd }
        startChunk()
      default: return nil
      }
      i += 1
    }
    return nil
  }

  /// Nil: no trailers, and the state has moved on.
  private mutating func nextTrailers(_ input: inout ByteView, _ head: MessageHead) -> H1Event? {
    if input.isEmpty { return .needMore }
    if input[0] == 13 {
      if input.count == 1 { return .needMore }
      guard input[1] == 10 else { return fail(.bareCRorLF) }
      input = input.dropFirst(2)
      scanned = 0
      state = .end
      return nil
    }
    if scanned > 0 {
      guard Self.holdsEndOfHead(input, from: Int(scanned)) else { return waitForTrailers(input) }
    }
    head.startTrailers()
    var parser = H1HeadParser(input, head: head)
    do throws(H1Error) {
      let complete = try parser.fieldLines(
        maxBytes: Int(trailerBytes), maxCount: Int(trailerCount), strict: true, trailers: true)
      if !complete { return waitForTrailers(input) }
    } catch {
      return fail(error == .headerTooLarge || error == .tooManyHeaders ? .trailerTooLarge : error)
    }
    unsafe head.cell.pointee.source = input.prefix(parser.i)
    input = input.dropFirst(parser.i)
    scanned = 0
    state = .end
    return .trailers
  }

  private mutating func waitForTrailers(_ input: ByteView) -> H1Event {
    if input.count > Int(trailerBytes) { return fail(.trailerTooLarge) }
    scanned = UInt32(truncatingIfNeeded: input.count)
    return .needMore
  }

  // MARK: Ends

  private mutating func finish() -> H1Event {
    if role == .request {
      if tunnelAfterEnd {
        state = .undecided
      } else {
        state = closesAfterEnd ? .closed : .head
      }
    } else {
      state = closesAfterEnd ? .closed : .unexpected
    }
    return .end
  }

  private mutating func fail(_ error: H1Error) -> H1Event {
    state = .failed
    self.error = error
    return .invalid(error)
  }
}
