import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// All pairs of versions and both kinds of tunnel.
let tunnelPairs: [(Version, Version, Asked)] = Version.allCases.flatMap { client in
  Version.allCases.flatMap { server in Asked.allCases.map { (client, server, $0) } }
}

@Suite("upgrades and CONNECT")
struct TunnelTests {
  @Test("bytes pass both ways, and each side ends by itself, the client first", arguments: tunnelPairs)
  func clientEndsFirst(client: Version, server: Version, asked: Asked) {
    for seed in 1...4 as ClosedRange<UInt64> {
      let world = ProxyWorld(seed: seed, splits: seed > 1)
      world.tunnels(upstream: server)
      let ends = TunnelEnds(world, asked, client: client, server: server)
      #expect(ends.open(), "seed \(seed)")
      let up = pattern(seed > 1 ? 3000 : 200_000, seed: seed)
      let down = pattern(seed > 1 ? 2000 : 300_000, seed: seed &+ 1)
      ends.clientSends(Array(up.prefix(10)))
      #expect(world.run { ends.serverGot.count == 10 })
      ends.serverSends(Array(down.prefix(20)))
      #expect(world.run { ends.clientGot.count == 20 })
      ends.clientSends(Array(up.dropFirst(10)))
      ends.clientEnds()
      #expect(world.run { ends.serverSawEnd }, "the client's end does not arrive, seed \(seed)")
      #expect(same(ends.serverGot, up))
      #expect(!ends.clientSawEnd)
      ends.serverSends(Array(down.dropFirst(20)))
      ends.serverEnds()
      #expect(world.run { ends.clientSawEnd }, "the server's end does not arrive, seed \(seed)")
      #expect(same(ends.clientGot, down))
      world.settle()
      #expect(ends.clientResetCode == nil && ends.serverResetCode == nil)
      world.expectClean()
      #expect(world.value(HTTPMetric.downstreamCxUpgradesTotal) == 1)
      #expect(world.value(HTTPMetric.downstreamCxUpgradesActive) == 0)
    }
  }

  @Test("the server may end first; what the client still says arrives", arguments: tunnelPairs)
  func serverEndsFirst(client: Version, server: Version, asked: Asked) {
    for seed in 1...4 as ClosedRange<UInt64> {
      let world = ProxyWorld(seed: seed, splits: seed > 1)
      world.tunnels(upstream: server)
      let ends = TunnelEnds(world, asked, client: client, server: server)
      #expect(ends.open())
      ends.serverSends([1, 2, 3])
      ends.serverEnds()
      #expect(world.run { ends.clientSawEnd })
      #expect(ends.clientGot == [1, 2, 3])
      let up = pattern(seed > 1 ? 3000 : 150_000, seed: seed)
      ends.clientSends(up)
      ends.clientEnds()
      #expect(world.run { ends.serverSawEnd }, "seed \(seed)")
      #expect(same(ends.serverGot, up))
      world.settle()
      world.expectClean()
    }
  }

  @Test("a side that does not read holds the other one back, and gets everything later", arguments: tunnelPairs)
  func backPressure(client: Version, server: Version, asked: Asked) {
    let world = ProxyWorld(window: 4096)
    world.tunnels(
      upstream: server,
      cluster: { cluster in
        cluster.perConnectionBufferLimitBytes = 16 << 10
        cluster.http2.initialStreamWindowBytes = 65_535
      })
    world.config.listeners[0].perConnectionBufferLimitBytes = 16 << 10
    world.apply()
    let ends = TunnelEnds(world, asked, client: client, server: server)
    #expect(ends.open())
    let up = pattern(2_000_000, seed: 3)
    let down = pattern(2_000_000, seed: 4)
    ends.client.pause()
    ends.server?.pause()
    ends.serverSends(down)
    ends.clientSends(up)
    world.advance(by: .seconds(2))
    #expect(world.proxyLoop.pool.lentBytes < 1_500_000)
    ends.client.resume()
    ends.server?.resume()
    #expect(world.run { ends.clientGot.count == down.count && ends.serverGot.count == up.count })
    #expect(same(ends.clientGot, down))
    #expect(same(ends.serverGot, up))
    ends.clientEnds()
    ends.serverEnds()
    #expect(world.run { ends.clientSawEnd && ends.serverSawEnd })
    world.settle()
    world.expectClean()
  }

