import Glibc
import Testing
import WeftBase
import WeftRuntime
import WeftTLS
import WeftTestKit

@Suite("TLS session")
struct TLSSessionTests {
  @Test(
    "client and server agree, however the bytes are cut", arguments: [TLSVersion.tls12, .tls13], [1, 5, 100, Int.max])
  func handshake(_ version: TLSVersion, _ piece: Int) throws {
    let authority = try TestCertificates.authority()
    var server = TLSConfiguration.server(try TestCertificates.server(authority))
    server.protocols = ["h2", "http/1.1"]
    server.maximumVersion = version
    var client = TLSConfiguration.client(trusting: authority.trust)
    client.serverName = "server.test"
    client.protocols = ["http/1.1", "h2"]
    client.peerNames = [.exact(.dns, "server.test")]
    let pair = SessionPair(
      client: .client(try TLSContext(client)), server: .server(try TLSContext(server)), piece: piece)
    #expect(!pair.sendFromClient([1]), "nothing passes before the handshake")
    pair.pump()
    #expect(pair.client.status == .open, "\(pair.client.failure ?? "")")
    #expect(pair.server.status == .open, "\(pair.server.failure ?? "")")
    #expect(pair.client.version == (version == .tls13 ? "TLSv1.3" : "TLSv1.2"))
    #expect(pair.server.serverName == "server.test")
    #expect(pair.client.negotiatedProtocol == "h2", "the server's order decides")
    #expect(pair.server.negotiatedProtocol == "h2")
    let peer = try #require(pair.client.peerCertificate())
    #expect(peer.uri == TestCertificates.spiffe)
    #expect(peer.subjectAltNames.map(\.description) == ["dns:server.test", "uri:\(TestCertificates.spiffe)"])
    #expect(peer.isVerified)
    #expect(peer.issuer == "CN=test root")
    #expect(peer.fingerprint.count == 32)
    #expect(pair.server.peerCertificate() == nil)

    let up = pattern(70_000)
    let down = pattern(40_000)
    #expect(pair.sendFromClient(up) && pair.sendFromServer(down))
    pair.pump()
    #expect(pair.atServer == up)
    #expect(pair.atClient == down)
    pair.finishClient()
    pair.pump()
    #expect(pair.server.status == .ended)
    #expect(pair.client.status == .open)
    #expect(pair.sendFromServer(pattern(10)), "the other direction stays open")
    pair.finishServer()
    pair.pump()
    #expect(pair.atClient == down + pattern(10))
    #expect(pair.client.status == .ended)
    pair.end()
    pair.end()
  }

