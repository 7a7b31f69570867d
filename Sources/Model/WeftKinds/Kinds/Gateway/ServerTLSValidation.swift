/// Cipher suites by the names that OpenSSL and BoringSSL share. One that a proxy does not know makes it refuse the listener.
package enum CipherSuites {
  package static let known: Set<String> = [
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA",
  ]
}

/// Checks of the TLS block of a server.
enum ServerTLSValidation {
  static func check(_ tls: Istio.ServerTLSSettings, protocol wire: String, _ here: inout FindingCollector) {
    if tls.httpsRedirect { here.error("httpsRedirect", "is only for plaintext HTTP ports") }
    let files: [(String, String)] = [
      ("serverCertificate", tls.serverCertificate), ("privateKey", tls.privateKey),
      ("caCertificates", tls.caCertificates),
    ]
    switch tls.mode {
    case .istioMutual:
      for (field, value) in files where !value.isEmpty {
        here.error(field, "must not be set with mode ISTIO_MUTUAL, whose certificates the mesh issues")
      }
      if !tls.credentialName.isEmpty || !tls.credentialNames.isEmpty {
        here.error("credentialName", "must not be set with mode ISTIO_MUTUAL, whose certificates the mesh issues")
      }
    case .simple, .mutual, .optionalMutual: checkCertificates(tls, &here)
    default: break
    }
    if !tls.caCrl.isEmpty {
      if tls.mode == .simple { here.error("caCrl", "must not be set with mode SIMPLE") }
      if !tls.credentialName.isEmpty || !tls.credentialNames.isEmpty {
        here.error("caCrl", "must not be set beside credentialName; put it into the credential")
      }
    }
    checkVerification(tls, &here)
    let low = tls.minProtocolVersion.rawValue
    let high = tls.maxProtocolVersion.rawValue
    if low != 0, high != 0, low > high { here.error("maxProtocolVersion", "must not be below minProtocolVersion") }
    for (field, version) in [("minProtocolVersion", low), ("maxProtocolVersion", high)] where [1, 2].contains(version) {
      here.warning(field, "TLS below 1.2 is not safe and not served; 1.2 is used instead")
    }
    var ciphers: Set<String> = []
    here.each("cipherSuites", tls.cipherSuites) { item, cipher, _ in
      if cipher.isEmpty {
        item.error("must not be empty")
      } else if !ciphers.insert(cipher).inserted {
        item.warning("duplicate cipher suite \"\(cipher)\"")
      } else if !CipherSuites.known.contains(cipher) {
        item.warning("\"\(cipher)\" is not a cipher suite that every proxy knows; it is left out")
      }
    }
    here.each("verifyCertificateSpki", tls.verifyCertificateSpki) { item, hash, _ in
      if hash.utf8.count != 44 { item.error("must be the base64 form of a SHA-256, of 44 characters") }
    }
    here.each("verifyCertificateHash", tls.verifyCertificateHash) { item, hash, _ in
      let digits = hash.utf8.filter { $0 != UInt8(ascii: ":") }
      let isHex = hash.allSatisfy { ($0.isASCII && $0.isHexDigit) || $0 == ":" }
      if !isHex || digits.count != 64 {
        item.error("must be the hexadecimal form of a SHA-256, with or without colons")
      }
    }
  }

  /// What clients are checked by besides the authority means nothing without one.
  private static func checkVerification(_ tls: Istio.ServerTLSSettings, _ here: inout FindingCollector) {
    guard tls.caCertificates.isEmpty, tls.credentialName.isEmpty, tls.credentialNames.isEmpty,
      tls.caCertCredentialName.isEmpty, tls.tlsCertificates.allSatisfy({ $0.caCertificates.isEmpty })
    else { return }
    let fields = [
      ("subjectAltNames", tls.subjectAltNames), ("verifyCertificateSpki", tls.verifyCertificateSpki),
      ("verifyCertificateHash", tls.verifyCertificateHash),
    ]
    for (field, values) in fields where !values.isEmpty {
      here.warning(field, "has no effect without caCertificates: no client is asked for a certificate")
    }
  }

  private static func checkCertificates(_ tls: Istio.ServerTLSSettings, _ here: inout FindingCollector) {
    let hasCredential = !tls.credentialName.isEmpty || !tls.credentialNames.isEmpty
    if !tls.credentialName.isEmpty, !tls.credentialNames.isEmpty {
      here.error("only one of credentialName and credentialNames may be set")
    }
    if tls.credentialNames.count > 2 {
      here.error("credentialNames", "must not have more than two names (one RSA, one ECDSA)")
    }
    if tls.tlsCertificates.count > 2 {
      here.error("tlsCertificates", "must not have more than two certificates (one RSA, one ECDSA)")
    }
    if hasCredential || !tls.tlsCertificates.isEmpty {
      if !tls.serverCertificate.isEmpty {
        here.error("serverCertificate", "must not be set beside credentialName or tlsCertificates")
      }
      if !tls.privateKey.isEmpty {
        here.error("privateKey", "must not be set beside credentialName or tlsCertificates")
      }
    } else {
      if tls.serverCertificate.isEmpty { here.error("serverCertificate", "must be set, or credentialName") }
      if tls.privateKey.isEmpty { here.error("privateKey", "must be set, or credentialName") }
    }
    if tls.mode == .mutual || tls.mode == .optionalMutual, !hasCredential, tls.caCertificates.isEmpty,
      tls.tlsCertificates.allSatisfy({ $0.caCertificates.isEmpty })
    {
      here.error("caCertificates", "must be set to verify clients, or credentialName")
    }
    here.each("tlsCertificates", tls.tlsCertificates) { item, certificate, _ in
      if certificate.serverCertificate.isEmpty { item.error("serverCertificate", "must be set") }
      if certificate.privateKey.isEmpty { item.error("privateKey", "must be set") }
    }
  }
}
