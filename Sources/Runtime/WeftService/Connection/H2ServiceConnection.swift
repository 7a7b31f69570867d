import WeftBase
import WeftHTTP
import WeftRuntime

/// An HTTP/2 connection, of a server or of a client.
final class H2ServiceConnection: LoopConnection {
  private enum Side {
    case server(ServerHost, HTTPPeer)
    case client(AddressPool)
  }

  private static let keepAlivePing: UInt64 = 1
  private static let drainPing: UInt64 = 2

  private let side: Side
  private let limits: ServiceLimits
  private var h2: H2Connection
  private var streams: [H2StreamID: LoopExchange] = [:]
  private var isBlocked = false
  private var isDraining = false
  private var hasSaidLastGoAway = false
  private var drainTimer: UInt64?
  private var isClosing = false
  private var isPumping = false
  /// Server: always. Client: the peer's settings are here.
  private(set) var isReady = false
  private var idleTimer: UInt64?
  private var keepAliveTimer: UInt64?
  private var framesSeen: UInt64 = 0

  /// The server's end of an accepted connection.
  init(serving host: ServerHost, id: ConnectionID, peer: HTTPPeer) {
    side = .server(host, peer)
    limits = host.configuration.limits
    h2 = H2Connection(role: .server, limits: host.httpLimits)
    super.init(core: host.core, id: id)
    isReady = true
    flush()
    armIdleTimer(limits.headTimeout)
    armKeepAlive()
  }

  /// The client's end of an established connection.
  init(for pool: AddressPool, id: ConnectionID, limits: ServiceLimits) {
    side = .client(pool)
    self.limits = limits
    h2 = H2Connection(role: .client, limits: limits.http)
    super.init(core: pool.core, id: id)
    flush()
    keepAliveTimer = core.after(limits.connectTimeout) { [weak self] in
      self?.keepAliveTimer = nil
      self?.close(.connectFailed("no HTTP/2 SETTINGS in \(limits.connectTimeout)"))
    }
  }

  // MARK: For the pool

  /// Whether another exchange may start now.
  var isAvailable: Bool { isReady && !isDraining && !isClosing && !h2.hasReceivedGoAway && h2.availableStreams > 0 }

  var isRetired: Bool { isDraining || isClosing || h2.hasReceivedGoAway }

  /// Sends the request; false when the connection can take no further stream.
  func open(_ exchange: ClientLoopExchange) -> Bool {
    let head = core.outgoing.head
    let whole = exchange.request.wholeBody
    HeadConversion.fill(
      head, exchange.request.head,
      framing: framing(of: exchange.request))
    let endsAtOnce = whole?.isEmpty ?? false
    guard let stream = h2.sendRequest(head, endStream: endsAtOnce, user: exchange.id, now: core.now) else {
      return false
    }
    core.cancelTimer(&idleTimer)
    exchange.connection = self
    exchange.stream = stream
    streams[stream] = exchange
    if endsAtOnce {
      exchange.outbound.skipToEnd()
      exchange.sentAll()
    } else {
      send(exchange)
    }
    flush()
    return true
  }

  private func framing(of request: ClientRequest) -> BodyFraming {
    guard let body = request.wholeBody, !request.omitsLength else { return .chunked }
    return body.isEmpty && !request.declaresLength ? .none : .length(UInt64(body.count))
  }

  // MARK: Receiving

  override func received(_ bytes: ByteView) -> Int {
    guard !isClosing else { return bytes.count }
    var input = bytes
    while !isClosing {
      let event = h2.next(&input, head: core.incoming.head, now: core.now)
      if case .needMore = event { break }
      handle(event)
    }
    flush()
    return isClosing ? bytes.count : bytes.count - input.count
  }

  private func handle(_ event: H2Event) {
    switch event {
    case .headers(let stream, let endStream): headers(stream, endStream)
    case .trailers(let stream):
      streams[stream]?.receivedAll(trailers: HeadConversion.headers(core.incoming.head))
      settle(stream)
    case .data(let stream, let view, let endStream):
      guard let exchange = streams[stream] else { return h2.consumed(stream, view.count) }
      if !view.isEmpty { exchange.inbound.offer(view.array) }
      if endStream {
        exchange.receivedAll()
        settle(stream)
      }
    case .headersTooLarge(let stream):
      HeadConversion.fill(core.outgoing.head, HTTPResponse(status: 431), framing: .none)
      h2.sendResponse(stream, core.outgoing.head, endStream: true)
      h2.reset(stream, .noError, now: core.now)
    case .reset(let stream, let code, let byPeer): wasReset(stream, code, byPeer: byPeer)
    case .goAway(let last, let code): goAway(last, code)
    case .windowOpened(let stream):
      if stream == 0 { pumpAll() } else if let exchange = streams[stream] { send(exchange) }
    case .settings:
      guard !isReady else { return }
      isReady = true
      armKeepAlive()
      if case .client(let pool) = side { pool.ready(self) }
    case .pong(let payload): if payload == Self.drainPing { sayLastGoAway() }
    case .needMore: break
    case .connectionError(let code, let detail):
      flush()
      fail(.protocolViolation("\(detail.text) (HTTP/2 error \(code.rawValue))"))
      finish()
    }
  }

