// TLSSecurity: TLS contexts made from configuration and secrets.

package import WeftBase
package import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTLS
package import WeftTables
package import WeftUpstream

/// Makes what the engine asks for when a connection begins.
///
/// A context is made once per content: what says the same with the same certificates, keys and authorities shares it, whatever cluster or
/// listener it belongs to and wherever the bytes came from. It goes with its last user.
package struct TLSSecurity: SecurityFactory {
  /// Sessions that a client context keeps to resume, one per server name.
  private static let keptSessions = 256

  private let contexts = TLSContextCache()

  package init() {}

  /// Contexts in use.
  var contextCount: Int { contexts.count }

  package func downstream(_ context: DownstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError)
    -> any DownstreamSecurity
  {
    var configuration = TLSConfiguration.server()
    var names: [CertificateValidation.SANMatcher] = []
    let trusts = try fill(&configuration, &names, context.common, secrets)
    configuration.verification = !trusts ? .none : context.requireClientCertificate ? .required : .ifPresented
    if context.requireClientCertificate, !trusts {
      throw ConfigError(
        path: FieldPath().field("require_client_certificate"),
        "needs a trusted_ca or pinned certificates to check client certificates with")
    }
    configuration.resumption = context.statelessResumption
    configuration.sessionTimeout = context.sessionTimeout
    return Downstream(try contexts.context(configuration, names).context, requiresName: context.requireSNI)
  }

  package func upstream(_ context: UpstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError)
    -> any UpstreamSecurity
  {
    var configuration = TLSConfiguration.client()
    var names: [CertificateValidation.SANMatcher] = []
    let trusts = try fill(&configuration, &names, context.common, secrets)
    // As in Envoy, a cluster without a trusted CA or pinned certificates encrypts and checks nobody.
    configuration.verification = trusts ? .required : .none
    if context.autoSNISANValidation {
      guard trusts else {
        throw ConfigError(path: FieldPath().field("auto_sni_san_validation"), "needs a trusted_ca to check with")
      }
      // The name that is sent takes the place of those configured.
      configuration.peerNames = []
      names = []
    }
    configuration.resumption = context.maxSessionKeys > 0
    // Kept by server name, for all clusters that share the context.
    configuration.maximumKeptSessions = max(Self.keptSessions, Int(context.maxSessionKeys))
    let (made, digest) = try contexts.context(configuration, names)
    var hasher = StableHasher()
    hasher.combine(bytes: digest)
    hasher.combine(context.sni)
    hasher.combine(context.autoHostSNI)
    hasher.combine(context.autoSNISANValidation)
    return Upstream(
      made, serverName: context.sni, checksServerName: context.autoSNISANValidation, identity: hasher.finish())
  }

  /// Takes over what both sides have in common; returns whether there is anybody to trust.
  private func fill(
    _ configuration: inout TLSConfiguration, _ names: inout [CertificateValidation.SANMatcher],
    _ common: CommonTLSContext, _ secrets: [SecretKey: Secret]
  ) throws(ConfigError) -> Bool {
    let at = FieldPath().field("common_tls_context")
    var certificates = common.certificates
    for reference in common.certificateSecrets {
      guard case .certificate(let certificate)? = secrets[reference.key]?.content else {
        throw Self.lacking("tls_certificate", reference, secrets, at.field("tls_certificate_sds_secret_configs"))
      }
      certificates.append(certificate)
    }
    for (i, certificate) in certificates.enumerated() {
      // Those of secrets follow the others.
      let at =
        i < common.certificates.count
        ? at.field("tls_certificates").index(i) : at.field("tls_certificate_sds_secret_configs")
      configuration.identities.append(
        TLSIdentity(
          chain: .bytes(try Self.load(certificate.chain, at.field("certificate_chain"))),
          privateKey: .bytes(try Self.load(certificate.privateKey, at.field("private_key"))),
          password: try certificate.password.map { (source) throws(ConfigError) in
            try Self.load(source, at.field("password"))
          }))
    }
    var validation = common.validation
    if let reference = common.validationSecret {
      guard case .validation(let delivered)? = secrets[reference.key]?.content else {
        throw Self.lacking("validation_context", reference, secrets, at.field("validation_context"))
      }
      validation = validation?.merging(delivered) ?? delivered
    }
    configuration.protocols = common.alpn
    configuration.cipherSuites = common.cipherSuites
    configuration.groups = common.curves
    if let version = Self.version(common.minimumVersion) { configuration.minimumVersion = version }
    if let version = Self.version(common.maximumVersion) { configuration.maximumVersion = version }
    guard let validation else { return false }
    configuration.trustsSystemAuthorities = validation.trustsSystem
    if let trusted = validation.trustedCA {
      configuration.trustedAuthorities = [
        .bytes(try Self.load(trusted, at.field("validation_context").field("trusted_ca")))
      ]
    }
    if let list = validation.revocationList {
      configuration.revocationLists = [.bytes(try Self.load(list, at.field("validation_context").field("crl")))]
    }
    configuration.allowsExpired = validation.allowExpired
    configuration.acceptsUntrusted = validation.acceptUntrusted
    names = validation.subjectAltNames
    configuration.peerNames = try validation.subjectAltNames.map { (m) throws(ConfigError) in try Self.matcher(m, at) }
    configuration.certificateHashes = try validation.certificateHashes.map { (text) throws(ConfigError) in
      guard let bytes = Self.hexadecimal(text), bytes.count == 32 else {
        throw ConfigError(path: at.field("verify_certificate_hash"), "must be 64 hexadecimal digits")
      }
      return bytes
    }
    configuration.publicKeyHashes = try validation.publicKeyHashes.map { (text) throws(ConfigError) in
      guard let bytes = Base64.decode(text.utf8), bytes.count == 32 else {
        throw ConfigError(path: at.field("verify_certificate_spki"), "must be 32 bytes in base64")
      }
      return bytes
    }
    return validation.trustedCA != nil || validation.trustsSystem || !validation.certificateHashes.isEmpty
      || !validation.publicKeyHashes.isEmpty
  }

  private static func load(_ source: DataSource, _ at: FieldPath) throws(ConfigError) -> [UInt8] {
    do throws(ConfigError) { return try source.load() } catch { throw error.inside(at) }
  }

  /// Why there is no secret of that kind: it has not come, or is of another.
  private static func lacking(
    _ kind: String, _ reference: SecretReference, _ secrets: [SecretKey: Secret], _ at: FieldPath
  ) -> ConfigError {
    guard let secret = secrets[reference.key] else {
      return ConfigError(path: at, "no \(kind) secret named \"\(reference.name)\" yet")
    }
    return ConfigError(path: at, "secret \"\(reference.name)\" must be a \(kind), is a \(secret.content.kindName)")
  }

  /// Whether certificate and key, where both are at hand, can be used and belong together. What cannot be read is no error here: it may be
  /// there where the proxy will run. *Cost*: blocking; cold path.
  package static func check(_ certificate: TLSCertificate) throws(ConfigError) {
    guard let chain = try? certificate.chain.load(), let key = try? certificate.privateKey.load() else { return }
    let password = try? certificate.password?.load()
    if certificate.password != nil, password == nil { return }
    var configuration = TLSConfiguration.client()
    configuration.verification = .none
    configuration.identities = [TLSIdentity(chain: .bytes(chain), privateKey: .bytes(key), password: password)]
    do throws(WeftError) { _ = try TLSContext(configuration) } catch { throw ConfigError(error.message) }
  }

  private static func version(_ version: CommonTLSContext.Version) -> TLSVersion? {
    switch version {
    case .automatic: nil
    case .tls10: .tls10
    case .tls11: .tls11
    case .tls12: .tls12
    case .tls13: .tls13
    }
  }

  private static func matcher(_ matcher: CertificateValidation.SANMatcher, _ at: FieldPath) throws(ConfigError)
    -> SubjectAltNameMatcher
  {
    let kind: SubjectAltName.Kind? =
      switch matcher.type {
      case .email: .email
      case .dns: .dns
      case .uri: .uri
      case .ipAddress: .ip
      case .any: nil
      }
    switch matcher.matcher.pattern {
    case .exact(let text):
      if let kind { return .exact(kind, text) }
      return SubjectAltNameMatcher(nil) { $0.bytes == Array(text.utf8) }
    case .prefix(let text): return SubjectAltNameMatcher(kind) { $0.bytes.starts(with: text.utf8) }
    case .suffix(let text):
      return SubjectAltNameMatcher(kind) { $0.bytes.reversed().starts(with: text.utf8.reversed()) }
    case .contains(let text):
      return SubjectAltNameMatcher(kind) { String(decoding: $0.bytes, as: UTF8.self).contains(text) }
    case .regex(let pattern):
      let regex = try CompiledRegex(pattern)
      return SubjectAltNameMatcher(kind) { name in name.bytes.withByteView { regex.ref.matchesAll($0) } }
    }
  }

  /// Hexadecimal digits, with or without colons between pairs.
  private static func hexadecimal(_ text: String) -> [UInt8]? {
    let digits = text.utf8.filter { $0 != UInt8(ascii: ":") }
    guard digits.count % 2 == 0 else { return nil }
    var bytes: [UInt8] = []
    var i = 0
    while i < digits.count {
      guard let high = ASCII.hexadecimalValue(digits[i]), let low = ASCII.hexadecimalValue(digits[i + 1]) else {
        return nil
      }
      bytes.append(high << 4 | low)
      i += 2
    }
    return bytes
  }

  private final class Downstream: DownstreamSecurity {
    private let context: TLSContext
    private let requiresName: Bool

    init(_ context: TLSContext, requiresName: Bool) {
      self.context = context
      self.requiresName = requiresName
    }

    var isReady: Bool { true }

    func makeSession() -> any TransportSession {
      guard requiresName else { return TLSSession.server(context) }
      return TLSSession.server(selecting: { [context] in $0.serverName.isEmpty ? nil : context })
    }
  }

  private final class Upstream: UpstreamSecurity {
    private let context: TLSContext
    private let serverName: String
    /// The certificate must carry the name that is sent.
    private let checksServerName: Bool
    let identity: UInt64

    init(_ context: TLSContext, serverName: String, checksServerName: Bool, identity: UInt64) {
      self.context = context
      self.serverName = serverName
      self.checksServerName = checksServerName
      self.identity = identity
    }

    var isReady: Bool { true }

    func makeSession(
      serverName: String, expecting expected: String?, protocols: UpstreamProtocols
    ) -> any TransportSession {
      let name = serverName.isEmpty ? self.serverName : serverName
      return TLSSession.client(
        context, serverName: name, expecting: checksServerName ? name : expected,
        protocols: context.configuration.protocols.isEmpty ? protocols.names : nil)
    }
  }
}

extension CertificateValidation {
  /// A combined context: what stands in place with what was delivered over it, as protobuf merges messages: lists are joined, of single
  /// values the delivered one holds.
  func merging(_ delivered: CertificateValidation) -> CertificateValidation {
    var merged = self
    if let trustedCA = delivered.trustedCA { merged.trustedCA = trustedCA }
    merged.trustsSystem = trustsSystem || delivered.trustsSystem
    if let revocationList = delivered.revocationList { merged.revocationList = revocationList }
    merged.subjectAltNames += delivered.subjectAltNames
    merged.certificateHashes += delivered.certificateHashes
    merged.publicKeyHashes += delivered.publicKeyHashes
    merged.allowExpired = allowExpired || delivered.allowExpired
    merged.acceptUntrusted = acceptUntrusted || delivered.acceptUntrusted
    return merged
  }
}
