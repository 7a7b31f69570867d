import WeftBase
import WeftRuntime
import WeftTLS

/// The TLS side of a server: a context once, a session per connection.
struct ServerTransport {
  private let context: TLSContext

  /// *Errors*: `WeftError` for material that cannot be used.
  init(_ tls: ServerTLS) throws {
    var configuration = TLSConfiguration.server(
      TLSIdentity(chain: .bytes(tls.certificateChainPEM), privateKey: .bytes(tls.privateKeyPEM)))
    configuration.protocols = ["h2", "http/1.1"]
    if let trust = tls.clientTrustPEM {
      configuration.trustedAuthorities = [.bytes(trust)]
      configuration.verification = tls.requiresClientCertificate ? .required : .ifPresented
    }
    context = try TLSContext(configuration)
  }

  func session() -> any TransportSession { TLSSession.server(context) }

  /// The verified URI names of the peer's certificate.
  func peerURINames(of session: any TransportSession) -> [String] {
    guard let certificate = (session as? TLSSession)?.peerCertificate(), certificate.isVerified else { return [] }
    return certificate.subjectAltNames.filter { $0.kind == .uri }.map(\.text)
  }
}

/// The TLS side of a client to one address.
struct ClientTransport {
  private let context: TLSContext

  /// *Errors*: `WeftError` for material that cannot be used.
  init(_ tls: ClientTLS, to address: ServiceAddress, protocols: HTTPClientConfiguration.Protocols) throws {
    var configuration = TLSConfiguration.client(trusting: .bytes(tls.trustPEM))
    if let chain = tls.certificateChainPEM, let key = tls.privateKeyPEM {
      configuration.identities = [TLSIdentity(chain: .bytes(chain), privateKey: .bytes(key))]
    }
    configuration.protocols =
      switch protocols {
      case .negotiated: ["h2", "http/1.1"]
      case .http1: ["http/1.1"]
      case .http2: ["h2"]
      }
    let host = tls.serverName ?? address.host
    let isLiteral = IPAddress(host) != nil
    if !isLiteral { configuration.serverName = host }
    if tls.expectedURINames.isEmpty {
      // A chain alone says nothing about who it is: without a name to expect, nobody is the right one.
      guard !host.isEmpty else {
        throw WeftError(.invalidInput, "TLS over \(address) needs a server name or expected URI names")
      }
      configuration.peerNames = [.exact(isLiteral ? .ip : .dns, host)]
    } else {
      configuration.peerNames = tls.expectedURINames.map { .exact(.uri, $0) }
    }
    context = try TLSContext(configuration)
  }

  func session() -> any TransportSession { TLSSession.client(context) }
}

extension ServiceAddress {
  /// The host of a TCP address; empty for a Unix socket.
  var host: String {
    if case .tcp(let host, _) = self { return host }
    return ""
  }
}
