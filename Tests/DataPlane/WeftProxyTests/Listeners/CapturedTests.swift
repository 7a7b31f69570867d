import Testing
import WeftBase
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("captured connections")
struct CapturedTests {
  /// A listener that captures, one it hands connections for port 9080 to, and an ORIGINAL_DST cluster behind both.
  private func world(byFilter: Bool = false) -> ProxyWorld {
    let world = ProxyWorld()
    world.simple(
      ports: [9080],
      cluster: {
        $0.discovery = .originalDestination(useHTTPHeader: false, headerName: "", cleanupInterval: .seconds(5))
        $0.loadAssignment.localities = []
      })
    var chain = FilterChain(name: "catch-all")
    chain.filters = [.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))]
    var virtual = Listener(name: "virtual", address: .socket(host: "127.0.0.1", port: 15001))
    virtual.useOriginalDestination = true
    if byFilter { virtual.listenerFilters = [.originalDestination] }
    virtual.filterChains = [chain]
    var port = world.config.listeners[0]
    port.name = "0.0.0.0_9080"
    port.address = .socket(host: "0.0.0.0", port: 9080)
    port.bindToPort = false
    world.config.listeners = [virtual, port]
    world.apply()
    world.server.onBytes = { peer in
      if peer.take().hasSuffix("\r\n\r\n") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    }
    return world
  }

  private func ask(_ world: ProxyWorld, _ client: Peer) -> Bool {
    client.received = []
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return world.run(for: .seconds(1)) { client.text.hasSuffix("ok") }
  }

  @Test(
    "use_original_dst hands a connection to the listener of its port, with the filter or without",
    arguments: [true, false])
  func handsOver(byFilter: Bool) {
    let world = world(byFilter: byFilter)
    world.clientDriver.redirectedFrom = SocketAddress(.loopback4, port: 9080)
    let client = world.connect()
    #expect(ask(world, client))
    #expect(world.value(HTTPMetric.downstreamRqTotal) == 1)
    world.settle()
    world.expectClean()
  }

  @Test("what no listener owns stays with the one that captured it")
  func keepsTheRest() {
    let world = world()
    world.server.listen(7000)
    world.clientDriver.redirectedFrom = SocketAddress(.loopback4, port: 7000)
    let client = world.connect()
    client.send("hello")
    #expect(world.run { world.server.accepted.first?.text == "hello" || world.server.accepted.first?.port == 7000 })
    #expect(world.value(HTTPMetric.downstreamCxTotal) == 0)
  }

  @Test("a destination that refuses is a 503, and leaves nothing behind")
  func refused() {
    let world = world()
    world.server.stopListening(9080)
    world.clientDriver.redirectedFrom = SocketAddress(.loopback4, port: 9080)
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { client.text.hasPrefix("HTTP/1.1 503 ") })
    world.settle()
    world.expectClean()
  }
}
