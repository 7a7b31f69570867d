package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftXDSMessages

extension Converter {
  /// `nil` for the raw buffer.
  func downstreamTLS(_ value: Envoy_Config_Core_V3_TransportSocket, _ at: FieldPath) throws(ConfigError)
    -> DownstreamTLSContext?
  {
    guard let (any, path) = try tlsConfig(value, at) else { return nil }
    guard any.holds(Envoy_Extensions_TransportSockets_Tls_V3_DownstreamTlsContext.self) else {
      throw unregistered(value.name, any.typeUrl, path)
    }
    let context = try unpack(any, Envoy_Extensions_TransportSockets_Tls_V3_DownstreamTlsContext.self, path)
    var out = DownstreamTLSContext()
    out.common = try common(context.commonTlsContext, path.field("common_tls_context"))
    guard !out.common.certificates.isEmpty || !out.common.certificateSecrets.isEmpty else {
      throw fail(
        path.field("common_tls_context").field("tls_certificates"), "no TLS certificates found for server context")
    }
    out.requireClientCertificate = context.requireClientCertificate?.value ?? false
    out.requireSNI = context.requireSni?.value ?? false
    out.sessionTimeout = try duration(
      context.sessionTimeout, path.field("session_timeout"), below: .seconds(4_294_967_296))
    if case .disableStatelessSessionResumption(let flag)? = context.sessionTicketKeysType {
      out.statelessResumption = !flag
    }
    if case .sessionTicketKeys? = context.sessionTicketKeysType { unsupported(true, path, "session_ticket_keys") }
    if case .sessionTicketKeysSdsSecretConfig? = context.sessionTicketKeysType {
      unsupported(true, path, "session_ticket_keys_sds_secret_config")
    }
    unsupported(out.requireSNI, path, "require_sni")
    unsupported(context.ocspStaplePolicy != .lenientStapling, path, "ocsp_staple_policy")
    return out
  }

  func upstreamTLS(_ value: Envoy_Config_Core_V3_TransportSocket, _ at: FieldPath) throws(ConfigError)
    -> UpstreamTLSContext?
  {
    guard let (any, path) = try tlsConfig(value, at) else { return nil }
    guard any.holds(Envoy_Extensions_TransportSockets_Tls_V3_UpstreamTlsContext.self) else {
      throw unregistered(value.name, any.typeUrl, path)
    }
    let context = try unpack(any, Envoy_Extensions_TransportSockets_Tls_V3_UpstreamTlsContext.self, path)
    var out = UpstreamTLSContext()
    out.common = try common(context.commonTlsContext, path.field("common_tls_context"))
    guard context.sni.utf8.count <= 255 else { throw fail(path.field("sni"), "must be at most 255 bytes") }
    guard !context.sni.utf8.contains(0) else { throw fail(path.field("sni"), "must not hold NUL") }
    out.sni = context.sni
    out.allowRenegotiation = context.allowRenegotiation
    out.maxSessionKeys = context.maxSessionKeys?.value ?? 1
    out.autoHostSNI = context.autoHostSni
    out.autoSNISANValidation = context.autoSniSanValidation
    if out.autoSNISANValidation, !out.common.verifiesPeer {
      throw fail(
        path.field("auto_sni_san_validation"),
        "needs a validation context with a trusted_ca: without one no certificate is checked")
    }
    unsupported(context.allowRenegotiation, path, "allow_renegotiation")
    return out
  }

  private func tlsConfig(_ value: Envoy_Config_Core_V3_TransportSocket, _ at: FieldPath) throws(ConfigError) -> (
    Google_Protobuf_Any, FieldPath
  )? {
    let name = try required(value.name, at.field("name"))
    guard case .typedConfig(let any)? = value.configType else {
      if name == "envoy.transport_sockets.raw_buffer" { return nil }
      throw unregistered(name, "", at)
    }
    if Self.typeName(any.typeUrl) == "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" {
      nameOnly(any, at.field("typed_config"))
      return nil
    }
    return (any, at.field("typed_config"))
  }

