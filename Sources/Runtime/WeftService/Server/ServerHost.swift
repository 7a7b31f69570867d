import WeftBase
import WeftHTTP
import WeftRuntime

/// The loop's side of one `HTTPServer`: its listeners and connections.
final class ServerHost {
  let core: LoopCore
  let configuration: HTTPServerConfiguration
  let queue: ExchangeQueue
  let httpLimits: HTTPLimits
  let tls: ServerTransport?
  private let runtime: ServiceRuntime
  private var listeners: [ListenerID] = []
  private var connections: [ConnectionID: LoopConnection] = [:]
  private(set) var isDraining = false
  private var isFinished = false
  private var graceTimer: UInt64?
  private var waiters: [CheckedContinuation<Void, Never>] = []
  /// Connections closed at once because `limits.connections` was reached.
  private(set) var shedConnections = 0

  init(core: LoopCore, runtime: ServiceRuntime, configuration: HTTPServerConfiguration, queue: ExchangeQueue) throws {
    self.core = core
    self.runtime = runtime
    self.configuration = configuration
    self.queue = queue
    httpLimits = configuration.limits.http
    tls = try configuration.tls.map(ServerTransport.init)
  }

  /// Opens one listener; returns its true address.
  func listen(on address: ServiceAddress) throws -> ServiceAddress {
    guard let socketAddress = address.socketAddress else {
      throw WeftError(.invalidInput, "cannot listen on \(address): not an IP address or socket path")
    }
    let listener = try core.loop.listen(on: socketAddress)
    listeners.append(listener)
    core.listen(listener, for: self)
    return ServiceAddress(core.loop.address(of: listener))
  }

  func stopListening() {
    for listener in listeners { core.stopAccepting(listener) }
    listeners = []
  }

  // MARK: Connections

  func accepted(_ c: ConnectionID, from peer: SocketAddress) {
    guard connections.count < configuration.limits.connections, !isDraining else {
      shedConnections += 1
      return core.loop.close(c, .reset)
    }
    let greeting = ServerGreeting(host: self, id: c, peer: HTTPPeer(address: ServiceAddress(peer)))
    adopt(greeting)
    greeting.start()
  }

  func adopt(_ connection: LoopConnection) {
    connections[connection.id] = connection
    core.add(connection)
    if isDraining { connection.drain() }
  }

  func closed(_ connection: LoopConnection) {
    connections[connection.id] = nil
    finishIfDrained()
  }

  /// A request's head has come: hands it to the serving task.
  func arrived(
    _ head: HTTPRequest, version: HTTPVersion, peer: HTTPPeer, on connection: LoopConnection, stream: H2StreamID = 0
  ) -> ServerLoopExchange {
    let id = runtime.nextID()
    let shared = ServerExchange(limits: configuration.limits) { [runtime] signal in
      runtime.post { $0.exchange(id)?.handle(signal) }
    }
    let exchange = ServerLoopExchange(host: self, shared: shared, id: id, isHEAD: head.method == "HEAD")
    exchange.connection = connection
    exchange.stream = stream
    if let timeout = configuration.limits.requestTimeout { exchange.setDeadline(timeout) }
    queue.add(
      ExchangeQueue.Arrival(
        request: HTTPServerRequest(head: head, version: version, peer: peer, body: HTTPBody(shared.inbound)),
        exchange: shared))
    return exchange
  }

  // MARK: Ending

  /// Stops accepting and lets what runs finish for `grace`.
  func drain(grace: Duration) {
    stopListening()
    isDraining = true
    for connection in Array(connections.values) { connection.drain() }
    core.cancelTimer(&graceTimer)
    if grace <= .zero {
      closeAll()
    } else {
      graceTimer = core.after(grace) { [weak self] in
        self?.graceTimer = nil
        self?.closeAll()
      }
    }
    finishIfDrained()
  }

  private func closeAll() {
    for connection in Array(connections.values) { connection.close(.shutDown) }
  }

  func whenDrained(_ waiter: CheckedContinuation<Void, Never>) {
    if isFinished { waiter.resume() } else { waiters.append(waiter) }
  }

  private func finishIfDrained() {
    guard isDraining, connections.isEmpty, !isFinished else { return }
    isFinished = true
    core.cancelTimer(&graceTimer)
    queue.finish()
    for waiter in waiters { waiter.resume() }
    waiters = []
  }
}

extension ServiceLimits {
  /// The codecs' view of these limits.
  var http: HTTPLimits {
    var limits = HTTPLimits()
    limits.headerBytes = headBytes
    limits.headerCount = headFields
    limits.http2.maxConcurrentStreams = UInt32(clamping: streamsPerConnection)
    limits.http2.initialStreamWindow = UInt32(clamping: max(65_535, streamBufferBytes))
    return limits
  }
}

extension ServiceAddress {
  /// The address to give to a socket; nil when the host must be resolved first.
  var socketAddress: SocketAddress? {
    switch self {
    case .tcp(let host, let port):
      if let ip = IPAddress(host) { return SocketAddress(ip, port: port) }
      return host == "localhost" ? .loopback(port: port) : nil
    case .unix(let path): return SocketAddress(unixPath: path)
    }
  }

  init(_ address: SocketAddress) {
    if let path = address.unixPath {
      self = .unix(path: path)
    } else {
      self = .tcp(host: address.ip.unmapped.description, port: address.port)
    }
  }
}
