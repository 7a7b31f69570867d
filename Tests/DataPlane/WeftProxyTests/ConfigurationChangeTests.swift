import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("configurations that change under connections and requests")
struct ConfigurationChangeTests {
  private func cluster(_ name: String, _ ports: [UInt16]) -> Cluster {
    var cluster = Cluster(name: name)
    var endpoints = LocalityEndpoints()
    for port in ports { endpoints.endpoints.append(Endpoint(address: .socket(host: "127.0.0.1", port: port))) }
    cluster.loadAssignment.localities = [endpoints]
    return cluster
  }

  @Test("a cluster that nobody used is removed, whatever the number of its hosts", arguments: [0, 1, 3])
  func removesUnused(hosts: Int) {
    let world = ProxyWorld()
    world.simple()
    let kept = world.config.clusters
    world.config.clusters.append(cluster("spare", (0..<hosts).map { 9000 + UInt16($0) }))
    world.apply()
    #expect(world.engine.clusters.count == 2)
    world.config.clusters = kept
    world.apply()
    #expect(world.engine.clusters.count == 1)
    #expect(world.engine.hosts.count == 1)
  }

  @Test("a connection whose first bytes come after a change takes all of its chain from the new configuration")
  func firstBytesAfterChange() {
    let world = ProxyWorld()
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("wanted")))])
    world.config.listeners[0].listenerFilters = [.tlsInspector()]
    world.config.clusters = [cluster("other", [8080]), cluster("wanted", [8081])]
    world.server.listen(8080)
    world.server.listen(8081)
    world.apply()
    let client = world.connect()
    world.settle()
    #expect(client.isConnected)
    #expect(world.server.accepted.isEmpty)
    // In the second configuration the listener's cluster has the place that another one has in the first.
    world.config.clusters.removeFirst()
    world.apply()
    client.send("hello")
    #expect(world.run { world.server.accepted.first?.text == "hello" })
    #expect(world.server.accepted.first?.port == 8081)
    #expect(world.engine.configuration[].snapshots.count { $0 != nil } == 1)
    // And a third one does not pull the chain from under it.
    world.config.clusters.insert(cluster("another", [8082]), at: 0)
    world.apply()
    client.send(" again")
    #expect(world.run { world.server.accepted.first?.text == "hello again" })
    client.close()
    world.settle()
    #expect(world.engine.streams.count == 0)
  }

  @Test("a cluster that goes and comes back goes on counting its requests in flight")
  func breakersSurvive() {
    let world = ProxyWorld()
    world.simple(cluster: { $0.circuitBreakers.standard.maxRequests = 2 })
    let clusters = world.config.clusters
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.config.clusters = []
    world.apply()
    world.config.clusters = clusters
    world.apply()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    world.server.accepted[0].send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    #expect(world.run { client.text.hasSuffix("ok") })
    // Were the first request given back to a counter that never counted it, no other one would pass again.
    client.received = []
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { client.text.hasSuffix("ok") || client.isOver })
    #expect(client.text.hasPrefix("HTTP/1.1 200 "))
    world.settle()
    world.expectClean()
  }

  @Test("an address listed twice is two hosts, before and after a change with requests in flight")
  func sameAddressTwice() {
    let world = ProxyWorld()
    world.simple(ports: [8080, 8080])
    let clients = (0..<4).map { _ in world.connect() }
    for client in clients { client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
    #expect(world.run { world.server.accepted.count { $0.text.hasSuffix("\r\n\r\n") } == 4 })
    world.apply()
    #expect(world.engine.hosts.count == 2)
    for peer in world.server.accepted { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    #expect(world.run { clients.allSatisfy { $0.text.hasSuffix("ok") } })
    world.apply()
    world.settle()
    world.expectClean()
    // One of them leaves.
    world.config.clusters = [cluster("backend", [8080])]
    world.apply()
    world.settle()
    #expect(world.engine.hosts.count == 1)
  }

  private let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
  private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  /// One request in flight at 8080 and two that wait for its connection.
  private func worldWithWaiters() -> (ProxyWorld, [Peer]) {
    let world = ProxyWorld()
    world.simple(cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    let clients = (0..<3).map { _ in world.connect() }
    for client in clients { client.send(get) }
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.settle()
    #expect(world.server.accepted.count == 1)
    #expect(world.value(ClusterMetric.upstreamRqPendingActive) == 2)
    let ok = ok
    world.server.onBytes = { $0.send(ok) }
    return (world, clients)
  }

  @Test("requests that wait for a connection of a host that leaves go to another host")
  func waitersMove() {
    let (world, clients) = worldWithWaiters()
    world.simple(ports: [8081], cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    #expect(world.run { clients.count { $0.text.hasSuffix("ok") } == 2 })
    world.server.accepted[0].send(ok)
    #expect(world.run { clients.allSatisfy { $0.text.hasSuffix("ok") } })
    #expect(world.server.accepted.map(\.port) == [8080, 8081])
    #expect(world.run { world.server.accepted[0].isOver })
    world.settle()
    world.expectClean()
    #expect(world.engine.hosts.count == 1)
  }

  @Test("requests that wait for the last host, which leaves, are served by it, without connecting in a loop")
  func waitersOfTheLastHost() {
    let (world, clients) = worldWithWaiters()
    world.config.clusters = [cluster("backend", [])]
    world.config.clusters[0].circuitBreakers.standard.maxConnections = 1
    world.apply()
    world.server.accepted[0].send(ok)
    #expect(world.run { clients.allSatisfy { $0.text.hasSuffix("ok") } })
    #expect(world.run { world.server.accepted[0].isOver })
    #expect(world.server.accepted.count == 1)
    world.settle()
    world.expectClean()
    #expect(world.engine.hosts.count == 0)
  }

  @Test("requests that wait for a host that has left and then dies are answered, not kept waiting")
  func waitersOfADeadHost() {
    let (world, clients) = worldWithWaiters()
    world.config.clusters = [cluster("backend", [])]
    world.config.clusters[0].circuitBreakers.standard.maxConnections = 1
    world.apply()
    world.server.accepted[0].close()
    #expect(world.run(for: .seconds(1)) { clients.allSatisfy { $0.text.hasPrefix("HTTP/1.1 503 ") } })
    #expect(world.server.accepted.count == 1)
    world.settle()
    world.expectClean()
    #expect(world.engine.hosts.count == 0)
  }

  @Test("a host that leaves with many connections closes them over several turns", arguments: [false, true])
  func departure(all: Bool) {
    var limits = WorkerEngine.Limits()
    limits.closesPerTurn = 4
    let world = ProxyWorld(limits: limits)
    world.simple(ports: [8080, 8081])
    world.server.onBytes = { peer in
      guard peer.text.hasSuffix("\r\n\r\n") else { return }
      peer.received = []
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    }
    let clients = (0..<40).map { _ in world.connect() }
    for client in clients { client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
    #expect(world.run { clients.allSatisfy { $0.text.hasPrefix("HTTP/1.1 200 ") } })
    for client in clients { client.close() }
    world.settle()
    let before = world.engine.upstreams.count
    #expect(before > 16)
    func closing() -> Int {
      var count = 0
      world.engine.upstreams.forEach { if world.engine.upstreams[$0].life.isClosed { count += 1 } }
      return count
    }
    if all { world.config.clusters = [] } else { world.config.clusters[0].loadAssignment.localities[0].endpoints = [] }
    world.apply()
    #expect(closing() == 4)
    #expect(world.run { world.server.accepted.allSatisfy(\.isOver) })
    world.settle()
    #expect(world.engine.upstreams.count == 0 && world.engine.hosts.count == 0)
    #expect(world.engine.clusters.count == (all ? 0 : 1))
  }
}