  private func common(_ value: Envoy_Extensions_TransportSockets_Tls_V3_CommonTlsContext?, _ at: FieldPath)
    throws(ConfigError) -> CommonTLSContext
  {
    var out = CommonTLSContext()
    guard let value else { return out }
    for (i, certificate) in value.tlsCertificates.enumerated() {
      out.certificates.append(try self.certificate(certificate, at.field("tls_certificates").index(i)))
    }
    for (i, secret) in value.tlsCertificateSdsSecretConfigs.enumerated() {
      out.certificateSecrets.append(
        try secretReference(secret, at.field("tls_certificate_sds_secret_configs").index(i)))
    }
    switch value.validationContextType {
    case .validationContext(let context): out.validation = try validation(context, at.field("validation_context"))
    case .validationContextSdsSecretConfig(let secret):
      out.validationSecret = try secretReference(secret, at.field("validation_context_sds_secret_config"))
    case .combinedValidationContext(let combined):
      let path = at.field("combined_validation_context")
      out.validation = try combined.defaultValidationContext.map { (c) throws(ConfigError) in
        try validation(c, path.field("default_validation_context"))
      }
      guard let secret = combined.validationContextSdsSecretConfig else {
        throw fail(path.field("validation_context_sds_secret_config"), "is required")
      }
      out.validationSecret = try secretReference(secret, path.field("validation_context_sds_secret_config"))
    case nil: break
    }
    out.alpn = value.alpnProtocols
    for (i, name) in out.alpn.enumerated() where name.isEmpty || name.utf8.count > 255 {
      throw fail(at.field("alpn_protocols").index(i), "must be 1 to 255 bytes")
    }
    if let parameters = value.tlsParams {
      let path = at.field("tls_params")
      out.minimumVersion = try version(parameters.tlsMinimumProtocolVersion, path.field("tls_minimum_protocol_version"))
      out.maximumVersion = try version(parameters.tlsMaximumProtocolVersion, path.field("tls_maximum_protocol_version"))
      if out.minimumVersion != .automatic, out.maximumVersion != .automatic,
        out.minimumVersion.rawValue > out.maximumVersion.rawValue
      {
        throw fail(path.field("tls_minimum_protocol_version"), "must not be above tls_maximum_protocol_version")
      }
      out.cipherSuites = parameters.cipherSuites
      out.curves = parameters.ecdhCurves
      unsupported(!parameters.signatureAlgorithms.isEmpty, path, "signature_algorithms")
      guard parameters.compliancePolicies.isEmpty else {
        throw fail(path.field("compliance_policies"), "is not supported")
      }
    }
    unsupported(value.customHandshaker != nil, at, "custom_handshaker")
    unsupported(value.keyLog != nil, at, "key_log")
    unsupported(value.tlsCertificateProviderInstance != nil, at, "tls_certificate_provider_instance")
    unsupported(value.customTlsCertificateSelector != nil, at, "custom_tls_certificate_selector")
    return out
  }

  private func version(
    _ value: Envoy_Extensions_TransportSockets_Tls_V3_TlsParameters.TlsProtocol, _ at: FieldPath
  ) throws(ConfigError) -> CommonTLSContext.Version {
    switch value {
    case .tlsAuto: .automatic
    case .tLSv10: .tls10
    case .tLSv11: .tls11
    case .tLSv12: .tls12
    case .tLSv13: .tls13
    default:
      throw fail(at, "must be Envoy_Extensions_TransportSockets_Tls_V3_AUTO, TLSv1_2 or TLSv1_3, is \(value.name)")
    }
  }

  private func certificate(_ value: Envoy_Extensions_TransportSockets_Tls_V3_TlsCertificate, _ at: FieldPath)
    throws(ConfigError) -> TLSCertificate
  {
    guard value.privateKeyProvider == nil else { throw fail(at.field("private_key_provider"), "is not supported") }
    var out = TLSCertificate(
      chain: try data(value.certificateChain, at.field("certificate_chain")),
      privateKey: try data(value.privateKey, at.field("private_key")))
    out.password = try value.password.map { (p) throws(ConfigError) in try data(p, at.field("password")) }
    out.watchedDirectory = value.watchedDirectory?.path ?? ""
    unsupported(value.ocspStaple != nil, at, "ocsp_staple")
    unsupported(value.pkcs12 != nil, at, "pkcs12")
    return out
  }

