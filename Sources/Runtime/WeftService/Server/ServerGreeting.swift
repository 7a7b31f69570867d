import WeftBase
import WeftHTTP
import WeftRuntime

/// A fresh connection of a server, until its protocol is known: by ALPN after the TLS handshake, by its first bytes without.
final class ServerGreeting: LoopConnection {
  private let host: ServerHost
  private var peer: HTTPPeer
  private var timer: UInt64?
  private var isSecured = false

  init(host: ServerHost, id: ConnectionID, peer: HTTPPeer) {
    self.host = host
    self.peer = peer
    super.init(core: host.core, id: id)
  }

  func start() {
    timer = core.after(host.configuration.limits.headTimeout) { [weak self] in
      guard let self else { return }
      timer = nil
      loop.close(id, .reset)
    }
    if let tls = host.tls { loop.startTransport(id, tls.session()) }
  }

  override func secured() {
    guard let session = loop.transport(id) else { return }
    isSecured = true
    peer.isSecure = true
    peer.uriNames = host.tls?.peerURINames(of: session) ?? []
    if session.negotiatedProtocol == "h2" {
      becomeHTTP2()
    } else if session.negotiatedProtocol == "http/1.1" {
      becomeHTTP1()
    }
  }

  override func received(_ bytes: ByteView) -> Int {
    switch H2Preface.match(bytes) {
    case .needMore: return 0
    case .yes: return becomeHTTP2().received(bytes)
    case .no: return becomeHTTP1().received(bytes)
    }
  }

  @discardableResult
  private func becomeHTTP2() -> LoopConnection {
    become(H2ServiceConnection(serving: host, id: id, peer: peer))
  }

  @discardableResult
  private func becomeHTTP1() -> LoopConnection {
    become(H1ServerConnection(host: host, id: id, peer: peer))
  }

  private func become(_ connection: LoopConnection) -> LoopConnection {
    core.cancelTimer(&timer)
    host.adopt(connection)
    return connection
  }

  override func drain() { loop.close(id) }

  override func readEnded() { loop.close(id) }

  override func closed(_ error: ServiceError) {
    core.cancelTimer(&timer)
    host.closed(self)
  }
}
