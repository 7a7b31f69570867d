import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("attempts: their time-outs, their books, their hosts")
struct AttemptTests {
  private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
  private let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

  private func retrying(_ change: @escaping (inout RetryPolicy) -> Void) -> (inout RouteAction) -> Void {
    {
      var policy = RetryPolicy(retryOn: [.serverError])
      change(&policy)
      $0.retryPolicy = policy
    }
  }

  @Test("a retry after per_try_idle_timeout has that time again")
  func idleAgain() {
    let world = ProxyWorld()
    world.simple(route: retrying { $0.perTryIdleTimeout = .seconds(1) })
    let client = world.connect()
    client.send(get)
    world.advance(by: .milliseconds(1200))
    #expect(world.server.accepted.count == 2)
    world.advance(by: .milliseconds(500))
    #expect(client.received.isEmpty)
    world.server.accepted[1].send(ok)
    #expect(world.run { client.text.hasSuffix("ok") })
    #expect(world.value(ClusterMetric.upstreamRqPerTryIdleTimeout) == 1)
    world.settle()
    world.expectClean()
  }

  @Test("per_try_timeout does not run while the client still sends")
  func slowUpload() {
    let world = ProxyWorld()
    world.simple(route: retrying { $0.perTryTimeout = .milliseconds(500) })
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\n\r\nab")
    world.advance(by: .seconds(3))
    #expect(world.value(ClusterMetric.upstreamRqPerTryTimeout) == 0)
    client.send("cd")
    world.advance(by: .milliseconds(400))
    #expect(world.server.accepted.count == 1)
    // From the end of the request on it does.
    world.advance(by: .milliseconds(300))
    #expect(world.value(ClusterMetric.upstreamRqPerTryTimeout) == 1)
    #expect(world.run { world.server.accepted.count == 2 })
    world.server.accepted[1].send(ok)
    #expect(world.run { client.text.hasSuffix("ok") })
    world.settle()
    world.expectClean()
  }

  private func books(_ world: ProxyWorld) -> (requests: UInt64, pending: UInt64) {
    var found: (UInt64, UInt64) = (0, 0)
    world.engine.clusters.forEach {
      let breaker = world.engine.clusters[$0].standard
      found = (breaker.used(.requests), breaker.used(.pending))
    }
    return found
  }

  @Test("a request that waits for a connection is pending, and does not count as running besides")
  func pendingOnly() {
    let world = ProxyWorld()
    world.simple(cluster: {
      $0.circuitBreakers.standard.maxConnections = 1
      $0.circuitBreakers.standard.maxRequests = 1
    })
    let clients = (0..<3).map { _ in world.connect() }
    for client in clients { client.send(get) }
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.settle()
    #expect(books(world) == (1, 2))
    #expect(world.value(ClusterMetric.upstreamRqActive) == 1)
    let ok = ok
    world.server.onBytes = { $0.send(ok) }
    world.server.accepted[0].send(ok)
    #expect(world.run { clients.allSatisfy { $0.text.hasSuffix("ok") } })
    world.settle()
    world.expectClean()
    #expect(books(world) == (0, 0))
  }

