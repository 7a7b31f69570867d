// TLSConfiguration: everything a TLSContext is made of, as a value.

/// PEM text by place or by value.
package enum PEMSource: Hashable, Sendable {
  case file(String)
  case bytes([UInt8])

  /// PEM text in place.
  package static func text(_ text: String) -> PEMSource { .bytes(Array(text.utf8)) }
}

/// Who we are: a certificate chain, leaf first, and its private key.
package struct TLSIdentity: Hashable, Sendable {
  package var chain: PEMSource
  package var privateKey: PEMSource
  /// Password of an encrypted key.
  package var password: [UInt8]?

  package init(chain: PEMSource, privateKey: PEMSource, password: [UInt8]? = nil) {
    self.chain = chain
    self.privateKey = privateKey
    self.password = password
  }
}

package enum TLSVersion: UInt16, Comparable, Sendable {
  case tls10 = 0x0301
  case tls11 = 0x0302
  case tls12 = 0x0303
  case tls13 = 0x0304

  package static func < (a: TLSVersion, b: TLSVersion) -> Bool { a.rawValue < b.rawValue }
}

/// Whether the peer must show a certificate.
package enum PeerVerification: Hashable, Sendable {
  /// None is asked for, or (client) what the server shows is not checked.
  case none
  /// Server: a certificate is asked for; a client without one is let in, one with a bad one is not.
  case ifPresented
  /// No certificate, no connection.
  case required
}

/// What a `TLSContext` is made of.
package struct TLSConfiguration: Sendable {
  package enum Role: Hashable, Sendable { case client, server }

  package var role: Role
  /// Several for several key types (RSA and ECDSA); clients need none.
  package var identities: [TLSIdentity] = []
  /// Certificates whose issuing makes a peer trusted; several sources are added up. Empty and `verification` not `.none` is an error.
  package var trustedAuthorities: [PEMSource] = []
  /// Whether the authorities in OpenSSL's default places (`SSL_CERT_FILE`, `SSL_CERT_DIR`, else what the build fixed) are trusted, too.
  package var trustsSystemAuthorities = false
  package var revocationLists: [PEMSource] = []
  package var verification: PeerVerification
  /// When there are any, one must match one name of the peer's certificate. A chain that checks alone says nothing about who it is.
  package var peerNames: [SubjectAltNameMatcher] = []
  /// SHA-256 of accepted leaf certificates (DER), 32 bytes each; with `publicKeyHashes`, one of both must match.
  package var certificateHashes: [[UInt8]] = []
  /// SHA-256 of accepted SubjectPublicKeyInfos, 32 bytes each.
  package var publicKeyHashes: [[UInt8]] = []
  /// Lets certificates pass that are out of date.
  package var allowsExpired = false
  /// Lets every certificate pass; the handler can ask `PeerCertificate.isVerified`.
  package var acceptsUntrusted = false
  package var minimumVersion: TLSVersion
  package var maximumVersion = TLSVersion.tls13
  /// OpenSSL's names for TLS 1.2 and below; empty: ECDHE with AES-GCM or ChaCha20.
  package var cipherSuites: [String] = []
  /// Key exchange groups; empty: X25519, P-256.
  package var groups: [String] = []
  /// Protocols offered (client) or accepted in order of preference (server). A server without overlap goes on without a protocol.
  package var protocols: [String] = []
  /// Name sent as SNI (client).
  package var serverName = ""
  /// Session tickets and, for clients, keeping sessions for reuse.
  package var resumption = true
  /// How long a session may be resumed; nil: the library's default (TLS 1.2: 5 minutes, 1.3: 2 hours).
  package var sessionTimeout: Duration?
  /// Sessions a client keeps, by server name.
  package var maximumKeptSessions = 64

  /// A server with `identities`.
  package static func server(_ identities: TLSIdentity...) -> TLSConfiguration {
    var value = TLSConfiguration(role: .server, verification: .none, minimumVersion: .tls12)
    value.identities = identities
    return value
  }

  /// A client that trusts `authorities`; without any, it trusts nobody and `verification` must be set to `.none` openly.
  package static func client(trusting authorities: PEMSource...) -> TLSConfiguration {
    var value = TLSConfiguration(role: .client, verification: .required, minimumVersion: .tls12)
    value.trustedAuthorities = authorities
    return value
  }

  private init(role: Role, verification: PeerVerification, minimumVersion: TLSVersion) {
    self.role = role
    self.verification = verification
    self.minimumVersion = minimumVersion
  }
}
