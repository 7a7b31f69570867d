import WeftBase
import WeftHTTP
import WeftRuntime

/// An HTTP/1.1 connection of a client: one exchange at a time, then back to the pool.
final class H1ClientConnection: LoopConnection {
  private let pool: AddressPool
  private var decoder: H1Decoder
  private var output = ByteBuffer()
  private var current: ClientLoopExchange?
  private var served = 0
  private var isChunked = false
  private var left = 0
  private var trailers = HTTPHeaders()
  private var keepsAlive = true
  private var isPaused = false
  private var isBlocked = false
  private var isClosing = false
  private var idleTimer: UInt64?

  private var limits: ServiceLimits { pool.configuration.limits }

  init(pool: AddressPool, id: ConnectionID) {
    self.pool = pool
    decoder = H1Decoder(role: .response, limits: pool.configuration.limits.http)
    super.init(core: pool.core, id: id)
    armIdleTimer()
  }

  // MARK: Sending

  func open(_ exchange: ClientLoopExchange) {
    core.cancelTimer(&idleTimer)
    current = exchange
    exchange.connection = self
    exchange.wasReused = served > 0
    served += 1
    trailers = HTTPHeaders()
    keepsAlive = true
    let request = exchange.request
    var framing = BodyFraming.none
    isChunked = false
    left = 0
    if let body = request.wholeBody {
      if !body.isEmpty || request.declaresLength { framing = .length(UInt64(body.count)) }
      left = body.count
    } else if let declared = request.head.headers["content-length"].flatMap({ Int($0) }), declared >= 0 {
      framing = .length(UInt64(declared))
      left = declared
    } else {
      framing = .chunked
      isChunked = true
    }
    decoder.expectResponse(to: method(request.head.method))
    HeadConversion.fill(core.outgoing.head, request.head, framing: framing)
    do { try H1Encoder.writeRequest(core.outgoing.head, to: &output) } catch {
      current = nil
      exchange.end(.protocolViolation("the request cannot be sent as HTTP/1.1: \(error)"))
      return finish()
    }
    pump(exchange)
    flush()
  }

  private func method(_ text: String) -> HTTPMethod { text.withByteView { HTTPMethod.find($0) } }

  override func pump(_ exchange: LoopExchange) {
    guard exchange === current, !exchange.sentEnd else { return }
    while !isBlocked, !isClosing {
      switch exchange.outbound.take(upTo: 64 * 1024) {
      case .nothing: return flush()
      case .bytes(let bytes, let last):
        if isChunked {
          bytes.withByteView { H1Encoder.writeChunk($0, to: &output) }
        } else {
          guard bytes.count <= left else { return mismatch(exchange) }
          left -= bytes.count
          output.append(bytes)
        }
        flush()
        if last { return requestEnded(exchange, trailers: HTTPHeaders()) }
      case .end(let trailers): return requestEnded(exchange, trailers: trailers)
      }
    }
  }

  private func requestEnded(_ exchange: LoopExchange, trailers: HTTPHeaders) {
    if isChunked {
      HeadConversion.fill(core.outgoing.head, trailers: trailers)
      H1Encoder.writeLastChunk(trailers: trailers.isEmpty ? nil : core.outgoing.head, to: &output)
    } else if left > 0 {
      return mismatch(exchange)
    }
    flush()
    exchange.sentAll()
  }

  private func mismatch(_ exchange: LoopExchange) {
    exchange.abort(.protocolViolation("the request body does not match its declared length"))
  }

  private func flush() {
    guard !output.isEmpty else { return }
    let outcome = loop.write(id, output.view)
    output.removeAll()
    if outcome == .blocked || outcome == .closed { isBlocked = true }
  }

  override func drained() {
    isBlocked = false
    if let current { pump(current) }
  }

  // MARK: Receiving

  override func received(_ bytes: ByteView) -> Int {
    guard !isClosing else { return bytes.count }
    guard current != nil else {
      finish()  // bytes nobody asked for
      return bytes.count
    }
    var input = bytes
    while !isClosing, current != nil {
      if handle(decoder.next(&input, head: core.incoming.head)) { break }
    }
    return isClosing ? bytes.count : bytes.count - input.count
  }

  /// True when the loop needs more input first.
  private func handle(_ event: H1Event) -> Bool {
    guard let current else { return true }
    switch event {
    case .head:
      current.hasResponse = true
      let head = core.incoming.head
      if head.isInformational { return false }
      if head.flags.contains(.closesConnection) { keepsAlive = false }
      current.shared.received(HeadConversion.response(head), version: head.version)
    case .data(let view):
      if current.inbound.offer(view.array) >= limits.streamBufferBytes, !isPaused {
        isPaused = true
        loop.pauseReading(id)
      }
    case .trailers: trailers = HeadConversion.headers(core.incoming.head)
    case .end: responseEnded(current)
    case .needMore: return true
    case .invalid(let error):
      self.current = nil
      current.end(.protocolViolation("\(error.detail)"))
      loop.close(id, .reset)
      isClosing = true
      pool.retire(self)
    }
    return false
  }

  private func responseEnded(_ exchange: ClientLoopExchange) {
    current = nil
    let isClean = exchange.sentEnd && keepsAlive
    exchange.receivedAll(trailers: trailers)
    exchange.end(nil)
    if isPaused {
      isPaused = false
      loop.resumeReading(id)
    }
    guard isClean, decoder.isIdle else { return finish() }
    armIdleTimer()
    pool.idle(self)
  }

  override func consumed(_ exchange: LoopExchange, _ bytes: Int) {
    guard exchange === current, isPaused, exchange.inbound.bufferedBytes < limits.streamBufferBytes / 2 else { return }
    isPaused = false
    loop.resumeReading(id)
  }

  override func readEnded() {
    if current != nil {
      _ = handle(decoder.endOfInput())
      fail(.connectionClosed("ended by the peer before the response was complete"))
    }
    finish()
  }

  // MARK: Life

  private func fail(_ error: ServiceError) {
    guard let exchange = current else { return }
    current = nil
    if !pool.replay(exchange) { exchange.end(error) }
  }

  override func abort(_ exchange: LoopExchange, _ code: H2ErrorCode) {
    guard exchange === current else { return }
    current = nil
    isClosing = true
    pool.retire(self)
    loop.close(id, .reset)
  }

  private func armIdleTimer() {
    core.cancelTimer(&idleTimer)
    idleTimer = core.after(limits.idleTimeout) { [weak self] in
      guard let self else { return }
      idleTimer = nil
      if current == nil { finish() }
    }
  }

  private func finish() {
    guard !isClosing else { return }
    isClosing = true
    pool.retire(self)
    loop.close(id)
  }

  override func drain() {
    keepsAlive = false
    if current == nil { finish() }
  }

  override func close(_ error: ServiceError) {
    let exchange = current
    current = nil
    exchange?.end(error)
    isClosing = true
    pool.retire(self)
    loop.close(id, .reset)
  }

  override func closed(_ error: ServiceError) {
    isClosing = true
    core.cancelTimer(&idleTimer)
    pool.retire(self)
    fail(error)
    pool.closed(self, error, wasReady: true)
  }
}
