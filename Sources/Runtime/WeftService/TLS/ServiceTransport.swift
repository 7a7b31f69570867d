import WeftBase
import WeftRuntime

/// The TLS side of a server: material once, a session per connection.
struct ServerTransport {
  init(_ tls: ServerTLS) throws { throw WeftError(.unsupported, "TLS is not wired yet") }
  func session() -> any TransportSession { fatalError() }
  func peerURINames(of session: any TransportSession) -> [String] { [] }
}

/// The TLS side of a client.
struct ClientTransport {
  init(_ tls: ClientTLS, protocols: HTTPClientConfiguration.Protocols) throws {
    throw WeftError(.unsupported, "TLS is not wired yet")
  }
  func session(for address: ServiceAddress) -> any TransportSession { fatalError() }
}