  @Test(
    "a client may expect a name of one connection's server, besides those of its configuration, resumed or not",
    arguments: [
      ("server.test", true), ("SERVER.test", true), ("other.test", false), ("", false), ("10.0.0.1", true),
      ("10.0.0.2", false),
    ])
  func expectedName(name: String, fits: Bool) throws {
    let authority = try TestCertificates.authority()
    let identity = try authority.issue(
      CertificateTemplate(SubjectAltName(.dns, "server.test"), SubjectAltName(.ip, bytes: [10, 0, 0, 1]))
    ).identity
    let server = try TLSContext(.server(identity))
    let client = try TLSContext(.client(trusting: authority.trust))
    func connect(_ expected: String?) -> SessionPair {
      let pair = SessionPair(
        client: .client(client, serverName: "server.test", expecting: expected), server: .server(server))
      pair.pump()
      return pair
    }
    // A session that any name may resume.
    let first = connect(nil)
    #expect(first.client.status == .open && first.client.handshake.fault == .none)
    for _ in 0..<2 {
      let pair = connect(name)
      #expect((pair.client.status == .open) == fits)
      #expect(pair.client.handshake.fault == (fits ? .none : .wrongName))
      if !fits { #expect(pair.client.failure?.contains("no subject alternative name matches '\(name)'") == true) }
    }
  }

  @Test("a client that trusts the machine's authorities finds them where OpenSSL looks, and trusts no others")
  func systemAuthorities() throws {
    let authority = try TestCertificates.authority()
    let server = try TLSContext(.server(try TestCertificates.server(authority)))
    var client = TLSConfiguration.client()
    client.trustsSystemAuthorities = true
    client.peerNames = [.exact(.dns, "server.test")]
    func connect() throws -> SessionPair {
      let pair = SessionPair(
        client: .client(try TLSContext(client), serverName: "server.test"), server: .server(server))
      pair.pump()
      return pair
    }
    let stranger = try connect()
    #expect(stranger.client.status != .open)
    #expect(stranger.client.failure?.contains("certificate verify failed") == true)
    let directory = TemporaryDirectory()
    directory.write("ca.pem", String(decoding: authority.certificatePEM, as: UTF8.self))
    // No other test of this process trusts the machine's authorities.
    unsafe setenv("SSL_CERT_FILE", directory.file("ca.pem"), 1)
    defer { unsafe unsetenv("SSL_CERT_FILE") }
    let known = try connect()
    #expect(known.client.status == .open, "\(known.client.failure ?? "")")
    #expect(known.client.peerCertificate()?.isVerified == true)
  }

  @Test("mutual TLS shows each side the other's identity")
  func mutual() throws {
    let authority = try TestCertificates.authority()
    let intermediate = try authority.issueAuthority(commonName: "intermediate")
    var server = TLSConfiguration.server(try TestCertificates.server(intermediate))
    server.verification = .required
    server.trustedAuthorities = [authority.trust]
    server.peerNames = [.prefix(.uri, "spiffe://cluster.local/ns/default/")]
    var client = TLSConfiguration.client(trusting: authority.trust)
    client.peerNames = [.exact(.uri, TestCertificates.spiffe)]
    client.identities = [
      try intermediate.issue(CertificateTemplate(SubjectAltName(.uri, "spiffe://cluster.local/ns/default/sa/ratings")))
        .identity
    ]
    let context = try TLSContext(client)
    #expect(context.localNames.map(\.text) == ["spiffe://cluster.local/ns/default/sa/ratings"])
    let pair = SessionPair(client: .client(context), server: .server(try TLSContext(server)))
    pair.pump()
    #expect(pair.server.failure == nil)
    #expect(pair.server.peerCertificate()?.uri == "spiffe://cluster.local/ns/default/sa/ratings")
    #expect(pair.server.peerCertificate()?.isVerified == true)
  }

  /// What may be wrong with a client's certificate, and what the server says then.
  enum BadClient: CaseIterable, Sendable { case none, untrusted, expired, wrongName, nulInName }

  @Test(
    "a server that requires a certificate refuses a bad one and says why", arguments: BadClient.allCases, [false, true])
  func badClients(_ bad: BadClient, _ required: Bool) throws {
    let authority = try TestCertificates.authority()
    var server = TLSConfiguration.server(try TestCertificates.server(authority))
    server.verification = required ? .required : .ifPresented
    server.trustedAuthorities = [authority.trust]
    server.peerNames = [.exact(.uri, "spiffe://a/good")]
    var client = TLSConfiguration.client(trusting: authority.trust)
    var template = CertificateTemplate(SubjectAltName(.uri, "spiffe://a/good"))
    let reason: String
    switch bad {
    case .none:
      reason = "peer did not return a certificate"
    case .untrusted:
      client.identities = [try TestCertificates.authority("another root").issue(template).identity]
      reason = "certificate verify failed"
    case .expired:
      template.backdated = .seconds(7200)
      template.validity = .seconds(-3600)
      client.identities = [try authority.issue(template).identity]
      reason = "certificate has expired"
    case .wrongName:
      template.names = [SubjectAltName(.uri, "spiffe://a/other"), SubjectAltName(.dns, "spiffe://a/good")]
      client.identities = [try authority.issue(template).identity]
      reason = "no subject alternative name matches"
    case .nulInName:
      template.names = [SubjectAltName(.uri, bytes: Array("spiffe://a/good\0.evil".utf8))]
      client.identities = [try authority.issue(template).identity]
      reason = "no subject alternative name matches"
    }
    let pair = SessionPair(client: .client(try TLSContext(client)), server: .server(try TLSContext(server)))
    pair.pump()
    if bad == .none, !required {
      #expect(pair.server.status == .open)
      return
    }
    #expect(pair.server.status == .failed)
    #expect(pair.server.failure?.contains(reason) ?? false, "\(pair.server.failure ?? "no failure")")
    #expect(pair.server.failure?.hasPrefix("TLS_error:|") ?? false)
    #expect(pair.client.status == .failed, "the alert reaches the client")
    #expect(!pair.sendFromServer([1]))
  }

  @Test("a client refuses a server it does not trust, or that has another name", arguments: [true, false])
  func badServers(_ wrongName: Bool) throws {
    let authority = try TestCertificates.authority()
    let issuer = wrongName ? authority : try TestCertificates.authority("another root")
    var client = TLSConfiguration.client(trusting: authority.trust)
    client.peerNames = [.exact(.dns, wrongName ? "other.test" : "server.test")]
    let pair = SessionPair(
      client: .client(try TLSContext(client)),
      server: .server(try TLSContext(.server(try TestCertificates.server(issuer)))))
    pair.pump()
    #expect(pair.client.status == .failed)
    let reason = wrongName ? "no subject alternative name matches" : "certificate verify failed"
    #expect(pair.client.failure?.contains(reason) ?? false, "\(pair.client.failure ?? "no failure")")
    #expect(pair.server.status == .failed)
  }

  @Test("a context that accepts untrusted peers lets them in and tells so")
  func untrustedAccepted() throws {
    let authority = try TestCertificates.authority()
    var server = TLSConfiguration.server(try TestCertificates.server(authority))
    server.verification = .required
    server.trustedAuthorities = [authority.trust]
    server.acceptsUntrusted = true
    var client = TLSConfiguration.client(trusting: authority.trust)
    client.identities = [try TestCertificates.server(try TestCertificates.authority("another root"))]
    let pair = SessionPair(client: .client(try TLSContext(client)), server: .server(try TLSContext(server)))
    pair.pump()
    #expect(pair.server.status == .open)
    #expect(pair.server.peerCertificate()?.isVerified == false)
  }

  @Test("a pinned certificate is accepted by its hash alone, another is not")
  func pinning() throws {
    let authority = try TestCertificates.authority()
    let identity = try TestCertificates.server(authority)
    let certificate = try PeerCertificate(pem: identity.chain)
    for (hash, opens) in [(certificate.fingerprint, true), ([UInt8](repeating: 0, count: 32), false)] {
      var client = TLSConfiguration.client()
      client.certificateHashes = [hash]
      let pair = SessionPair(
        client: .client(try TLSContext(client)), server: .server(try TLSContext(.server(identity))))
      pair.pump()
      #expect((pair.client.status == .open) == opens)
    }
  }

  @Test(
    "a second connection resumes the session, but not under another context", arguments: [TLSVersion.tls12, .tls13])
  func resumption(_ version: TLSVersion) throws {
    let authority = try TestCertificates.authority()
    var server = TLSConfiguration.server(try TestCertificates.server(authority))
    server.maximumVersion = version
    server.verification = .required
    server.trustedAuthorities = [authority.trust]
    var client = TLSConfiguration.client(trusting: authority.trust)
    client.serverName = "server.test"
    client.peerNames = [.exact(.dns, "server.test")]
    client.identities = [try TestCertificates.server(authority, "client.test")]
    let serverContext = try TLSContext(server)
    let clientContext = try TLSContext(client)
    func connect(_ client: TLSContext, _ server: TLSContext) -> (client: Bool, server: Bool, peer: String?) {
      let pair = SessionPair(client: .client(client), server: .server(server))
      pair.pump()
      #expect(pair.client.status == .open && pair.server.status == .open)
      let peer = pair.server.peerCertificate()?.subjectAltNames.first?.text
      pair.end()
      return (pair.client.isResumed, pair.server.isResumed, peer)
    }
    #expect(connect(clientContext, serverContext) == (false, false, "client.test"))
    for _ in 0..<20 { #expect(connect(clientContext, serverContext) == (true, true, "client.test")) }
    #expect(connect(clientContext, try TLSContext(server)) == (false, false, "client.test"))
    var plain = client
    plain.resumption = false
    let without = try TLSContext(plain)
    #expect(connect(without, serverContext) == (false, false, "client.test"))
    #expect(connect(without, serverContext) == (false, false, "client.test"))
  }

  @Test("a server may choose its context by what the client asks for, or refuse it", arguments: [1, 3, Int.max])
  func selection(_ piece: Int) throws {
    let authority = try TestCertificates.authority()
    let contexts = try ["a.test", "b.test"].reduce(into: [:]) { table, host in
      table[host] = try TLSContext(.server(try TestCertificates.server(authority, host)))
    }
    for host in ["a.test", "b.test", "c.test"] {
      var client = TLSConfiguration.client(trusting: authority.trust)
      client.peerNames = [.exact(.dns, host)]
      client.protocols = ["istio", "h2"]
      var asked: [ClientHello] = []
      let server = TLSSession.server { hello in
        asked.append(hello)
        return contexts[hello.serverName]
      }
      let pair = SessionPair(
        client: .client(try TLSContext(client), serverName: host.uppercased()), server: server, piece: piece)
      pair.pump()
      #expect(asked == [ClientHello(serverName: host, protocols: ["istio", "h2"])])
      if host == "c.test" {
        #expect(server.status == .failed)
        #expect(server.failure == "no TLS context for the server name 'c.test'")
        #expect(pair.client.failure?.contains("unrecognized name") ?? false, "\(pair.client.failure ?? "")")
      } else {
        #expect(server.status == .open)
        #expect(pair.client.status == .open, "\(pair.client.failure ?? "")")
      }
    }
  }

  @Test("what is no TLS fails clearly", arguments: [true, false])
  func plaintextOnTLS(_ selecting: Bool) throws {
    let authority = try TestCertificates.authority()
    let context = try TLSContext(.server(try TestCertificates.server(authority)))
    let requests = [
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0", "\u{16}\u{3}\u{1}\u{0}\u{0}xxxxxxxxx",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    for request in requests {
      let session = selecting ? TLSSession.server { _ in context } : TLSSession.server(context)
      var plaintext = ByteBuffer()
      var output = ByteBuffer()
      let status = request.withByteView { session.receive($0, plaintext: &plaintext, output: &output) }
      #expect(status == .failed, "\(request)")
      #expect(session.failure?.hasPrefix("TLS_error:|") ?? false, "\(session.failure ?? "")")
      #expect(plaintext.count == 0)
    }
  }

  @Test("random and damaged input never passes as plaintext and never crashes", arguments: 0..<8 as Range<UInt64>)
  func damage(_ seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    let authority = try TestCertificates.authority()
    let context = try TLSContext(.server(try TestCertificates.server(authority)))
    let clientContext = try TLSContext(.client(trusting: authority.trust))
    for _ in 0..<40 {
      var hello = ByteBuffer()
      let client = TLSSession.client(clientContext, serverName: "server.test")
      client.start(output: &hello)
      var bytes = hello.view.array
      for _ in 0...random.next(below: 4) {
        bytes[random.next(below: bytes.count)] = UInt8(truncatingIfNeeded: random.next())
      }
      bytes += (0..<random.next(below: 200)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let server = random.chance(1, in: 2) ? TLSSession.server(context) : TLSSession.server { _ in context }
      var plaintext = ByteBuffer()
      var output = ByteBuffer()
      var at = 0
      while at < bytes.count {
        let n = min(bytes.count - at, 1 + random.next(below: 300))
        _ = Array(bytes[at..<at + n]).withByteView { server.receive($0, plaintext: &plaintext, output: &output) }
        at += n
      }
      #expect(plaintext.count == 0)
      #expect(server.status != .open)
      server.inputEnded()
      #expect(server.status == .failed)
    }
  }

  @Test("damaged records after the handshake fail the session")
  func damagedRecord() throws {
    let authority = try TestCertificates.authority()
    let pair = SessionPair(
      client: .client(try TLSContext(.client(trusting: authority.trust))),
      server: .server(try TLSContext(.server(try TestCertificates.server(authority)))))
    pair.pump()
    var record = ByteBuffer()
    _ = pattern(100).withByteView { pair.client.send($0, output: &record) }
    var bytes = record.view.array
    bytes[50] ^= 1
    var plaintext = ByteBuffer()
    var output = ByteBuffer()
    let status = bytes.withByteView { pair.server.receive($0, plaintext: &plaintext, output: &output) }
    #expect(status == .failed)
    #expect(plaintext.count == 0)
    #expect(output.count > 0, "the peer gets an alert")
  }
}
