import Testing
import WeftHTTP
import WeftService
import WeftTLS

@Suite("HTTP over TLS", .timeLimit(.minutes(5)))
struct TLSTests {
  /// An authority, a server certificate for 127.0.0.1 and spiffe://mesh/server, and a client one for spiffe://mesh/client.
  private struct Material {
    let authority: CertificateAuthority
    let server: IssuedCertificate
    let client: IssuedCertificate

    init() throws {
      authority = try CertificateAuthority(commonName: "test")
      var addressName = CertificateTemplate(
        SubjectAltName(.uri, "spiffe://mesh/server"), SubjectAltName(.dns, "service.test"))
      addressName.names.append(SubjectAltName(.ip, bytes: [127, 0, 0, 1]))
      server = try authority.issue(addressName)
      client = try authority.issue(CertificateTemplate(SubjectAltName(.uri, "spiffe://mesh/client")))
    }

    func serverTLS(askingClients: Bool = false) -> ServerTLS {
      ServerTLS(
        certificateChainPEM: server.chain, privateKeyPEM: server.privateKey,
        clientTrustPEM: askingClients ? authority.certificatePEM : nil)
    }

    func clientTLS(withCertificate: Bool = false) -> ClientTLS {
      ClientTLS(
        trustPEM: authority.certificatePEM, certificateChainPEM: withCertificate ? client.chain : nil,
        privateKeyPEM: withCertificate ? client.privateKey : nil)
    }
  }

  private func get(_ loopback: Loopback) async throws -> HTTPClientResponse {
    try await loopback.client.send(
      HTTPRequest(method: "POST", scheme: "https"), body: bytes(300_000), to: loopback.address, timeout: .seconds(240))
  }

  @Test(
    "ALPN chooses the protocol",
    arguments: [
      (HTTPClientConfiguration.Protocols.negotiated, HTTPVersion.http2), (.http1, .http11), (.http2, .http2),
    ])
  func alpn(protocols: HTTPClientConfiguration.Protocols, expected: HTTPVersion) async throws {
    let material = try Material()
    try await Loopback.run(protocols, serverTLS: material.serverTLS(), clientTLS: material.clientTLS()) {
      request, responder in
      let body = try await request.body.collect()
      try await responder.send(
        HTTPResponse(headers: ["x-scheme": request.head.scheme, "x-secure": "\(request.peer.isSecure)"]), body: body)
    } _: { loopback in
      let response = try await get(loopback)
      #expect(response.version == expected)
      #expect(response.body == bytes(300_000))
      #expect(response.headers["x-scheme"] == "https")
      #expect(response.headers["x-secure"] == "true")
    }
  }

  @Test("a client certificate names its bearer", arguments: bothProtocols)
  func mutual(protocols: HTTPClientConfiguration.Protocols) async throws {
    let material = try Material()
    try await Loopback.run(
      protocols, serverTLS: material.serverTLS(askingClients: true),
      clientTLS: material.clientTLS(withCertificate: true)
    ) { request, responder in
      try await responder.send(request.peer.uriNames.joined(separator: ","))
    } _: { loopback in
      let response = try await get(loopback)
      #expect(response.text == "spiffe://mesh/client")
    }
  }

  @Test("a client without the certificate asked for is refused", arguments: bothProtocols)
  func missingCertificate(protocols: HTTPClientConfiguration.Protocols) async throws {
    let material = try Material()
    try await Loopback.run(
      protocols, serverTLS: material.serverTLS(askingClients: true), clientTLS: material.clientTLS()
    ) { _, responder in
      try await responder.send("not reached")
    } _: { loopback in
      await #expect(throws: ServiceError.self) { try await get(loopback) }
    }
  }

  @Test("a server whose certificate has another name, or another issuer, is not talked to")
  func wrongServer() async throws {
    let material = try Material()
    var other = material.clientTLS()
    other.serverName = "another.test"
    var identity = material.clientTLS()
    identity.expectedURINames = ["spiffe://mesh/another"]
    var stranger = material.clientTLS()
    stranger.trustPEM = try CertificateAuthority(commonName: "stranger").certificatePEM
    for tls in [other, identity, stranger] {
      try await Loopback.run(.negotiated, serverTLS: material.serverTLS(), clientTLS: tls) { _, responder in
        try await responder.send("not reached")
      } _: { loopback in
        let error = await #expect(throws: ServiceError.self) { try await get(loopback) }
        #expect(error?.isSafeToRetry == true)
      }
    }
  }

  @Test("a server is known by its name or by its identity")
  func rightServer() async throws {
    let material = try Material()
    var named = material.clientTLS()
    named.serverName = "service.test"
    var identity = material.clientTLS()
    identity.expectedURINames = ["spiffe://mesh/other", "spiffe://mesh/server"]
    for tls in [named, identity] {
      try await Loopback.run(.negotiated, serverTLS: material.serverTLS(), clientTLS: tls) { request, responder in
        _ = try await request.body.collect()
        try await responder.send("yes")
      } _: { loopback in
        let response = try await get(loopback)
        #expect(response.text == "yes")
      }
    }
  }

  @Test("plaintext to a TLS port ends at once")
  func plaintext() async throws {
    let material = try Material()
    try await Loopback.run(.http1, serverTLS: material.serverTLS()) { _, responder in
      try await responder.send("not reached")
    } _: { loopback in
      let error = await #expect(throws: ServiceError.self) { try await loopback.send(timeout: .seconds(240)) }
      #expect(error != .deadlineExceeded)
    }
  }
}
