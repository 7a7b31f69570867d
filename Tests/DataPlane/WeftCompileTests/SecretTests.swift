import Testing
import WeftBase
import WeftModel
import WeftRuntime
import WeftTLS
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit
@testable import WeftTables

@Suite("secrets by name")
struct SecretTests {
  let metrics = MetricsRegistry(workers: 1)

  func compiler(_ security: TLSSecurity = TLSSecurity()) -> SnapshotCompiler {
    SnapshotCompiler(
      metrics: metrics, logs: AccessLogFiles(workers: 1, opensFiles: false), security: security,
      random: RandomSource(seed: 1), extensions: .basics)
  }

  /// A cluster whose certificate is a secret of the aggregated stream.
  static func cluster(_ name: String, secret: String, trust: String? = nil) -> Cluster {
    var cluster = SnapshotCompilerTests.cluster(name)
    var tls = UpstreamTLSContext()
    tls.common.certificateSecrets = [SecretReference(name: secret, source: .ads)]
    tls.common.validationSecret = trust.map { SecretReference(name: $0, source: .ads) }
    cluster.tls = tls
    return cluster
  }

  static func listener(_ name: String, secret: String, port: UInt16 = 1) -> Listener {
    var listener = SnapshotCompilerTests.listener(name, .inline(SnapshotCompilerTests.table("c0")), port: port)
    var tls = DownstreamTLSContext()
    tls.common.certificateSecrets = [SecretReference(name: secret, source: .ads)]
    listener.filterChains[0].tls = tls
    return listener
  }

  static func key(_ name: String) -> SecretKey { SecretKey(name, .stream) }

