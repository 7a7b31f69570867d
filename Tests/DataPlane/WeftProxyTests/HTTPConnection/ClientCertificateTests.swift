import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTLS
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// A proxy behind TLS, and clients with or without a certificate.
final class CertificateWorld {
  let world = ProxyWorld(security: TLSSecurity())
  let authority: CertificateAuthority
  let client: IssuedCertificate

  init(
    _ mode: HTTPConnectionManager.ForwardClientCertificate, _ details: ClientCertificateDetails = .init(),
    names: [SubjectAltName] = [
      SubjectAltName(.uri, "spiffe://td/ns/a/sa/client"), SubjectAltName(.dns, "client.test"),
      SubjectAltName(.dns, "other.test"),
    ], subject: String = "client"
  ) throws {
    authority = try CertificateAuthority(commonName: "root")
    let intermediate = try authority.issueAuthority(commonName: "middle")
    var template = CertificateTemplate()
    template.names = names
    template.commonName = subject
    client = try intermediate.issue(template)
    let server = try authority.issue(
      CertificateTemplate(SubjectAltName(.dns, "proxy.test"), SubjectAltName(.uri, "spiffe://td/ns/b/sa/proxy")))
    world.simple(manager: {
      $0.forwardClientCertificate = mode
      $0.setClientCertificateDetails = details
    })
    var tls = DownstreamTLSContext()
    tls.common.certificates = [TLSCertificate(chain: .inline(server.chain), privateKey: .inline(server.privateKey))]
    var validation = CertificateValidation()
    validation.trustedCA = .inline(authority.certificatePEM)
    tls.common.validation = validation
    world.config.listeners[0].filterChains[0].tls = tls
    world.apply()
  }

  /// Sends `requests` over one connection and returns the XFCC of each as the server saw it.
  func ask(_ fields: String = "", presents: Bool = true, requests: Int = 1) throws -> [String?] {
    var configuration = TLSConfiguration.client(trusting: authority.trust)
    configuration.serverName = "proxy.test"
    configuration.peerNames = [.exact(.dns, "proxy.test")]
    if presents { configuration.identities = [client.identity] }
    var seen: [String?] = []
    world.server.onBytes = { peer in
      while let message = HTTP1Text(peer.received) {
        peer.received.removeFirst(message.length)
        let values = message.fields.filter { $0.name.lowercased() == "x-forwarded-client-cert" }.map(\.value)
        seen.append(values.isEmpty ? nil : values.joined(separator: " & "))
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
      }
    }
    let peer = world.connect()
    world.clientLoop.startTransport(peer.id, TLSSession.client(try TLSContext(configuration)))
    for i in 0..<requests {
      peer.send("GET /\(i) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n")
      world.run { seen.count == i + 1 || peer.isOver }
    }
    return seen
  }

  var fingerprint: String { XFCC.hexadecimal((try? PeerCertificate(pem: .bytes(client.chain)))?.fingerprint ?? []) }
}

@Suite("x-forwarded-client-cert")
struct ClientCertificateTests {
  private static let theirs = "Hash=aa;URI=spiffe://td/ns/x/sa/admin"
  private static var field: String { "x-forwarded-client-cert: \(theirs)\r\n" }
  private static let allModes: [HTTPConnectionManager.ForwardClientCertificate] = [
    .sanitize, .forwardOnly, .appendForward, .sanitizeSet, .alwaysForwardOnly,
  ]

  @Test("each mode does with it what Envoy's does", arguments: allModes, [true, false])
  func modes(mode: HTTPConnectionManager.ForwardClientCertificate, presents: Bool) throws {
    let certified = try CertificateWorld(mode)
    let own = "By=spiffe://td/ns/b/sa/proxy;Hash=\(certified.fingerprint)"
    #expect(certified.fingerprint.count == 64)
    let seen = try certified.ask(Self.field, presents: presents)
    let expected: String? =
      switch (mode, presents) {
      case (.alwaysForwardOnly, _), (.forwardOnly, true): Self.theirs
      case (.appendForward, true): Self.theirs + "," + own
      case (.sanitizeSet, true): own
      default: nil
      }
    #expect(seen == [expected])
    certified.world.settle()
    #expect(certified.world.proxyLoop.pool.lentBytes <= 4096)
  }

