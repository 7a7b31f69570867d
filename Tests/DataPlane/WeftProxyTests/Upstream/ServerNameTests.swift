import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTLS
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("names of upstream TLS connections")
struct ServerNameTests {
  /// A world whose cluster speaks TLS to a server that calls itself `names`.
  private func world(
    _ names: [String] = ["a.test", "b.test"], cluster change: (inout Cluster, inout UpstreamTLSContext) -> Void
  ) throws -> ProxyWorld {
    let tls = try TLSWorld()
    let world = ProxyWorld(security: TLSSecurity())
    var context = UpstreamTLSContext()
    context.common.validation = tls.validation
    context.sni = "static.test"
    world.simple(cluster: { cluster in
      change(&cluster, &context)
      cluster.tls = context
    })
    var template = CertificateTemplate()
    template.names = names.map { SubjectAltName(.dns, $0) }
    try world.serveTLS(try tls.authority.issue(template).identity)
    world.server.onBytes = { peer in
      guard peer.text.hasSuffix("\r\n\r\n") else { return }
      peer.received = []
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    }
    return world
  }

  private func get(_ world: ProxyWorld, _ host: String, _ fields: String = "") -> Int? {
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n")
    world.run { HTTP1Text(client.received) != nil || client.isOver }
    let status = HTTP1Text(client.received)?.status
    client.close()
    world.settle()
    return status
  }

  private func names(_ world: ProxyWorld) -> [String] { world.server.accepted.map { world.serverName($0) } }

  /// What `/clusters` says of the one endpoint.
  private func numbers(_ world: ProxyWorld) throws -> HostNumbers {
    let worker = try #require(world.engine.readHosts())
    return try #require(worker.hosts.first).numbers
  }

  @Test("each authority has connections of its own that carry its name, whatever its port and case")
  func authorities() throws {
    let world = try world { cluster, _ in cluster.autoSNI = true }
    for host in ["a.test", "b.test", "A.test:8443", "b.test:1", "a.test"] { #expect(get(world, host) == 200) }
    #expect(names(world) == ["a.test", "b.test"])
    #expect(world.value(.sslHandshake) == 2 && world.value(.upstreamCxTotal) == 2)
    // Two names, one endpoint: its numbers are those of both.
    let numbers = try numbers(world)
    #expect(numbers.requestsTotal == 5 && numbers.requestsSucceeded == 5 && numbers.connectionsActive == 2)
    world.expectClean()
  }

  @Test("without it every request shares the configured name")
  func fixedName() throws {
    let world = try world { _, _ in }
    for host in ["a.test", "b.test"] { #expect(get(world, host) == 200) }
    #expect(names(world) == ["static.test"])
  }

  @Test("a certificate must carry the authority, and what one authority may use the other may not")
  func subjectNames() throws {
    let world = try world(["a.test"]) { cluster, _ in
      cluster.autoSNI = true
      cluster.autoSANValidation = true
    }
    #expect(get(world, "a.test") == 200)
    #expect(get(world, "evil.test") == 503)
    #expect(get(world, "a.test") == 200)
    #expect(world.value(.sslFailVerifySAN) >= 1 && world.value(.sslHandshake) == 1)
    #expect(world.value(.upstreamCxConnectFail) >= 1)
    #expect(world.engine.hosts.count == 2, "the endpoint and the part for a.test")
    world.expectClean()
  }

  @Test("an authority that is an address is not sent, but looked for in the certificate")
  func addresses() throws {
    let world = try world { cluster, _ in
      cluster.autoSNI = true
      cluster.autoSANValidation = true
    }
    #expect(get(world, "10.1.2.3:80") == 503)
    #expect(names(world).allSatisfy { $0 == "static.test" || $0.isEmpty })
    #expect(world.value(.sslFailVerifySAN) >= 1)
  }

  @Test("another header may name the server")
  func header() throws {
    let world = try world { cluster, _ in
      cluster.autoSNI = true
      cluster.autoSNIHeader = "x-upstream"
    }
    #expect(get(world, "a.test", "X-Upstream: b.test\r\n") == 200)
    #expect(get(world, "a.test") == 200)
    #expect(names(world) == ["b.test", "a.test"])
  }

  @Test("the endpoint's own name may be sent, and looked for", arguments: ["a.test", "other.test"])
  func hostnames(name: String) throws {
    let world = try world { cluster, context in
      context.autoHostSNI = true
      context.autoSNISANValidation = true
      cluster.loadAssignment.localities[0].endpoints[0].hostname = name
    }
    #expect(get(world, "whatever") == (name == "a.test" ? 200 : 503))
    #expect(world.server.accepted.count >= 1)
    #expect(world.value(.sslFailVerifySAN) == (name == "a.test" ? 0 : 1))
  }

  @Test("a name too long to be sent is refused without a connection")
  func tooLong() throws {
    let world = try world { cluster, _ in cluster.autoSNI = true }
    #expect(get(world, String(repeating: "a", count: 300)) == 503)
    #expect(world.server.accepted.isEmpty)
    world.expectClean()
  }

  @Test("parts of a host go with their last connection, and leave it their numbers")
  func partsGo() throws {
    let world = try world { cluster, _ in
      cluster.autoSNI = true
      cluster.idleTimeout = .seconds(5)
    }
    for host in ["a.test", "b.test"] { #expect(get(world, host) == 200) }
    #expect(world.engine.hosts.count == 3)
    world.advance(by: .seconds(8))
    #expect(world.engine.hosts.count == 1)
    let numbers = try numbers(world)
    #expect(numbers.requestsTotal == 2 && numbers.connectionsTotal == 2 && numbers.connectionsActive == 0)
  }

  @Test("at the limit of connections a new name takes the place of an idle one, and never more")
  func limit() throws {
    let world = try world { cluster, _ in
      cluster.autoSNI = true
      cluster.circuitBreakers.standard.maxConnections = 1
    }
    for host in ["a.test", "b.test", "a.test"] { #expect(get(world, host) == 200) }
    #expect(names(world).count == 3)
    world.settle()
    #expect(world.value(.upstreamCxActive) == 1 && world.value(.upstreamCxOverflow) == 2)
    // While the only connection is busy, another name has to be turned away.
    world.server.onBytes = { _ in }
    let busy = world.connect()
    busy.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    world.settle()
    #expect(get(world, "b.test") == 503)
  }

  @Test("an endpoint that leaves takes its names with it", arguments: [true, false])
  func leaves(isBusy: Bool) throws {
    let world = try world { cluster, _ in cluster.autoSNI = true }
    #expect(get(world, "a.test") == 200)
    let client = world.connect()
    if isBusy {
      world.server.onBytes = { _ in }
      client.send("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n")
      world.settle()
    }
    world.config.clusters[0].loadAssignment.localities = []
    world.apply()
    world.settle()
    #expect(world.engine.hosts.count == (isBusy ? 2 : 0))
    if isBusy {
      world.server.accepted[1].send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
      #expect(world.run { client.text.hasSuffix("ok") })
      world.settle()
      #expect(world.engine.hosts.count == 0)
    }
    world.expectClean()
  }

  @Test(
    "the host of an authority",
    arguments: [
      ("a.test", "a.test"), ("a.test:80", "a.test"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("::1", "::1"), ("", ""),
      ("[", "["),
    ])
  func hosts(authority: String, host: String) {
    #expect(authority.withByteView { ServerName.host(of: $0).string } == host)
  }
}