  @Test("the handshake has each version's form", arguments: Version.allCases, Version.allCases)
  func handshake(client: Version, server: Version) {
    for seed in 1...3 as ClosedRange<UInt64> {
      let world = ProxyWorld(seed: seed, splits: seed > 1)
      world.tunnels(upstream: server)
      let ends = TunnelEnds(world, .webSocket, client: client, server: server)
      ends.ask(fields: [("sec-websocket-protocol", "chat"), ("origin", "http://a")])
      #expect(world.run { ends.request != nil })
      let request = ends.request
      #expect(request?.path == "/chat")
      #expect(request?.first("sec-websocket-protocol") == "chat")
      #expect(request?.first("origin") == "http://a")
      if server == .one {
        #expect(request?.method == "GET")
        #expect(request?.first("upgrade") == "websocket")
        #expect(request?.first("connection") == "upgrade")
        #expect(request?.first("sec-websocket-version") == "13")
        // The client's own, or one made here: always 16 bytes.
        let key = request?.first("sec-websocket-key")
        if client == .one { #expect(key == TunnelEnds.key) } else { #expect(key?.count == 24) }
      } else {
        #expect(request?.method == "CONNECT")
        #expect(request?.first(":protocol") == "websocket")
        #expect(request?.first("upgrade") == nil)
        #expect(request?.first("connection") == nil)
        #expect(request?.first("sec-websocket-key") == (client == .one ? TunnelEnds.key : nil))
      }
      ends.grant(fields: [("sec-websocket-protocol", "chat")])
      #expect(world.run { ends.answer != nil })
      let answer = ends.answer
      #expect(answer?.first("sec-websocket-protocol") == "chat")
      #expect(answer?.first("content-length") == nil && answer?.first("transfer-encoding") == nil)
      if client == .one {
        #expect(answer?.status == 101)
        #expect(answer?.first("upgrade") == "websocket")
        #expect(answer?.first("connection")?.lowercased() == "upgrade")
        #expect(answer?.first("sec-websocket-accept") == TunnelEnds.accept)
      } else {
        #expect(answer?.status == 200)
        #expect(answer?.first("upgrade") == nil)
        // Keys are no matter of HTTP/2's; one that was made here is answered here.
        #expect(answer?.first("sec-websocket-accept") == nil)
      }
    }
  }

  @Test("a key that an HTTP/2 client brings goes through, and so does its answer")
  func keyThroughHTTP2() {
    let world = ProxyWorld()
    world.tunnels(upstream: .one)
    let ends = TunnelEnds(world, .webSocket, client: .two, server: .one)
    ends.ask(key: true)
    #expect(world.run { ends.request != nil })
    #expect(ends.request?.first("sec-websocket-key") == TunnelEnds.key)
    ends.grant()
    #expect(world.run { ends.answer != nil })
    #expect(ends.answer?.first("sec-websocket-accept") == TunnelEnds.accept)
  }

  @Test("a wrong answer to the handshake is a bad gateway, and its connection ends")
  func wrongAccept() {
    let wrong: [(Version, Version, String)] = [
      (.two, .one, "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: AAAA\r\n\r\n"),
      (.two, .one, "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
      (.two, .one, "HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n"),
      (.two, .one, "HTTP/1.1 101 S\r\nconnection: upgrade\r\n\r\n"),
    ]
    for (client, server, answer) in wrong {
      let world = ProxyWorld()
      world.tunnels(upstream: server)
      let ends = TunnelEnds(world, .webSocket, client: client, server: server)
      ends.ask()
      #expect(world.run { ends.request != nil })
      ends.server?.send(answer)
      #expect(world.run { ends.answer != nil })
      #expect(ends.answer?.status == 502, "\(answer)")
      world.settle()
      #expect(ends.server?.isOver ?? false)
      world.expectClean()
    }
    // An HTTP/1 server behind an HTTP/2 hop whose answer came through.
    let world = ProxyWorld()
    world.tunnels(upstream: .two)
    let ends = TunnelEnds(world, .webSocket, client: .one, server: .two)
    ends.ask()
    #expect(world.run { ends.request != nil })
    ends.grant(fields: [("sec-websocket-accept", "AAAA")])
    #expect(world.run { ends.answer != nil })
    #expect(ends.answer?.status == 502)
    world.settle()
    world.expectClean()
  }

  @Test("an answer that is no grant passes as it is", arguments: tunnelPairs)
  func refused(client: Version, server: Version, asked: Asked) {
    for status in [403, 426, 503] {
      let world = ProxyWorld()
      world.tunnels(upstream: server)
      let ends = TunnelEnds(world, asked, client: client, server: server)
      ends.ask()
      #expect(world.run { ends.request != nil })
      if let h2 = ends.serverH2 {
        h2.respond(ends.serverID, UInt16(status), fields: [("x-why", "no")], body: Array("no".utf8))
      } else {
        ends.server?.send("HTTP/1.1 \(status) X\r\ncontent-length: 2\r\nx-why: no\r\n\r\nno")
      }
      #expect(
        world.run {
          (client == .one ? HTTP1Text(ends.client.received)?.body : ends.clientGot) == Array("no".utf8)
        })
      #expect(ends.answer?.status == status)
      #expect(ends.answer?.first("x-why") == "no")
      #expect(ends.answer?.first("upgrade") == nil)
      world.settle()
      world.expectClean()
      // A refused upgrade leaves an HTTP/1 client's connection as it was; after CONNECT nobody knows what follows.
      if client == .one { #expect(ends.client.readEnded == (asked == .connect)) }
    }
  }

  @Test("CONNECT is denied unless it is configured", arguments: Version.allCases)
  func connectDenied(client: Version) {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      guard case .inline(var routes) = manager.routes else { return }
      routes.virtualHosts[0].routes[0].match = RouteMatch(.connect)
      manager.routes = .inline(routes)
    })
    let ends = TunnelEnds(world, .connect, client: client, server: .one)
    ends.ask()
    #expect(world.run { ends.answer != nil })
    #expect(ends.answer?.status == 403)
    #expect(world.server.accepted.isEmpty)
  }

