import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyTestKit

/// Found by the simulation of whole meshes (`Tests/Simulation`).
@Suite("ends that meet a blocked peer")
struct BlockedPeerTests {
  @Test("the end of a response that comes without bytes is not lost on a client that does not read")
  func emptyEndOfResponse() {
    let world = ProxyWorld(window: 4096)
    world.simple(upstream: .two)
    let large = pattern(3_000_000)
    var waiting: (H2Peer, H2StreamID)?
    world.server.onAccept = { peer in
      let server = H2Peer(.server, peer)
      server.onRequest = { [unowned server] id, message in
        if message.path == "/large" { return server.respond(id, body: large) }
        server.respond(id, body: [1, 2, 3], end: false)
        waiting = (server, id)
      }
    }
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    let small = h2.request(.get, "/small")
    #expect(world.run { h2.messages[small]?.body.count == 3 })
    client.pause()
    h2.request(.get, "/large")
    #expect(world.run { world.value(HTTPMetric.downstreamFlowControlPausedReading) > 0 })
    // Its last frame is empty and finds the client's connection blocked.
    if let (server, id) = waiting { server.send(id, [], end: true) }
    world.settle()
    client.resume()
    #expect(world.run { h2.messages[small]?.ended ?? false })
    #expect(h2.messages[small]?.resetCode == nil)
  }

  /// SETTINGS with wide windows for streams, and the connection's window opened as far as it goes.
  private static let wideStreams = RawH2.frame(4, 0, 0, [0, 4] + RawH2.word(16 << 20))
  private static let wideConnection = RawH2.frame(8, 0, 0, RawH2.word(1 << 30))

