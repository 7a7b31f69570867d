import WeftBase
import WeftHTTP
import WeftRuntime

/// Everything that lives on the loop's thread: connections, listeners, exchanges, timers, and the scratch they share.
///
/// Why not Sendable: touched only inside loop callbacks and posted work.
final class LoopCore: LoopHandler {
  let loop: EventLoop
  /// Heads are parsed into one and written from the other; both are free between callbacks.
  let incoming = HeadScratch()
  let outgoing = HeadScratch()
  private var madeResolver: (any Resolver)?
  private(set) var isShutDown = false

  private var connections: [ConnectionID: LoopConnection] = [:]
  private var hosts: [ListenerID: ServerHost] = [:]
  private var exchanges: [UInt64: LoopExchange] = [:]
  private var clients: [UInt64: ClientPools] = [:]
  private var timers: [UInt64: (id: TimerID, work: () -> Void)] = [:]
  private var lastToken: UInt64 = 0

  init(loop: EventLoop) {
    self.loop = loop
    loop.handler = self
  }

  var now: MonotonicInstant { loop.now }

  /// Made when the first host name is met. *Errors*: as `SystemResolver`.
  func resolver() throws(WeftError) -> any Resolver {
    if let madeResolver { return madeResolver }
    let resolver = try SystemResolver(loop)
    madeResolver = resolver
    return resolver
  }

  // MARK: Connections

  /// Events of the connection go to this object, and no longer to one added before for the same connection.
  func add(_ connection: LoopConnection) { connections[connection.id] = connection }

  func listen(_ listener: ListenerID, for host: ServerHost) { hosts[listener] = host }

  func stopAccepting(_ listener: ListenerID) {
    loop.stopAccepting(listener)
    hosts[listener] = nil
  }

  // MARK: Exchanges

  func add(_ exchange: LoopExchange) { exchanges[exchange.id] = exchange }
  func remove(_ exchange: LoopExchange) { exchanges[exchange.id] = nil }
  func exchange(_ id: UInt64) -> LoopExchange? { exchanges[id] }

  // MARK: Clients

  func client(_ id: UInt64) -> ClientPools? { clients[id] }

  func client(_ id: UInt64, _ configuration: HTTPClientConfiguration, _ backoff: GRPCBackoff?) -> ClientPools {
    if let pools = clients[id] { return pools }
    let pools = ClientPools(core: self, configuration: configuration, backoff: backoff)
    clients[id] = pools
    return pools
  }

  func removeClient(_ id: UInt64) -> ClientPools? { clients.removeValue(forKey: id) }

  // MARK: Timers

  /// Runs `work` once after `delay`, unless cancelled by the token returned.
  func after(_ delay: Duration, _ work: @escaping () -> Void) -> UInt64 {
    lastToken += 1
    timers[lastToken] = (loop.schedule(after: delay, token: lastToken), work)
    return lastToken
  }

  func cancelTimer(_ token: inout UInt64?) {
    guard let armed = token else { return }
    token = nil
    if let timer = timers.removeValue(forKey: armed) { loop.cancel(timer.id) }
  }

  // MARK: Ending

  /// Refuses everything from now on and resets what is open. The loop's end reports the connections closed.
  func shutDown() {
    guard !isShutDown else { return }
    isShutDown = true
    for listener in hosts.keys { loop.stopAccepting(listener) }
    for exchange in Array(exchanges.values) { exchange.abort(.shutDown) }
    loop.stop()
  }

  /// Lets go of everything, so that no cycle outlives the loop.
  func clear() {
    connections = [:]
    hosts = [:]
    exchanges = [:]
    clients = [:]
    timers = [:]
    madeResolver = nil
  }

  // MARK: LoopHandler

  func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {
    guard let host = hosts[listener], !isShutDown else { return loop.close(c, .reset) }
    host.accepted(c, from: peer)
  }

  func connected(_ c: ConnectionID) { connections[c]?.connected() }
  func secured(_ c: ConnectionID) { connections[c]?.secured() }
  func received(_ c: ConnectionID, _ bytes: ByteView) -> Int { connections[c]?.received(bytes) ?? bytes.count }
  func readEnded(_ c: ConnectionID) { connections[c]?.readEnded() }
  func socketEnded(_ c: ConnectionID) { connections[c]?.socketEnded() }
  func drained(_ c: ConnectionID) { connections[c]?.drained() }
  func closed(_ c: ConnectionID, _ reason: CloseReason) {
    connections.removeValue(forKey: c)?.closed(Self.error(for: reason, failure: loop.transport(c)?.failure))
  }

  func timer(token: UInt64) { timers.removeValue(forKey: token)?.work() }

  private static func error(for reason: CloseReason, failure: String?) -> ServiceError {
    let system = reason.systemError == 0 ? "" : SystemErrorName.describe(reason.systemError)
    switch reason.kind {
    case .connectFailed, .bindFailed: return .connectFailed(system.isEmpty ? "refused" : system)
    case .transportFailed: return .connectFailed("TLS: \(failure ?? "failed")")
    case .ended: return .connectionClosed("ended by the peer")
    case .peerReset: return .connectionClosed("reset by the peer")
    case .localReset: return .connectionClosed("reset by us")
    case .lingerTimeout: return .connectionClosed("the peer did not end")
    case .inputLimit: return .limitExceeded("unconsumed input")
    case .outputLimit: return .limitExceeded("queued output")
    case .loopEnded: return .shutDown
    case .failed: return .connectionClosed(system.isEmpty ? "failed" : system)
    }
  }
}
