// What a certificate says, as plain values.

import COpenSSL
package import WeftBase

/// A certificate's contents as far as the mesh looks at them.
package struct PeerCertificate: Hashable, Sendable {
  package let subjectAltNames: [SubjectAltName]
  /// RFC 2253 form: `CN=reviews,O=acme`.
  package let subject: String
  package let issuer: String
  /// Serial number in hexadecimal digits.
  package let serialNumber: String
  /// SHA-256 of the DER encoding, 32 bytes.
  package let fingerprint: [UInt8]
  package let der: [UInt8]
  /// Whether chain and names were checked and good (always, unless the context accepts untrusted peers).
  package let isVerified: Bool
  /// End of validity. *Units*: seconds since 1970.
  package let notAfter: Int64

  /// The first URI name, which in the mesh is the SPIFFE identity.
  package var uri: String? { subjectAltNames.first { $0.kind == .uri }?.text }

  /// Reads the first certificate of `pem`.
  package init(pem: PEMSource) throws(WeftError) {
    var found: PeerCertificate?
    _ = try unsafe pem.forEach(certificate: {
      if found == nil { found = unsafe PeerCertificate($0, isVerified: false) }
    })
    guard let found else { throw WeftError(.tls, "\(pem.place) holds no certificate") }
    self = found
  }

  @unsafe init(_ x509: OpaquePointer, isVerified: Bool) {
    self.isVerified = isVerified
    unsafe subjectAltNames = Self.names(of: x509)
    unsafe subject = Self.text(of: X509_get_subject_name(x509))
    unsafe issuer = Self.text(of: X509_get_issuer_name(x509))
    unsafe der = Self.encode(x509)
    fingerprint = MessageDigest.sha256(der)
    if let number = unsafe ASN1_INTEGER_to_BN(X509_get_serialNumber(x509), nil) {
      defer { unsafe BN_free(number) }
      if let digits = unsafe BN_bn2hex(number) {
        unsafe serialNumber = String(cString: digits)
        unsafe CRYPTO_free(digits, "", 0)
      } else {
        serialNumber = ""
      }
    } else {
      serialNumber = ""
    }
    var broken = unsafe tm()
    if unsafe ASN1_TIME_to_tm(X509_get0_notAfter(x509), &broken) == 1 {
      notAfter = unsafe Int64(timegm(&broken))
    } else {
      notAfter = 0
    }
  }

  @unsafe static func names(of x509: OpaquePointer) -> [SubjectAltName] {
    guard let raw = unsafe X509_get_ext_d2i(x509, NID_subject_alt_name, nil, nil) else { return [] }
    let stack = OpaquePointer(raw)
    defer { unsafe weft_general_names_free(stack) }
    var names: [SubjectAltName] = []
    let members = unsafe weft_general_names_count(stack)
    for index in 0..<members {
      let kind: SubjectAltName.Kind
      switch unsafe weft_general_name_type(stack, index) {
      case GEN_DNS: kind = .dns
      case GEN_URI: kind = .uri
      case GEN_EMAIL: kind = .email
      case GEN_IPADD: kind = .ip
      default: continue
      }
      var length: Int32 = 0
      guard let base = unsafe weft_general_name_bytes(stack, index, &length), length >= 0 else { continue }
      names.append(SubjectAltName(kind, bytes: unsafe Array(UnsafeBufferPointer(start: base, count: Int(length)))))
    }
    return names
  }

  @unsafe private static func text(of name: OpaquePointer?) -> String {
    guard let name = unsafe name, let bio = unsafe BIO_new(BIO_s_mem()) else { return "" }
    defer { unsafe BIO_free(bio) }
    _ = unsafe weft_print_name(bio, name)
    return unsafe String(decoding: PEMText.bytes(of: bio), as: UTF8.self)
  }

  @unsafe static func encode(_ x509: OpaquePointer) -> [UInt8] {
    let length = unsafe i2d_X509(x509, nil)
    guard length > 0 else { return [] }
    return unsafe [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
      var target = buffer.baseAddress
      count = unsafe Int(max(0, i2d_X509(x509, &target)))
    }
  }

  @unsafe static func publicKeyHash(_ x509: OpaquePointer) -> [UInt8] {
    guard let key = unsafe X509_get_X509_PUBKEY(x509) else { return [] }
    let length = unsafe i2d_X509_PUBKEY(key, nil)
    guard length > 0 else { return [] }
    let der = unsafe [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
      var target = buffer.baseAddress
      count = unsafe Int(max(0, i2d_X509_PUBKEY(key, &target)))
    }
    return MessageDigest.sha256(der)
  }
}

/// PEM text out of OpenSSL.
enum PEMText {
  @unsafe static func bytes(of bio: OpaquePointer) -> [UInt8] {
    var data: UnsafeMutablePointer<CChar>?
    let count = unsafe weft_bio_mem_data(bio, &data)
    guard count > 0, let data = unsafe data else { return [] }
    return unsafe [UInt8](UnsafeRawBufferPointer(start: data, count: count))
  }
}
