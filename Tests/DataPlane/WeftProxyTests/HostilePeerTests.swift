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

@Suite("peers that do what they should not")
struct HostilePeerTests {
  private func get(_ path: String = "/", _ fields: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
  }

  struct GRPCTimeout: CustomTestStringConvertible {
    let text: String
    let nanoseconds: UInt64
    init(_ text: String, _ count: UInt64, _ unit: UInt64) { (self.text, nanoseconds) = (text, count &* unit) }
    var testDescription: String { text }
  }

  // A written type: as a literal of tuples this list takes the type checker 0.7 s.
  static let timeoutTexts: [GRPCTimeout] = [
    GRPCTimeout("9999999H", .max, 1), GRPCTimeout("99999999H", .max, 1),
    GRPCTimeout("5124095H", 5_124_095, 3_600_000_000_000), GRPCTimeout("99999999M", 99_999_999, 60_000_000_000),
    GRPCTimeout("1S", 1, 1_000_000_000), GRPCTimeout("2m", 2, 1_000_000), GRPCTimeout("3u", 3, 1000),
    GRPCTimeout("4n", 4, 1),
  ]

  @Test("a grpc-timeout of any eight digits is a time-out", arguments: timeoutTexts)
  func grpcTimeouts(_ timeout: GRPCTimeout) {
    timeout.text.withByteView { #expect(GRPCTimeoutText.nanoseconds($0) == timeout.nanoseconds) }
    let world = ProxyWorld()
    world.simple(route: { $0.grpcTimeoutHeaderMax = .zero })
    let client = world.connect()
    client.send(get("/", "grpc-timeout: \(timeout.text)\r\n"))
    world.settle()
    #expect(world.engine.streams.count <= 1)
  }

  @Test(
    "what an upstream sends behind its response reaches no other request",
    arguments: [
      "content-length: 4\r\n\r\nmine", "content-length: 0\r\n\r\n", "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ])
  func surplus(response: String) {
    let world = ProxyWorld()
    world.simple(cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    let first = world.connect()
    first.send(get("/first"))
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    let second = world.connect()
    second.send(get("/second"))
    world.settle()
    // One connection is the limit: the second request waits for it.
    #expect(world.server.accepted.count == 1)
    world.server.onBytes = { peer in
      if peer.text.contains("/second") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine") }
    }
    world.server.accepted[0].send(
      "HTTP/1.1 200 OK\r\n\(response)HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
    #expect(world.run { second.text.hasSuffix("\r\n\r\nfine") || second.isOver })
    #expect(second.text.hasSuffix("\r\n\r\nfine"))
    #expect(first.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(!first.text.contains("poison"))
    #expect(!world.server.accepted[0].text.contains("/second"))
    #expect(world.value(ClusterMetric.upstreamCxProtocolError) == 1)
    world.settle()
    world.expectClean()
  }

  private static let secured: [HTTPConnectionManager.Codec] = [.auto, .http1, .http2]

  @Test(
    "nothing is written before the handshake, whatever the codec; a silent client ends with its time",
    arguments: secured)
  func silentHandshake(codec: HTTPConnectionManager.Codec) {
    let world = ProxyWorld(security: ToySecurity())
    world.simple(manager: { $0.codec = codec })
    world.config.listeners[0].filterChains[0].tls = DownstreamTLSContext()
    world.config.listeners[0].filterChains[0].transportSocketConnectTimeout = .seconds(3)
    world.apply()
    let silent = world.connect()
    world.advance(by: .seconds(2))
    #expect(!silent.isOver)
    #expect(silent.received.isEmpty)
    // Another one ends its handshake, and then the codec holds.
    let client = world.connect()
    client.send("!")
    world.settle()
    #expect(client.received.isEmpty == (codec != .http2))
    #expect(world.run(for: .seconds(2)) { silent.isOver })
    #expect(silent.received.isEmpty)
    #expect(!client.isOver)
    if codec == .http2 { return }
    client.send(get())
    #expect(world.run { world.server.accepted.first?.text.hasPrefix("GET / HTTP/1.1") ?? false })
  }

  @Test("a handshake that never ends is cut in front of a TCP proxy, too")
  func silentHandshakeTCP() {
    let world = ProxyWorld(security: ToySecurity())
    world.simple()
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
    world.config.listeners[0].filterChains[0].tls = DownstreamTLSContext()
    world.config.listeners[0].filterChains[0].transportSocketConnectTimeout = .seconds(20)
    // The inspector's own time-out arms the timer earlier.
    world.config.listeners[0].listenerFilters = [.tlsInspector()]
    world.config.listeners[0].listenerFiltersTimeout = .seconds(5)
    world.apply()
    let silent = world.connect()
    silent.send("x")
    world.settle()
    #expect(world.run(for: .seconds(25)) { silent.isOver })
    #expect(world.engine.downstreams.count == 0)
  }

  @Test("the time for a request that is complete with its head does not keep the worker busy")
  func completeRequestTimeout() {
    let world = ProxyWorld()
    world.simple(manager: { $0.requestTimeout = .seconds(1) })
    let client = world.connect()
    client.send(get())
    #expect(world.run { !world.server.accepted.isEmpty })
    world.advance(by: .seconds(5))
    #expect(world.proxyLoop.statistics.timersFired < 10)
    #expect(!client.isOver)
  }

  @Test("an answer made here keeps the connection, and what is pipelined behind it is answered")
  func localRepliesKeep() {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      guard case .inline(var routes) = manager.routes else { return }
      routes.virtualHosts[0].routes[0].match = RouteMatch(.prefix("/known"))
      manager.routes = .inline(routes)
      manager.requestTimeout = .seconds(5)
    })
    let client = world.connect()
    client.send(get("/a") + get("/b") + get("/c"))
    world.settle()
    #expect(client.text.components(separatedBy: "HTTP/1.1 404 ").count == 4)
    #expect(!client.text.lowercased().contains("connection: close"))
    #expect(!client.isOver)
    world.expectClean()
  }

  @Test(
    "CONNECT over HTTP/2: nothing reaches an HTTP/1 upstream before its 2xx, and a refused one ends its connection",
    arguments: [200, 405])
  func connectBeforeGrant(status: Int) {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      manager.upgrades = [UpgradeConfiguration(type: "CONNECT")]
      guard case .inline(var routes) = manager.routes else { return }
      routes.virtualHosts[0].routes[0].match = RouteMatch(.connect)
      manager.routes = .inline(routes)
    })
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
    h2.request(.connect, "/", body: Array(smuggled.utf8), end: true)
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.settle()
    guard let upstream = world.server.accepted.first else { return }
    #expect(upstream.text.hasPrefix("CONNECT "))
    #expect(!upstream.text.contains("/admin"))
    upstream.closesOnEnd = false
    upstream.send(status == 200 ? "HTTP/1.1 200 OK\r\n\r\n" : "HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n")
    world.settle()
    #expect(h2.messages.values.first?.status == UInt16(status))
    #expect(upstream.text.contains("/admin") == (status == 200))
    #expect(upstream.isOver)
  }

  @Test("a head that cannot be written leaves no wrong expectation behind on the connection")
  func unwritableHead() {
    let world = ProxyWorld()
    world.simple(route: { $0.hostRewrite = .header("x-host") })
    world.server.onBytes = { peer in
      guard peer.text.hasSuffix("\r\n\r\n") else { return }
      peer.received = []
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine")
    }
    let client = world.connect()
    client.send(get("/"))
    #expect(world.run { client.text.hasSuffix("fine") })
    client.received = []
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nx-host: a b\r\n\r\n")
    #expect(world.run { client.text.hasSuffix("\r\n\r\n") })
    #expect(client.text.hasPrefix("HTTP/1.1 400 "))
    let second = world.connect()
    second.send(get("/"))
    #expect(world.run { second.text.hasSuffix("fine") || second.isOver })
    #expect(second.text.hasSuffix("fine"))
  }

  @Test("what a client says about hops and certificates before us is not taken for ours")
  func forwardedFields() {
    let world = ProxyWorld()
    world.simple(manager: { $0.useRemoteAddress = true })
    let client = world.connect()
    client.send(
      get(
        "/",
        "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 10.1.1.1\r\n"
          + "x-forwarded-client-cert: By=a;URI=spiffe://td/ns/x/sa/admin\r\n"))
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    let text = world.server.accepted.first?.text.lowercased() ?? ""
    #expect(!text.contains("x-forwarded-client-cert"))
    #expect(text.contains("x-forwarded-for: 6.6.6.6,10.1.1.1,127.0.0.1\r\n"))
  }

  @Test("an HTTP/1 request does not wait behind an HTTP/2 connection in the making")
  func mixedProtocols() {
    let world = ProxyWorld()
    world.simple(cluster: { $0.upstreamProtocol = .useDownstream })
    let two = world.connect()
    let h2 = H2Peer(.client, two)
    let one = world.connect()
    h2.request(.get, "/")
    one.send(get())
    #expect(world.run(for: .seconds(5)) { world.server.accepted.count == 2 })
    #expect(world.run(for: .seconds(5)) { world.server.accepted.contains { $0.text.hasPrefix("GET / HTTP/1.1") } })
  }

  @Test("a client that pipelines and never reads is not read from, and gets every answer when it reads")
  func neverReads() {
    let world = ProxyWorld()
    world.simple(manager: { $0.routes = .inline(RouteConfiguration(name: "none")) })
    let client = world.connect()
    #expect(world.run { client.isConnected })
    client.pause()
    let count = 30_000
    client.send(String(repeating: get("/x"), count: count))
    world.advance(by: .seconds(1))
    let answered = world.value(HTTPMetric.downstreamRq4xx)
    #expect(answered < UInt64(count))
    client.resume()
    #expect(world.run { world.value(HTTPMetric.downstreamRq4xx) == UInt64(count) })
    world.settle()
    #expect(!client.isOver)
    world.expectClean()
  }

  @Test("the end of a connection never passes for the end of a body that was cut")
  func cutBody() {
    let world = ProxyWorld(window: 4096)
    world.simple()
    let client = world.connect()
    #expect(world.run { client.isConnected })
    client.pause()
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.server.accepted[0].send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    world.server.accepted[0].send(HTTP1Text.chunked(pattern(20_000), size: 1000).dropLast(5).map { $0 })
    world.settle()
    world.server.accepted[0].reset()
    world.settle()
    client.resume()
    #expect(world.run { client.isOver })
    #expect(client.closeReason?.kind == .peerReset)
  }

  @Test(
    "a response that could be read in two ways is a bad gateway, and its connection ends",
    arguments: [
      "content-length: 2\r\ncontent-length: 3\r\n\r\nhi", "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\nhi",
      "x: a\rb\r\n\r\n", "x: a\nset-cookie: b\r\n\r\n", "x: a\0b\r\n\r\n", "x : a\r\n\r\n", " x: a\r\n\r\n",
      "content-length: +2\r\n\r\nhi", "transfer-encoding: chunked, gzip\r\n\r\n",
    ])
  func ambiguousResponses(fields: String) {
    let world = ProxyWorld()
    world.simple()
    let client = world.connect()
    client.send(get())
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.server.accepted[0].send("HTTP/1.1 200 OK\r\n\(fields)")
    #expect(world.run { client.text.contains("\r\n\r\n") })
    #expect(client.text.hasPrefix("HTTP/1.1 502 "))
    #expect(!client.text.contains("set-cookie"))
    world.settle()
    #expect(world.server.accepted[0].isOver)
    #expect(world.value(ClusterMetric.upstreamCxProtocolError) == 1)
    world.expectClean()
  }

  @Test("parameters of a path do not lead around a route that ignores them")
  func pathParameters() {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      guard case .inline(var routes) = manager.routes else { return }
      var closed = routes.virtualHosts[0].routes[0]
      closed.match = RouteMatch(.exact("/admin"))
      closed.action = .forward(RouteAction(cluster: .cluster("missing")))
      routes.virtualHosts[0].routes.insert(closed, at: 0)
      routes.ignorePathParameters = true
      manager.routes = .inline(routes)
    })
    for path in ["/admin", "/admin;x=1", "/admin;x=1?y=;2"] {
      let client = world.connect()
      client.send(get(path))
      #expect(world.run { client.text.contains("\r\n\r\n") })
      #expect(client.text.hasPrefix("HTTP/1.1 503 "), "\(path)")
    }
    #expect(world.server.accepted.isEmpty)
  }

  @Test("the tail of an upload arrives although the server stopped sending first")
  func uploadTail() {
    let world = ProxyWorld(window: 8192)
    world.simple()
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
    world.apply()
    world.server.onAccept = { peer in
      peer.closesOnEnd = false
      peer.finish()
      peer.pause()
    }
    let client = world.connect()
    client.closesOnEnd = false
    let sent = pattern(200_000)
    client.send(sent)
    world.settle()
    client.finish()
    world.settle()
    world.server.accepted.first?.resume()
    #expect(world.run { world.server.accepted.first?.isOver ?? false })
    #expect(world.server.accepted.first?.received == sent)
  }

  @Test("a slow but steady HTTP/2 reader is not idle")
  func steadyReader() {
    let world = ProxyWorld()
    world.simple(
      upstream: .two,
      manager: { $0.streamIdleTimeout = .seconds(10) }, route: { $0.timeout = .zero })
    let body = pattern(1_000_000)
    world.server.onAccept = { peer in
      let server = H2Peer(.server, peer)
      server.onRequest = { [unowned server] id, _ in server.respond(id, body: body) }
    }
    let client = world.connect()
    var limits = HTTPLimits()
    limits.http2.initialStreamWindow = 65_535
    let h2 = H2Peer(.client, client, limits: limits)
    h2.credits = false
    let id = h2.request(.get, "/")
    for _ in 0..<40 {
      world.advance(by: .seconds(4))
      h2.credit()
    }
    world.settle()
    #expect(h2.messages[id]?.resetCode == nil)
    #expect(h2.messages[id]?.body == body)
  }
}
