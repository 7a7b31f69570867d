import WeftBase
import WeftHTTP
import WeftRuntime

/// A client's connection until it can carry exchanges: connected, secured, protocol known.
final class ClientGreeting: LoopConnection {
  private let pool: AddressPool
  private var timer: UInt64?
  private var isOver = false

  init(pool: AddressPool, id: ConnectionID) {
    self.pool = pool
    super.init(core: pool.core, id: id)
  }

  func start() {
    if let tls = pool.tls { loop.startTransport(id, tls.session()) }
    timer = core.after(pool.configuration.limits.connectTimeout) { [weak self] in
      guard let self else { return }
      timer = nil
      close(.connectFailed("no connection in \(pool.configuration.limits.connectTimeout)"))
    }
  }

  override func connected() {
    guard !isOver else { return }
    let agreed = loop.transport(id)?.negotiatedProtocol ?? ""
    if pool.tls != nil, pool.configuration.protocols == .http2, agreed != "h2" {
      return close(.connectFailed("TLS: the peer did not agree to h2"))
    }
    finish()
    pool.connected(self, speaksHTTP2: agreed == "h2" || pool.configuration.protocols == .http2)
  }

  override func close(_ error: ServiceError) {
    guard !isOver else { return }
    finish()
    loop.close(id, .reset)
    pool.failedToConnect(self, error)
  }

  override func readEnded() { close(.connectFailed("ended by the peer during the handshake")) }

  override func closed(_ error: ServiceError) {
    guard !isOver else { return }
    finish()
    pool.failedToConnect(self, error)
  }

  private func finish() {
    isOver = true
    core.cancelTimer(&timer)
  }
}
