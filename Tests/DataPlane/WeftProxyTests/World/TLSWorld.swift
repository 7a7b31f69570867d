// TLSWorld: real certificates and real TLS sessions at the ends of the simulated network.

import WeftBase
import WeftModel
import WeftRuntime
import WeftTLS

@testable import WeftProxy

/// A certificate authority and what it issued, in the forms that both ends want.
struct TLSWorld {
  let authority: CertificateAuthority

  init() throws { authority = try CertificateAuthority(commonName: "test root") }

  /// What trusts the authority.
  var validation: CertificateValidation {
    var validation = CertificateValidation()
    validation.trustedCA = Self.source(authority.trust)
    return validation
  }

  func identity(_ names: SubjectAltName...) throws -> TLSIdentity {
    var template = CertificateTemplate()
    template.names = names
    return try authority.issue(template).identity
  }

  /// A certificate as configuration carries it.
  func certificate(_ names: SubjectAltName...) throws -> TLSCertificate {
    var template = CertificateTemplate()
    template.names = names
    let identity = try authority.issue(template).identity
    return TLSCertificate(chain: Self.source(identity.chain), privateKey: Self.source(identity.privateKey))
  }

  static func source(_ pem: PEMSource) -> DataSource {
    switch pem {
    case .file(let path): .file(path: path)
    case .bytes(let bytes): .inline(bytes)
    }
  }
}

extension ProxyWorld {
  /// Lets every connection that the server's end accepts speak TLS as `identity`.
  func serveTLS(_ identity: TLSIdentity) throws {
    let context = try TLSContext(.server(identity))
    server.onAccept = { [serverLoop] peer in serverLoop.startTransport(peer.id, TLSSession.server(context)) }
  }

  /// The name that the proxy asked for on a connection to the server's end.
  func serverName(_ peer: Peer) -> String { serverLoop.transport(peer.id)?.serverName ?? "" }
}
