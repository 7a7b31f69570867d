import WeftBase
import WeftHTTP
import WeftRuntime

/// The connections of one client to one address: those in use, those kept alive, those being made, and who waits for one.
final class AddressPool {
  let core: LoopCore
  let address: ServiceAddress
  let configuration: HTTPClientConfiguration
  let tls: ClientTransport?
  private let backoff: GRPCBackoff?
  private var random = RandomSource.fromSystem()

  private var waiting: [ClientLoopExchange] = []
  private var connecting: [ConnectionID: ClientGreeting] = [:]
  private var http2: [H2ServiceConnection] = []
  private var idleHTTP1: [H1ClientConnection] = []
  private var connections: [ConnectionID: LoopConnection] = [:]
  private var resolving = 0
  private var failures = 0
  private var lastFailure: ServiceError?
  private var retryTimer: UInt64?
  private var isClosed = false
  private var closeWaiters: [() -> Void] = []
  /// What the first connection turned out to speak.
  private var speaksHTTP2: Bool

  init(
    core: LoopCore, address: ServiceAddress, configuration: HTTPClientConfiguration, tls: ClientTransport?,
    backoff: GRPCBackoff?
  ) {
    self.core = core
    self.address = address
    self.configuration = configuration
    self.tls = tls
    self.backoff = backoff
    speaksHTTP2 = configuration.protocols == .http2
  }

  // MARK: Exchanges

  func submit(_ exchange: ClientLoopExchange) {
    guard !isClosed else { return exchange.end(.shutDown) }
    guard waiting.count < configuration.limits.waitingRequests else {
      return exchange.end(
        .limitExceeded("\(configuration.limits.waitingRequests) requests wait for a connection already"))
    }
    exchange.pool = self
    waiting.append(exchange)
    dispatch()
  }

  /// The exchange was given up; it may still be waiting here.
  func forget(_ exchange: ClientLoopExchange) { waiting.removeAll { $0 === exchange } }

  /// A kept-alive connection died under a request it never answered: it goes out again on another one, once.
  func replay(_ exchange: ClientLoopExchange) -> Bool {
    guard !isClosed, exchange.wasReused, !exchange.wasReplayed, !exchange.hasResponse, !exchange.hasEnded,
      exchange.request.isReplayable, let body = exchange.request.wholeBody
    else { return false }
    exchange.wasReplayed = true
    exchange.connection = nil
    exchange.sentEnd = false
    exchange.outbound.preload(body)
    waiting.insert(exchange, at: 0)
    dispatch()
    return true
  }

  private func dispatch() {
    while let exchange = waiting.first {
      if let connection = http2.first(where: \.isAvailable) {
        waiting.removeFirst()
        if !connection.open(exchange) { exchange.end(.refused("no stream available")) }
      } else if let connection = idleHTTP1.popLast() {
        waiting.removeFirst()
        connection.open(exchange)
      } else {
        break
      }
    }
    guard !waiting.isEmpty else { return }
    if retryTimer != nil {
      failImpatient(lastFailure ?? .connectFailed("backing off"))
    } else {
      connectAsNeeded()
    }
  }

  private func connectAsNeeded() {
    let underway = connecting.count + resolving
    let open = connections.count + resolving
    let room = configuration.limits.connectionsPerAddress - open
    let unready = http2.contains { !$0.isRetired && !$0.isReady }
    let wanted = speaksHTTP2 ? (unready ? 0 : 1) : waiting.count
    for _ in 0..<max(0, min(wanted - underway, room)) { connect() }
  }

  // MARK: Connecting

  private func connect() {
    if let socketAddress = address.socketAddress { return connect(to: socketAddress) }
    guard case .tcp(let host, let port) = address else { return connectFailed(.connectFailed("bad address")) }
    resolving += 1
    core.resolve(host, port: port) { [weak self] result in
      guard let self else { return }
      resolving -= 1
      switch result {
      case .success(let socketAddress): connect(to: socketAddress)
      case .failure(let error): connectFailed(error)
      }
    }
  }

  private func connect(to socketAddress: SocketAddress) {
    guard !isClosed, !core.isShutDown else { return connectFailed(.shutDown) }
    var options = ConnectionOptions()
    options.keepalive = Keepalive()
    let id = core.loop.connect(to: socketAddress, options)
    guard !id.isNone else { return connectFailed(.limitExceeded("connections of the loop")) }
    let greeting = ClientGreeting(pool: self, id: id)
    connecting[id] = greeting
    connections[id] = greeting
    core.add(greeting)
    greeting.start()
  }

