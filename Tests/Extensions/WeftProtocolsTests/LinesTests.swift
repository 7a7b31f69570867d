import Testing
import WeftBase
import WeftModel
import WeftRuntime
import WeftTelemetry
import WeftTestKit

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// The second member of the codec seam: no numbers, one message at a time.
@Suite("a protocol of one message at a time")
struct LinesTests {
  private func world(
    splits: Bool = false, route: (inout RouteAction) -> Void = { _ in },
    answer: @escaping (String) -> String? = { "+\($0)" }
  ) -> ProxyWorld {
    let world = ProtocolWorld.make(ProtocolWorld.lines, splits: splits, route: route)
    world.server.onBytes = { peer in
      while let end = peer.received.firstIndex(of: 0x0a) {
        let line = String(decoding: peer.received[..<end], as: UTF8.self)
        peer.received.removeFirst(end + 1)
        if let says = answer(line) { peer.send(says + "\n") }
      }
    }
    return world
  }

  @Test(
    "where a server that speaks HTTP, too, may have one connection only, an idle one of the other protocol gives its place"
  )
  func onlyConnection() throws {
    let world = ProtocolWorld.make(ProtocolWorld.lines)
    var http = world.config.listeners[0]
    (http.name, http.address) = ("http", .socket(host: "127.0.0.1", port: 15002))
    guard case .httpConnectionManager(var manager) = http.filterChains[0].filters[0] else { return }
    manager.protocolCodec = nil
    http.filterChains[0].filters[0] = .httpConnectionManager(manager)
    world.config.listeners.append(http)
    world.config.clusters[0].circuitBreakers.standard.maxConnections = 1
    world.apply()
    world.server.onBytes = { peer in
      if peer.text.hasPrefix("GET / HTTP") {
        if peer.text.hasSuffix("\r\n\r\n") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
      } else if peer.text.hasSuffix("\n") {
        peer.send("+ok\n")
      }
    }
    let (lines, plain) = (world.connect(), world.client.connect(SocketAddress(.loopback4, port: 15002)))
    for turn in 1...2 {
      lines.send("GET a\n")
      #expect(world.run { lines.text == "+ok\n" }, "turn \(turn)")
      plain.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
      #expect(world.run { plain.text.hasSuffix("ok") }, "turn \(turn)")
      (lines.received, plain.received) = ([], [])
    }
    #expect(world.server.accepted.count == 4 && world.server.accepted.dropLast().allSatisfy(\.isOver))
    world.expectClean()
  }

  @Test("what a client sends ahead is answered in order, over one connection", arguments: [false, true])
  func pipelined(splits: Bool) {
    let world = world(splits: splits)
    let client = world.connect()
    client.send("GET a\nGET b\nPING\nSET c d\n")
    world.run { client.text.hasSuffix("SET c d\n") }
    #expect(client.text == "+GET a\n+GET b\n+PONG\n+SET c d\n")
    #expect(world.server.accepted.count == 1)
    world.expectClean()
  }

  @Test("clients that ask at the same time have a connection each")
  func parallel() {
    let world = world()
    let clients = (0..<3).map { _ in world.connect() }
    for (i, client) in clients.enumerated() { client.send("GET \(i)\n") }
    world.run { clients.allSatisfy { !$0.received.isEmpty } }
    for (i, client) in clients.enumerated() { #expect(client.text == "+GET \(i)\n") }
    #expect(world.server.accepted.count == 3)
    world.expectClean()
  }

  @Test("a message without an answer does not hold the next one back")
  func oneWay() {
    var lines: [String] = []
    let world = world(answer: { line in
      lines.append(line)
      return line.contains("!") ? nil : "+\(line)"
    })
    let client = world.connect()
    client.send("LOG! a\nLOG! b\nGET c\n")
    world.run { !client.received.isEmpty }
    #expect(client.text == "+GET c\n")
    #expect(lines == ["LOG! a", "LOG! b", "GET c"])
    #expect(world.value(.downstreamRq2xx) == 3)
    world.expectClean()
  }

  @Test("an answer that does not come is made here, and the endpoint's late one reaches nobody")
  func timeout() {
    let world = world(route: { $0.timeout = .seconds(1) }, answer: { $0 == "GET slow" ? nil : "+\($0)" })
    let client = world.connect()
    client.send("GET slow\nGET next\n")
    world.run { client.text.hasSuffix("GET next\n") }
    #expect(client.text == "-upstream request timeout\n+GET next\n")
    #expect(world.server.accepted.count == 2 && world.server.accepted[0].isOver)
    world.expectClean()
  }

  @Test("a line that names nothing is refused alone; one without end ends the connection")
  func refuses() {
    let world = world()
    let client = world.connect()
    client.send("GET\nGET a\n")
    world.run { client.text.hasSuffix("GET a\n") }
    #expect(client.text == "-lines.no_name\n+GET a\n")
    client.send(String(repeating: "x", count: 300))
    world.run { client.isOver }
    #expect(client.isOver)
    #expect(world.value(.downstreamCxProtocolError) == 1)
    world.expectClean()
  }

  @Test("what an endpoint says unasked ends its connection")
  func unasked() {
    let world = world()
    let client = world.connect()
    client.send("GET a\n")
    world.run { !client.received.isEmpty }
    world.server.accepted[0].send("+what\n")
    world.run { world.server.accepted[0].isOver }
    client.send("GET b\n")
    world.run { client.text.hasSuffix("GET b\n") }
    #expect(client.text == "+GET a\n+GET b\n")
    #expect(world.value(.upstreamCxProtocolError) == 1)
    world.expectClean()
  }

  @Test("a client that drains is told with its connection's end, after its answer")
  func drains() {
    let world = world()
    let client = world.connect()
    client.send("GET a\n")
    world.run { !client.received.isEmpty }
    var isDrained = false
    world.engine.drain(until: world.proxyLoop.now.advanced(nanoseconds: 5_000_000_000)) { isDrained = true }
    world.run { client.isOver && isDrained }
    #expect(client.isOver && isDrained)
  }
}