  @Test("of those who wait for one connection, only as many begin as may run at once")
  func runningLimit() {
    let world = ProxyWorld()
    world.simple(upstream: .two, cluster: { $0.circuitBreakers.standard.maxRequests = 2 })
    var held: [(H2Peer, H2StreamID)] = []
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, _ in held.append((h2, id)) }
    }
    let clients = (0..<4).map { _ in world.connect() }
    for client in clients { client.send(get) }
    #expect(world.run { held.count == 2 && clients.count { $0.text.hasPrefix("HTTP/1.1 503 ") } == 2 })
    #expect(world.value(ClusterMetric.upstreamRqPendingOverflow) == 2)
    for (h2, id) in held { h2.respond(id, 200, body: [1]) }
    #expect(world.run { clients.count { $0.text.hasPrefix("HTTP/1.1 200 ") } == 2 })
    world.settle()
    world.expectClean()
    #expect(books(world) == (0, 0))
  }

  @Test("an ejection leaves degraded hosts degraded")
  func degradedStays() {
    let world = ProxyWorld()
    var outliers = OutlierDetection()
    outliers.consecutive5xx = 1
    outliers.maxEjectionPercent = 50
    world.simple(
      ports: Array(8080...8088),
      cluster: {
        $0.loadAssignment.localities[0].endpoints[8].health = .degraded
        $0.outlierDetection = outliers
      })
    let ok = ok
    world.server.onBytes = { peer in
      guard peer.text.hasSuffix("\r\n\r\n") else { return }
      peer.received = []
      peer.send(peer.port == 8080 ? "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n" : ok)
    }
    let client = world.connect()
    for _ in 0..<60 {
      client.received = []
      client.send(get)
      #expect(world.run { HTTP1Text(client.received) != nil })
    }
    #expect(world.value(ClusterMetric.outlierEjectionsEnforcedTotal) == 1)
    #expect(!world.server.accepted.contains { $0.port == 8088 })
  }

  @Test("the gauges of healthy and ejected hosts follow an ejection at once, without another request")
  func levels() {
    let world = ProxyWorld()
    var outliers = OutlierDetection()
    outliers.consecutive5xx = 1
    world.simple(ports: [8080, 8081, 8082], cluster: { $0.outlierDetection = outliers })
    func levels() -> [UInt64] {
      [.membershipTotal, .membershipHealthy, .outlierEjectionsActive].map { (m: ClusterMetric) in world.value(m) }
    }
    #expect(levels() == [3, 3, 0])
    world.server.onBytes = { $0.send("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n") }
    let client = world.connect()
    client.send(get)
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(levels() == [3, 2, 1])
    // Without detection nobody is out.
    world.config.clusters[0].outlierDetection = nil
    world.apply()
    #expect(levels() == [3, 3, 0])
  }

  @Test("a gRPC failure in a response of nothing but a head counts against its host")
  func trailersOnly() {
    let world = ProxyWorld()
    var outliers = OutlierDetection()
    outliers.consecutive5xx = 3
    world.simple(cluster: { $0.outlierDetection = outliers })
    world.server.onBytes = {
      $0.send("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\ncontent-length: 0\r\n\r\n")
    }
    let client = world.connect()
    for _ in 0..<3 {
      client.received = []
      client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n")
      #expect(world.run { HTTP1Text(client.received) != nil })
    }
    #expect(world.value(ClusterMetric.outlierDetectedConsecutive5xx) == 1)
  }

  @Test("what the upstream spoke is known when its connection has gone back to the pool")
  func upstreamProtocol() {
    let world = ProxyWorld()
    world.simple()
    let client = world.connect()
    client.send(get)
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    var s = StreamIndex.none
    world.engine.streams.forEach { s = $0 }
    world.engine.detach(s, reusable: false)
    #expect(world.engine.record(s).upstreamProtocol == .http11)
  }

  @Test("another try avoids the host that failed, wherever an update has put it", arguments: [false, true])
  func triedHostMoves(isReversed: Bool) {
    let world = ProxyWorld(seed: isReversed ? 2 : 1)
    world.simple(
      ports: isReversed ? [8081, 8080] : [8080, 8081],
      route: { route in
        var policy = RetryPolicy(retryOn: [.serverError])
        policy.maxRetries = 1
        policy.avoidPreviousHosts = true
        policy.hostSelectionMaxAttempts = 20
        policy.backoffBase = .seconds(5)
        policy.backoffMax = .seconds(5)
        route.retryPolicy = policy
      })
    var asked: [UInt16] = []
    world.server.onBytes = { peer in
      asked.append(peer.port)
      peer.received = []
      peer.send("HTTP/1.1 \(asked.count == 1 ? 503 : 200) X\r\ncontent-length: 0\r\n\r\n")
    }
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(world.run { asked.count == 1 })
    world.config.clusters[0].loadAssignment.localities[0].endpoints.reverse()
    world.apply()
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(asked.count == 2 && asked[0] != asked[1])
  }

  @Test("an entry far down a weighted route changes headers like any other")
  func manyEntries() {
    let world = ProxyWorld()
    world.simple(route: { route in
      var entries = (0..<33_000).map { _ in WeightedClusters.Entry(name: "backend", weight: 0) }
      entries[32_999].weight = 1
      entries[32_999].headers.response.add = [HeaderValueOption(name: "x-entry", value: "last")]
      route.cluster = .weighted(WeightedClusters(entries))
    })
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.first("x-entry") == "last")
  }

  @Test("what a route adds to a request names path and host as the client sent them, whatever they are rewritten to")
  func addedBeforeRewriting() {
    let world = ProxyWorld()
    world.simple(
      manager: { manager in
        guard case .inline(var routes) = manager.routes else { return }
        routes.virtualHosts[0].headers.request.add = [
          HeaderValueOption(name: "x-came", value: "%REQ(:PATH)% %REQ(:AUTHORITY)%")
        ]
        manager.routes = .inline(routes)
      },
      route: {
        $0.prefixRewrite = "/new"
        $0.hostRewrite = .literal("b")
      })
    let client = world.connect()
    client.send("GET /old HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    let head = world.server.accepted.first.flatMap { HTTP1Text($0.received) }
    #expect(head?.first("x-came") == "/old a" && head?.first("host") == "b")
  }
}