  /// The socket (and TLS) is ready and its protocol known.
  func connected(_ greeting: ClientGreeting, speaksHTTP2: Bool) {
    connecting[greeting.id] = nil
    self.speaksHTTP2 = speaksHTTP2
    if speaksHTTP2 {
      let connection = H2ServiceConnection(for: self, id: greeting.id, limits: configuration.limits)
      connections[greeting.id] = connection
      core.add(connection)
      http2.append(connection)
    } else {
      succeeded()
      let connection = H1ClientConnection(pool: self, id: greeting.id)
      connections[greeting.id] = connection
      core.add(connection)
      idle(connection)
    }
  }

  /// An HTTP/2 connection has the peer's settings.
  func ready(_ connection: H2ServiceConnection) {
    succeeded()
    dispatch()
  }

  private func succeeded() {
    failures = 0
    lastFailure = nil
  }

  func failedToConnect(_ greeting: ClientGreeting, _ error: ServiceError) {
    connecting[greeting.id] = nil
    connections[greeting.id] = nil
    connectFailed(error)
    finishIfClosed()
  }

  private func connectFailed(_ error: ServiceError) {
    lastFailure = error
    failures += 1
    failImpatient(error)
    guard let backoff, !isClosed else {
      if !waiting.isEmpty { failAll(error) }
      return
    }
    guard retryTimer == nil else { return }
    retryTimer = core.after(backoff.delay(afterFailures: failures, random: &random)) { [weak self] in
      guard let self else { return }
      retryTimer = nil
      dispatch()
    }
  }

  /// Fails the calls that do not wait for a connection.
  private func failImpatient(_ error: ServiceError) {
    let impatient = waiting.filter { !$0.request.waitsForConnection }
    waiting.removeAll { !$0.request.waitsForConnection }
    for exchange in impatient { exchange.end(error) }
  }

  private func failAll(_ error: ServiceError) {
    let exchanges = waiting
    waiting = []
    for exchange in exchanges { exchange.end(error) }
  }

  // MARK: Connections

  /// An HTTP/1 connection may take the next exchange.
  func idle(_ connection: H1ClientConnection) {
    guard !isClosed else { return core.loop.close(connection.id) }
    idleHTTP1.append(connection)
    dispatch()
  }

  /// A stream has ended: another may start.
  func streamEnded(_ connection: H2ServiceConnection) { if !waiting.isEmpty { dispatch() } }

  /// The connection takes no further exchanges.
  func retire(_ connection: LoopConnection) {
    http2.removeAll { $0 === connection }
    idleHTTP1.removeAll { $0 === connection }
    if !waiting.isEmpty, !isClosed { dispatch() }
  }

  func closed(_ connection: LoopConnection, _ error: ServiceError, wasReady: Bool) {
    connections[connection.id] = nil
    http2.removeAll { $0 === connection }
    idleHTTP1.removeAll { $0 === connection }
    if !wasReady { connectFailed(.connectFailed(error.description)) } else if !waiting.isEmpty, !isClosed { dispatch() }
    finishIfClosed()
  }

  // MARK: Ending

  /// Ends everything; `done` is called when no connection is left.
  func close(_ done: @escaping () -> Void) {
    isClosed = true
    closeWaiters.append(done)
    core.cancelTimer(&retryTimer)
    failAll(.shutDown)
    for connection in Array(connections.values) { connection.close(.shutDown) }
    finishIfClosed()
  }

  private func finishIfClosed() {
    guard isClosed, connections.isEmpty else { return }
    let waiters = closeWaiters
    closeWaiters = []
    for done in waiters { done() }
  }
}

extension GRPCBackoff {
  /// The wait after the n-th failure in a row (n from 1).
  func delay(afterFailures failures: Int, random: inout RandomSource) -> Duration {
    var seconds = Double(initial.nanoseconds) / 1e9
    let cap = Double(maximum.nanoseconds) / 1e9
    for _ in 1..<max(2, min(failures, 100)) where seconds < cap && failures > 1 { seconds *= multiplier }
    seconds = min(seconds, cap)
    seconds *= 1 - jitter + 2 * jitter * random.nextUnit()
    return .nanoseconds(Int64(seconds * 1e9))
  }
}
