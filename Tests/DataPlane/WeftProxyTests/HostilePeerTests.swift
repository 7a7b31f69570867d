import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy

@Suite("peers that do what they should not")
struct HostilePeerTests {
  private func get(_ path: String = "/", _ fields: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
  }

  @Test(
    "a grpc-timeout of any eight digits is a time-out",
    arguments: [
      ("9999999H", UInt64.max), ("99999999H", .max), ("5124095H", 5_124_095 * 3_600_000_000_000),
      ("99999999M", 99_999_999 * 60_000_000_000), ("1S", 1_000_000_000), ("2m", 2_000_000), ("3u", 3000), ("4n", 4),
    ])
  func grpcTimeouts(text: String, nanoseconds: UInt64) {
    text.withByteView { #expect(GRPCTimeoutText.nanoseconds($0) == nanoseconds) }
    let world = ProxyWorld()
    world.simple(route: { $0.grpcTimeoutHeaderMax = .zero })
    let client = world.connect()
    client.send(get("/", "grpc-timeout: \(text)\r\n"))
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
    world.config.listeners[0].listenerFilters = [.tlsInspector]
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
}
