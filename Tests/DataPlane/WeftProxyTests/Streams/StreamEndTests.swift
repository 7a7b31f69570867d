import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftProxy
@testable import WeftProxyTestKit

/// A way to make every stream end at once.
struct QuickEnd: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let bytes: @Sendable (UInt32) -> [UInt8]

  init(_ name: String, _ bytes: @escaping @Sendable (UInt32) -> [UInt8]) {
    testDescription = name
    self.bytes = bytes
  }

  static let all = [
    QuickEnd("RST_STREAM") { RawH2.frame(1, 5, $0, RawH2.get) + RawH2.frame(3, 0, $0, RawH2.word(8)) },
    QuickEnd("WINDOW_UPDATE of zero") { RawH2.frame(1, 5, $0, RawH2.get) + RawH2.frame(8, 0, $0, RawH2.word(0)) },
    QuickEnd("PRIORITY on itself") { RawH2.frame(1, 5, $0, RawH2.get) + RawH2.frame(2, 0, $0, RawH2.word($0) + [1]) },
    QuickEnd("content over its length") {
      RawH2.frame(1, 4, $0, RawH2.post + RawH2.literal("content-length", "1")) + RawH2.frame(0, 1, $0, [1, 2, 3])
    },
    QuickEnd("trailers with a pseudo-field") { RawH2.frame(1, 4, $0, RawH2.post) + RawH2.frame(1, 5, $0, [0x84]) },
  ]
}

/// A field that no version of HTTP can carry: of a redirect, or added to what the upstream answers.
struct Unsendable: Sendable, CustomTestStringConvertible {
  let testDescription: String
  var location: Redirect.PathRewrite?
  var field: (String, String)?
}

@Suite("ends of streams")
struct StreamEndTests {
  private func answer(_ peer: Peer) {
    if peer.text.hasSuffix("\r\n\r\n") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
  }

  @Test(
    "a client over the limit of quick resets loses its connection, and nothing else happens", arguments: QuickEnd.all,
    Version.allCases)
  func rapidResets(form: QuickEnd, upstream: Version) {
    let world = ProxyWorld(window: 1 << 20)
    world.simple(upstream: upstream)
    var servers: [H2Peer] = []
    if upstream == .two {
      world.server.onAccept = { peer in
        let server = H2Peer(.server, peer)
        servers.append(server)
        server.onRequest = { [unowned server] id, _ in server.respond(id, body: [1]) }
      }
    }
    let client = world.connect()
    client.send(RawH2.preface)
    world.settle()
    for i in 0..<300 as Range<UInt32> {
      client.send(form.bytes(2 * i + 1))
      if i % 50 == 0 { world.settle() }
    }
    #expect(world.run { client.isOver })
    #expect(RawH2.goAwayCode(client.received) == 11)
    #expect(world.value(HTTPMetric.downstreamRqTooManyPrematureResets) == 1)
    // What the limit's own stream asked for is answered now: there is nobody to hand it to.
    for peer in world.server.accepted where upstream == .one && !peer.isOver { answer(peer) }
    world.settle()
    world.expectClean()
    #expect(world.engine.downstreams.count == 0)
    if upstream == .one { world.server.onBytes = answer }
    let other = world.connect()
    other.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(world.run { HTTP1Text(other.received)?.status == 200 })
  }

  enum Reader: CaseIterable { case readsOn, leaves, neverReads }

