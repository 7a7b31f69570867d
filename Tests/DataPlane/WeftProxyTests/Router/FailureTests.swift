import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("failures, time-outs and retries")
struct FailureTests {
  private func get(_ path: String = "/") -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

  @Test("no route is 404, an unknown cluster 503, no host 503 with its text")
  func notFound() {
    let world = ProxyWorld()
    world.simple(
      manager: { manager in
        guard case .inline(var routes) = manager.routes else { return }
        routes.virtualHosts[0].routes.insert(
          Route(match: RouteMatch(.prefix("/none")), action: .forward(RouteAction(cluster: .cluster("missing")))), at: 0
        )
        routes.virtualHosts[0].routes[1].match = RouteMatch(.prefix("/x"))
        manager.routes = .inline(routes)
      }, cluster: { $0.loadAssignment.localities = [] })
    let client = world.connect()
    client.send(get("/other"))
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 404)
    client.received = []
    client.send(get("/none"))
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 503)
    client.received = []
    client.send(get("/x"))
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.text == "no healthy upstream")
    #expect(!client.isOver)
    world.expectClean()
  }

  @Test("a refused connection is 503 with the reason", arguments: Version.allCases)
  func refused(upstream: Version) {
    let world = ProxyWorld()
    world.simple(upstream: upstream)
    world.server.stopListening(8080)
    let client = world.connect()
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 503)
    #expect(
      HTTP1Text(client.received)?.text
        == "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure")
    world.settle()
    world.expectClean()
    #expect(world.value(ClusterMetric.upstreamCxConnectFail) == 1)
  }

  @Test("the route's time-out is 504", arguments: Version.allCases)
  func timeout(upstream: Version) {
    let world = ProxyWorld()
    world.simple(upstream: upstream, route: { $0.timeout = .seconds(2) })
    if upstream == .two { world.server.onAccept = { _ = H2Peer(.server, $0) } }
    let client = world.connect()
    let before = world.network.time
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 504)
    #expect(HTTP1Text(client.received)?.text == "upstream request timeout")
    #expect(world.network.time - before >= .seconds(2))
    #expect(world.network.time - before < .seconds(3))
    #expect(world.value(ClusterMetric.upstreamRqTimeout) == 1)
    world.settle()
    world.expectClean()
  }

  @Test("a TCP cluster that is not there keeps its share: those connections end, nobody else serves them")
  func missingTCPCluster() {
    let world = ProxyWorld()
    world.simple()
    world.listen([
      .tcpProxy(
        TCPProxy(
          statPrefix: "tcp",
          cluster: .weighted([
            TCPProxy.Weighted(name: "missing", weight: 90), TCPProxy.Weighted(name: "backend", weight: 10),
          ])))
    ])
    world.apply()
    let clients = (0..<200).map { _ in world.connect() }
    world.advance(by: .seconds(1))
    let served = clients.count { !$0.isOver }
    #expect((1...60).contains(served))
    let scope = world.registry.scope(ScopeKey(.tcp, "tcp"))
    #expect(world.registry.value(TCPMetric.downstreamCxNoRoute, scope) == UInt64(200 - served))
  }

  @Test("a TCP connection may be tried more often than attempts can be counted: it ends when they are")
  func countlessAttempts() {
    let world = ProxyWorld()
    world.simple()
    var proxy = TCPProxy(statPrefix: "tcp", cluster: .single("backend"))
    proxy.maxConnectAttempts = .max
    world.listen([.tcpProxy(proxy)])
    world.apply()
    world.server.stopListening(8080)
    let client = world.connect()
    var most: UInt16 = 0
    let hasEnded = world.run {
      world.engine.streams.forEach { s in
        if world.engine.streams[s].attempts == 1 { world.engine.streams[s].attempts = .max - 3 }
        most = max(most, world.engine.streams[s].attempts)
      }
      return client.isClosed
    }
    #expect(hasEnded && most >= .max - 1)
    world.expectClean()
  }

  @Test(
    "half a head, or half of what tells the version, is 408 when its time is over, whoever sets the time",
    arguments: ["G", "GET / HTTP/1.1\r\nhost: a\r\n", "P", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM"],
    HeadTime.allCases)
  func halfAHead(_ bytes: String, _ time: HeadTime) {
    let world = ProxyWorld()
    world.simple(manager: {
      $0.requestHeadersTimeout = time == .requestHeadersTimeout ? .seconds(1) : nil
      $0.streamIdleTimeout = time == .streamIdleTimeout ? .seconds(1) : .seconds(300)
      $0.requestTimeout = time == .requestTimeout ? .seconds(1) : nil
    })
    let slow = world.connect()
    slow.send(bytes)
    world.advance(by: .milliseconds(900))
    #expect(!slow.isOver && slow.text.isEmpty)
    // A byte now and then is no head either.
    #expect(world.run(for: .seconds(1)) { slow.isOver })
    #expect(slow.text.hasPrefix("HTTP/1.1 408 "))
    #expect(world.value(time.metric) == 1)
    world.settle()
    world.expectClean()
  }

  enum HeadTime: CaseIterable {
    case requestHeadersTimeout, streamIdleTimeout, requestTimeout
    var metric: HTTPMetric {
      switch self {
      case .requestHeadersTimeout: .downstreamRqHeaderTimeout
      case .streamIdleTimeout: .downstreamRqIdleTimeout
      case .requestTimeout: .downstreamRqTimeout
      }
    }
  }

  @Test(
    "HTTP/2 that stops in its preface, in a frame or between the frames of a head ends when a head's time is over",
    arguments: [
      "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0\0\0",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0\0\0\u{1}\u{1}\0\0\0\0\u{1}\0",
    ])
  func halfAnHTTP2Head(_ bytes: String) {
    let world = ProxyWorld()
    world.simple(manager: {
      $0.codec = .http2
      $0.requestHeadersTimeout = .seconds(1)
    })
    let slow = world.connect()
    slow.send(bytes)
    world.advance(by: .milliseconds(900))
    #expect(!slow.isOver)
    #expect(world.run(for: .seconds(2)) { slow.isOver })
    #expect(world.value(.downstreamRqHeaderTimeout) == 1)
  }

  @Test("an HTTP/2 connection between two requests is not in the middle of a head")
  func idleHTTP2() {
    let world = ProxyWorld()
    world.simple(manager: { $0.requestHeadersTimeout = .seconds(1) })
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    let peer = world.connect()
    let h2 = H2Peer(.client, peer)
    for _ in 0..<3 {
      let id = h2.request(.get, "/")
      #expect(world.run { h2.messages[id]?.ended == true })
      world.advance(by: .seconds(5))
      #expect(!peer.isOver)
    }
  }

  @Test("a head that does not come is 408, an idle connection closes")
  func slowHead() {
    let world = ProxyWorld()
    world.simple(manager: {
      $0.requestHeadersTimeout = .seconds(1)
      $0.idleTimeout = .seconds(5)
    })
    let slow = world.connect()
    slow.send("GET / HT")
    let idle = world.connect()
    idle.send("")
    #expect(world.run { slow.isOver })
    #expect(slow.text.hasPrefix("HTTP/1.1 408 "))
    #expect(!idle.isOver)
    #expect(world.run { idle.isOver })
    #expect(world.value(HTTPMetric.downstreamCxIdleTimeout) == 0 || idle.received.isEmpty)
    world.expectClean()
  }

  @Test("a stream on which nothing moves ends: 504 before the response, a cut after its head")
  func streamIdle() {
    let world = ProxyWorld()
    world.simple(manager: { $0.streamIdleTimeout = .seconds(3) }, route: { $0.timeout = .zero })
    let client = world.connect()
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 504)
    #expect(HTTP1Text(client.received)?.text == "stream timeout")
    let second = world.connect()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc") }
    second.send(get())
    #expect(world.run { second.isOver })
    #expect(second.text.hasSuffix("abc"))
    world.settle()
    world.expectClean()
  }

  @Test("a 503 is retried as the policy says, on another host", arguments: Version.allCases)
  func retries(client version: Version) {
    let world = ProxyWorld()
    world.simple(
      ports: [8080, 8081],
      route: {
        var policy = RetryPolicy(retryOn: [.serverError])
        policy.maxRetries = 3
        policy.avoidPreviousHosts = true
        policy.hostSelectionMaxAttempts = 5
        $0.retryPolicy = policy
      })
    var ports: [UInt16] = []
    let ends = Ends(world, client: version, server: .one) { _ in (200, [], false, []) }
    world.server.onBytes = { peer in
      guard let message = HTTP1Text(peer.received) else { return }
      peer.received.removeFirst(message.length)
      ports.append(peer.port)
      #expect(message.body == [1, 2, 3, 4])
      peer.send("HTTP/1.1 \(ports.count < 3 ? 503 : 200) X\r\ncontent-length: 2\r\n\r\nok")
    }
    let got = ends.exchange(.post, body: [1, 2, 3, 4])
    #expect(got?.status == 200)
    #expect(ports.count == 3)
    #expect(ports.count >= 2 && ports[0] != ports[1])
    #expect(world.value(ClusterMetric.upstreamRqRetry) == 2)
    #expect(world.value(ClusterMetric.upstreamRqRetrySuccess) == 1)
    world.settle()
    world.expectClean()
  }

  @Test("retries end at their number, and the last answer is passed on")
  func retryLimit() {
    let world = ProxyWorld()
    world.simple(route: {
      var policy = RetryPolicy(retryOn: [.serverError])
      policy.maxRetries = 2
      $0.retryPolicy = policy
    })
    var count = 0
    let ends = Ends(world, client: .one, server: .one) { _ in
      count += 1
      return (500, [UInt8(count)], false, [])
    }
    let got = ends.exchange()
    #expect(got?.status == 500)
    #expect(got?.body == [3])
    #expect(count == 3)
    #expect(world.value(ClusterMetric.upstreamRqRetryLimitExceeded) == 1)
    world.settle()
    world.expectClean()
  }

  @Test("an attempt's own time-out is retried")
  func perTry() {
    let world = ProxyWorld()
    world.simple(route: {
      var policy = RetryPolicy(retryOn: [.serverError])
      policy.perTryTimeout = .milliseconds(500)
      $0.retryPolicy = policy
    })
    var count = 0
    world.server.onBytes = { peer in
      guard let message = HTTP1Text(peer.received) else { return }
      peer.received.removeFirst(message.length)
      count += 1
      if count == 2 { peer.send("HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok") }
    }
    let client = world.connect()
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 200)
    #expect(world.value(ClusterMetric.upstreamRqPerTryTimeout) == 1)
    world.settle()
    world.expectClean()
  }

  @Test("after several attempts the client reads that there were some")
  func retriedWords() {
    let world = ProxyWorld()
    world.simple(route: { $0.retryPolicy = RetryPolicy(retryOn: [.connectFailure]) })
    world.server.stopListening(8080)
    let client = world.connect()
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(
      HTTP1Text(client.received)?.text
        == "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: "
        + "remote connection failure")
    world.settle()
    world.expectClean()
  }

  @Test("where a retry policy speaks of resets, a kept connection that died costs one of its retries")
  func policyDecidesAlone() {
    let world = ProxyWorld()
    world.simple(route: { $0.retryPolicy = RetryPolicy(retryOn: [.reset]) })
    var asked = 0
    world.server.onBytes = { peer in
      asked += 1
      peer.received = []
      if asked == 1 { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") } else { peer.reset() }
    }
    let client = world.connect()
    for expected in [200, 503] {
      client.received = []
      client.send(get())
      #expect(world.run { HTTP1Text(client.received) != nil })
      #expect(HTTP1Text(client.received)?.status == expected)
    }
    #expect(asked == 3, "one retry, and none beside it")
    world.settle()
    world.expectClean()
  }

  @Test("a request on a kept connection that died is sent again unless it may have had an effect")
  func deadConnection() {
    for (method, expected) in [("GET", 200), ("POST", 503)] {
      let world = ProxyWorld()
      world.simple()
      var count = 0
      world.server.onBytes = { peer in
        guard let message = HTTP1Text(peer.received) else { return }
        peer.received.removeFirst(message.length)
        count += 1
        // The second request on the first connection meets a server that has just closed it.
        if count == 2 { peer.reset() } else { peer.send("HTTP/1.1 200 X\r\ncontent-length: 2\r\n\r\nok") }
      }
      let client = world.connect()
      client.send(get())
      #expect(world.run { HTTP1Text(client.received) != nil })
      client.received = []
      client.send("\(method) / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n")
      #expect(world.run { HTTP1Text(client.received) != nil })
      #expect(HTTP1Text(client.received)?.status == expected, "\(method)")
      world.settle()
      world.expectClean()
    }
  }

  @Test("an upstream that dies in the middle of a response cuts it", arguments: Version.allCases, Version.allCases)
  func cutResponse(client version: Version, upstream: Version) {
    let world = ProxyWorld()
    world.simple(upstream: upstream)
    let ends = Ends(world, client: version, server: upstream) { _ in (200, [], false, []) }
    if upstream == .one {
      world.server.onBytes = { peer in
        guard HTTP1Text(peer.received) != nil else { return }
        peer.received = []
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
        peer.finish()
      }
    } else {
      world.server.onAccept = { peer in
        let h2 = H2Peer(.server, peer)
        h2.onRequest = { [unowned h2] id, _ in
          h2.respond(id, 200, body: [1, 2, 3], end: false)
          h2.reset(id, .internalError)
        }
      }
    }
    #expect(ends.exchange() == nil)
    world.settle()
    world.expectClean()
  }

  @Test("a client that leaves takes its request with it", arguments: Version.allCases, Version.allCases)
  func clientLeaves(client version: Version, upstream: Version) {
    let world = ProxyWorld()
    world.simple(upstream: upstream)
    var arrived = 0
    var h2: H2Peer?
    if upstream == .two {
      world.server.onAccept = { peer in
        let made = H2Peer(.server, peer)
        h2 = made
        made.onHead = { _, _ in arrived += 1 }
      }
    } else {
      world.server.onBytes = { _ in arrived += 1 }
    }
    let client = world.connect()
    if version == .two {
      let ours = H2Peer(.client, client)
      let id = ours.request(.get, "/")
      #expect(world.run { arrived > 0 })
      ours.reset(id)
    } else {
      client.send(get())
      #expect(world.run { arrived > 0 })
      client.reset()
    }
    if upstream == .two {
      #expect(world.run { h2?.messages[1]?.resetCode != nil })
    } else {
      #expect(world.run { world.server.accepted[0].isOver })
    }
    world.settle()
    world.expectClean()
  }

  @Test("an early response ends the exchange, and its upstream connection is not used again")
  func earlyResponse() {
    let world = ProxyWorld()
    world.simple()
    world.server.onBytes = { peer in
      if peer.received.count > 100_000 { return }
      if peer.text.contains("\r\n\r\n"), peer.received.count < 5000 {
        peer.received += [UInt8](repeating: 0, count: 200_000)
        peer.send("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
      }
    }
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 1000000\r\n\r\nabc")
    #expect(world.run { client.isOver })
    #expect(client.text.hasPrefix("HTTP/1.1 413 "))
    world.settle()
    world.expectClean()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    let next = world.connect()
    next.send(get())
    #expect(world.run { HTTP1Text(next.received) != nil })
    #expect(world.value(ClusterMetric.upstreamCxTotal) == 2)
  }

  @Test("unasked bytes on an idle upstream connection close it")
  func unsolicited() {
    let world = ProxyWorld()
    world.simple()
    world.server.onBytes = { peer in
      peer.received = []
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    }
    let client = world.connect()
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    world.server.accepted[0].send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
    #expect(world.run { world.server.accepted[0].isClosed })
    client.received = []
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(!client.text.contains("evil"))
    #expect(world.server.accepted.count == 2)
  }

  @Test("what is no HTTP gets 400 and the connection ends")
  func garbage() {
    let world = ProxyWorld()
    world.simple()
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
    #expect(world.run { client.isOver })
    #expect(client.text.hasPrefix("HTTP/1.1 400 "))
    #expect(world.value(HTTPMetric.downstreamCxProtocolError) == 1)
    world.expectClean()
  }

  @Test("the pending breaker answers 503 with x-envoy-overloaded")
  func breaker() {
    let world = ProxyWorld()
    world.simple(cluster: {
      $0.circuitBreakers.standard.maxConnections = 1
      $0.circuitBreakers.standard.maxPendingRequests = 1
    })
    let clients = (0..<3).map { _ in world.connect() }
    for client in clients { client.send(get()) }
    #expect(world.run { clients.contains { HTTP1Text($0.received) != nil } })
    let answered = clients.compactMap { HTTP1Text($0.received) }
    #expect(answered.first?.status == 503)
    #expect(answered.first?.first("x-envoy-overloaded") == "true")
    #expect(world.value(ClusterMetric.upstreamRqPendingOverflow) >= 1)
    for client in clients { client.reset() }
    world.settle()
    world.expectClean()
  }
}

extension Seen: Equatable {
  static func == (a: Seen, b: Seen) -> Bool { a.status == b.status && a.body == b.body }
}
