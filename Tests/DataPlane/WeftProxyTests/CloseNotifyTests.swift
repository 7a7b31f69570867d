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

@Suite("close_notify")
struct CloseNotifyTests {
  private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
  private let answer = "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + String(repeating: "w", count: 200_000)

  /// A listener behind a toy TLS; its handshake is an exclamation mark.
  private func world(agrees: String = "") -> ProxyWorld {
    let world = ProxyWorld(security: ToySecurity(agrees: agrees))
    world.simple()
    secure(world)
    return world
  }

  private func secure(_ world: ProxyWorld) {
    world.config.listeners[0].filterChains[0].tls = DownstreamTLSContext()
    world.apply()
  }

  @Test("a client of HTTP/1 that has sent it gets its answer whole, then the end")
  func answered() {
    let world = world()
    let client = world.connect()
    client.closesOnEnd = false
    client.send("!" + get)
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    client.send(ToySecurity.closeNotify)
    world.settle()
    #expect(!client.isOver)
    world.server.accepted[0].send(answer)
    #expect(world.run { client.isOver })
    #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n") && client.text.contains("connection: close\r\n"))
    #expect(client.text.utf8.count(where: { $0 == UInt8(ascii: "w") }) >= 200_000)
    client.close()
    world.settle()
    world.expectClean()
    #expect(world.engine.downstreams.count == 0)
  }

  @Test("requests that were pipelined before it are all answered")
  func pipelined() {
    let world = world()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    let client = world.connect()
    client.closesOnEnd = false
    client.send("!" + get + get + get + ToySecurity.closeNotify)
    #expect(world.run { client.isOver })
    #expect(client.text.components(of: "\r\n\r\nok") == 3)
  }

  @Test("with half a request it is the end")
  func halfRequest() {
    let world = world()
    let client = world.connect()
    client.closesOnEnd = false
    client.send("!POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 9\r\n\r\nhalf")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("half") ?? false })
    client.send(ToySecurity.closeNotify)
    #expect(world.run { client.isOver && (world.server.accepted.first?.isOver ?? false) })
    world.settle()
    world.expectClean()
  }

  @Test("a client that closes its socket behind it has given up", arguments: ["", "h2"])
  func gone(agrees: String) {
    let world = world(agrees: agrees)
    let client = world.connect()
    client.closesOnEnd = false
    client.send("!")
    if agrees.isEmpty {
      client.send(get)
    } else {
      H2Peer(.client, client).request(.get, "/")
    }
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    client.send(ToySecurity.closeNotify)
    world.settle()
    #expect(world.engine.streams.count == 1)
    client.finish()
    #expect(world.run { world.server.accepted.first?.isOver ?? false })
    world.settle()
    world.expectClean()
    #expect(world.value(HTTPMetric.downstreamRqRxReset) == 1)
  }

  @Test("over HTTP/2 requests that are complete are answered, the others end")
  func http2() {
    let world = world(agrees: "h2")
    let client = world.connect()
    client.closesOnEnd = false
    client.send("!")
    let h2 = H2Peer(.client, client)
    let whole = h2.request(.get, "/whole")
    let half = h2.request(.post, "/half", end: false)
    #expect(world.run { world.server.accepted.count == 2 && world.server.accepted.allSatisfy { !$0.text.isEmpty } })
    client.send(ToySecurity.closeNotify)
    world.settle()
    #expect(h2.messages[half]?.resetCode == .cancel)
    #expect(!client.isOver)
    world.server.accepted.first { $0.text.contains("/whole") }?.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    #expect(world.run { client.isOver })
    #expect(h2.messages[whole]?.text == "ok" && h2.messages[whole]?.ended == true)
    client.close()
    world.settle()
    world.expectClean()
    #expect(world.engine.downstreams.count == 0)
  }

  @Test("an idle client that sends it gets the end at once", arguments: ["", "http/1.1", "h2"])
  func idle(agrees: String) {
    let world = world(agrees: agrees)
    let client = world.connect()
    client.closesOnEnd = false
    client.send("!")
    if agrees == "h2" { _ = H2Peer(.client, client) }
    client.send(ToySecurity.closeNotify)
    #expect(world.run(for: .milliseconds(100)) { client.isOver })
    client.close()
    world.settle()
    #expect(world.engine.downstreams.count == 0)
  }

  @Test("a TCP proxy passes it on as the end of one direction, from either side", arguments: [true, false])
  func tcp(fromClient: Bool) {
    let world = world()
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
    if !fromClient { world.config.clusters[0].tls = UpstreamTLSContext() } else { secure(world) }
    world.apply()
    let client = world.connect()
    client.closesOnEnd = false
    client.send(fromClient ? "!" : "")
    #expect(world.run { world.server.accepted.count == 1 })
    let server = world.server.accepted[0]
    server.closesOnEnd = false
    if !fromClient { server.send("!") }
    let (first, second) = fromClient ? (client, server) : (server, client)
    first.send("last words" + ToySecurity.closeNotify)
    #expect(world.run { second.readEnded })
    #expect(second.text == "last words")
    #expect(!first.isOver)
    second.send(answer)
    second.finish()
    #expect(world.run { first.isOver })
    #expect(first.text == answer)
    first.close()
    world.settle()
    #expect(world.engine.downstreams.count == 0 && world.engine.upstreams.count == 0)
  }

  @Test("an answer that ends with its connection ends with it, and reaches the client whole")
  func untilClose() {
    let world = ProxyWorld(security: ToySecurity())
    world.simple(cluster: { $0.tls = UpstreamTLSContext() })
    world.server.onAccept = { peer in
      peer.closesOnEnd = false
      peer.send("!")
    }
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\n\r\nto the end" + ToySecurity.closeNotify) }
    let client = world.connect()
    client.send(get)
    #expect(world.run { client.text.hasSuffix("0\r\n\r\n") || client.isOver })
    #expect(client.text.contains("to the end") && client.text.hasSuffix("0\r\n\r\n"))
    world.settle()
    world.expectClean()
  }
}

extension String {
  fileprivate func components(of part: String) -> Int {
    var count = 0
    var rest = self[...]
    while let range = rest.firstRange(of: part) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
