import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTLS
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("TLS statistics of listeners")
struct HandshakeCounterTests {
  /// A listener that asks for a client certificate with the name `good`, if `requires`.
  private func world(_ tls: TLSWorld, requires: Bool) throws -> ProxyWorld {
    let world = ProxyWorld(security: TLSSecurity())
    world.simple()
    var context = DownstreamTLSContext()
    context.common.certificates = [try tls.certificate(SubjectAltName(.dns, "server.test"))]
    if requires {
      context.requireClientCertificate = true
      context.common.validation = tls.validation
      context.common.validation?.subjectAltNames = [.init(type: .dns, matcher: StringMatcher(.exact("good.test")))]
    }
    world.config.listeners[0].filterChains[0].tls = context
    world.apply()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    return world
  }

  private func value(_ world: ProxyWorld, _ metric: ListenerMetric) -> UInt64 {
    let name = world.config.listeners[0].statName
    return world.registry.value(metric, world.registry.scope(ScopeKey(.listener, name)))
  }

  private func connect(_ world: ProxyWorld, _ configuration: TLSConfiguration, context: TLSContext? = nil) throws
    -> Peer
  {
    let client = world.connect()
    world.clientLoop.startTransport(
      client.id, TLSSession.client(try context ?? TLSContext(configuration), serverName: "server.test"))
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    world.run { client.text.hasSuffix("ok") || client.isOver }
    return client
  }

  @Test("a handshake, one that resumes another, clients without a certificate")
  func handshakes() throws {
    let tls = try TLSWorld()
    let world = try world(tls, requires: false)
    let context = try TLSContext(.client(trusting: tls.authority.trust))
    for _ in 0..<2 {
      let client = try connect(world, context.configuration, context: context)
      #expect(client.text.hasSuffix("ok"))
      client.close()
      world.settle()
    }
    #expect(value(world, .sslHandshake) == 2 && value(world, .sslSessionReused) == 1)
    #expect(value(world, .sslNoCertificate) == 2 && value(world, .sslConnectionError) == 0)
  }

  enum Client: CaseIterable, Sendable { case good, none, untrusted, wrongName }

  @Test("each way to refuse a client's certificate has its counter", arguments: Client.allCases)
  func refusals(client kind: Client) throws {
    let tls = try TLSWorld()
    let world = try world(tls, requires: true)
    var configuration = TLSConfiguration.client(trusting: tls.authority.trust)
    let counter: ListenerMetric
    switch kind {
    case .good:
      configuration.identities = [try tls.identity(SubjectAltName(.dns, "good.test"))]
      counter = .sslHandshake
    case .none: counter = .sslFailVerifyNoCert
    case .untrusted:
      configuration.identities = [try TLSWorld().identity(SubjectAltName(.dns, "good.test"))]
      counter = .sslFailVerifyError
    case .wrongName:
      configuration.identities = [try tls.identity(SubjectAltName(.dns, "bad.test"))]
      counter = .sslFailVerifySAN
    }
    _ = try connect(world, configuration)
    world.advance(by: .seconds(3))
    let all: [ListenerMetric] = [
      .sslHandshake, .sslFailVerifyNoCert, .sslFailVerifyError, .sslFailVerifySAN, .sslConnectionError,
    ]
    for metric in all { #expect(value(world, metric) == (metric == counter ? 1 : 0), "\(metric)") }
    #expect(value(world, .sslNoCertificate) == 0)
  }

  @Test("what is no TLS is an error of the connection; a client that only leaves is none")
  func wire() throws {
    let world = try world(try TLSWorld(), requires: false)
    let left = world.connect()
    world.settle()
    left.close()
    world.advance(by: .seconds(3))
    #expect(value(world, .sslConnectionError) == 0)
    world.connect().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    world.advance(by: .seconds(3))
    #expect(value(world, .sslConnectionError) == 1 && value(world, .sslHandshake) == 0)
  }

  private enum Handshake: CaseIterable { case nothing, half }

  @Test(
    "a TLS handshake that does not come or stops half-way ends: after 15 s, or when the chain says",
    arguments: [nil, 2] as [Int?], [true, false])
  func stalled(_ seconds: Int?, _ isHTTP: Bool) throws {
    for handshake in Handshake.allCases { try stalled(handshake, seconds, isHTTP) }
  }

  private func stalled(_ handshake: Handshake, _ seconds: Int?, _ isHTTP: Bool) throws {
    let world = try world(try TLSWorld(), requires: false)
    if !isHTTP {
      world.config.listeners[0].filterChains[0].filters = [
        .tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))
      ]
    }
    world.config.listeners[0].filterChains[0].transportSocketConnectTimeout = seconds.map { .seconds($0) }
    world.apply()
    let limit = Duration.seconds(seconds ?? 15)
    let client = world.connect()
    if handshake == .half { client.send([22, 3, 1, 1, 0, 1, 0]) }
    world.advance(by: limit - .milliseconds(100))
    #expect(!client.isOver)
    #expect(world.run(for: .milliseconds(200)) { client.isOver })
    #expect(value(world, .downstreamCxTransportSocketConnectTimeout) == 1)
    world.settle()
    #expect(world.engine.downstreams.count == 0 && world.engine.streams.count == 0)
  }
}
