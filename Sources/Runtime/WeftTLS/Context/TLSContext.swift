// TLSContext: one configuration made ready for OpenSSL. Immutable; a change of secrets makes a new one.

import COpenSSL
import Synchronization
package import WeftBase
import WeftRuntime

/// A TLS configuration ready for use, shared by all its connections.
///
/// *Threads*: any; OpenSSL counts references to contexts atomically, and nothing changes after `init` but the kept sessions, which a
/// mutex guards.
/// *Cost*: creating one parses keys and certificates (a millisecond); making a session from it about 10 µs.
///
/// Why sound: `handle` is owned from `init` to `deinit`; sessions keep the context alive as long as OpenSSL may call back into it.
@safe
package final class TLSContext: @unchecked Sendable {
  package let configuration: TLSConfiguration
  /// The names in our own first certificate (its URI is our SPIFFE identity).
  package let localNames: [SubjectAltName]

  let handle: OpaquePointer
  private let kept = Mutex<KeptSessions>(KeptSessions())

  /// *Errors*: files that cannot be read, PEM that is none, keys that do not fit, unknown ciphers, verification without anybody to trust.
  package init(_ configuration: TLSConfiguration) throws(WeftError) {
    let server = configuration.role == .server
    guard let handle = unsafe SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()) else {
      throw OpenSSLError.error("no TLS context")
    }
    self.configuration = configuration
    unsafe self.handle = handle
    var names: [SubjectAltName] = []
    if let first = configuration.identities.first { names = try PeerCertificate(pem: first.chain).subjectAltNames }
    localNames = names
    ERR_clear_error()
    unsafe weft_ssl_ctx_harden(handle)
    try setVersions()
    for identity in configuration.identities { try use(identity) }
    if server, configuration.identities.isEmpty { throw WeftError(.tls, "a TLS server needs a certificate") }
    try setTrust()
    try setProtocols()
    setResumption()
  }

  deinit {
    kept.withLock { $0.removeAll() }
    unsafe SSL_CTX_free(handle)
  }

  private func check(_ ok: Bool, _ what: @autoclosure () -> String) throws(WeftError) {
    if !ok { throw OpenSSLError.error(what()) }
  }

  private func setVersions() throws(WeftError) {
    let c = configuration
    if c.minimumVersion > c.maximumVersion {
      throw WeftError(.invalidInput, "minimum TLS version \(c.minimumVersion) is above the maximum \(c.maximumVersion)")
    }
    try check(unsafe weft_ssl_ctx_set_min_version(handle, Int32(c.minimumVersion.rawValue)) == 1, "minimum TLS version")
    try check(unsafe weft_ssl_ctx_set_max_version(handle, Int32(c.maximumVersion.rawValue)) == 1, "maximum TLS version")
    let ciphers =
      c.cipherSuites.isEmpty
      ? "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
        + "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
      : c.cipherSuites.joined(separator: ":")
    try check(unsafe SSL_CTX_set_cipher_list(handle, ciphers) == 1, "unknown cipher suites '\(ciphers)'")
    let groups = c.groups.isEmpty ? "X25519:P-256" : c.groups.joined(separator: ":")
    try check(unsafe weft_ssl_ctx_set_groups(handle, groups) == 1, "unknown key exchange groups '\(groups)'")
  }

  private func use(_ identity: TLSIdentity) throws(WeftError) {
    var leaf = true
    var accepted = true
    let count = try unsafe identity.chain.forEach(certificate: { x509 in
      if leaf {
        accepted = unsafe SSL_CTX_use_certificate(handle, x509) == 1 && weft_ssl_ctx_clear_chain(handle) == 1
      } else {
        accepted = unsafe accepted && weft_ssl_ctx_add_chain(handle, x509) == 1
      }
      leaf = false
    })
    try check(count > 0 && accepted, "\(identity.chain.place) holds no usable certificate")
    // A password is always given, or OpenSSL would ask for one on the terminal.
    let password = (identity.password ?? []) + [0]
    let key = try unsafe identity.privateKey.withBIO { bio in
      unsafe password.withUnsafeBytes {
        unsafe PEM_read_bio_PrivateKey(bio, nil, nil, UnsafeMutableRawPointer(mutating: $0.baseAddress))
      }
    }
    guard let key = unsafe key else {
      throw OpenSSLError.error("\(identity.privateKey.place) holds no usable private key")
    }
    defer { unsafe EVP_PKEY_free(key) }
    try check(
      unsafe SSL_CTX_use_PrivateKey(handle, key) == 1 && SSL_CTX_check_private_key(handle) == 1,
      "the private key in \(identity.privateKey.place) does not fit the certificate in \(identity.chain.place)")
  }

  private func setTrust() throws(WeftError) {
    let c = configuration
    guard let store = unsafe X509_STORE_new() else { throw OpenSSLError.error("no memory") }
    unsafe SSL_CTX_set_cert_store(handle, store)  // takes it over
    for source in c.trustedAuthorities {
      let count = try unsafe source.forEach(certificate: { x509 in
        _ = unsafe X509_STORE_add_cert(store, x509)
        if c.role == .server { _ = unsafe SSL_CTX_add_client_CA(handle, x509) }
      })
      if count == 0 { throw WeftError(.tls, "\(source.place) holds no certificate to trust") }
    }
    if c.trustsSystemAuthorities, unsafe X509_STORE_set_default_paths(store) != 1 {
      throw OpenSSLError.error("the machine's certificates cannot be read")
    }
    // An intermediate given as authority is one, also without its root.
    var flags = UInt(X509_V_FLAG_PARTIAL_CHAIN)
    for source in c.revocationLists {
      _ = try unsafe source.forEach(certificate: { _ in }, revocationList: { _ = unsafe X509_STORE_add_crl(store, $0) })
      flags |= UInt(X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL)
    }
    if c.allowsExpired { flags |= UInt(X509_V_FLAG_NO_CHECK_TIME) }
    _ = unsafe X509_STORE_set_flags(store, flags)
    ERR_clear_error()

    switch c.verification {
    case .none:
      if !c.peerNames.isEmpty { throw WeftError(.invalidInput, "peer names are given but the peer is not verified") }
      unsafe SSL_CTX_set_verify(handle, SSL_VERIFY_NONE, nil)
      return
    case .ifPresented, .required:
      let pinned = !c.certificateHashes.isEmpty || !c.publicKeyHashes.isEmpty
      if c.trustedAuthorities.isEmpty, !c.trustsSystemAuthorities, !pinned, !c.acceptsUntrusted {
        throw WeftError(.invalidInput, "the peer is to be verified but no authority is trusted")
      }
      let required = c.verification == .required
      unsafe SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nil)
    }
    unsafe SSL_CTX_set_cert_verify_callback(
      handle,
      { store, raw in
        guard let store = unsafe store, let raw = unsafe raw else { return 0 }
        return unsafe Unmanaged<TLSContext>.fromOpaque(raw).takeUnretainedValue().verify(store) ? 1 : 0
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  /// OpenSSL asks whether the peer is who it should be.
  @unsafe private func verify(_ store: OpaquePointer) -> Bool {
    let c = configuration
    var session: TLSSession?
    if let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
      let raw = unsafe SSL_get_ex_data(OpaquePointer(ssl), 0)
    {
      session = unsafe Unmanaged<TLSSession>.fromOpaque(raw).takeUnretainedValue()
    }
    var refusal: CertificateRefusal?
    if !c.trustedAuthorities.isEmpty || c.trustsSystemAuthorities, unsafe X509_verify_cert(store) != 1 {
      refusal = unsafe CertificateRefusal(
        .untrusted, String(cString: X509_verify_cert_error_string(Int(X509_STORE_CTX_get_error(store)))))
    } else if let leaf = unsafe X509_STORE_CTX_get0_cert(store) {
      refusal = unsafe self.refusal(of: leaf, expecting: session?.expectedName)
      if refusal != nil { unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION) }
    }
    session?.verificationFailure = refusal
    return refusal == nil || c.acceptsUntrusted
  }

  /// Why a certificate with a good chain is still not the one wanted; nil when it is. `expected` is a host name or address that it must
  /// carry besides what the configuration asks for.
  @unsafe func refusal(of leaf: OpaquePointer, expecting expected: String?) -> CertificateRefusal? {
    let c = configuration
    if !c.certificateHashes.isEmpty || !c.publicKeyHashes.isEmpty {
      let known = unsafe c.certificateHashes.contains(MessageDigest.sha256(PeerCertificate.encode(leaf)))
      guard unsafe known || c.publicKeyHashes.contains(PeerCertificate.publicKeyHash(leaf)) else {
        return CertificateRefusal(.notPinned, "the certificate is not one of those pinned")
      }
    }
    if c.peerNames.isEmpty, expected == nil { return nil }
    let names = unsafe PeerCertificate.names(of: leaf)
    if !c.peerNames.isEmpty, !names.contains(where: { name in c.peerNames.contains { $0.matches(name) } }) {
      return CertificateRefusal(.wrongName, "no subject alternative name matches")
    }
    if let expected {
      let matcher = SubjectAltNameMatcher.exact(IPAddress(expected) == nil ? .dns : .ip, expected)
      if !names.contains(where: matcher.matches) {
        return CertificateRefusal(.wrongName, "no subject alternative name matches '\(expected)'")
      }
    }
    return nil
  }

  private func setProtocols() throws(WeftError) {
    for name in configuration.protocols where name.utf8.isEmpty || name.utf8.count > 255 {
      throw WeftError(.invalidInput, "ALPN protocol names have 1 to 255 bytes, '\(name)' has \(name.utf8.count)")
    }
    guard configuration.role == .server, !configuration.protocols.isEmpty else { return }
    unsafe SSL_CTX_set_alpn_select_cb(
      handle,
      { _, selected, selectedCount, offered, count, raw in
        guard let raw = unsafe raw, let offered = unsafe offered, let selected = unsafe selected,
          let selectedCount = unsafe selectedCount
        else { return SSL_TLSEXT_ERR_NOACK }
        let context = unsafe Unmanaged<TLSContext>.fromOpaque(raw).takeUnretainedValue()
        let list = unsafe ByteView(UnsafeRawPointer(offered), count: Int(count))
        for name in context.configuration.protocols {
          var at = 0
          while at < list.count {
            let length = Int(list[at])
            guard at + 1 + length <= list.count else { return SSL_TLSEXT_ERR_NOACK }
            if list[at + 1..<at + 1 + length].array == Array(name.utf8) {
              unsafe selected.pointee = offered + at + 1
              unsafe selectedCount.pointee = UInt8(length)
              return SSL_TLSEXT_ERR_OK
            }
            at += 1 + length
          }
        }
        return SSL_TLSEXT_ERR_NOACK
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  // MARK: Resumption

  private func setResumption() {
    if let timeout = configuration.sessionTimeout {
      _ = unsafe SSL_CTX_set_timeout(handle, Int(clamping: max(1, timeout.components.seconds)))
    }
    guard configuration.resumption else {
      unsafe weft_ssl_ctx_refuse_tickets(handle)
      _ = unsafe weft_ssl_ctx_session_cache(handle, Int(SSL_SESS_CACHE_OFF))
      return
    }
    if configuration.role == .server {
      // Tickets only: the server keeps nothing. Their keys and this id belong to the context, so a session made under another configuration
      // is never resumed under this one.
      _ = unsafe weft_ssl_ctx_session_cache(handle, Int(SSL_SESS_CACHE_OFF))
      var id = [UInt8](repeating: 0, count: 32)
      _ = unsafe RAND_bytes(&id, 32)
      _ = unsafe SSL_CTX_set_session_id_context(handle, id, 32)
      return
    }
    _ = unsafe weft_ssl_ctx_session_cache(handle, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
    unsafe SSL_CTX_sess_set_new_cb(handle) { ssl, session in
      guard let session = unsafe session, let raw = unsafe SSL_get_ex_data(ssl, 0) else { return 0 }
      return unsafe Unmanaged<TLSSession>.fromOpaque(raw).takeUnretainedValue().keep(session) ? 1 : 0
    }
  }

  /// Keeps a session (whose reference is taken over) for the next connection to `key`.
  @unsafe func keep(_ session: OpaquePointer, for key: String) {
    let session = unsafe KeptSession(handle: session)
    kept.withLock { $0.put(session, for: key, maximum: configuration.maximumKeptSessions) }
  }

  /// A reference to the session kept for `key`. One of TLS 1.3 is used once (its ticket would link connections); one of TLS 1.2 stays.
  func takeSession(for key: String) -> KeptSession? { kept.withLock { $0.take(key) } }
}

/// Why a peer's certificate is refused.
struct CertificateRefusal {
  let fault: HandshakeReport.Fault
  let text: String

  init(_ fault: HandshakeReport.Fault, _ text: String) {
    self.fault = fault
    self.text = text
  }
}

/// A reference to an SSL_SESSION; whoever holds it frees it.
@safe
struct KeptSession: @unchecked Sendable {
  let handle: OpaquePointer
  init(handle: OpaquePointer) { unsafe self.handle = handle }
}

private struct KeptSessions {
  private var sessions: [String: KeptSession] = [:]
  private var order: [String] = []

  mutating func put(_ session: KeptSession, for key: String, maximum: Int) {
    if let old = sessions.updateValue(session, forKey: key) {
      unsafe SSL_SESSION_free(old.handle)
    } else {
      order.append(key)
    }
    if order.count > maximum {
      let oldest = order.removeFirst()
      if let old = sessions.removeValue(forKey: oldest) { unsafe SSL_SESSION_free(old.handle) }
    }
  }

  mutating func take(_ key: String) -> KeptSession? {
    guard let session = sessions[key] else { return nil }
    if unsafe SSL_SESSION_get_protocol_version(session.handle) < TLS1_3_VERSION {
      return unsafe SSL_SESSION_up_ref(session.handle) == 1 ? session : nil
    }
    sessions[key] = nil
    order.removeAll { $0 == key }
    return session
  }

  mutating func removeAll() {
    for session in sessions.values { unsafe SSL_SESSION_free(session.handle) }
    sessions = [:]
    order = []
  }
}