  private func headers(_ stream: H2StreamID, _ endStream: Bool) {
    let head = core.incoming.head
    switch side {
    case .server(let host, let peer):
      core.cancelTimer(&idleTimer)
      let exchange = host.arrived(
        HeadConversion.request(head, isSecure: peer.isSecure), version: .http2, peer: peer, on: self, stream: stream)
      streams[stream] = exchange
      if endStream { exchange.receivedAll() }
    case .client:
      guard let exchange = streams[stream] as? ClientLoopExchange else { return }
      if !head.isInformational { exchange.shared.received(HeadConversion.response(head), version: .http2) }
      if endStream {
        exchange.receivedAll()
        settle(stream)
      }
    }
  }

  private func wasReset(_ stream: H2StreamID, _ code: H2ErrorCode, byPeer: Bool) {
    guard let exchange = streams.removeValue(forKey: stream) else { return }
    if !byPeer {
      exchange.end(.protocolViolation("malformed HTTP/2 message"))
    } else if code == .noError, exchange.receivedEnd {
      exchange.end(nil)
    } else if code == .refusedStream {
      exchange.end(.refused("REFUSED_STREAM"))
    } else {
      exchange.end(.streamReset(code.rawValue))
    }
    streamEnded()
  }

  private func goAway(_ last: H2StreamID, _ code: H2ErrorCode) {
    guard case .client(let pool) = side else { return }
    for (stream, exchange) in streams where stream > last {
      streams[stream] = nil
      exchange.end(.refused("GOAWAY, HTTP/2 error code \(code.rawValue)"))
    }
    pool.retire(self)
    closeIfIdle()
  }

  override func consumed(_ exchange: LoopExchange, _ bytes: Int) {
    h2.consumed(exchange.stream, bytes)
    flush()
  }

  // MARK: Sending

  override func pump(_ exchange: LoopExchange) {
    guard streams[exchange.stream] === exchange else { return }
    send(exchange)
    flush()
  }

  /// Sends what the exchange has, as far as windows and socket allow.
  private func send(_ exchange: LoopExchange) {
    let stream = exchange.stream
    if let exchange = exchange as? ServerLoopExchange {
      while let outgoing = exchange.shared.takeHead() {
        if outgoing.isInformational {
          HeadConversion.fill(core.outgoing.head, outgoing.response, framing: .none)
          h2.sendResponse(stream, core.outgoing.head, endStream: false)
        } else if send(outgoing, of: exchange) {
          return
        }
      }
      guard exchange.hasSentHead else { return }
    }
    while !isBlocked, !isClosing, !exchange.sentEnd, !exchange.hasEnded {
      switch exchange.outbound.take(upTo: 64 * 1024) {
      case .nothing: return
      case .bytes(let bytes, let last):
        let sent = bytes.withByteView { h2.sendData(stream, $0, endStream: last) }
        if sent < bytes.count {
          // The window is full; `windowOpened` comes because more was offered than it took.
          guard h2.contains(stream) else {
            exchange.abort(.connectionClosed("the stream is gone"), .internalError)
            return
          }
          return exchange.outbound.putBack(bytes[sent...])
        }
        if last { sentAll(exchange) }
      case .end(let trailers):
        if trailers.isEmpty {
          _ = h2.sendData(stream, .empty, endStream: true)
        } else {
          HeadConversion.fill(core.outgoing.head, trailers: trailers)
          h2.sendTrailers(stream, core.outgoing.head)
        }
        sentAll(exchange)
      }
      if h2.output.count >= 64 * 1024 { flush() }
    }
  }

  /// Sends a final head; true when the response is complete with it.
  private func send(_ outgoing: OutgoingHead, of exchange: ServerLoopExchange) -> Bool {
    guard case .server(let host, _) = side else { return true }
    exchange.hasSentHead = true
    var response = outgoing.response
    if let name = host.configuration.serverName, !response.headers.contains("server"), !outgoing.isBare {
      response.headers.add("server", name)
    }
    let framing: BodyFraming =
      outgoing.isBare ? .none : outgoing.length.map { .length(UInt64(clamping: $0)) } ?? .chunked
    HeadConversion.fill(core.outgoing.head, response, framing: framing)
    if exchange.isHEAD { core.outgoing.head.flags.insert(.answersHEAD) }
    let isWhole = exchange.isHEAD || exchange.outbound.isEmptyAndFinished
    guard h2.sendResponse(exchange.stream, core.outgoing.head, endStream: isWhole) else {
      exchange.abort(.protocolViolation("the response head cannot be sent"), .internalError)
      return true
    }
    guard isWhole else { return false }
    exchange.outbound.skipToEnd()
    sentAll(exchange)
    return true
  }