  @Test("one of fifty secrets rotated renews the clusters that use it, and no other")
  func rotation() throws {
    let authority = try TLSWorld()
    let security = TLSSecurity()
    let compiler = compiler(security)
    var state = ConfigState()
    for i in 0..<50 {
      state.secrets[Self.key("s\(i)")] = Secret(
        name: "s\(i)", content: .certificate(try authority.certificate(SubjectAltName(.dns, "\(i).test"))))
      state.clusters.append(Self.cluster("c\(i)", secret: "s\(i)"))
      state.listeners.append(Self.listener("l\(i)", secret: "s\(i)", port: UInt16(1000 + i)))
    }
    let before = compiler.compile(state)
    #expect(before.rejections == [] && before.warming == [] && before.missingSecrets.isEmpty)
    state.secrets[Self.key("s7")]?.content = .certificate(try authority.certificate(SubjectAltName(.dns, "7.test")))
    let after = compiler.compile(state)
    for i in 0..<50 {
      let same = before.snapshot.clusters[i]! == after.snapshot.clusters[i]!
      let kept = before.snapshot.clusters[i]![].identity == after.snapshot.clusters[i]![].identity
      #expect(same == (i != 7) && kept == (i != 7))
      #expect((before.snapshot.listeners[i] == after.snapshot.listeners[i]) == (i != 7))
      // Connections of a listener live on; its chains stay who they are.
      #expect(
        before.snapshot.listeners[i][].chains[0][].identity == after.snapshot.listeners[i][].chains[0][].identity)
    }
    #expect(metrics.value(ClusterMetric.sslUpdateBySDS, metrics.scope(ScopeKey(.cluster, "c7"))) == 1)
    #expect(metrics.value(ClusterMetric.sslUpdateBySDS, metrics.scope(ScopeKey(.cluster, "c8"))) == 0)
  }

  @Test("clusters with the same content share a context, whatever its name; a context goes with its last user")
  func sharing() throws {
    let authority = try TLSWorld()
    let certificate = try authority.certificate(SubjectAltName(.dns, "a.test"))
    let security = TLSSecurity()
    let compiler = compiler(security)
    var state = ConfigState()
    for i in 0..<20 {
      state.secrets[Self.key("s\(i)")] = Secret(name: "s\(i)", content: .certificate(certificate))
      state.clusters.append(Self.cluster("c\(i)", secret: "s\(i)"))
      state.clusters[i].tls?.sni = "\(i).test"
    }
    var compilation: Compilation? = compiler.compile(state)
    #expect(compilation?.rejections == [] && security.contextCount == 1)
    // Names that are sent keep connections apart all the same.
    #expect(Set((0..<20).compactMap { compilation?.snapshot.clusters[$0]?[].identity }).count == 20)
    state.clusters = []
    compilation = compiler.compile(state)
    compilation = compiler.compile(state)
    #expect(security.contextCount == 0)
  }

  @Test("the same configuration has the same identities in every compiler")
  func stability() throws {
    let authority = try TLSWorld()
    var state = ConfigState()
    state.secrets[Self.key("s")] = Secret(
      name: "s", content: .certificate(try authority.certificate(SubjectAltName(.dns, "a.test"))))
    state.clusters = [Self.cluster("c0", secret: "s"), SnapshotCompilerTests.cluster("plain")]
    state.listeners = [Self.listener("l", secret: "s")]
    let one = compiler().compile(state).snapshot
    let two = compiler().compile(state).snapshot
    for i in 0..<2 { #expect(one.clusters[i]![].identity == two.clusters[i]![].identity) }
    #expect(one.listeners[0][].socketIdentity == two.listeners[0][].socketIdentity)
    // Of a plain one, they are those of any other process, too.
    #expect(one.clusters[1]![].identity == 1_075_083_665_536_010_949)
  }

  @Test("who needs a secret waits for it, and goes on without it when the wait is over")
  func warming() throws {
    let authority = try TLSWorld()
    let compiler = compiler()
    var state = ConfigState()
    state.clusters = [Self.cluster("c0", secret: "s", trust: "t")]
    state.listeners = [Self.listener("l", secret: "s")]
    state.listeners[0].filterChains[0].tls?.common.certificateSecrets[0].source?.initialFetchTimeout = .seconds(3)
    var compilation = compiler.compile(state)
    #expect(compilation.rejections == [] && compilation.warming == ["l"])
    #expect(compilation.snapshot.clusters.count == 0 && compilation.snapshot.listeners.isEmpty)
    // The longest of those who wait.
    #expect(compilation.missingSecrets == [Self.key("s"): .seconds(15), Self.key("t"): .seconds(15)])
    state.absentSecrets = [Self.key("s"), Self.key("t")]
    compilation = compiler.compile(state)
    #expect(compilation.rejections == [] && compilation.warming == [] && compilation.missingSecrets.isEmpty)
    #expect(compilation.snapshot.clusters[0]?[].security?.isReady == false)
    #expect(compilation.snapshot.listeners[0][].chains[0][].tls?.isReady == false)
    // One of two is not enough.
    state.secrets[Self.key("s")] = Secret(
      name: "s", content: .certificate(try authority.certificate(SubjectAltName(.dns, "a.test"))))
    compilation = compiler.compile(state)
    #expect(compilation.snapshot.clusters[0]?[].security?.isReady == false)
    #expect(compilation.snapshot.listeners[0][].chains[0][].tls?.isReady == true)
    state.secrets[Self.key("t")] = Secret(name: "t", content: .validation(authority.validation))
    compilation = compiler.compile(state)
    #expect(compilation.rejections == [] && compilation.snapshot.clusters[0]?[].security?.isReady == true)
  }

  @Test("a secret that is gone leaves what was made of it in force")
  func gone() throws {
    let authority = try TLSWorld()
    let compiler = compiler()
    var state = ConfigState()
    state.secrets[Self.key("s")] = Secret(
      name: "s", content: .certificate(try authority.certificate(SubjectAltName(.dns, "a.test"))))
    state.clusters = [Self.cluster("c0", secret: "s")]
    let before = compiler.compile(state)
    state.secrets = [:]
    let after = compiler.compile(state)
    #expect(before.snapshot.clusters[0]! == after.snapshot.clusters[0]!)
    #expect(after.missingSecrets == [Self.key("s"): .seconds(15)])
  }

  @Test("a static secret that the bootstrap does not have is refused: nobody can bring it")
  func unknownStatic() {
    var state = ConfigState()
    state.clusters = [Self.cluster("c0", secret: "s")]
    state.clusters[0].tls?.common.certificateSecrets[0].source = nil
    let compilation = compiler().compile(state)
    #expect(compilation.rejections.first?.description.contains("unknown static secret \"s\"") ?? false)
    #expect(compilation.missingSecrets.isEmpty)
  }

  @Test("a secret that is no certificate, or whose key is another's, is refused; the last good one stays in force")
  func unfit() throws {
    let authority = try TLSWorld()
    let compiler = compiler()
    let (a, b) = (
      try authority.certificate(SubjectAltName(.dns, "a.test")),
      try authority.certificate(SubjectAltName(.dns, "b.test"))
    )
    var state = ConfigState()
    state.secrets[Self.key("s")] = Secret(name: "s", content: .certificate(a))
    state.clusters = [Self.cluster("c0", secret: "s")]
    state.listeners = [Self.listener("l", secret: "s")]
    let before = compiler.compile(state)
    #expect(before.rejections == [])
    for (content, reason) in [
      (
        Secret.Content.validation(authority.validation),
        "secret \"s\" must be a tls_certificate, is a validation_context"
      ),
      (.certificate(TLSCertificate(chain: a.chain, privateKey: b.privateKey)), "does not fit the certificate"),
    ] {
      state.secrets[Self.key("s")]?.content = content
      let after = compiler.compile(state)
      #expect(after.rejections.count == 2)
      for refusal in after.rejections {
        #expect(
          refusal.message.contains(reason)
            && "\(refusal.path)".contains("transport_socket.typed_config.common_tls_context"),
          "\(refusal)")
      }
      #expect(before.snapshot.clusters[0]! == after.snapshot.clusters[0]!)
      #expect(before.snapshot.listeners[0] == after.snapshot.listeners[0])
    }
  }

  @Test("connections without their secret fail and are counted", arguments: [true, false])
  func notReady(atListener: Bool) {
    let world = ProxyWorld(security: ToySecurity())
    world.simple()
    if atListener {
      var tls = DownstreamTLSContext()
      tls.common.certificateSecrets = [SecretReference(name: "s", source: .ads)]
      world.config.listeners[0].filterChains[0].tls = tls
    } else {
      world.config.clusters[0] = Self.cluster("backend", secret: "s")
    }
    world.config.absentSecrets = [Self.key("s")]
    world.apply()
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    if atListener {
      #expect(world.run { client.isOver })
      let scope = world.registry.scope(ScopeKey(.listener, "127.0.0.1:15001"))
      #expect(world.registry.value(ListenerMetric.sslSecretsNotReady, scope) == 1)
    } else {
      #expect(world.run { HTTP1Text(client.received) != nil })
      #expect(HTTP1Text(client.received)?.status == 503)
      #expect(world.value(ClusterMetric.sslSecretsNotReady) == 1)
      world.settle()
      world.expectClean()
    }
  }

  @Test("a rotated secret renews the connections of its cluster alone")
  func renewal() throws {
    let authority = try TLSWorld()
    let world = ProxyWorld(security: TLSSecurity())
    world.simple()
    try world.serveTLS(try authority.identity(SubjectAltName(.dns, "server.test")))
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    var action = RouteAction(cluster: .header("x-cluster"))
    action.timeout = .seconds(5)
    var host = VirtualHost(name: "all", domains: ["*"])
    host.routes = [Route(match: RouteMatch(.prefix("/")), action: .forward(action))]
    var routes = RouteConfiguration(name: "routes")
    routes.virtualHosts = [host]
    world.listen([.httpConnectionManager(HTTPConnectionManager(statPrefix: "test", routes: .inline(routes)))])
    world.config.clusters = []
    for i in 0..<5 {
      var cluster = Self.cluster("c\(i)", secret: "s\(i)")
      cluster.loadAssignment.localities[0].endpoints[0].address = .socket(host: "127.0.0.1", port: 8080)
      world.config.clusters.append(cluster)
      world.config.secrets[Self.key("s\(i)")] = Secret(
        name: "s\(i)", content: .certificate(try authority.certificate(SubjectAltName(.dns, "\(i).test"))))
    }
    world.apply()
    let client = world.connect()
    func ask(_ i: Int) {
      client.received = []
      client.send("GET / HTTP/1.1\r\nHost: a\r\nx-cluster: c\(i)\r\n\r\n")
      #expect(world.run { HTTP1Text(client.received)?.status == 200 })
    }
    for i in 0..<5 { ask(i) }
    #expect(world.server.accepted.count == 5)
    world.config.secrets[Self.key("s3")]?.content = .certificate(
      try authority.certificate(SubjectAltName(.dns, "3.test")))
    world.apply()
    for i in 0..<5 { ask(i) }
    #expect(world.run { world.server.accepted[3].isOver })
    #expect(world.server.accepted.count == 6)
    for i in [0, 1, 2, 4, 5] { #expect(!world.server.accepted[i].isOver) }
  }
}
