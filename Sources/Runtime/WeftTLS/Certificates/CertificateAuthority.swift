// CertificateAuthority: issues certificates. The control plane's authority and every test get theirs here.

import COpenSSL
import Glibc
package import WeftBase

/// A certificate with its private key, as PEM.
package struct IssuedCertificate: Hashable, Sendable {
  /// Leaf first, then what leads to (but does not include) a self-signed root.
  package let chain: [UInt8]
  package let privateKey: [UInt8]

  /// As a TLS identity.
  package var identity: TLSIdentity { TLSIdentity(chain: .bytes(chain), privateKey: .bytes(privateKey)) }
}

/// What to issue.
package struct CertificateTemplate: Hashable, Sendable {
  package enum KeyType: Hashable, Sendable { case p256, rsa2048 }

  package var commonName = ""
  package var names: [SubjectAltName] = []
  /// How long before now validity begins, for clocks that differ.
  package var backdated = Duration.seconds(60)
  package var validity = Duration.seconds(24 * 3600)
  package var keyType = KeyType.p256
  package var isAuthority = false

  package init(_ names: SubjectAltName...) { self.names = names }
}

/// A certification authority with its key in memory.
///
/// *Threads*: one at a time. *Cost*: about 0.3 ms per P-256 certificate.
///
/// Why sound: both handles are owned from `init` to `deinit`.
@safe
package final class CertificateAuthority {
  private let certificate: OpaquePointer
  private let key: OpaquePointer
  private let isRoot: Bool
  /// The authority's own certificate: what peers must trust.
  package let certificatePEM: [UInt8]

  /// A new self-signed root.
  package init(commonName: String, validity: Duration = .seconds(10 * 365 * 24 * 3600)) throws(WeftError) {
    var template = CertificateTemplate()
    template.commonName = commonName
    template.validity = validity
    template.isAuthority = true
    let key = try unsafe Self.makeKey(.p256)
    let x509 = try unsafe Self.make(template, key: key, issuer: nil, issuerKey: key)
    unsafe certificate = x509
    unsafe self.key = key
    isRoot = true
    certificatePEM = unsafe Self.pem { unsafe PEM_write_bio_X509($0, x509) }
  }

  /// An authority issued by another.
  private init(_ x509: OpaquePointer, key: OpaquePointer) {
    unsafe certificate = x509
    unsafe self.key = key
    isRoot = false
    certificatePEM = unsafe Self.pem { unsafe PEM_write_bio_X509($0, x509) }
  }

  deinit {
    unsafe X509_free(certificate)
    unsafe EVP_PKEY_free(key)
  }

  /// What peers that trust this authority are configured with.
  package var trust: PEMSource { .bytes(certificatePEM) }

  /// Issues a certificate with a new key.
  package func issue(_ template: CertificateTemplate) throws(WeftError) -> IssuedCertificate {
    let leafKey = try unsafe Self.makeKey(template.keyType)
    defer { unsafe EVP_PKEY_free(leafKey) }
    let leaf = try unsafe Self.make(template, key: leafKey, issuer: certificate, issuerKey: key)
    defer { unsafe X509_free(leaf) }
    let chain = unsafe Self.pem { unsafe PEM_write_bio_X509($0, leaf) } + (isRoot ? [] : certificatePEM)
    let privateKey = unsafe Self.pem { unsafe PEM_write_bio_PrivateKey($0, leafKey, nil, nil, 0, nil, nil) }
    return IssuedCertificate(chain: chain, privateKey: privateKey)
  }

  /// Issues an intermediate authority.
  package func issueAuthority(commonName: String) throws(WeftError) -> CertificateAuthority {
    var template = CertificateTemplate()
    template.commonName = commonName
    template.isAuthority = true
    let key = try unsafe Self.makeKey(.p256)
    return try unsafe CertificateAuthority(
      Self.make(template, key: key, issuer: certificate, issuerKey: self.key), key: key)
  }

  @unsafe private static func makeKey(_ type: CertificateTemplate.KeyType) throws(WeftError) -> OpaquePointer {
    let key = unsafe type == .p256 ? weft_generate_ec_key("P-256") : weft_generate_rsa_key(2048)
    guard let key = unsafe key else { throw OpenSSLError.error("no key could be made") }
    return unsafe key
  }

  @unsafe private static func make(
    _ template: CertificateTemplate, key: OpaquePointer, issuer: OpaquePointer?, issuerKey: OpaquePointer
  ) throws(WeftError) -> OpaquePointer {
    guard let x509 = unsafe X509_new() else { throw OpenSSLError.error("no memory") }
    var ok = unsafe X509_set_version(x509, 2) == 1
    var serial = [UInt8](repeating: 0, count: 16)
    ok = unsafe ok && RAND_bytes(&serial, 16) == 1
    serial[0] = serial[0] & 0x7f | 1
    if let number = unsafe BN_bin2bn(serial, 16, nil) {
      ok = unsafe ok && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nil
      unsafe BN_free(number)
    }
    ok = unsafe ok && X509_gmtime_adj(X509_getm_notBefore(x509), Int(-template.backdated.components.seconds)) != nil
    ok = unsafe ok && X509_gmtime_adj(X509_getm_notAfter(x509), Int(template.validity.components.seconds)) != nil
    if !template.commonName.isEmpty, let name = unsafe X509_get_subject_name(x509) {
      let text = Array(template.commonName.utf8)
      ok = unsafe ok && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, Int32(text.count), -1, 0) == 1
    }
    let signer = unsafe issuer ?? x509
    ok = unsafe ok && X509_set_issuer_name(x509, X509_get_subject_name(signer)) == 1 && X509_set_pubkey(x509, key) == 1
    ok = unsafe ok && addExtensions(template, x509, signer)
    ok = unsafe ok && X509_sign(x509, issuerKey, EVP_sha256()) > 0
    if !ok {
      unsafe X509_free(x509)
      throw OpenSSLError.error("the certificate could not be made")
    }
    return unsafe x509
  }

  @unsafe private static func addExtensions(
    _ template: CertificateTemplate, _ x509: OpaquePointer, _ signer: OpaquePointer
  ) -> Bool {
    var values: [(Int32, String)] = [(NID_subject_key_identifier, "hash")]
    if template.isAuthority {
      values.append((NID_basic_constraints, "critical,CA:TRUE"))
      values.append((NID_key_usage, "critical,keyCertSign,cRLSign"))
    } else {
      values.append((NID_basic_constraints, "critical,CA:FALSE"))
      values.append((NID_key_usage, "critical,digitalSignature,keyEncipherment"))
      values.append((NID_ext_key_usage, "serverAuth,clientAuth"))
      values.append((NID_authority_key_identifier, "keyid"))
    }
    for (nid, value) in values {
      if unsafe weft_add_extension(x509, signer, nid, value) != 1 { return false }
    }
    if template.names.isEmpty { return true }
    guard let names = unsafe weft_general_names_new() else { return false }
    defer { unsafe weft_general_names_free(names) }
    for name in template.names {
      let type =
        switch name.kind {
        case .dns: GEN_DNS
        case .uri: GEN_URI
        case .email: GEN_EMAIL
        case .ip: GEN_IPADD
        }
      if unsafe weft_general_names_add(names, type, name.bytes, Int32(name.bytes.count)) != 1 { return false }
    }
    // A certificate without a subject must mark its names critical (RFC 5280, 4.2.1.6).
    let critical: Int32 = template.commonName.isEmpty ? 1 : 0
    return unsafe X509_add1_ext_i2d(x509, NID_subject_alt_name, UnsafeMutableRawPointer(names), critical, 0) == 1
  }

  @unsafe private static func pem(_ write: (OpaquePointer) -> Int32) -> [UInt8] {
    guard let bio = unsafe BIO_new(BIO_s_mem()) else { return [] }
    defer { unsafe BIO_free(bio) }
    return unsafe write(bio) == 1 ? PEMText.bytes(of: bio) : []
  }
}
