// TLSSession: one connection's TLS, client or server.

import COpenSSL
package import WeftBase
package import WeftRuntime

/// TLS between a connection's socket and its handler.
///
/// *Shape*: sans-I/O; `start`, `receive`, `send`, `finish` append ciphertext to the buffer lent to them. Idle, it holds OpenSSL's state only.
/// *Errors*: any failure makes `status` `.failed` for good and `failure` tells why, in Envoy's form
/// (`TLS_error:|0A000086:SSL routines::certificate verify failed: no subject alternative name matches:TLS_error_end`).
/// *Threads*: the connection's loop.
///
/// Why sound: `ssl` and `wire` are owned from creation to `end`/`deinit`; OpenSSL calls back only inside our own calls, while `self` lives.
@safe
package final class TLSSession: TransportSession {
  package private(set) var status = TransportStatus.handshaking
  package private(set) var failure: String?
  package private(set) var negotiatedProtocol = ""
  package private(set) var serverName = ""
  /// Whether the handshake resumed an earlier session.
  package private(set) var isResumed = false
  /// `TLSv1.3` and the like, empty before the handshake is done.
  package private(set) var version = ""
  /// The cipher in OpenSSL's name, empty before the handshake is done.
  package private(set) var cipher = ""
  /// The context in use; nil as long as a server has not chosen one.
  package private(set) var context: TLSContext?

  package private(set) var handshake = HandshakeReport()

  /// Set by the context while it verifies.
  var verificationFailure: CertificateRefusal?
  /// Client: a name the server's certificate must carry besides what the configuration asks for.
  private(set) var expectedName: String?

  private var ssl: OpaquePointer?
  private let wire: UnsafeMutablePointer<SessionWire>
  private var resumptionKey = ""
  private var select: ((ClientHello) -> TLSContext?)?
  private var hello = ByteBuffer()
  private var peer: PeerCertificate??

  private init() {
    unsafe ssl = nil
    unsafe wire = .allocate(capacity: 1)
    unsafe wire.initialize(to: SessionWire())
  }

  /// The server's side of a connection.
  package static func server(_ context: TLSContext) -> TLSSession {
    let session = TLSSession()
    session.adopt(context)
    return session
  }

  /// The server's side of a connection whose context depends on what the client asks for. `select` is called once, with the whole
  /// ClientHello; nil refuses the client with the alert `unrecognized_name`.
  package static func server(selecting select: @escaping (ClientHello) -> TLSContext?) -> TLSSession {
    let session = TLSSession()
    session.select = select
    return session
  }

  /// The client's side. `serverName` and `protocols` override those of the configuration; sessions are kept and resumed under
  /// `resumptionKey`, by default the server name. With `expecting`, a server whose certificate is verified must carry that DNS name or
  /// address, too; the empty name is carried by none.
  package static func client(
    _ context: TLSContext, serverName: String? = nil, expecting expectedName: String? = nil,
    protocols: [String]? = nil, resumptionKey: String? = nil
  ) -> TLSSession {
    let session = TLSSession()
    session.expectedName = expectedName
    session.serverName = serverName ?? context.configuration.serverName
    session.resumptionKey = resumptionKey ?? session.serverName
    session.adopt(context)
    session.prepareClient(context, protocols ?? context.configuration.protocols)
    return session
  }

  deinit {
    end()
    unsafe wire.deinitialize(count: 1)
    unsafe wire.deallocate()
  }

  private func adopt(_ context: TLSContext) {
    self.context = context
    ERR_clear_error()
    guard let handle = unsafe SSL_new(context.handle), let bio = unsafe SessionWire.makeBIO(wire) else {
      fail("no memory for a TLS session")
      return
    }
    unsafe SSL_set_bio(handle, bio, bio)
    _ = unsafe SSL_set_ex_data(handle, 0, Unmanaged.passUnretained(self).toOpaque())
    if context.configuration.role == .server {
      unsafe SSL_set_accept_state(handle)
    } else {
      unsafe SSL_set_connect_state(handle)
    }
    unsafe ssl = handle
  }

  private func prepareClient(_ context: TLSContext, _ protocols: [String]) {
    guard let ssl = unsafe ssl else { return }
    // RFC 6066 allows no addresses in SNI.
    if !serverName.isEmpty, IPAddress(serverName) == nil, unsafe weft_ssl_set_host_name(ssl, serverName) != 1 {
      return fail("the server name '\(serverName)' cannot be sent", .wire)
    }
    if !protocols.isEmpty {
      var list: [UInt8] = []
      for name in protocols where (1...255).contains(name.utf8.count) {
        list.append(UInt8(name.utf8.count))
        list += name.utf8
      }
      _ = unsafe SSL_set_alpn_protos(ssl, list, UInt32(list.count))
    }
    if context.configuration.resumption, let session = context.takeSession(for: resumptionKey) {
      _ = unsafe SSL_set_session(ssl, session.handle)
      unsafe SSL_SESSION_free(session.handle)
    }
  }

  // MARK: TransportSession

  package func start(output: inout ByteBuffer) {
    guard context?.configuration.role == .client else { return }
    run(.empty, &output) { shakeHands() }
  }

  package func receive(_ input: ByteView, plaintext: inout ByteBuffer, output: inout ByteBuffer) -> TransportStatus {
    if status == .failed || status == .ended { return status }
    if unsafe ssl == nil {
      hello.append(input)
      guard choose(&output) else { return status }
      let collected = hello.view
      process(collected, &plaintext, &output)
      hello.release()
    } else {
      process(input, &plaintext, &output)
    }
    return status
  }

  private func process(_ input: ByteView, _ plaintext: inout ByteBuffer, _ output: inout ByteBuffer) {
    run(input, &output) {
      if status == .handshaking { shakeHands() }
      if status == .open { decrypt(&plaintext) }
    }
  }

  package func send(_ plaintext: ByteView, output: inout ByteBuffer) -> Bool {
    guard status == .open || status == .ended else { return false }
    var sent = true
    run(.empty, &output) {
      guard let ssl = unsafe ssl else {
        sent = false
        return
      }
      var rest = plaintext
      while !rest.isEmpty {
        let n = unsafe SSL_write(ssl, rest.base, Int32(clamping: rest.count))
        if n <= 0 {
          failFromQueue(n)
          sent = false
          return
        }
        rest = rest.dropFirst(Int(n))
      }
    }
    return sent
  }

  package func finish(output: inout ByteBuffer) {
    guard status == .open || status == .ended else { return }
    run(.empty, &output) {
      if let ssl = unsafe ssl { _ = unsafe SSL_shutdown(ssl) }
    }
    ERR_clear_error()
  }

  package func inputEnded() {
    if status == .handshaking { fail("connection closed by the peer during the TLS handshake") }
  }

  package func end() {
    guard let ssl = unsafe ssl else { return }
    // Freed without a shutdown, a session counts as broken and would not be resumed.
    if status != .failed { unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
    _ = unsafe SSL_set_ex_data(ssl, 0, nil)
    unsafe SSL_free(ssl)
    unsafe self.ssl = nil
    if status != .failed { status = .ended }
  }

  // MARK: The peer

  /// The peer's certificate; nil when it has shown none. Ask before the connection has closed. *Cost*: copies on the first call.
  package func peerCertificate() -> PeerCertificate? {
    if let peer { return peer }
    guard status != .handshaking, let ssl = unsafe ssl else { return nil }
    guard let x509 = unsafe SSL_get0_peer_certificate(ssl) else {
      peer = .some(nil)
      return nil
    }
    let verifies = context.map { $0.configuration.verification != .none } ?? false
    let good = unsafe verifies && verificationFailure == nil && SSL_get_verify_result(ssl) == Int(X509_V_OK)
    let certificate = unsafe PeerCertificate(x509, isVerified: good)
    peer = .some(certificate)
    return certificate
  }

  /// Whether the peer has shown a certificate, and whether it was checked and good. *Cost*: copies nothing.
  package var presentedCertificate: Bool {
    guard status != .handshaking, let ssl = unsafe ssl else { return false }
    return unsafe SSL_get0_peer_certificate(ssl) != nil
  }
  package var verifiedCertificate: Bool {
    guard presentedCertificate, let ssl = unsafe ssl, let context, context.configuration.verification != .none else {
      return false
    }
    return unsafe verificationFailure == nil && SSL_get_verify_result(ssl) == Int(X509_V_OK)
  }

  /// All certificates the peer has shown, DER, its own first. A resumed session knows its own only. *Cost*: copies.
  package func peerChain() -> [[UInt8]] {
    guard status != .handshaking, let ssl = unsafe ssl, let leaf = unsafe SSL_get0_peer_certificate(ssl) else {
      return []
    }
    var chain = [unsafe PeerCertificate.encode(leaf)]
    let others = unsafe SSL_get_peer_cert_chain(ssl)
    for i in 0..<(unsafe weft_certificates_count(others)) {
      guard let x509 = unsafe weft_certificate_at(others, i) else { continue }
      let der = unsafe PeerCertificate.encode(x509)
      // A client's stack begins with the server's own certificate, a server's does not.
      if der != chain[0] { chain.append(der) }
    }
    return chain
  }

  /// The URI names of our own certificate.
  package func localURIs() -> [String] {
    guard let ssl = unsafe ssl, let own = unsafe SSL_get_certificate(ssl) else { return [] }
    return unsafe PeerCertificate.names(of: own).filter { $0.kind == .uri }.map(\.text)
  }

  // MARK: Inside

  /// Lends input and output to OpenSSL while `body` calls it.
  private func run(_ input: ByteView, _ output: inout ByteBuffer, _ body: () -> Void) {
    unsafe wire.pointee.input = input.base
    unsafe wire.pointee.inputCount = input.count
    ERR_clear_error()
    unsafe withUnsafeMutablePointer(to: &output) { pointer in
      unsafe wire.pointee.output = pointer
      body()
    }
    unsafe wire.pointee = SessionWire()
  }

  private func shakeHands() {
    guard let ssl = unsafe ssl else { return }
    let result = unsafe SSL_do_handshake(ssl)
    if result == 1 { return unsafe handshakeDone(ssl) }
    if unsafe SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ { return }
    failFromQueue(result)
  }

  @unsafe private func handshakeDone(_ ssl: OpaquePointer) {
    isResumed = unsafe SSL_session_reused(ssl) == 1
    handshake.isResumed = isResumed
    let leaf = unsafe SSL_get0_peer_certificate(ssl)
    handshake.hasPeerCertificate = unsafe leaf != nil
    // A resumed session was verified under this context when it was new; its names are looked at again all the same.
    if isResumed, let context, context.configuration.verification != .none,
      let leaf = unsafe leaf, let refusal = unsafe context.refusal(of: leaf, expecting: expectedName)
    {
      verificationFailure = refusal
      if !context.configuration.acceptsUntrusted {
        return fail("TLS_error:|\(refusal.text):TLS_error_end", refusal.fault)
      }
    }
    status = .open
    unsafe version = String(cString: SSL_get_version(ssl))
    if let current = unsafe SSL_get_current_cipher(ssl), let name = unsafe SSL_CIPHER_get_name(current) {
      unsafe cipher = String(cString: name)
    }
    var selected: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    unsafe SSL_get0_alpn_selected(ssl, &selected, &count)
    if let selected = unsafe selected, count > 0 {
      negotiatedProtocol = unsafe ByteView(UnsafeRawPointer(selected), count: Int(count)).string
    }
    if context?.configuration.role == .server, let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) {
      serverName = unsafe String(cString: name)
    }
  }

  private func decrypt(_ plaintext: inout ByteBuffer) {
    guard let ssl = unsafe ssl else { return }
    while true {
      var n: Int32 = 0
      unsafe plaintext.appendUninitialized(16_384) { room in
        n = unsafe SSL_read(ssl, room.baseAddress, Int32(clamping: room.count))
        return Int(max(n, 0))
      }
      if n > 0 { continue }
      switch unsafe SSL_get_error(ssl, n) {
      case SSL_ERROR_WANT_READ: return
      case SSL_ERROR_ZERO_RETURN:
        status = .ended
        return
      default: return failFromQueue(n)
      }
    }
  }

  /// Chooses the context of a server that waits for the ClientHello. Returns whether there is one now.
  private func choose(_ output: inout ByteBuffer) -> Bool {
    switch ClientHello.read(hello.view) {
    case .needMore: return false
    case .notTLS(let reason):
      fail("TLS_error:|\(reason):TLS_error_end", .wire)
    case .tooLarge(let length):
      fail("TLS_error:|a ClientHello of \(length) bytes:TLS_error_end", .wire)
    case .hello(let hello):
      serverName = hello.serverName
      if let context = select?(hello) {
        select = nil
        adopt(context)
        return status != .failed
      }
      // fatal(2) unrecognized_name(112)
      output.append([21, 3, 3, 0, 2, 2, 112])
      fail("no TLS context for the server name '\(hello.serverName)'", .wire)
    }
    hello.release()
    return false
  }

  private func failFromQueue(_ result: Int32) {
    var text = OpenSSLError.take()
    var fault = HandshakeReport.Fault.wire
    if text.contains("peer did not return a certificate") { fault = .noCertificate }
    if let verificationFailure, context?.configuration.acceptsUntrusted != true {
      text += (text.isEmpty ? "" : ": ") + verificationFailure.text
      fault = verificationFailure.fault
    }
    if text.isEmpty { text = "TLS failed (\(result))" }
    fail("TLS_error:|\(text):TLS_error_end", fault)
  }

  private func fail(_ reason: String, _ fault: HandshakeReport.Fault = .none) {
    if status == .failed { return }
    status = .failed
    failure = reason
    handshake.fault = fault
  }

  /// Takes over a session OpenSSL offers for later resumption.
  @unsafe func keep(_ session: OpaquePointer) -> Bool {
    guard let context, context.configuration.resumption else { return false }
    unsafe context.keep(session, for: resumptionKey)
    return true
  }
}
