import WeftBase
import WeftHTTP
import WeftRuntime

/// An HTTP/1 connection of a server: one exchange at a time; a pipelined request waits until the response before it is out.
final class H1ServerConnection: LoopConnection {
  private enum Body {
    case none
    case length(Int)
    case chunked
    case untilClose
  }

  private let host: ServerHost
  private let peer: HTTPPeer
  private var decoder: H1Decoder
  private var output = ByteBuffer()
  private var current: ServerLoopExchange?
  private var requestIsComplete = false
  private var trailers = HTTPHeaders()
  private var body = Body.none
  private var hasSentHead = false
  private var version = HTTPVersion.http11
  private var closesAfterResponse = false
  /// The head's time runs: from accepting the connection, later from a head's first byte.
  private var isReadingHead = true
  private var isPaused = false
  private var isBlocked = false
  private var isClosing = false
  private var timer: UInt64?

  init(host: ServerHost, id: ConnectionID, peer: HTTPPeer) {
    self.host = host
    self.peer = peer
    decoder = H1Decoder(role: .request, limits: host.httpLimits)
    super.init(core: host.core, id: id)
    armTimer(host.configuration.limits.headTimeout)
  }

  // MARK: Receiving

  override func received(_ bytes: ByteView) -> Int {
    guard !isClosing else { return bytes.count }
    var input = bytes
    while !isClosing {
      if current != nil, requestIsComplete {
        if !input.isEmpty { pause() }
        break
      }
      switch decoder.next(&input, head: core.incoming.head) {
      case .head: begin(core.incoming.head)
      case .data(let view):
        guard let current else { continue }
        if current.inbound.offer(view.array) >= host.configuration.limits.streamBufferBytes { pause() }
      case .trailers: trailers = HeadConversion.headers(core.incoming.head)
      case .end: requestEnded()
      case .needMore:
        if current == nil, !input.isEmpty, !isReadingHead {
          // Once per head: a client that trickles bytes must not be given more time for each.
          isReadingHead = true
          armTimer(host.configuration.limits.headTimeout)
        }
        return bytes.count - input.count
      case .invalid(let error):
        refuse(error)
        return bytes.count
      }
    }
    return bytes.count - input.count
  }

  private func begin(_ head: MessageHead) {
    core.cancelTimer(&timer)
    isReadingHead = false
    version = head.version
    closesAfterResponse = host.isDraining || head.flags.contains(.closesConnection)
    hasSentHead = false
    requestIsComplete = false
    trailers = HTTPHeaders()
    if head.flags.contains(.expectsContinue) {
      H1Encoder.writeContinue(to: &output)
      flush()
    }
    current = host.arrived(
      HeadConversion.request(head, isSecure: peer.isSecure), version: version, peer: peer, on: self)
  }

  private func requestEnded() {
    if decoder.awaitsTunnelDecision { decoder.refuseTunnel() }
    requestIsComplete = true
    current?.receivedAll(trailers: trailers)
  }

  /// The request cannot be understood: says so if that is still possible, and closes.
  private func refuse(_ error: H1Error) {
    let mayAnswer = current == nil || !hasSentHead
    let exchange = current
    current = nil
    exchange?.end(.protocolViolation("\(error.detail)"))
    if mayAnswer {
      let head = core.outgoing.head
      HeadConversion.fill(
        head, HTTPResponse(status: Int(error.status), headers: ["x-error-detail": "\(error.detail)"]),
        framing: .length(0))
      try? H1Encoder.writeResponse(head, options: H1HeadOptions(connection: .close), to: &output)
      flush()
    }
    finish()
  }

  override func consumed(_ exchange: LoopExchange, _ bytes: Int) {
    guard exchange === current, isPaused, !requestIsComplete,
      exchange.inbound.bufferedBytes < host.configuration.limits.streamBufferBytes / 2
    else { return }
    resume()
  }

  override func readEnded() {
    // A close_notify is half of a close: a request that is complete is answered.
    if current != nil, requestIsComplete, loop.stillReads(id) {
      closesAfterResponse = true
    } else {
      clientLeft()
    }
  }

  override func socketEnded() { clientLeft() }

  private func clientLeft() {
    if let exchange = current {
      current = nil
      exchange.end(.connectionClosed("the client has ended the connection"))
    }
    finish()
  }

  // MARK: Sending

  override func pump(_ exchange: LoopExchange) {
    guard let exchange = exchange as? ServerLoopExchange, exchange === current else { return }
    while let head = exchange.shared.takeHead() {
      guard send(head, of: exchange) else { return abort(exchange, .internalError) }
    }
    guard hasSentHead else { return flush() }
    while !isBlocked, !isClosing {
      switch exchange.outbound.take(upTo: 64 * 1024) {
      case .nothing: return flush()
      case .bytes(let bytes, let last):
        guard send(bytes) else { return abort(exchange, .internalError) }
        if last { return responseEnded(exchange, trailers: HTTPHeaders()) }
        flush()
      case .end(let trailers): return responseEnded(exchange, trailers: trailers)
      }
    }
  }

