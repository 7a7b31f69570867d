import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTLS
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("connections of clients")
struct ConnectionOptionTests {
  private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  private func world(limits: WorkerEngine.Limits = .init(), _ manager: (inout HTTPConnectionManager) -> Void = { _ in })
    -> ProxyWorld
  {
    let world = ProxyWorld(limits: limits)
    world.simple(manager: manager)
    world.server.onBytes = { peer in
      if peer.take().hasSuffix("\r\n\r\n") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    }
    return world
  }

  private func listener(_ world: ProxyWorld, _ metric: ListenerMetric) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.listener, world.config.listeners[0].statName)))
  }

  @Test(
    "a target in absolute form is 404 where it is not allowed, and the connection goes on", arguments: [true, false])
  func absoluteForm(isAllowed: Bool) {
    let world = world { $0.http1.allowAbsoluteURL = isAllowed }
    let client = world.connect()
    client.send("GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n" + get)
    world.run { client.text.split(separator: "HTTP/1.1 ").count == 2 && client.text.hasSuffix("ok") }
    #expect(client.text.hasPrefix(isAllowed ? "HTTP/1.1 200" : "HTTP/1.1 404"))
    #expect(client.text.hasSuffix("ok") && !client.isOver)
    #expect(world.value(.downstreamRqNonRelativePath) == (isAllowed ? 0 : 1))
    world.settle()
    world.expectClean()
  }

  // MARK: 421

  @Test(
    "another name on a connection that was made for one is 421 when nobody there has it, over HTTP/1 and HTTP/2",
    arguments: [
      ("a.test", 200), ("A.TEST:443", 200), ("b.test", 421), ("b.test:443", 421), ("c.test", 200),
    ])
  func misdirected(_ host: String, _ status: Int) throws {
    let tls = try TLSWorld()
    let world = ProxyWorld(security: TLSSecurity())
    world.simple()
    world.server.onBytes = { peer in
      if peer.take().hasSuffix("\r\n\r\n") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    }
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0],
      case .inline(var routes) = manager.routes
    else { return }
    // Two names share the chain; what has a host is routed, whatever the connection was made for.
    routes.virtualHosts[0].domains = ["a.test", "a.test:*", "c.test"]
    manager.routes = .inline(routes)
    world.config.listeners[0].filterChains[0].filters = [.httpConnectionManager(manager)]
    var context = DownstreamTLSContext()
    context.common.certificates = [try tls.certificate(SubjectAltName(.dns, "*.test"))]
    world.config.listeners[0].filterChains[0].tls = context
    world.apply()
    func answer(to name: String) throws -> String {
      let client = world.connect()
      world.clientLoop.startTransport(
        client.id, TLSSession.client(try TLSContext(.client(trusting: tls.authority.trust)), serverName: name))
      client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      world.run(for: .seconds(2)) { client.text.contains("\r\n\r\n") }
      return client.text
    }
    #expect(try answer(to: "a.test").hasPrefix("HTTP/1.1 \(status) "))
  }

  @Test("without TLS, or for the very name of the connection, no route is 404")
  func notMisdirected() throws {
    let world = world()
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0],
      case .inline(var routes) = manager.routes
    else { return }
    routes.virtualHosts[0].domains = ["a.test"]
    manager.routes = .inline(routes)
    world.config.listeners[0].filterChains[0].filters = [.httpConnectionManager(manager)]
    world.apply()
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n")
    #expect(world.run { client.text.hasPrefix("HTTP/1.1 404 ") })
  }

  // MARK: Closing

  @Test(
    "a closed connection waits for its client as long as delayed_close_timeout says",
    arguments: [nil, 1, 4] as [Int?])
  func delayedClose(_ seconds: Int?) {
    let world = world { $0.delayedCloseTimeout = seconds.map { .seconds($0) } }
    let client = world.connect()
    client.closesOnEnd = false
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    #expect(world.run { client.readEnded })
    if let seconds {
      world.advance(by: .milliseconds(1000 * seconds - 100))
      #expect(world.engine.downstreams.count == 1)
    }
    world.advance(by: .milliseconds(200))
    #expect(world.engine.downstreams.count == 0 && client.text.hasSuffix("ok"))
  }

  // MARK: Limits

  @Test("past the worker's limit new connections are refused at once and counted; a listener may be left out of it")
  func globalLimit() {
    var limits = WorkerEngine.Limits()
    limits.acceptedConnections = 2
    let world = world(limits: limits)
    let kept = [world.connect(), world.connect()]
    #expect(world.run { kept.allSatisfy(\.isConnected) })
    world.settle()
    let refused = world.connect()
    #expect(world.run(for: .milliseconds(100)) { refused.isClosed })
    #expect(listener(world, .downstreamGlobalCxOverflow) == 1 && kept.allSatisfy { !$0.isOver })
    world.config.listeners[0].ignoreGlobalConnectionLimit = true
    world.apply()
    let probe = world.connect()
    probe.send(get)
    #expect(world.run { probe.text.hasSuffix("ok") })
    // A place that became free is given again.
    world.config.listeners[0].ignoreGlobalConnectionLimit = false
    world.apply()
    for peer in kept { peer.close() }
    world.advance(by: .seconds(2))
    let next = world.connect()
    next.send(get)
    #expect(world.run { next.text.hasSuffix("ok") })
  }

  // MARK: connection_keepalive

  private func keptAlive() -> ProxyWorld {
    world {
      $0.http2.keepalive = HTTP2Options.Keepalive(interval: .seconds(10), timeout: .seconds(2))
      $0.http2.keepalive?.intervalJitterPercent = 0
    }
  }

  @Test("an HTTP/2 client that answers no PING and sends nothing is gone after interval and time-out")
  func silent() {
    let world = keptAlive()
    let client = world.connect()
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0")
    world.advance(by: .milliseconds(11_900))
    #expect(!client.isOver)
    #expect(world.run(for: .milliseconds(300)) { client.isOver })
    #expect(world.value(.downstreamCxHTTP2KeepaliveTimeout) == 1)
    world.settle()
    #expect(world.engine.downstreams.count == 0)
  }

  @Test(
    "a change that takes it away keeps the worker neither busy nor from the connections that had it",
    arguments: [9, 11])
  func takenAway(seconds: Int) {
    let world = keptAlive()
    let client = world.connect()
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0")
    world.advance(by: .seconds(seconds))
    let chain = world.config.listeners[0].filterChains[0]
    guard case .httpConnectionManager(var manager) = chain.filters[0] else { return }
    manager.http2.keepalive = nil
    world.config.listeners[0].filterChains[0].filters = [.httpConnectionManager(manager)]
    world.apply()
    // The connection takes the new form with its next request.
    client.send(RawH2.frame(1, 5, 1, RawH2.get))
    let before = world.proxyLoop.statistics.timersFired
    world.advance(by: .seconds(60))
    #expect(world.proxyLoop.statistics.timersFired - before < 300)
    #expect(!client.isOver)
  }

  @Test("one that answers stays; one that sends anything is given more time")
  func answers() {
    let world = keptAlive()
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    world.advance(by: .seconds(65))
    #expect(!client.isOver)
    let id = h2.request(.get, "/")
    #expect(world.run { h2.messages[id]?.ended == true })
    let busy = world.connect()
    busy.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0")
    for _ in 0..<20 {
      world.advance(by: .seconds(1))
      // A PING of its own: a frame, and no answer.
      busy.send([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    }
    #expect(!busy.isOver)
    #expect(world.run(for: .seconds(5)) { busy.isOver })
  }
}