  /// A client whose windows for streams are wide, with so many requests under way that a server answers with `body`.
  private static func client(of world: ProxyWorld, asking streams: Int, each body: [UInt8]) -> Peer {
    world.server.onBytes = { peer in
      guard HTTP1Text(peer.received) != nil else { return }
      peer.received = []
      peer.send(Array("HTTP/1.1 200 OK\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body)
    }
    let client = world.connect()
    client.send(RawH2.preface + wideStreams)
    for id in 0..<streams { client.send(RawH2.frame(1, 5, UInt32(1 + 2 * id), RawH2.get)) }
    return client
  }

  private static func small() -> ProxyWorld {
    var limits = Limits()
    limits.queuedBytes = 2 << 20
    return ProxyWorld(loopLimits: limits)
  }

  @Test(
    "answers that wait for a client's window are not all queued when it opens: more than a connection may queue comes all the same"
  )
  func answersBehindWindow() {
    let world = Self.small()
    world.simple()
    let body = pattern(400_000)
    let client = Self.client(of: world, asking: 40, each: body)
    world.settle()
    #expect(client.received.count < 100_000 && world.server.accepted.count == 40)
    client.send(Self.wideConnection)
    #expect(world.run { client.received.count > 40 * body.count })
    #expect(!client.isOver && RawH2.goAwayCode(client.received) == nil)
  }

  @Test("credits that come frame by frame do not cut what follows into ever smaller frames")
  func smallCredits() {
    let world = ProxyWorld()
    world.simple()
    let body = pattern(100_000)
    let streams = 40
    let client = Self.client(of: world, asking: streams, each: body)
    var (at, frames, bytes) = (0, 0, 0)
    world.run {
      // Each frame of content is given back by itself.
      var credits: [UInt8] = []
      while at + 9 <= client.received.count {
        let size = Int(client.received[at]) << 16 | Int(client.received[at + 1]) << 8 | Int(client.received[at + 2])
        if at + 9 + size > client.received.count { break }
        if client.received[at + 3] == 0, size > 0 {
          (frames, bytes) = (frames + 1, bytes + size)
          credits += RawH2.frame(8, 0, 0, RawH2.word(UInt32(size)))
        }
        at += 9 + size
      }
      if !credits.isEmpty { client.send(credits) }
      return bytes == streams * body.count
    }
    #expect(bytes == streams * body.count)
    #expect(frames < 3 * streams * (body.count / 16_384 + 1), "\(frames) frames, \(bytes / max(1, frames)) bytes each")
  }

  @Test("requests that wait for a server's window are not all queued when it opens")
  func requestsBehindWindow() throws {
    let world = Self.small()
    world.simple(upstream: .two, cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    world.server.onAccept = { $0.send(Self.wideStreams + RawH2.frame(4, 1, 0)) }
    let body = pattern(1_500_000)
    let clients = (0..<6).map { _ in world.connect() }
    for client in clients {
      client.send(Array("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body)
    }
    world.settle()
    let server = try #require(world.server.accepted.first)
    #expect(server.received.count < 100_000 && world.server.accepted.count == 1)
    server.send(Self.wideConnection)
    #expect(world.run { server.received.count > 6 * body.count })
    #expect(!server.isOver && clients.allSatisfy { !$0.isOver })
  }

  @Test("a connection whose server ended it behind the response that a slow client takes serves no other request")
  func endedBehindResponse() {
    let world = ProxyWorld(window: 4096)
    world.simple(cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    let body = pattern(3_000_000)
    world.server.onBytes = { peer in
      guard let message = HTTP1Text(peer.received) else { return }
      peer.received = []
      if message.text.isEmpty {
        peer.send(Array("HTTP/1.1 200 OK\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body)
        peer.finish()
      } else {
        peer.send("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")
      }
    }
    let slow = world.connect()
    slow.pause()
    slow.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    world.settle()
    let other = world.connect()
    other.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc")
    world.settle()
    #expect(world.value(ClusterMetric.upstreamCxOverflow) > 0)
    slow.resume()
    #expect(world.run { HTTP1Text(other.received) != nil })
    #expect(HTTP1Text(other.received)?.status == 201)
    #expect(world.run { slow.received.count > body.count })
    #expect(world.server.accepted.count == 2)
    world.settle()
    world.expectClean()
  }

  @Test("a server that answers, ends the exchange and keeps its connection does not keep its place")
  func placeOfAnEndedConnection() {
    let world = ProxyWorld()
    world.simple(cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    world.server.onBytes = { peer in
      guard HTTP1Text(peer.received) != nil else { return }
      peer.received = []
      peer.pause()
      peer.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    }
    let clients = (0..<3).map { _ in world.connect() }
    let start = world.proxyLoop.now
    for client in clients { client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n") }
    #expect(world.run { clients.allSatisfy { HTTP1Text($0.received)?.status == 200 } })
    #expect(world.proxyLoop.now - start < .milliseconds(500))
    #expect(world.server.accepted.count == 3)
    world.settle()
    world.expectClean()
  }

  @Test("an HTTP/2 client that did not read and resets is gone at once, although more of it waits to be read")
  func resetOfBlockedClient() {
    let world = ProxyWorld(window: 4096)
    world.simple(upstream: .two)
    world.server.onAccept = { peer in
      let server = H2Peer(.server, peer)
      server.onRequest = { [unowned server] id, _ in server.respond(id, body: pattern(3_000_000)) }
    }
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    client.pause()
    h2.request(.get, "/large")
    #expect(world.run { world.value(HTTPMetric.downstreamFlowControlPausedReading) > 0 })
    h2.request(.get, "/more")
    world.settle()
    client.reset()
    #expect(world.run { world.engine.downstreams.count == 0 && world.engine.streams.count == 0 })
  }

  @Test("the end of a request that comes without bytes is not lost on a server that does not read")
  func emptyEndOfRequest() {
    let world = ProxyWorld(window: 4096)
    world.simple(upstream: .two)
    var servers: [H2Peer] = []
    world.server.onAccept = { servers.append(H2Peer(.server, $0)) }
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    let small = h2.request(.post, "/small", body: [1, 2, 3], end: false)
    #expect(world.run { servers.first?.messages[1]?.body.count == 3 })
    servers[0].peer.pause()
    h2.request(.post, "/large", body: pattern(3_000_000))
    world.settle()
    #expect(world.value(ClusterMetric.upstreamFlowControlBackedUp) > 0)
    h2.send(small, [], end: true)
    world.settle()
    servers[0].peer.resume()
    #expect(world.run { servers[0].messages[1]?.ended ?? false })
    #expect(servers[0].messages[1]?.body == [1, 2, 3])
  }

  @Test("an HTTP/1 upload whose last byte finds the server's window closed ends when it opens")
  func lastByteBlocked() {
    let world = ProxyWorld()
    world.simple(upstream: .two)
    let body = pattern(100_000)
    var servers: [H2Peer] = []
    world.server.onAccept = { peer in
      var limits = HTTPLimits()
      limits.http2.initialStreamWindow = 1_000
      let server = H2Peer(.server, peer, limits: limits)
      server.credits = false
      servers.append(server)
    }
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \(body.count)\r\n\r\n")
    client.send(body)
    world.settle()
    for _ in 0..<400 where !(servers.first?.messages[1]?.ended ?? false) {
      servers.first?.credit()
      world.settle()
    }
    #expect(servers.first?.messages[1]?.ended ?? false)
    #expect(same(servers.first?.messages[1]?.body, body))
  }

  @Test(
    "at the connection limit an HTTP/2 request does not starve behind a host's HTTP/1 connection, nor the other way round"
  )
  func otherProtocolAtLimit() {
    for first in Version.allCases {
      let world = ProxyWorld()
      world.simple(cluster: {
        $0.upstreamProtocol = .useDownstream
        $0.circuitBreakers.standard.maxConnections = 1
      })
      world.server.onAccept = { if world.server.accepted.count == (first == .two ? 1 : 2) { _ = H2Peer(.server, $0) } }
      func ask(_ version: Version) {
        if version == .two {
          H2Peer(.client, world.connect()).request(.get, "/")
        } else {
          world.connect().send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        }
      }
      ask(first)
      #expect(world.run(for: .seconds(2)) { world.server.accepted.count == 1 })
      ask(first == .one ? .two : .one)
      #expect(world.run(for: .seconds(2)) { world.server.accepted.count == 2 }, "\(first) first")
    }
  }
}
