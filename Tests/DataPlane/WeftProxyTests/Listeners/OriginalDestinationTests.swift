import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("clusters that go wherever the client meant to go")
struct OriginalDestinationTests {
  private func get(_ path: String = "/") -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

  private func world(_ change: (inout Cluster) -> Void = { _ in }) -> ProxyWorld {
    let world = ProxyWorld()
    world.simple(cluster: {
      $0.discovery = .originalDestination(useHTTPHeader: false, headerName: "", cleanupInterval: .seconds(5))
      $0.loadBalancing.policy = .clusterProvided
      $0.loadAssignment.localities = []
      change(&$0)
    })
    world.config.listeners[0].listenerFilters = [.originalDestination]
    world.apply()
    world.server.listen(8081)
    world.clientDriver.redirectedFrom = SocketAddress(.loopback4, port: 8080)
    return world
  }

  @Test("requests are served, and those to one address share its connections", arguments: Version.allCases)
  func served(version: Version) {
    let world = world { $0.upstreamProtocol = version == .two ? .http2 : .http1 }
    let ends = Ends(world, client: .one, server: version) { _ in (200, [1], false, []) }
    for i in 0..<5 { #expect(ends.exchange(.get, "/\(i)")?.status == 200) }
    #expect(world.server.accepted.map(\.port) == [8080])
    #expect(world.value(ClusterMetric.upstreamCxTotal) == 1)
    world.clientDriver.redirectedFrom = SocketAddress(.loopback4, port: 8081)
    let other = Ends(world, client: .one, server: version) { _ in (200, [2], false, []) }
    #expect(other.exchange()?.body == [2])
    #expect(world.server.accepted.map(\.port) == [8080, 8081])
    world.settle()
    world.expectClean()
    #expect(world.engine.hosts.count == 2)
  }

  @Test("the connection limit holds for one address")
  func connectionLimit() {
    let world = world { $0.circuitBreakers.standard.maxConnections = 1 }
    let clients = (0..<3).map { _ in world.connect() }
    for client in clients { client.send(get()) }
    world.settle()
    #expect(world.server.accepted.count == 1)
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    world.server.accepted[0].send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    #expect(world.run { clients.allSatisfy { $0.text.hasSuffix("ok") } })
    #expect(world.server.accepted.count == 1)
    world.settle()
    world.expectClean()
  }

  @Test("a cluster of another kind that takes the name lets go of the hosts without looking at them all the time")
  func anotherKind() {
    let world = world()
    let ends = Ends(world, client: .one, server: .one) { _ in (200, [1], false, []) }
    #expect(ends.exchange()?.status == 200)
    // The idle connection keeps its host.
    world.config.clusters[0].discovery = .fixed
    world.config.clusters[0].loadBalancing.policy = .roundRobin
    world.apply()
    let before = world.proxyLoop.statistics.timersFired
    world.advance(by: .seconds(60))
    #expect(world.proxyLoop.statistics.timersFired - before < 300)
    world.server.accepted[0].close()
    world.advance(by: .seconds(11))
    #expect(world.engine.hosts.count == 0)
    world.expectClean()
  }

  @Test("a host goes when nothing has used it for the cleanup interval, and comes back when it is wanted")
  func cleanup() {
    let world = world()
    let ends = Ends(world, client: .one, server: .one) { _ in (200, [1], false, []) }
    #expect(ends.exchange()?.status == 200)
    world.advance(by: .seconds(20))
    // Its idle connection keeps it.
    #expect(world.engine.hosts.count == 1)
    world.server.accepted[0].close()
    world.settle()
    #expect(world.engine.hosts.count == 1)
    world.advance(by: .seconds(11))
    #expect(world.engine.hosts.count == 0)
    #expect(ends.exchange()?.status == 200)
    #expect(world.engine.hosts.count == 1)
    // With the cluster its hosts go.
    world.config.clusters = []
    world.apply()
    for peer in world.client.all { peer.close() }
    world.settle()
    #expect(world.engine.hosts.count == 0)
    #expect(world.engine.clusters.count == 0)
  }

  @Test("a TCP session that the connection limit refuses leaves no host behind")
  func overflowTCP() {
    let world = world { $0.circuitBreakers.standard.maxConnections = 0 }
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
    world.config.listeners[0].listenerFilters = [.originalDestination]
    world.apply()
    for _ in 0..<3 {
      let client = world.connect()
      #expect(world.run { client.isOver })
    }
    #expect(world.value(ClusterMetric.upstreamCxOverflow) == 3)
    world.advance(by: .seconds(11))
    #expect(world.engine.hosts.count == 0)
  }
}