  @Test(
    "an upstream that ends its answer without bytes, behind a client that does not read, may go away",
    arguments: Version.allCases, Reader.allCases)
  func upstreamGoesBehindBlockedClient(version: Version, reader: Reader) {
    let world = ProxyWorld(window: 4096)
    world.simple(upstream: .two, manager: { $0.streamIdleTimeout = .seconds(5) })
    var servers: [H2Peer] = []
    world.server.onAccept = { servers.append(H2Peer(.server, $0)) }
    let client = world.connect()
    var h2: H2Peer?
    if version == .two {
      h2 = H2Peer(.client, client)
      // One fills the connection, the other one ends behind it.
      h2?.request(.get, "/full")
      h2?.request(.get, "/ends")
    } else {
      client.send("GET /ends HTTP/1.1\r\nhost: a\r\n\r\n")
    }
    #expect(world.run { servers.first?.messages.count == (version == .two ? 2 : 1) })
    client.pause()
    let last: H2StreamID = version == .two ? 3 : 1
    servers[0].respond(1, body: pattern(2_000_000), end: false)
    if version == .two { servers[0].respond(last, end: false) }
    #expect(world.run { world.value(HTTPMetric.downstreamFlowControlPausedReading) > 0 })
    servers[0].send(last, [], end: true)
    world.settle()
    servers[0].peer.close()
    world.settle()
    switch reader {
    case .readsOn:
      client.resume()
      world.settle()
      if version == .two { #expect(h2?.messages[3]?.ended ?? false) }
    case .leaves: client.reset()
    case .neverReads: break
    }
    world.advance(by: .seconds(20))
    if reader == .neverReads { client.reset() }
    world.settle()
    world.expectClean()
  }

  @Test("an upstream that answers early and goes away while the client still sends", arguments: Version.allCases)
  func earlyAnswer(version: Version) {
    let world = ProxyWorld(window: 4096)
    world.simple(upstream: .two)
    var servers: [H2Peer] = []
    world.server.onAccept = { peer in
      let server = H2Peer(.server, peer)
      servers.append(server)
      server.onHead = { [unowned server] id, _ in server.respond(id, body: [], end: true) }
    }
    let client = world.connect()
    client.pause()
    if version == .two {
      H2Peer(.client, client).request(.post, "/", body: pattern(300_000), end: false)
    } else {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 300001\r\n\r\n")
      client.send(pattern(300_000))
    }
    world.settle()
    for server in servers { server.peer.reset() }
    world.settle()
    client.resume()
    client.reset()
    world.settle()
    world.expectClean()
  }

  // MARK: Answers that cannot be said

  @Test(
    "a direct answer to gRPC has its text percent-encoded",
    arguments: [("a\nb", "a%0Ab"), ("50%", "50%25"), ("\u{e9}\0", "%C3%A9%00"), ("plain ~ text", "plain ~ text")],
    Version.allCases)
  func grpcMessage(texts: (String, String), version: Version) {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      guard case .inline(var routes) = manager.routes else { return }
      let response = DirectResponse(status: 403, body: .inline(Array(texts.0.utf8)))
      routes.virtualHosts[0].routes = [Route(match: RouteMatch(.prefix("/")), action: .respond(response))]
      manager.routes = .inline(routes)
    })
    let client = world.connect()
    if version == .two {
      let h2 = H2Peer(.client, client)
      let id = h2.request(.post, "/", fields: [("content-type", "application/grpc")], body: [])
      #expect(world.run { h2.messages[id]?.ended ?? false })
      #expect(h2.messages[id]?.first("grpc-message") == texts.1)
      #expect(h2.messages[id]?.first("grpc-status") == "7")
    } else {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n")
      #expect(world.run { HTTP1Text(client.received) != nil })
      #expect(HTTP1Text(client.received)?.first("grpc-message") == texts.1)
      #expect(!client.isOver)
    }
    world.expectClean()
  }

  private static let unsendable = [
    Unsendable(testDescription: "a redirect to a line of its own", location: .path("/x\r\ninjected: 1")),
    Unsendable(testDescription: "a NUL in a prefix", location: .prefix("/x\0")),
    Unsendable(testDescription: "a field of the route with a line break", field: ("x-a", "a\nb")),
  ]

  @Test(
    "an answer that cannot be written ends in a plain one, on its stream alone", arguments: unsendable,
    [(Version.one, false), (.one, true), (.two, false), (.two, true)])
  func unsendableAnswer(form: Unsendable, client kind: (version: Version, isGRPC: Bool)) {
    let (version, isGRPC) = kind
    let world = ProxyWorld()
    world.simple(manager: { manager in
      guard case .inline(var routes) = manager.routes else { return }
      var route = routes.virtualHosts[0].routes[0]
      if let location = form.location {
        var redirect = Redirect()
        redirect.path = location
        route = Route(match: RouteMatch(.prefix("/bad")), action: .redirect(redirect))
      }
      if let field = form.field { route.headers.response.add = [HeaderValueOption(name: field.0, value: field.1)] }
      route.match = RouteMatch(.prefix("/bad"))
      routes.virtualHosts[0].routes.insert(route, at: 0)
      manager.routes = .inline(routes)
    })
    world.server.onBytes = { peer in
      peer.received = []
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    }
    let client = world.connect()
    let type = isGRPC ? "application/grpc" : "text/plain"
    let expected = isGRPC ? 200 : 500
    if version == .two {
      let h2 = H2Peer(.client, client)
      let bad = h2.request(.post, "/bad", fields: [("content-type", type)], body: [])
      let good = h2.request(.get, "/good")
      #expect(world.run { h2.messages[bad]?.ended ?? false && h2.messages[good]?.ended ?? false })
      #expect(h2.messages[bad]?.status == UInt16(expected))
      #expect(h2.messages[bad]?.resetCode == nil)
      #expect(h2.messages[good]?.status == 200)
    } else {
      client.send("POST /bad HTTP/1.1\r\nhost: a\r\ncontent-type: \(type)\r\ncontent-length: 0\r\n\r\n")
      #expect(world.run { HTTP1Text(client.received) != nil })
      #expect(HTTP1Text(client.received)?.status == expected)
      #expect(!client.text.contains("injected"))
      client.received = []
      client.send("GET /good HTTP/1.1\r\nhost: a\r\n\r\n")
      #expect(world.run { HTTP1Text(client.received)?.status == 200 })
    }
    world.settle()
    world.expectClean()
    #expect(world.value(ClusterMetric.upstreamCxProtocolError) == 0)
    #expect(world.value(ClusterMetric.upstreamRqRetry) == 0)
  }

  @Test("a request that HTTP/2 cannot carry is 400 once, and no endpoint is blamed for it")
  func unsendableRequest() {
    let world = ProxyWorld()
    world.simple(
      upstream: .two, manager: { $0.http1.acceptHTTP10 = true },
      route: { route in
        var policy = RetryPolicy(retryOn: [.reset, .serverError, .connectFailure])
        policy.maxRetries = 5
        route.retryPolicy = policy
      })
    world.server.onAccept = { _ = H2Peer(.server, $0) }
    let client = world.connect()
    client.send("GET / HTTP/1.0\r\n\r\n")
    #expect(world.run { client.isOver })
    #expect(client.text.hasPrefix("HTTP/1.1 400 "))
    #expect(world.value(ClusterMetric.upstreamRqRetry) == 0)
    world.settle()
    world.expectClean()
  }

  @Test("a direct answer whose status has no content has none", arguments: [204, 205, 304], Version.allCases)
  func noContent(status: UInt16, version: Version) {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      guard case .inline(var routes) = manager.routes else { return }
      let response = DirectResponse(status: status, body: .inline(Array("hello".utf8)))
      routes.virtualHosts[0].routes = [Route(match: RouteMatch(.prefix("/")), action: .respond(response))]
      manager.routes = .inline(routes)
    })
    let client = world.connect()
    if version == .two {
      let h2 = H2Peer(.client, client)
      let id = h2.request(.get, "/")
      #expect(world.run { h2.messages[id]?.ended ?? false })
      #expect(h2.messages[id]?.status == status)
      #expect(h2.messages[id]?.body == [])
    } else {
      for _ in 0..<2 { client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n") }
      world.settle()
      #expect(client.text.components(of: "HTTP/1.1 \(status)") == 2)
      #expect(!client.text.contains("hello"))
    }
    world.expectClean()
  }

  // MARK: Answers that break off

  @Test(
    "an upstream that breaks off in its head, or makes it too large, is a bad gateway",
    arguments: [
      "HTTP/1.1 200 OK\r\nx-a", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nx: \(String(repeating: "a", count: 70_000))",
    ],
    [CloseMode.gracefully, .reset])
  func brokenHead(head: String, mode: CloseMode) {
    let world = ProxyWorld(window: 1 << 20)
    world.simple()
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.server.accepted[0].send(head)
    world.settle()
    if mode == .reset { world.server.accepted[0].reset() } else { world.server.accepted[0].close() }
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 502)
    #expect(world.value(ClusterMetric.upstreamCxProtocolError) == 1)
    world.settle()
    world.expectClean()
  }

  @Test("an upstream that ends without a byte is still a 503", arguments: [CloseMode.gracefully, .reset])
  func noHead(mode: CloseMode) {
    let world = ProxyWorld()
    world.simple()
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    if mode == .reset { world.server.accepted[0].reset() } else { world.server.accepted[0].close() }
    #expect(world.run { HTTP1Text(client.received)?.status == 503 })
    world.expectClean()
  }

  // MARK: gRPC

  @Test("trailers are as large as heads may be", arguments: Version.allCases, Version.allCases)
  func largeTrailers(client: Version, server: Version) {
    let world = ProxyWorld(window: 1 << 20)
    world.simple(upstream: server)
    let details = String(repeating: "d", count: 40_000)
    let ends = Ends(world, client: client, server: server) { _ in
      (200, [1, 2, 3], true, [("grpc-status", "5"), ("grpc-status-details-bin", details)])
    }
    let seen = ends.exchange(.post, body: [1])
    #expect(seen?.trailer("grpc-status") == "5")
    #expect(seen?.trailer("grpc-status-details-bin") == details)
    world.expectClean()
  }

  @Test(
    "a gRPC status in a head is a reason to try again, with content behind it or without", arguments: [true, false])
  func grpcRetry(hasContent: Bool) {
    let world = ProxyWorld()
    world.simple(
      upstream: .two,
      route: { route in
        var policy = RetryPolicy(retryOn: [.unavailable])
        policy.maxRetries = 1
        route.retryPolicy = policy
      })
    var asked = 0
    world.server.onAccept = { peer in
      let server = H2Peer(.server, peer)
      server.onRequest = { [unowned server] id, _ in
        asked += 1
        server.respond(
          id, fields: [("content-type", "application/grpc"), ("grpc-status", asked == 1 ? "14" : "0")],
          body: hasContent ? [1] : nil)
      }
    }
    let client = H2Peer(.client, world.connect())
    let id = client.request(.post, "/", fields: [("content-type", "application/grpc")], body: [1])
    #expect(world.run { client.messages[id]?.ended ?? false })
    #expect(asked == 2)
    #expect(client.messages[id]?.first("grpc-status") == "0")
    world.settle()
    world.expectClean()
  }
}

extension String {
  /// How often `part` occurs.
  fileprivate func components(of part: String) -> Int {
    var n = 0
    var rest = Substring(self)
    while let found = rest.firstRange(of: part) {
      n += 1
      rest = rest[found.upperBound...]
    }
    return n
  }
}