  @Test("an upgrade answered with 200 is an ordinary response, and its connection serves no other request")
  func answeredWithOK() {
    let world = ProxyWorld()
    world.tunnels(upstream: .one)
    let ends = TunnelEnds(world, .webSocket, client: .one, server: .one)
    ends.ask()
    ends.client.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { ends.request != nil })
    let first = ends.server
    world.settle()
    #expect(!(first?.text.contains("smuggled") ?? true))
    first?.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    #expect(world.run { world.server.accepted.count == 2 && world.server.accepted[1].text.contains("GET /smuggled") })
    #expect(HTTP1Text(ends.client.received)?.text == "ok")
    #expect(first?.isOver ?? false)
  }

  @Test("an HTTP/2 upstream that does not take upgrades gets none", arguments: Version.allCases)
  func notAllowedByUpstream(client: Version) {
    let world = ProxyWorld()
    world.tunnels(upstream: .two)
    let ends = TunnelEnds(world, .webSocket, client: client, server: .two, allowsExtended: false)
    ends.ask()
    #expect(world.run { ends.answer != nil })
    #expect(ends.answer?.status == 503)
    #expect(ends.request == nil)
    #expect(world.server.accepted.count == 1)
    world.settle()
    world.expectClean()
  }

  @Test("an upgrade waits for the upstream's SETTINGS; other requests do not, and no second connection is made")
  func waitsForSettings() {
    let world = ProxyWorld()
    world.tunnels(upstream: .two)
    let ends = TunnelEnds(world, .webSocket, client: .one, server: .two)
    // This server is slow to say anything.
    var silent: Peer?
    world.server.onAccept = { silent = $0 }
    ends.ask()
    world.advance(by: .milliseconds(500))
    let other = world.connect()
    other.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
    world.advance(by: .milliseconds(500))
    #expect(world.server.accepted.count == 1)
    guard let silent else { return }
    var limits = HTTPLimits()
    limits.http2.allowsExtendedConnect = true
    let early = silent.received
    let h2 = H2Peer(.server, silent, limits: limits)
    var seen: [String] = []
    h2.onHead = { [unowned h2] id, message in
      seen.append(message.protocolName + message.path)
      h2.respond(id, 200, end: message.protocolName.isEmpty)
    }
    early.withByteView { h2.receive($0, silent) }
    // Only what had not to wait for them was sent before the SETTINGS.
    #expect(seen == ["/other"])
    #expect(world.run { ends.answer != nil && HTTP1Text(other.received) != nil })
    #expect(seen == ["/other", "websocket/chat"])
    #expect(ends.answer?.status == 101)
    #expect(world.server.accepted.count == 1)
  }

  @Test("nothing of a tunnel passes before it is granted", arguments: Version.allCases, Asked.allCases)
  func earlyData(server: Version, asked: Asked) {
    let world = ProxyWorld()
    world.tunnels(upstream: server)
    let ends = TunnelEnds(world, asked, client: .two, server: server)
    ends.ask()
    let early = Array("GET /admin HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    ends.clientSends(early)
    #expect(world.run { ends.request != nil })
    world.settle()
    #expect(ends.serverGot.isEmpty)
    ends.grant()
    #expect(world.run { ends.serverGot == early })
  }

  @Test("a reset passes to the other side as a reset", arguments: tunnelPairs)
  func resets(client: Version, server: Version, asked: Asked) {
    for clientBreaks in [true, false] {
      let world = ProxyWorld()
      world.tunnels(upstream: server)
      let ends = TunnelEnds(world, asked, client: client, server: server)
      #expect(ends.open())
      ends.clientSends([1])
      ends.serverSends([2])
      #expect(world.run { ends.clientGot == [2] && ends.serverGot == [1] })
      if clientBreaks { ends.clientResets() } else { ends.serverResets() }
      world.settle()
      if clientBreaks {
        #expect(server == .two ? ends.serverResetCode != nil : ends.server?.closeReason?.kind == .peerReset)
      } else if client == .two {
        #expect(ends.clientResetCode == .connectError)
      } else {
        #expect(ends.client.closeReason?.kind == .peerReset)
      }
      world.expectClean()
    }
  }

  @Test(
    "content of an upgrade request reaches an HTTP/1 upstream in its framing, before the tunnel",
    arguments: [false, true])
  func content(chunked: Bool) {
    for seed in 1...4 as ClosedRange<UInt64> {
      let world = ProxyWorld(seed: seed, splits: seed > 1)
      world.tunnels(upstream: .one)
      let ends = TunnelEnds(world, .webSocket, client: .one, server: .one)
      let body = pattern(3000, seed: seed)
      let head = "POST /attach HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
      if chunked {
        ends.client.send(
          Array((head + "transfer-encoding: chunked\r\n\r\n").utf8) + HTTP1Text.chunked(body, size: 700))
      } else {
        ends.client.send(Array((head + "content-length: 3000\r\n\r\n").utf8) + body)
      }
      #expect(world.run { ends.server.flatMap { HTTP1Text($0.received) } != nil }, "the content does not end")
      let request = ends.server.flatMap { HTTP1Text($0.received) }
      #expect(same(request?.body, body))
      let length = request?.length ?? 0
      ends.server?.send("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
      #expect(world.run { ends.clientGot == Array("hello".utf8) })
      ends.client.send("raw")
      #expect(world.run { ends.server?.received.count == length + 3 })
      #expect(ends.server?.text.hasSuffix("raw") ?? false)
      ends.clientEnds()
      ends.serverEnds()
      #expect(world.run { ends.clientSawEnd && ends.serverSawEnd })
      world.settle()
      world.expectClean()
    }
  }

  @Test(
    "an upgrade request with content is tried elsewhere as long as nothing of it was passed on",
    arguments: [false, true])
  func retriedContent(chunked: Bool) {
    let world = ProxyWorld()
    world.tunnels(
      upstream: .one,
      route: { action in
        var policy = RetryPolicy(retryOn: [.connectFailure])
        policy.maxRetries = 5
        policy.avoidPreviousHosts = true
        action.retryPolicy = policy
      }, ports: [8080, 8081])
    world.server.stopListening(8080)
    for _ in 0..<4 {
      let before = world.server.accepted.count
      let ends = TunnelEnds(world, .webSocket, client: .one, server: .one)
      let head = "POST /attach HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
      ends.client.send(
        chunked
          ? head + "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" : head + "content-length: 3\r\n\r\nabc")
      #expect(world.run { ends.server.flatMap { HTTP1Text($0.received) } != nil })
      #expect(ends.server.flatMap { HTTP1Text($0.received) }?.text == "abc")
      #expect(world.server.accepted.count == before + 1)
      ends.server?.send("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
      #expect(world.run { ends.answer?.status == 101 })
      ends.clientSends([7])
      #expect(world.run { ends.server?.received.last == 7 })
      ends.clientEnds()
      ends.serverEnds()
      world.settle()
    }
    world.expectClean()
  }

  @Test("a grant before the end of the request's content is refused")
  func grantTooEarly() {
    let world = ProxyWorld()
    world.tunnels(upstream: .one)
    let ends = TunnelEnds(world, .webSocket, client: .one, server: .one)
    ends.client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\ncontent-length: 10\r\n\r\nabc")
    #expect(world.run { ends.server?.text.hasSuffix("abc") ?? false })
    ends.server?.send("HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    #expect(world.run { ends.answer != nil })
    #expect(ends.answer?.status == 502)
    world.settle()
    world.expectClean()
  }

  @Test("content before a tunnel has no place in HTTP/2")
  func contentOverHTTP2() {
    let world = ProxyWorld()
    world.tunnels(upstream: .two)
    let ends = TunnelEnds(world, .webSocket, client: .one, server: .two)
    ends.client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\ncontent-length: 3\r\n\r\nabc")
    #expect(world.run { ends.answer != nil })
    #expect(ends.answer?.status == 501)
    world.settle()
    world.expectClean()
  }

  @Test(
    "what is not allowed is refused before any upstream hears of it",
    arguments: [
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket, other\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: other\r\n\r\n",
    ])
  func notAllowed(request: String) {
    let world = ProxyWorld()
    world.tunnels(upstream: .one)
    let client = world.connect()
    client.send(request)
    #expect(world.run { client.text.contains("\r\n\r\n") })
    #expect(client.text.hasPrefix("HTTP/1.1 403 "))
    #expect(world.server.accepted.isEmpty)
    #expect(world.value(HTTPMetric.downstreamRqWSOnNonWSRoute) == 1)
  }

  @Test(
    "a route has the last word on upgrades, over its connection manager",
    arguments: [(true, false, 403), (false, true, 101), (true, nil, 101), (false, nil, 403)] as [(Bool, Bool?, Int)])
  func routeDecides(manager: Bool, route: Bool?, expected: Int) {
    let world = ProxyWorld()
    world.tunnels(
      upstream: .one,
      manager: { $0.upgrades = [UpgradeConfiguration(type: "websocket", enabled: manager)] },
      route: { if let route { $0.upgrades = [UpgradeConfiguration(type: "websocket", enabled: route)] } })
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    if expected == 101 {
      #expect(world.run { world.server.accepted.first?.text.contains("\r\n\r\n") ?? false })
      world.server.accepted.first?.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    }
    #expect(world.run { client.text.contains("\r\n\r\n") })
    #expect(client.text.hasPrefix("HTTP/1.1 \(expected) "))
    #expect(world.server.accepted.isEmpty == (expected == 403))
  }

  @Test("an upgrade to cleartext HTTP/2 is left out, whatever stands beside it")
  func cleartextHTTP2() {
    for list in ["h2c", "h2c\r\nUpgrade: other", "h2c\r\nUpgrade: websocket"] {
      let world = ProxyWorld()
      world.tunnels(upstream: .one)
      let client = world.connect()
      client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: \(list)\r\n\r\n")
      world.settle()
      let text = world.server.accepted.first?.text.lowercased()
      #expect(text?.hasPrefix("get / ") ?? false)
      #expect(!(text?.contains("upgrade") ?? true))
    }
  }

  @Test(
    "extended CONNECT is announced where an upgrade is allowed, and refused elsewhere",
    arguments: ["manager", "route", "none"])
  func announced(by place: String) {
    let world = ProxyWorld()
    world.simple(
      manager: { if place == "manager" { $0.upgrades = [UpgradeConfiguration(type: "websocket")] } },
      route: { if place == "route" { $0.upgrades = [UpgradeConfiguration(type: "websocket")] } })
    let ends = TunnelEnds(world, .webSocket, client: .two, server: .one)
    ends.ask()
    world.settle()
    let announcement: [UInt8] = [0, 8, 0, 0, 0, 1]
    let settings = Array(ends.client.received.prefix(9 + Int(ends.client.received[2])))
    let announced = stride(from: 9, to: settings.count, by: 6).contains { Array(settings[$0..<$0 + 6]) == announcement }
    #expect(announced == (place != "none"))
    #expect((ends.request != nil) == (place != "none"))
    #expect((ends.clientResetCode == .protocolError) == (place == "none"))
  }

  @Test("CONNECT with content is refused in both versions")
  func connectWithContent() {
    let world = ProxyWorld()
    world.tunnels(upstream: .one)
    for framing in ["content-length: 3", "transfer-encoding: chunked"] {
      let client = world.connect()
      client.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\(framing)\r\n\r\n")
      #expect(world.run { client.isOver })
      #expect(client.text.hasPrefix("HTTP/1.1 400 "))
    }
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    let id = h2.connect("websocket", fields: [("content-length", "3")])
    #expect(world.run { h2.messages[id]?.resetCode == .protocolError })
    #expect(world.server.accepted.isEmpty)
  }

  @Test("the time-out of a route is for the answer; a tunnel ends by its silence", arguments: tunnelPairs)
  func timeouts(client: Version, server: Version, asked: Asked) {
    let world = ProxyWorld()
    world.tunnels(
      upstream: server, manager: { $0.requestTimeout = .seconds(1) },
      route: {
        $0.timeout = .seconds(3)
        $0.idleTimeout = .seconds(20)
      })
    let slow = TunnelEnds(world, asked, client: client, server: server)
    slow.ask()
    world.advance(by: .seconds(2))
    #expect(slow.answer == nil)
    world.advance(by: .seconds(2))
    #expect(slow.answer?.status == 504)
    while let peer = world.server.accepted.last, !peer.isOver {
      peer.close()
      world.settle()
    }
    let ends = TunnelEnds(world, asked, client: client, server: server)
    #expect(ends.open())
    for _ in 0..<4 {
      world.advance(by: .seconds(15))
      ends.clientSends([1])
      world.settle()
    }
    #expect(ends.serverGot == [1, 1, 1, 1])
    world.advance(by: .seconds(21))
    #expect(client == .two ? ends.clientResetCode != nil : ends.client.isOver)
    world.expectClean()
  }

  @Test(
    "a response that came whole is given whole, although its connection ended meanwhile", arguments: Version.allCases)
  func wholeResponse(server: Version) {
    let world = ProxyWorld(window: 4096)
    world.simple(upstream: server)
    let body = pattern(300_000)
    world.server.onAccept = { peer in
      guard server == .two else { return }
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, _ in h2.respond(id, body: body) }
    }
    world.server.onBytes = { peer in
      guard server == .one, peer.text.hasSuffix("\r\n\r\n") else { return }
      peer.received = []
      peer.send(Array("HTTP/1.1 200 OK\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body)
      peer.close()
    }
    let client = world.connect()
    #expect(world.run { client.isConnected })
    var limits = HTTPLimits()
    limits.http2.initialStreamWindow = 65_535
    let h2 = H2Peer(.client, client, limits: limits)
    h2.credits = false
    let id = h2.request(.get, "/")
    world.settle()
    world.server.accepted.first?.close()
    for _ in 0..<20 {
      world.settle()
      h2.credit()
    }
    #expect(world.run { h2.messages[id]?.ended ?? false })
    #expect(same(h2.messages[id]?.body, body))
    world.settle()
    world.expectClean()
  }
}
