import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("the time-out of a route")
struct TimeoutTests {
  /// A response that trickles for 40 seconds; returns whether it arrived whole.
  private func trickles(_ world: ProxyWorld, server: Version) -> Bool {
    world.server.onAccept = { peer in if server == .two { _ = H2Peer(.server, peer) } }
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    var id: H2StreamID = 0
    guard
      world.run(until: {
        guard let peer = world.server.accepted.first else { return false }
        id = peer.h2?.messages.keys.first ?? 0
        return server == .two ? id != 0 : peer.text.hasSuffix("\r\n\r\n")
      })
    else { return false }
    let peer = world.server.accepted[0]
    if let h2 = peer.h2 {
      h2.respond(id, end: false)
    } else {
      peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    }
    for _ in 0..<10 {
      world.advance(by: .seconds(4))
      if let h2 = peer.h2 { h2.send(id, [65], end: false) } else { peer.send("1\r\nA\r\n") }
    }
    if let h2 = peer.h2 { h2.send(id, [], end: true) } else { peer.send("0\r\n\r\n") }
    return world.run { HTTP1Text(client.received)?.text == "AAAAAAAAAA" || client.isOver }
      && HTTP1Text(client.received)?.text == "AAAAAAAAAA"
  }

  @Test("the default does not cut an answer that takes long", arguments: Version.allCases)
  func defaultTimeout(server: Version) {
    let world = ProxyWorld()
    world.simple(upstream: server)
    #expect(trickles(world, server: server))
    #expect(world.value(ClusterMetric.upstreamRqTimeout) == 0)
    world.settle()
    world.expectClean()
  }

  @Test("a configured one does, and so does one that a trusted request asks for", arguments: Version.allCases)
  func configuredTimeout(server: Version) {
    let world = ProxyWorld()
    world.simple(upstream: server, route: { $0.timeout = .seconds(15) })
    #expect(!trickles(world, server: server))
    #expect(world.value(ClusterMetric.upstreamRqTimeout) == 1)
    world.settle()
    world.expectClean()
  }

  /// What a client that reads late gets, and what ends early.
  enum LateAnswer: CaseIterable { case fromUpstream, local, localWhileRetryWaits }

  @Test("an answer that is complete is not cut because its client reads it late", arguments: LateAnswer.allCases)
  func completeAnswer(answer: LateAnswer) {
    let world = ProxyWorld()
    world.simple(
      upstream: .two, manager: { $0.requestTimeout = .seconds(3) },
      route: { route in
        route.timeout = .seconds(2)
        var policy = RetryPolicy(retryOn: [.serverError])
        policy.maxRetries = 9
        policy.backoffBase = .seconds(100)
        policy.backoffMax = .seconds(100)
        route.retryPolicy = policy
      })
    world.config.clusters[0].outlierDetection = OutlierDetection()
    world.apply()
    var asked = 0
    world.server.onAccept = { peer in
      let server = H2Peer(.server, peer)
      server.onRequest = { [unowned server] id, _ in
        asked += 1
        switch answer {
        case .fromUpstream: server.respond(id, body: pattern(50_000))
        case .local: break
        case .localWhileRetryWaits: server.respond(id, 503, body: nil)
        }
      }
    }
    var limits = HTTPLimits()
    limits.http2.initialStreamWindow = 0
    let client = H2Peer(.client, world.connect(), limits: limits)
    // The window holds from the SETTINGS on.
    world.settle()
    let id = client.request(.get, "/")
    world.advance(by: .seconds(1))
    world.advance(by: .seconds(150))
    #expect(client.messages[id]?.resetCode == nil)
    #expect(client.messages[id]?.status == (answer == .fromUpstream ? 200 : 504))
    #expect(world.value(ClusterMetric.upstreamRqTimeout) == (answer == .fromUpstream ? 0 : 1))
    #expect(asked == 1)
    world.client.all[0].reset()
    world.settle()
    world.expectClean()
  }

