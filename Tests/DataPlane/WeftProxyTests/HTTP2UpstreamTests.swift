import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("HTTP/2 upstream connections")
struct HTTP2UpstreamTests {
  private func get(_ path: String = "/") -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

  @Test("streams beyond a GOAWAY go to another connection, those before it end where they are")
  func goAway() {
    let world = ProxyWorld()
    world.simple(upstream: .two)
    var ends: [H2Peer] = []
    var held: [(H2Peer, H2StreamID)] = []
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      ends.append(h2)
      h2.onRequest = { [unowned h2] id, _ in
        if ends.count == 1 { held.append((h2, id)) } else { h2.respond(id, 200, body: [2]) }
      }
    }
    let first = world.connect()
    first.send(get("/1"))
    #expect(world.run { held.count == 1 })
    ends[0].goAway()
    world.settle()
    let second = world.connect()
    second.send(get("/2"))
    #expect(world.run { HTTP1Text(second.received) != nil })
    #expect(HTTP1Text(second.received)?.body == [2])
    held[0].0.respond(held[0].1, 200, body: [1])
    #expect(world.run { HTTP1Text(first.received) != nil })
    #expect(HTTP1Text(first.received)?.body == [1])
    #expect(world.run { world.server.accepted[0].isOver })
    #expect(world.value(ClusterMetric.upstreamCxCloseNotify) == 1)
    world.settle()
    world.expectClean()
  }

  @Test(
    "an answer without content that the server does not end keeps no place on the connection",
    arguments: [200, 204, 304], Version.allCases)
  func openAnswer(status: UInt16, client version: Version) {
    let world = ProxyWorld()
    world.simple(upstream: .two, cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    var server: H2Peer?
    world.server.onAccept = { peer in
      var limits = HTTPLimits()
      limits.http2.maxConcurrentStreams = 2
      let h2 = H2Peer(.server, peer, limits: limits)
      server = h2
      h2.onRequest = { [unowned h2] id, message in
        h2.respond(id, status, end: false)
      }
    }
    let method = status == 200 ? HTTPMethod.head : .get
    for _ in 0..<5 {
      let client = world.connect()
      if version == .two {
        let h2 = H2Peer(.client, client)
        let id = h2.request(method, "/")
        #expect(world.run(for: .seconds(1)) { h2.messages[id]?.ended ?? false })
        #expect(h2.messages[id]?.status == status)
      } else {
        client.send("\(method == .head ? "HEAD" : "GET") / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(world.run(for: .seconds(1)) { client.text.hasSuffix("\r\n\r\n") })
        #expect(client.text.hasPrefix("HTTP/1.1 \(status) "))
      }
    }
    world.settle()
    #expect(world.server.accepted.count == 1 && !world.server.accepted[0].isOver)
    #expect(server?.messages.values.allSatisfy { $0.resetCode == .cancel } ?? false)
    #expect(world.value(ClusterMetric.upstreamRqTxReset) == 5)
    world.expectClean()
  }

  @Test("a refused stream is tried again, whatever its method")
  func refusedStream() {
    let world = ProxyWorld()
    world.simple(upstream: .two)
    var count = 0
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, message in
        count += 1
        if count == 1 { h2.reset(id, .refusedStream) } else { h2.respond(id, 200, body: message.body) }
      }
    }
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n")
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 200)
    #expect(count == 2)
    world.settle()
    world.expectClean()
  }

  @Test("many clients share one connection, and wait where it takes no more streams")
  func concurrency() {
    let world = ProxyWorld()
    world.simple(upstream: .two)
    var open = 0
    var most = 0
    var held: [(H2Peer, H2StreamID)] = []
    world.server.onAccept = { peer in
      var limits = HTTPLimits()
      limits.http2.maxConcurrentStreams = 3
      let h2 = H2Peer(.server, peer, limits: limits)
      h2.onRequest = { [unowned h2] id, _ in
        open += 1
        most = max(most, open)
        held.append((h2, id))
      }
    }
    let warm = world.connect()
    warm.send(get())
    #expect(world.run { held.count == 1 })
    let clients = (0..<7).map { _ in world.connect() }
    for client in clients { client.send(get()) }
    var answered = 0
    #expect(
      world.run {
        if let (h2, id) = held.first {
          held.removeFirst()
          open -= 1
          h2.respond(id, 200, body: [1])
        }
        answered = clients.count { HTTP1Text($0.received) != nil }
        return answered == clients.count
      })
    for peer in world.server.accepted { #expect(!peer.isClosed) }
    world.settle()
    world.expectClean()
  }

  @Test(
    "no connection has more streams at once than its cluster allows, whatever the server would take",
    arguments: [1, 2, 3] as [UInt32])
  func streamLimit(limit: UInt32) {
    let world = ProxyWorld()
    world.simple(upstream: .two, cluster: { $0.http2.maxConcurrentStreams = limit })
    var open: [Int] = []
    var held: [(number: Int, h2: H2Peer, id: H2StreamID)] = []
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      let number = open.count
      open.append(0)
      h2.onRequest = { [unowned h2] id, _ in
        open[number] += 1
        #expect(open[number] <= Int(limit))
        held.append((number, h2, id))
      }
    }
    let clients = (0..<7).map { _ in world.connect() }
    for round in 1...2 {
      for client in clients {
        client.received = []
        client.send(get())
      }
      // All at once, on as many connections as that takes; the second time on the same ones.
      #expect(world.run { held.count == clients.count }, "round \(round): \(open)")
      for stream in held {
        open[stream.number] -= 1
        stream.h2.respond(stream.id, 200, body: [1])
      }
      held = []
      #expect(world.run { clients.allSatisfy { HTTP1Text($0.received)?.status == 200 } })
    }
    #expect(open.count == (clients.count + Int(limit) - 1) / Int(limit))
    world.settle()
    world.expectClean()
  }

  @Test("no connection carries more requests than it may, however many come at once", arguments: [1, 2, 5] as [UInt32])
  func requestLimit(limit: UInt32) {
    let world = ProxyWorld()
    world.simple(upstream: .two, cluster: { $0.maxRequestsPerConnection = limit })
    var served: [Int] = []
    var held: [(H2Peer, H2StreamID)] = []
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      let number = served.count
      served.append(0)
      h2.onRequest = { [unowned h2] id, _ in
        served[number] += 1
        held.append((h2, id))
      }
    }
    let clients = (0..<11).map { _ in world.connect() }
    for client in clients { client.send(get()) }
    #expect(world.run { held.count == clients.count })
    for (h2, id) in held { h2.respond(id, 200, body: [1]) }
    #expect(world.run { clients.allSatisfy { HTTP1Text($0.received)?.status == 200 } })
    #expect(served.allSatisfy { $0 <= Int(limit) }, "\(served)")
    #expect(world.value(ClusterMetric.upstreamCxMaxRequests) == UInt64(11 / limit))
    // The full ones close when their last request has ended.
    #expect(world.run { world.server.accepted.count { $0.isOver } == Int(11 / limit) })
    // Now one after the other.
    for client in clients {
      client.received = []
      held = []
      client.send(get())
      #expect(world.run { held.count == 1 })
      held[0].0.respond(held[0].1, 200, body: [1])
      #expect(world.run { HTTP1Text(client.received)?.status == 200 })
    }
    #expect(served.allSatisfy { $0 <= Int(limit) } && served.reduce(0, +) == 22, "\(served)")
    world.settle()
    world.expectClean()
  }

  @Test("a PING that is not answered ends the connection")
  func ping() {
    let world = ProxyWorld()
    world.simple(
      upstream: .two,
      cluster: { $0.http2.keepalive = HTTP2Options.Keepalive(interval: .seconds(10), timeout: .seconds(2)) })
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, _ in h2.respond(id, 200, body: [1]) }
    }
    let client = world.connect()
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    world.advance(by: .seconds(30))
    #expect(!world.server.accepted[0].isOver)
    // From now on the server is silent.
    world.server.accepted[0].pause()
    #expect(world.run { world.engine.upstreams.count == 0 })
  }

  @Test("unused connections close after the idle time-out", arguments: Version.allCases)
  func idle(version: Version) {
    let world = ProxyWorld()
    world.simple(upstream: version, cluster: { $0.idleTimeout = .seconds(4) })
    let ends = Ends(world, client: .one, server: version) { _ in (200, [1], false, []) }
    #expect(ends.exchange()?.status == 200)
    world.advance(by: .seconds(3))
    #expect(!world.server.accepted[0].isOver)
    #expect(world.run { world.server.accepted[0].isOver })
    #expect(world.value(ClusterMetric.upstreamCxIdleTimeout) == 1)
    // The next request simply opens another.
    #expect(ends.exchange()?.status == 200)
    #expect(world.server.accepted.count == 2)
  }

  @Test("a complete response reaches a slow client although its server goes at once", arguments: Version.allCases)
  func serverGoesFirst(version: Version) {
    let world = ProxyWorld()
    world.simple(upstream: version)
    let body = pattern(100_000)
    world.server.onAccept = { peer in
      guard version == .two else { return }
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, _ in
        h2.respond(id, 200, body: body)
        peer.close()
      }
    }
    world.server.onBytes = { peer in
      guard version == .one, peer.text.hasSuffix("\r\n\r\n") else { return }
      peer.send(Array("HTTP/1.1 200 OK\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body)
      peer.close()
    }
    let connection = world.connect()
    var limits = HTTPLimits()
    limits.http2.initialStreamWindow = 65_535
    let client = H2Peer(.client, connection, limits: limits)
    client.credits = false
    let id = client.request(.get, "/")
    #expect(world.run { client.messages[id]?.body.count == 65_535 })
    world.advance(by: .seconds(2))
    #expect(client.messages[id]?.resetCode == nil)
    #expect(
      world.run {
        client.credit()
        return client.messages[id]?.ended ?? false || client.messages[id]?.resetCode != nil
      })
    #expect(same(client.messages[id]?.body, body))
    world.settle()
    world.expectClean()
  }

  /// PING frames among the bytes a server got.
  private func pings(_ bytes: [UInt8]) -> Int {
    var at = 24
    var count = 0
    while at + 9 <= bytes.count {
      if bytes[at + 3] == 6, bytes[at + 4] & 1 == 0 { count += 1 }
      at += 9 + Int(bytes[at]) << 16 + Int(bytes[at + 1]) << 8 + Int(bytes[at + 2])
    }
    return count
  }

  @Test(
    "keep-alive PINGs leave once per interval, however short their time-out, and later by chance where they may",
    arguments: [(0, 95), (100, 185)] as [(Double, Int64)])
  func pingInterval(jitter: Double, seconds: Int64) {
    let world = ProxyWorld()
    world.simple(
      upstream: .two,
      cluster: {
        $0.http2.keepalive = HTTP2Options.Keepalive(interval: .seconds(30), timeout: .seconds(1))
        $0.http2.keepalive?.intervalJitterPercent = jitter
      })
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, _ in h2.respond(id, 200, body: [1]) }
    }
    let client = world.connect()
    client.send(get())
    #expect(world.run { HTTP1Text(client.received) != nil })
    world.advance(by: .seconds(seconds))
    #expect(!world.server.accepted[0].isOver)
    let count = pings(world.server.accepted[0].received)
    // Three intervals of 30 s, or as many of 30 to 60 s as 185 s have room for.
    #expect(jitter == 0 ? count == 3 : (3...5).contains(count), "\(count)")
  }

  @Test("trailers behind a body of declared length arrive")
  func trailersBehindLength() {
    let world = ProxyWorld()
    world.simple(upstream: .two)
    var got: H2Message?
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, message in
        got = message
        h2.respond(id, 200, body: [1])
      }
    }
    let client = H2Peer(.client, world.connect())
    let id = client.request(.post, "/", body: [1, 2, 3], length: 3, end: false)
    client.sendTrailers(id, [("x-sum", "6")])
    #expect(world.run { client.messages[id]?.ended ?? false })
    #expect(got?.first("content-length") == "3")
    #expect(got?.body == [1, 2, 3])
    #expect(got?.trailers.map(\.value) == ["6"])
    world.settle()
    world.expectClean()
  }
}
