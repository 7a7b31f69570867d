import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyControl
@testable import WeftProxyTestKit

/// A proxy whose clusters are looked up: the control side of it, on the proxy's own loop and clock.
private final class NamedWorld {
  let world = ProxyWorld()
  let resolver: FakeResolver
  let control: ProxyControl
  private let controlLoop: EventLoop
  let log = LogOutput(level: .error)

  init(_ cluster: Cluster) throws {
    world.simple()
    for last in [2, 3] as [UInt32] { world.server.listen(8080, at: IPAddress(v4: 0x7f00_0000 + last)) }
    world.config.clusters = [cluster]
    controlLoop = EventLoop(driver: MemoryDriver(network: world.network), seed: 5)
    resolver = FakeResolver(controlLoop)
    let server = try ProxyServer(ProxyServer.Options(concurrency: 0), registry: world.registry)
    control = ProxyControl(
      loop: controlLoop, server: server,
      compiler: SnapshotCompiler(
        metrics: world.registry, logs: AccessLogFiles(workers: 1), random: RandomSource(seed: 3),
        extensions: .basics),
      state: world.config, log: log, drainTime: .seconds(1), resolver: resolver)
    controlLoop.handler = control
    control.compiled = { [world] in world.engine.apply($0.snapshot) }
  }

  func answer(_ addresses: String..., timeToLive: Int = 0) {
    resolver.answers[DNSQuestion("db.mesh")] = .success(
      DNSAnswer(addresses: addresses.compactMap { IPAddress($0) }, timeToLive: .seconds(timeToLive)))
  }

  func fail() { resolver.answers[DNSQuestion("db.mesh")] = .failure(WeftError(.timedOut, "no answer")) }

  func advance(_ duration: Duration) { world.network.advance(world.loops + [controlLoop], by: duration) }

  @discardableResult
  func run(until done: () -> Bool) -> Bool {
    world.network.run(world.loops + [controlLoop], for: .seconds(2), until: done)
  }

  static func cluster(_ discovery: Cluster.Discovery, _ change: (inout Cluster) -> Void = { _ in }) -> Cluster {
    var cluster = Cluster(name: "backend", discovery: discovery)
    var group = LocalityEndpoints()
    group.endpoints = [Endpoint(address: .socket(host: "db.mesh", port: 8080))]
    cluster.loadAssignment.localities = [group]
    change(&cluster)
    return cluster
  }

  /// Where the newest request went, by what the server's end of its connection calls itself.
  func get(_ client: Peer) -> String? {
    let before = world.server.all.reduce(0) { $0 + $1.received.count }
    client.received = []
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    run { world.server.all.reduce(0) { $0 + $1.received.count } > before || !client.received.isEmpty }
    guard let peer = world.server.accepted.first(where: { $0.text.hasSuffix("\r\n\r\n") }) else { return nil }
    let address = world.serverLoop.localAddress(peer.id).ip.description
    peer.received = []
    peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    run { client.text.hasSuffix("ok") }
    return address
  }
}

@Suite("clusters whose hosts are names")
struct DNSClusterTests {
  private func value(_ world: NamedWorld, _ metric: ClusterMetric) -> UInt64 { world.world.value(metric) }

  @Test("clusters that ask the same name by other resolvers have answers of their own")
  func ownResolvers() throws {
    var cluster = NamedWorld.cluster(.strictDNS)
    let system = NameLookup("db.mesh", for: cluster).question
    cluster.dnsResolver = DNSResolver()
    cluster.dnsResolver?.servers = [.socket(host: "127.0.0.9", port: 53)]
    let own = NameLookup("db.mesh", for: cluster).question
    #expect(system != own && own.resolver?.servers.map(\.description) == ["127.0.0.9:53"])
    let named = try NamedWorld(cluster)
    named.resolver.answers[system] = .success(DNSAnswer(addresses: [IPAddress("127.0.0.3")!], timeToLive: .zero))
    named.resolver.answers[own] = .success(DNSAnswer(addresses: [.loopback4], timeToLive: .zero))
    named.control.start()
    named.advance(.milliseconds(1))
    #expect(named.get(named.world.connect()) == "127.0.0.1")
  }