  private func send(_ outgoing: OutgoingHead, of exchange: ServerLoopExchange) -> Bool {
    let framing = framing(of: outgoing, isHEAD: exchange.isHEAD)
    var response = outgoing.response
    if !outgoing.isInformational {
      hasSentHead = true
      if let connection = response.headers["connection"], connection.lowercased() == "close" {
        closesAfterResponse = true
      }
      if let name = host.configuration.serverName, !response.headers.contains("server") {
        response.headers.add("server", name)
      }
    }
    let head = core.outgoing.head
    HeadConversion.fill(head, response, framing: framing)
    var options = H1HeadOptions(answersHEAD: exchange.isHEAD)
    if !outgoing.isInformational {
      if closesAfterResponse || !requestIsComplete {
        options.connection = .close
        closesAfterResponse = true
      } else if version == .http10 {
        options.connection = .keepAlive
      }
    }
    do { try H1Encoder.writeResponse(head, options: options, to: &output) } catch { return false }
    return true
  }

  /// How this response's content is delimited.
  private func framing(of outgoing: OutgoingHead, isHEAD: Bool) -> BodyFraming {
    if outgoing.isInformational { return .none }
    if outgoing.isBare {
      body = .none
      return .none
    }
    if let length = outgoing.length, length >= 0 {
      body = isHEAD ? .none : .length(length)
      return .length(UInt64(length))
    }
    if version == .http10 {
      body = isHEAD ? .none : .untilClose
      closesAfterResponse = true
      return .untilClose
    }
    body = isHEAD ? .none : .chunked
    return .chunked
  }

  /// False when the handler wrote more than it declared.
  private func send(_ bytes: [UInt8]) -> Bool {
    switch body {
    case .none: return true
    case .length(let left):
      guard bytes.count <= left else { return false }
      body = .length(left - bytes.count)
      output.append(bytes)
    case .chunked: bytes.withByteView { H1Encoder.writeChunk($0, to: &output) }
    case .untilClose: output.append(bytes)
    }
    return true
  }

  private func responseEnded(_ exchange: ServerLoopExchange, trailers: HTTPHeaders) {
    switch body {
    case .length(let left) where left > 0: return abort(exchange, .internalError)
    case .chunked:
      let head = core.outgoing.head
      HeadConversion.fill(head, trailers: trailers)
      H1Encoder.writeLastChunk(trailers: trailers.isEmpty ? nil : head, to: &output)
    default: break
    }
    flush()
    current = nil
    if !requestIsComplete { closesAfterResponse = true }
    exchange.sentEnd = true
    exchange.end(nil)
    if closesAfterResponse || host.isDraining { return finish() }
    armTimer(host.configuration.limits.idleTimeout)
    if isPaused { resume() }
  }

  override func abort(_ exchange: LoopExchange, _ code: H2ErrorCode) {
    if exchange === current {
      current = nil
      exchange.end(.protocolViolation("the response does not match its declared length, or cannot be written"))
      loop.close(id, .reset)
      isClosing = true
    }
  }

  override func drained() {
    isBlocked = false
    if let current { pump(current) }
  }

  private func flush() {
    guard !output.isEmpty else { return }
    let outcome = loop.write(id, output.view)
    output.removeAll()
    if outcome == .blocked || outcome == .closed { isBlocked = true }
  }

  // MARK: Life

  private func pause() {
    guard !isPaused else { return }
    isPaused = true
    loop.pauseReading(id)
  }

  private func resume() {
    guard isPaused else { return }
    isPaused = false
    loop.resumeReading(id)
  }

  private func armTimer(_ timeout: Duration) {
    core.cancelTimer(&timer)
    timer = core.after(timeout) { [weak self] in
      guard let self else { return }
      timer = nil
      if current == nil { finish() }
    }
  }

  private func finish() {
    guard !isClosing else { return }
    isClosing = true
    loop.close(id)
  }

  override func drain() {
    closesAfterResponse = true
    if current == nil { finish() }
  }

  override func close(_ error: ServiceError) {
    let exchange = current
    current = nil
    exchange?.end(error)
    isClosing = true
    loop.close(id, .reset)
  }

  override func closed(_ error: ServiceError) {
    isClosing = true
    core.cancelTimer(&timer)
    let exchange = current
    current = nil
    exchange?.end(error)
    output.release()
    host.closed(self)
  }
}