  struct GRPCEnd: CustomTestStringConvertible, Sendable {
    var bounds: GRPCTimeoutBounds
    var field = ""
    var after: Duration
    var status: String
    var testDescription: String { "\(bounds) \(field)" }
  }

  @Test(
    "a client's deadline is the end of its stream, or one of the route's time-outs",
    arguments: [
      GRPCEnd(bounds: .stream, field: "grpc-timeout: 100m\r\n", after: .milliseconds(100), status: "4"),
      GRPCEnd(bounds: .stream, after: .seconds(2), status: "14"),
      GRPCEnd(bounds: .request, field: "grpc-timeout: 100m\r\n", after: .milliseconds(100), status: "4"),
      // Without one of the client's it is the route's bound.
      GRPCEnd(bounds: .request, after: .seconds(1), status: "14"),
    ])
  func grpcDeadline(_ end: GRPCEnd) {
    let world = ProxyWorld()
    world.simple(route: {
      $0.timeout = .seconds(2)
      $0.grpcTimeoutHeaderMax = .seconds(1)
      $0.grpcTimeoutBounds = end.bounds
    })
    let client = world.connect()
    client.send(
      "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\(end.field)content-length: 0\r\n\r\n")
    world.advance(by: end.after - .milliseconds(10))
    #expect(client.received.isEmpty)
    world.advance(by: .milliseconds(20))
    #expect(HTTP1Text(client.received)?.first("grpc-status") == end.status)
  }

  @Test("the end of a stream's longest life is DEADLINE_EXCEEDED to gRPC")
  func grpcLongestLife() {
    let world = ProxyWorld()
    world.simple(manager: { $0.maxStreamDuration = .seconds(1) })
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n")
    world.advance(by: .seconds(3))
    #expect(HTTP1Text(client.received)?.first("grpc-status") == "4")
  }

  @Test("the default ends a request whose answer does not begin")
  func noAnswer() {
    let world = ProxyWorld()
    world.simple()
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    world.advance(by: .seconds(14))
    #expect(client.received.isEmpty)
    world.advance(by: .seconds(2))
    #expect(client.text.hasPrefix("HTTP/1.1 504 "))
  }

  @Test("an upload may take its time: the clock runs from its end", arguments: Version.allCases)
  func upload(server: Version) {
    let world = ProxyWorld()
    world.simple(upstream: server, route: { $0.timeout = .seconds(3) })
    let ends = Ends(world, client: .one, server: server) { _ in (200, [1], false, []) }
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\n")
    for _ in 0..<5 {
      world.advance(by: .seconds(2))
      #expect(client.received.isEmpty)
      client.send("x")
    }
    #expect(world.run { HTTP1Text(client.received)?.status == 200 })
    #expect(ends.requests.first?.body == Array("xxxxx".utf8))
  }

  @Test("a gRPC stream that is open both ways is not cut by the default")
  func bidirectional() {
    let world = ProxyWorld()
    world.simple(upstream: .two)
    var server: H2Peer?
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      server = h2
      h2.onHead = { [unowned h2] id, _ in h2.respond(id, fields: [("content-type", "application/grpc")], end: false) }
    }
    let client = world.connect()
    let h2 = H2Peer(.client, client)
    let id = h2.request(.post, "/s/Watch", fields: [("content-type", "application/grpc")], end: false)
    for _ in 0..<10 {
      world.advance(by: .seconds(10))
      h2.send(id, [0, 0, 0, 0, 0], end: false)
      server?.send(1, [0, 0, 0, 0, 0], end: false)
    }
    h2.send(id, [], end: true)
    world.advance(by: .seconds(60))
    server?.sendTrailers(1, [("grpc-status", "0")])
    #expect(world.run { h2.messages[id]?.ended ?? false })
    #expect(h2.messages[id]?.body.count == 50)
    #expect(server?.messages[1]?.body.count == 50)
    #expect(h2.messages[id]?.resetCode == nil)
  }
}
