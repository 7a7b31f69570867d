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

@Suite("drain, configuration changes, back-pressure, tunnels")
struct DrainTests {
  private func get(_ path: String = "/") -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

  @Test("a drain lets requests end, tells HTTP/1 with its response and HTTP/2 at once")
  func drain() {
    let world = ProxyWorld()
    world.simple()
    var held: [Peer] = []
    world.server.onBytes = { peer in
      guard let message = HTTP1Text(peer.received) else { return }
      peer.received = []
      if message.start.contains("/slow") {
        held.append(peer)
      } else {
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
      }
    }
    let busy = world.connect()
    busy.send(get("/slow"))
    let idle = world.connect()
    idle.send(get("/fast"))
    let two = world.connect()
    let h2 = H2Peer(.client, two)
    let slow = h2.request(.get, "/slow")
    #expect(world.run { held.count == 2 && HTTP1Text(idle.received) != nil })
    var done = false
    world.engine.drain(until: world.proxyLoop.now + .seconds(60)) { done = true }
    #expect(world.run { idle.isOver })
    #expect(world.run { !h2.goAways.isEmpty })
    #expect(!busy.isOver)
    #expect(!done)
    for peer in held { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    #expect(world.run { busy.isOver })
    #expect(busy.text.contains("connection: close\r\n"))
    #expect(busy.text.hasSuffix("ok"))
    #expect(world.run { done })
    #expect(h2.messages[slow]?.text == "ok")
    world.expectClean()
  }

  @Test(
    "with nothing in flight a drain is over at once: idle HTTP/1, silent and HTTP/2 clients are told, and not waited for"
  )
  func nothingInFlight() {
    let world = ProxyWorld()
    world.simple()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    let silent = world.connect()
    let idle = world.connect()
    idle.send(get())
    let two = world.connect()
    let h2 = H2Peer(.client, two)
    let stream = h2.request(.get, "/")
    #expect(world.run { HTTP1Text(idle.received) != nil && h2.messages[stream]?.ended == true })
    // Clients that do not end their side when we end ours must not hold us up.
    for peer in [silent, idle, two] { peer.closesOnEnd = false }
    world.advance(by: .seconds(2))
    var done = false
    world.engine.drain(until: world.proxyLoop.now + .seconds(60)) { done = true }
    #expect(world.run(for: .milliseconds(50)) { done })
    world.settle()
    #expect(silent.readEnded && idle.readEnded && two.readEnded)
    #expect(h2.goAways == [0x7fff_ffff, stream])
    // The idle upstream connection is ended in order, not reset.
    #expect(world.run(for: .seconds(1)) { world.server.accepted.allSatisfy(\.readEnded) })
    #expect(world.value(HTTPMetric.downstreamCxDrainClose) == 3)
  }

  @Test("an HTTP/2 client that answers no PING holds a drain up for a second")
  func deafClient() {
    let world = ProxyWorld()
    world.simple()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    let stream = h2.request(.get, "/")
    #expect(world.run { h2.messages[stream]?.ended == true })
    client.pause()
    var done = false
    world.engine.drain(until: world.proxyLoop.now + .seconds(60)) { done = true }
    world.advance(by: .milliseconds(900))
    #expect(!done)
    world.advance(by: .milliseconds(200))
    #expect(done)
  }

  @Test("an HTTP/2 request that was on its way when the drain began is answered")
  func onItsWay() {
    let world = ProxyWorld()
    world.simple()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    let first = h2.request(.get, "/")
    #expect(world.run { h2.messages[first]?.ended == true })
    var done = false
    let second = h2.request(.get, "/")
    world.engine.drain(until: world.proxyLoop.now + .seconds(60)) { done = true }
    #expect(world.run { done })
    #expect(h2.messages[second]?.text == "ok")
    #expect(h2.goAways == [0x7fff_ffff, second])
    world.expectClean()
  }

  @Test("a drain ends at its deadline, whatever is in flight")
  func deadline() {
    let world = ProxyWorld()
    world.simple()
    let client = world.connect()
    client.send(get())
    #expect(world.run { !world.server.accepted.isEmpty })
    var done = false
    world.engine.drain(until: world.proxyLoop.now + .seconds(3)) { done = true }
    world.advance(by: .milliseconds(2900))
    #expect(!done)
    world.advance(by: .milliseconds(200))
    #expect(done)
  }

  @Test("configuration changes under load lose no request and keep connections", arguments: Version.allCases)
  func swap(version: Version) {
    let world = ProxyWorld(seed: 3, splits: true)
    world.simple(upstream: version)
    let ends = Ends(world, client: version, server: version) { _ in (200, [1], false, []) }
    for i in 0..<60 {
      if i % 5 == 4 {
        // Another time-out, another header: new routes, the same cluster.
        world.simple(
          upstream: version, manager: { $0.serverName = "weft-\(i)" }, route: { $0.timeout = .seconds(10 + i) })
      }
      let got = ends.exchange(.get, "/\(i)")
      #expect(got?.status == 200, "request \(i)")
      if i % 5 == 4 { #expect(got?.first("server") == "weft-\(i)") }
    }
    #expect(world.value(ClusterMetric.upstreamCxTotal) == 1)
    #expect(world.client.all.count == 1)
    #expect(world.engine.snapshotsInUse <= 2)
    world.settle()
    world.expectClean()
  }

  @Test("a listener that is removed finishes what it began")
  func removedListener() {
    let world = ProxyWorld()
    world.simple()
    var held: Peer?
    world.server.onBytes = { held = $0 }
    let client = world.connect()
    client.send(get())
    #expect(world.run { held != nil })
    world.config.listeners = []
    world.apply()
    world.settle()
    let late = world.connect()
    #expect(world.run { late.isClosed })
    held?.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    #expect(world.run { client.isOver })
    #expect(client.text.hasSuffix("ok"))
    world.expectClean()
  }

  @Test("a host that leaves gets no new request; its idle connections close")
  func removedHost() {
    let world = ProxyWorld()
    world.simple(ports: [8080])
    let ends = Ends(world, client: .one, server: .one) { _ in (200, [1], false, []) }
    #expect(ends.exchange()?.status == 200)
    world.simple(ports: [8081])
    #expect(world.run { world.server.accepted[0].isOver })
    #expect(ends.exchange()?.status == 200)
    #expect(world.server.accepted.last?.port == 8081)
    world.settle()
    world.expectClean()
    #expect(world.engine.hosts.count == 1)
  }

  @Test("a reader that stops holds the sender back", arguments: Version.allCases, Version.allCases)
  func backPressure(client version: Version, upstream: Version) {
    let world = ProxyWorld()
    world.simple(
      upstream: upstream,
      manager: {
        $0.http2.initialStreamWindowBytes = 65_535
        $0.http2.initialConnectionWindowBytes = 1 << 20
      },
      cluster: {
        $0.http2.initialStreamWindowBytes = 65_535
        $0.http2.initialConnectionWindowBytes = 1 << 20
      })
    let big = pattern(8 << 20)
    let ends = Ends(world, client: version, server: upstream) { _ in (200, big, false, []) }
    let client = world.connect()
    if version == .two {
      var limits = HTTPLimits()
      limits.http2.initialStreamWindow = 65_535
      limits.http2.initialConnectionWindow = 1 << 20
      let h2 = H2Peer(.client, client, limits: limits)
      h2.credits = false
      let id = h2.request(.get, "/")
      world.advance(by: .seconds(5))
      #expect((h2.messages[id]?.body.count ?? 0) <= 1 << 20)
      #expect(world.proxyLoop.pool.lentBytes < 4 << 20)
      h2.credits = true
      h2.credit()
      #expect(world.run(until: { h2.messages[id]?.ended ?? false }))
      #expect(same(h2.messages[id]?.body, big))
    } else {
      client.send(get())
      #expect(world.run { !client.received.isEmpty })
      client.pause()
      world.advance(by: .seconds(5))
      #expect(client.received.count < 6 << 20)
      #expect(world.proxyLoop.pool.lentBytes < 4 << 20)
      client.resume()
      #expect(world.run(until: { HTTP1Text(client.received) != nil }))
      #expect(same(HTTP1Text(client.received)?.body, big))
    }
    _ = ends
    world.settle()
    world.expectClean()
  }

  @Test("an upgrade that is granted becomes a tunnel; what was sent before waits")
  func upgrade() {
    let world = ProxyWorld()
    world.simple(manager: { $0.upgrades = [UpgradeConfiguration(type: "websocket")] })
    var early = false
    world.server.onBytes = { peer in
      if peer.text.contains("early") { early = true }
      if peer.text.hasSuffix("\r\n\r\n"), peer.text.hasPrefix("GET") {
        #expect(!early)
        #expect(peer.text.lowercased().contains("upgrade: websocket"))
        peer.received = []
        peer.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello")
      } else {
        let text = peer.take()
        peer.send("[" + text + "]")
      }
    }
    let client = world.connect()
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly")
    #expect(world.run { client.text.hasSuffix("[early]") })
    #expect(client.text.hasPrefix("HTTP/1.1 101 "))
    #expect(client.text.contains("hello"))
    client.send("ping")
    #expect(world.run { client.text.hasSuffix("[ping]") })
    client.finish()
    #expect(world.run { client.isOver })
    world.settle()
    world.expectClean()
  }

  @Test("an upgrade that is refused is an ordinary response, and nothing is smuggled behind it")
  func refusedUpgrade() {
    let world = ProxyWorld()
    world.simple(manager: { $0.upgrades = [UpgradeConfiguration(type: "websocket")] })
    var requests = 0
    world.server.onBytes = { peer in
      guard let message = HTTP1Text(peer.received) else { return }
      peer.received.removeFirst(message.length)
      requests += 1
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno")
    }
    let client = world.connect()
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.text == "no")
    #expect(requests == 1)
    world.settle()
    world.expectClean()
  }
}

@Suite("TCP proxy")
struct TCPProxyTests {
  private func world(seed: UInt64 = 1, change: (inout TCPProxy) -> Void = { _ in }) -> ProxyWorld {
    let world = ProxyWorld(seed: seed, splits: seed > 1)
    world.simple()
    var proxy = TCPProxy(statPrefix: "tcp", cluster: .single("backend"))
    change(&proxy)
    world.listen([.tcpProxy(proxy)])
    world.apply()
    return world
  }