  @Test("without TLS there is no certificate", arguments: allModes)
  func plaintext(mode: HTTPConnectionManager.ForwardClientCertificate) {
    let world = ProxyWorld()
    world.simple(manager: { $0.forwardClientCertificate = mode })
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\(Self.field)\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    let head = world.server.accepted.first.flatMap { HTTP1Text($0.received) }
    #expect(head?.first("x-forwarded-client-cert") == (mode == .alwaysForwardOnly ? Self.theirs : nil))
  }

  @Test("the parts have Envoy's form and order")
  func parts() throws {
    var details = ClientCertificateDetails()
    details.subject = true
    details.dns = true
    details.uri = true
    let certified = try CertificateWorld(.sanitizeSet, details)
    #expect(
      try certified.ask(requests: 3)
        == Array(
          repeating: "By=spiffe://td/ns/b/sa/proxy;Hash=\(certified.fingerprint);Subject=\"CN=client\";"
            + "URI=spiffe://td/ns/a/sa/client;DNS=client.test;DNS=other.test", count: 3))
  }

  @Test("what a certificate does not have is left empty or out, as Envoy does")
  func missingParts() throws {
    var details = ClientCertificateDetails()
    details.subject = true
    details.dns = true
    details.uri = true
    let certified = try CertificateWorld(.sanitizeSet, details, names: [SubjectAltName(.email, "a@b")], subject: "")
    #expect(
      try certified.ask() == ["By=spiffe://td/ns/b/sa/proxy;Hash=\(certified.fingerprint);Subject=\"\";URI="])
  }

  @Test("certificate and chain are URL-encoded PEM")
  func certificates() throws {
    var details = ClientCertificateDetails()
    details.certificate = true
    details.chain = true
    let certified = try CertificateWorld(.sanitizeSet, details)
    let seen = try certified.ask().first ?? nil
    let pem = String(decoding: certified.client.chain, as: UTF8.self)
    let certificates = pem.components(separatedBy: "-----END CERTIFICATE-----\n").dropLast().map {
      $0 + "-----END CERTIFICATE-----\n"
    }
    #expect(certificates.count == 2)
    func encoded(_ text: String) -> String {
      text.map { ["\n": "%0A", " ": "%20", "+": "%2B", "/": "%2F", "=": "%3D"][$0] ?? String($0) }.joined()
    }
    #expect(
      seen == "By=spiffe://td/ns/b/sa/proxy;Hash=\(certified.fingerprint);Cert=\"\(encoded(certificates[0]))\";"
        + "Chain=\"\(certificates.map(encoded).joined())\"")
  }

  @Test(
    "names that hold separators cannot pass for other parts",
    arguments: [
      ("a,b", "\"a,b\""), ("a;URI=x", "\"a;URI=x\""), ("a\"b", "\"a\\\"b\""), ("a=b", "\"a=b\""), ("a\r\nb", "a??b"),
      ("spiffe://td/ns/a", "spiffe://td/ns/a"),
    ])
  func quoting(text: String, expected: String) { #expect(XFCC.quoted(text) == expected) }

  @Test("routes see whether a certificate was presented", arguments: [true, false])
  func routeMatch(presents: Bool) throws {
    let certified = try CertificateWorld(.sanitize)
    var host = VirtualHost(name: "all", domains: ["*"])
    var match = RouteMatch(.prefix("/"))
    match.tls = RouteMatch.TLS(presented: true, validated: true)
    host.routes = [Route(match: match, action: .forward(RouteAction(cluster: .cluster("backend"))))]
    var routes = RouteConfiguration(name: "routes")
    routes.virtualHosts = [host]
    let tls = certified.world.config.listeners[0].filterChains[0].tls
    certified.world.listen([.httpConnectionManager(HTTPConnectionManager(statPrefix: "test", routes: .inline(routes)))])
    certified.world.config.listeners[0].filterChains[0].tls = tls
    certified.world.apply()
    let seen = try certified.ask(presents: presents)
    certified.world.settle()
    #expect(seen.count == (presents ? 1 : 0))
  }
}