  @Test("a logical host's new address serves new connections; those it has are kept")
  func logical() throws {
    let named = try NamedWorld(NamedWorld.cluster(.logicalDNS))
    named.answer("127.0.0.1", "127.0.0.2")
    named.control.start()
    named.advance(.milliseconds(1))
    #expect(value(named, .membershipTotal) == 1)
    let client = named.world.connect()
    #expect(named.get(client) == "127.0.0.1")
    named.answer("127.0.0.2", "127.0.0.3")
    named.advance(.seconds(6))
    // The connection that is there stays in use, though its address has left the answer.
    #expect(named.get(client) == "127.0.0.1")
    #expect(named.world.server.accepted.count == 1 && !named.world.server.accepted[0].isOver)
    #expect(value(named, .membershipTotal) == 1 && value(named, .upstreamCxDestroy) == 0)
    // A second request at the same time needs a connection of its own, and that goes to the new address.
    let other = named.world.connect()
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    named.run { named.world.server.accepted[0].text.hasSuffix("\r\n\r\n") }
    named.world.server.accepted[0].received = []
    #expect(named.get(other) == "127.0.0.2")
    #expect(value(named, .upstreamCxTotal) == 2 && named.world.engine.hosts.count == 1)
    #expect(value(named, .membershipChange) == 1)
  }

  @Test("hosts of a strict cluster leave with their addresses")
  func strict() throws {
    let named = try NamedWorld(NamedWorld.cluster(.strictDNS))
    named.answer("127.0.0.1")
    named.control.start()
    named.advance(.milliseconds(1))
    let client = named.world.connect()
    #expect(named.get(client) == "127.0.0.1")
    named.answer("127.0.0.2")
    named.advance(.seconds(6))
    #expect(named.world.server.accepted[0].isOver)
    #expect(named.get(client) == "127.0.0.2")
    #expect(value(named, .membershipChange) == 2)
  }

  @Test("the order of an answer changes nothing for a strict cluster")
  func order() throws {
    let named = try NamedWorld(NamedWorld.cluster(.strictDNS))
    named.answer("127.0.0.1", "127.0.0.2")
    named.control.start()
    named.advance(.milliseconds(1))
    #expect(value(named, .membershipTotal) == 2)
    var compilations = 0
    named.control.compiled = { _ in compilations += 1 }
    named.answer("127.0.0.2", "127.0.0.1")
    named.advance(.seconds(6))
    #expect(compilations == 0)
    #expect(value(named, .updateAttempt) == 2 && value(named, .updateSuccess) == 2)
    #expect(value(named, .updateNoRebuild) == 1)
  }

  @Test(
    "a name is asked for again after its time to live, and failures leave what was known", arguments: [true, false])
  func refresh(logical: Bool) throws {
    let named = try NamedWorld(
      NamedWorld.cluster(logical ? .logicalDNS : .strictDNS) {
        $0.respectDNSTTL = true
        $0.dnsFailureRefreshBase = .seconds(2)
        $0.dnsFailureRefreshMax = .seconds(2)
      })
    named.answer("127.0.0.1", timeToLive: 30)
    named.control.start()
    named.advance(.seconds(29))
    #expect(named.resolver.asked.count == 1)
    named.fail()
    named.advance(.seconds(2))
    #expect(named.resolver.asked.count >= 2)
    named.advance(.seconds(10))
    #expect(named.resolver.asked.count >= 5)
    #expect(value(named, .updateFailure) >= 4)
    #expect(value(named, .membershipTotal) == 1)
    #expect(named.get(named.world.connect()) == "127.0.0.1")
  }

  @Test("a cluster that comes later is looked up, one that goes is not looked up any more")
  func clustersComeAndGo() throws {
    let named = try NamedWorld(Cluster(name: "backend"))
    named.answer("127.0.0.1")
    named.control.start()
    named.advance(.seconds(6))
    #expect(named.resolver.asked.isEmpty)
    named.control.update { $0.clusters = [NamedWorld.cluster(.logicalDNS)] }
    named.advance(.seconds(6))
    #expect(named.resolver.asked.count == 2)
    #expect(named.get(named.world.connect()) == "127.0.0.1")
    named.control.update { $0.clusters = [Cluster(name: "backend")] }
    named.advance(.seconds(20))
    #expect(named.resolver.asked.count <= 3)
  }
}