  @Test("bytes and ends pass both ways", arguments: [1, 2, 3] as [UInt64])
  func halfClose(seed: UInt64) {
    let world = world(seed: seed)
    let up = pattern(seed > 1 ? 20_000 : 300_000)
    let down = pattern(seed > 1 ? 10_000 : 200_000, seed: 9)
    world.server.onAccept = { $0.closesOnEnd = false }
    let client = world.connect()
    client.closesOnEnd = false
    #expect(world.run { client.isConnected })
    client.send(up)
    client.finish()
    #expect(world.run { world.server.accepted.first?.readEnded ?? false })
    #expect(same(world.server.accepted[0].received, up))
    // The client has ended; the server answers all the same.
    #expect(!client.isOver)
    world.server.accepted[0].send(down)
    world.server.accepted[0].finish()
    #expect(world.run { client.readEnded })
    #expect(same(client.received, down))
    world.advance(by: .seconds(2))
    #expect(world.engine.streams.count == 0)
    #expect(world.engine.downstreams.count == 0)
    #expect(world.engine.upstreams.count == 0)
  }

  @Test("a server that speaks first is heard")
  func serverFirst() {
    let world = world()
    world.server.onAccept = { $0.send("banner") }
    let client = world.connect()
    #expect(world.run { client.text == "banner" })
  }

  @Test("an idle session ends")
  func idle() {
    let world = world { $0.idleTimeout = .seconds(3) }
    let client = world.connect()
    client.send("x")
    #expect(world.run { world.server.accepted.first?.text == "x" })
    let before = world.network.time
    #expect(world.run { client.isOver })
    #expect(world.network.time - before >= .seconds(2))
  }

  @Test("no upstream: the client is closed")
  func refused() {
    let world = world()
    world.server.stopListening(8080)
    let client = world.connect()
    #expect(world.run { client.isOver })
    world.settle()
    #expect(world.engine.streams.count == 0)
  }
}
