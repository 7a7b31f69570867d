/// What both sides of TLS have in common.
package struct CommonTLSContext: Hashable, Sendable {
  package enum Version: UInt8, Hashable, Sendable { case automatic, tls10, tls11, tls12, tls13 }
  /// Certificates given in place, and names of secrets that bring more.
  package var certificates: [TLSCertificate] = []
  package var certificateSecrets: [SecretReference] = []
  package var validation: CertificateValidation?
  package var validationSecret: SecretReference?
  package var alpn: [String] = []
  package var minimumVersion: Version = .automatic
  package var maximumVersion: Version = .automatic
  package var cipherSuites: [String] = []
  package var curves: [String] = []
  package init() {}

  /// The secrets it names, certificates first.
  package var secrets: [SecretReference] { certificateSecrets + (validationSecret.map { [$0] } ?? []) }

  /// Whether there is anything to check the peer's certificate with (in a secret, possibly).
  package var verifiesPeer: Bool {
    guard validationSecret == nil, let validation else { return validationSecret != nil }
    return validation.trustedCA != nil || validation.trustsSystem || !validation.certificateHashes.isEmpty
      || !validation.publicKeyHashes.isEmpty
  }
}

package struct SecretReference: Hashable, Sendable {
  package var name: String
  /// `nil`: a static secret of the bootstrap.
  package var source: ConfigSource?
  package init(name: String, source: ConfigSource? = nil) {
    self.name = name
    self.source = source
  }

  /// What the reference names.
  package var key: SecretKey {
    switch source?.kind {
    case nil: SecretKey(name, .fixed)
    case .ads, .selfStream: SecretKey(name, .stream)
    case .path(let path): SecretKey(name, .file(path))
    }
  }
}

/// Which secret: the same name may come from several places.
package struct SecretKey: Hashable, Sendable {
  package enum Origin: Hashable, Sendable {
    /// The bootstrap.
    case fixed
    /// The aggregated stream.
    case stream
    /// A file of discovery resources.
    case file(String)
  }
  package var name: String
  package var origin: Origin
  package init(_ name: String, _ origin: Origin) {
    self.name = name
    self.origin = origin
  }
}

package struct TLSCertificate: Hashable, Sendable {
  package var chain: DataSource
  package var privateKey: DataSource
  package var password: DataSource?
  /// In a secret: the directory whose moves say that the files are to be read again; empty: those that the files lie in.
  package var watchedDirectory = ""
  package init(chain: DataSource, privateKey: DataSource) {
    self.chain = chain
    self.privateKey = privateKey
  }
}

/// What the peer's certificate must show.
package struct CertificateValidation: Hashable, Sendable {
  package enum SANType: Hashable, Sendable { case email, dns, uri, ipAddress, any }
  package struct SANMatcher: Hashable, Sendable {
    package var type: SANType
    package var matcher: StringMatcher
    package init(type: SANType, matcher: StringMatcher) {
      self.type = type
      self.matcher = matcher
    }
  }
  package var trustedCA: DataSource?
  /// Whether the authorities that this machine trusts (OpenSSL's default places) make a peer trusted, too.
  package var trustsSystem = false
  /// At least one must match, if there are any.
  package var subjectAltNames: [SANMatcher] = []
  package var certificateHashes: [String] = []
  package var publicKeyHashes: [String] = []
  package var revocationList: DataSource?
  package var allowExpired = false
  package var acceptUntrusted = false
  /// As in `TLSCertificate`.
  package var watchedDirectory = ""
  package init() {}
}

package struct DownstreamTLSContext: Hashable, Sendable {
  package var common = CommonTLSContext()
  package var requireClientCertificate = false
  package var requireSNI = false
  package var sessionTimeout: Duration?
  package var statelessResumption = true
  package init() {}
}

package struct UpstreamTLSContext: Hashable, Sendable {
  package var common = CommonTLSContext()
  package var sni = ""
  package var autoHostSNI = false
  package var autoSNISANValidation = false
  package var allowRenegotiation = false
  package var maxSessionKeys: UInt32 = 1
  package init() {}
}

/// Key material delivered apart from the contexts that use it. Never print one.
package struct Secret: Hashable, Sendable {
  package enum Content: Hashable, Sendable {
    case certificate(TLSCertificate)
    case validation(CertificateValidation)
    case generic([UInt8])

    /// The field of the message that holds it.
    package var kindName: String {
      switch self {
      case .certificate: "tls_certificate"
      case .validation: "validation_context"
      case .generic: "generic_secret"
      }
    }
  }
  package var name: String
  package var content: Content
  package init(name: String, content: Content) {
    self.name = name
    self.content = content
  }
}