  private func secretReference(_ value: Envoy_Extensions_TransportSockets_Tls_V3_SdsSecretConfig, _ at: FieldPath)
    throws(ConfigError) -> SecretReference
  {
    SecretReference(
      name: try required(value.name, at.field("name")),
      source: try value.sdsConfig.map { (s) throws(ConfigError) in try source(s, at.field("sds_config")) })
  }

  private func validation(
    _ value: Envoy_Extensions_TransportSockets_Tls_V3_CertificateValidationContext, _ at: FieldPath
  ) throws(ConfigError) -> CertificateValidation {
    var out = CertificateValidation()
    out.trustedCA = try value.trustedCa.map { (d) throws(ConfigError) in try data(d, at.field("trusted_ca")) }
    for (i, matcher) in value.matchTypedSubjectAltNames.enumerated() {
      let path = at.field("match_typed_subject_alt_names").index(i)
      let type: CertificateValidation.SANType
      switch matcher.sanType {
      case .email: type = .email
      case .dns: type = .dns
      case .uri: type = .uri
      case .ipAddress: type = .ipAddress
      default: throw fail(path.field("san_type"), "must be EMAIL, DNS, URI or IP_ADDRESS, is \(matcher.sanType.name)")
      }
      guard let inner = matcher.matcher else { throw fail(path.field("matcher"), "is required") }
      out.subjectAltNames.append(
        CertificateValidation.SANMatcher(type: type, matcher: try string(inner, path.field("matcher"))))
    }
    for (i, matcher) in value.matchSubjectAltNames.enumerated() {
      out.subjectAltNames.append(
        CertificateValidation.SANMatcher(
          type: .any, matcher: try string(matcher, at.field("match_subject_alt_names").index(i))))
    }
    guard
      out.subjectAltNames.isEmpty || out.trustedCA != nil || value.systemRootCerts != nil
        || at.description.contains("default_validation_context")
    else {
      throw fail(at, "SAN-based verification of peer certificates without trusted CA is insecure and not allowed")
    }
    out.certificateHashes = value.verifyCertificateHash
    out.publicKeyHashes = value.verifyCertificateSpki
    out.revocationList = try value.crl.map { (d) throws(ConfigError) in try data(d, at.field("crl")) }
    out.allowExpired = value.allowExpiredCertificate
    out.watchedDirectory = value.watchedDirectory?.path ?? ""
    out.acceptUntrusted = value.trustChainVerification == .acceptUntrusted
    // A check that would be left out must not look as if it were made.
    guard value.customValidatorConfig == nil else {
      throw fail(at.field("custom_validator_config"), "is not supported")
    }
    guard value.caCertificateProviderInstance == nil else {
      throw fail(at.field("ca_certificate_provider_instance"), "is not supported")
    }
    unsupported(value.maxVerifyDepth != nil, at, "max_verify_depth")
    out.trustsSystem = value.systemRootCerts != nil
    return out
  }

  package func secret(_ value: Envoy_Extensions_TransportSockets_Tls_V3_Secret, at: FieldPath = .root)
    throws(ConfigError) -> Secret
  {
    let name = try required(value.name, at.field("name"))
    switch value.type {
    case .tlsCertificate(let certificate):
      return Secret(name: name, content: .certificate(try self.certificate(certificate, at.field("tls_certificate"))))
    case .validationContext(let context):
      return Secret(name: name, content: .validation(try validation(context, at.field("validation_context"))))
    case .genericSecret(let generic):
      guard case .inline(let bytes) = try data(generic.secret, at.field("generic_secret").field("secret")) else {
        throw fail(at.field("generic_secret").field("secret"), "must be inline")
      }
      return Secret(name: name, content: .generic(bytes))
    case .sessionTicketKeys: throw fail(at.field("session_ticket_keys"), "is not supported")
    case nil: throw fail(at, "needs one of tls_certificate, validation_context, generic_secret")
    }
  }
}