  private func sentAll(_ exchange: LoopExchange) {
    exchange.sentAll()
    guard case .server = side, !exchange.hasEnded else { return settle(exchange.stream) }
    // The whole response is out before the whole request is in: the rest of it is not wanted (RFC 9113 §8.1).
    h2.reset(exchange.stream, .noError, now: core.now)
    streams[exchange.stream] = nil
    exchange.end(nil)
    streamEnded()
  }

  /// Forgets the stream if its exchange is over. What its task has not read yet stays readable, at most a stream's window of
  /// it; its credit goes back now, because nobody reports on an exchange that is over.
  private func settle(_ stream: H2StreamID) {
    guard let exchange = streams[stream], exchange.hasEnded else { return }
    streams[stream] = nil
    h2.consumed(stream, .max)
    streamEnded()
  }

  private func pumpAll() {
    guard !isPumping else { return }
    isPumping = true
    for exchange in Array(streams.values) where exchange.outbound.hasWork { send(exchange) }
    isPumping = false
  }

  override func abort(_ exchange: LoopExchange, _ code: H2ErrorCode) {
    guard streams.removeValue(forKey: exchange.stream) != nil else { return }
    h2.reset(exchange.stream, code, now: core.now)
    flush()
    streamEnded()
  }

  override func drained() {
    isBlocked = false
    h2.outputFlushed()
    pumpAll()
    flush()
  }

  private func flush() {
    guard !h2.output.isEmpty else { return }
    let outcome = loop.write(id, h2.output.view)
    h2.output.removeAll()
    switch outcome {
    case .written: h2.outputFlushed()
    case .queued: break
    case .blocked: isBlocked = true
    case .closed: isBlocked = true
    }
  }

  // MARK: Life

  private func streamEnded() {
    if case .client(let pool) = side, !isRetired { pool.streamEnded(self) }
    closeIfIdle()
  }

  private func closeIfIdle() {
    guard streams.isEmpty else { return }
    if isRetired, !isDraining || hasSaidLastGoAway {
      finish()
    } else if !isDraining {
      armIdleTimer(limits.idleTimeout)
    }
  }

  private func armIdleTimer(_ timeout: Duration) {
    core.cancelTimer(&idleTimer)
    idleTimer = core.after(timeout) { [weak self] in
      guard let self, streams.isEmpty else { return }
      idleTimer = nil
      drain()
    }
  }

  /// A connection that is silent while streams are open is asked for a sign of life.
  private func armKeepAlive() {
    core.cancelTimer(&keepAliveTimer)
    framesSeen = h2.framesReceived
    keepAliveTimer = core.after(limits.keepAliveTime) { [weak self] in
      guard let self else { return }
      keepAliveTimer = nil
      if streams.isEmpty || h2.framesReceived != framesSeen { armKeepAlive() } else { askForLife() }
    }
  }

  private func askForLife() {
    h2.ping(Self.keepAlivePing)
    flush()
    keepAliveTimer = core.after(limits.keepAliveTimeout) { [weak self] in
      guard let self else { return }
      keepAliveTimer = nil
      if h2.framesReceived == framesSeen {
        close(.connectionClosed("keep-alive: no answer to a ping"))
      } else {
        armKeepAlive()
      }
    }
  }

  /// Takes no further streams; closes when the last has ended.
  ///
  /// A server first says GOAWAY without a last stream and waits for a ping to come back, so that requests already on their
  /// way are still served.
  override func drain() {
    guard !isDraining, !isClosing else { return }
    isDraining = true
    guard case .server = side else {
      if case .client(let pool) = side { pool.retire(self) }
      return sayLastGoAway()
    }
    h2.shutdownNotice()
    h2.ping(Self.drainPing)
    flush()
    drainTimer = core.after(.seconds(1)) { [weak self] in
      self?.drainTimer = nil
      self?.sayLastGoAway()
    }
  }

  private func sayLastGoAway() {
    guard isDraining, !hasSaidLastGoAway else { return }
    hasSaidLastGoAway = true
    core.cancelTimer(&drainTimer)
    h2.goAway(.noError)
    flush()
    closeIfIdle()
  }

  private func finish() {
    guard !isClosing else { return }
    flush()
    isClosing = true
    if case .client(let pool) = side { pool.retire(self) }
    loop.close(id)
  }

  private func fail(_ error: ServiceError) {
    let exchanges = streams.values
    streams = [:]
    for exchange in exchanges { exchange.end(error) }
  }

  override func close(_ error: ServiceError) {
    fail(error)
    isClosing = true
    if case .client(let pool) = side { pool.retire(self) }
    loop.close(id, .reset)
  }

  override func readEnded() {
    fail(.connectionClosed("ended by the peer"))
    finish()
  }

  override func closed(_ error: ServiceError) {
    isClosing = true
    core.cancelTimer(&idleTimer)
    core.cancelTimer(&keepAliveTimer)
    core.cancelTimer(&drainTimer)
    fail(error)
    switch side {
    case .server(let host, _): host.closed(self)
    case .client(let pool): pool.closed(self, error, wasReady: isReady)
    }
  }
}
