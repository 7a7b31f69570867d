import Foundation
import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftTestKit
import WeftUpstream
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/// A world whose server answers requests, whatever comes in front of them.
private func answering(
  manager: (inout HTTPConnectionManager) -> Void = { _ in }, route: (inout RouteAction) -> Void = { _ in },
  cluster change: (inout Cluster) -> Void
) -> ProxyWorld {
  let world = ProxyWorld()
  world.simple(manager: manager, route: route, cluster: change)
  world.server.onBytes = { peer in
    if peer.text.hasSuffix("\r\n\r\n") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
  }
  return world
}

private func ask(_ world: ProxyWorld, _ client: Peer) -> Int? {
  client.received = []
  client.send(get)
  world.run { HTTP1Text(client.received) != nil || client.isOver }
  return HTTP1Text(client.received)?.status
}

@Suite("PROXY headers in front of connections to endpoints")
struct ProxyHeaderTests {
  private func header(_ version: ProxyProtocolHeaderSettings.Version = .text) -> ProxyProtocolHeaderSettings {
    var header = ProxyProtocolHeaderSettings()
    header.version = version
    return header
  }

  private func port(_ world: ProxyWorld, _ client: Peer) -> UInt16 { world.clientLoop.localAddress(client.id).port }

  private var passing: ConfiguredListenerFilter {
    .proxyProtocol {
      var passed = Envoy_Config_Core_V3_ProxyProtocolPassThroughTLVs()
      passed.matchType = .includeAll
      $0.passThroughTlvs = passed
    }
  }

  @Test("each client has connections of its own, which begin with its addresses and serve all its requests")
  func perClient() {
    let world = answering { $0.proxyProtocol = header() }
    let one = world.connect(from: IPAddress("127.0.0.5"))
    let two = world.connect()
    #expect(ask(world, one) == 200 && ask(world, one) == 200 && ask(world, two) == 200)
    #expect(world.server.accepted.count == 2)
    let first = "PROXY TCP4 127.0.0.5 127.0.0.1 \(port(world, one)) 15001\r\nGET / "
    #expect(world.server.accepted[0].text.hasPrefix(first), "\(world.server.accepted[0].text)")
    #expect(world.server.accepted[0].text.components(separatedBy: "PROXY").count == 2)
    #expect(world.server.accepted[1].text.hasPrefix("PROXY TCP4 127.0.0.1 127.0.0.1 \(port(world, two)) 15001\r\n"))
    world.settle()
    world.expectClean()
  }

  @Test("who waits for a connection of the client's own is answered when the last one is gone and none may be made")
  func noneMayBeMade() {
    let world = ProxyWorld()
    world.simple(cluster: {
      $0.proxyProtocol = header()
      $0.circuitBreakers.standard.maxConnections = 2
    })
    world.connect().send(get)
    world.settle()
    let two = H2Peer(.client, world.connect())
    let (first, second) = (two.request(.get, "/"), two.request(.get, "/"))
    world.settle()
    #expect(world.server.accepted.count == 2)
    world.config.clusters[0].circuitBreakers.standard.maxConnections = 1
    world.apply()
    world.server.accepted[1].close()
    #expect(world.run { two.messages[second]?.ended ?? false })
    #expect(two.messages[first]?.status == 503 && two.messages[second]?.status == 503)
    #expect(
      two.messages[second]?.text == "upstream connect error or disconnect/reset before headers. reset reason: overflow")
    #expect(world.network.time < MonotonicInstant(nanoseconds: 10_000_000_000))
  }

  @Test("what a client's own header said is said again, with its extensions and those that are added")
  func extensions() {
    let world = answering { cluster in
      var header = header(.binary)
      header.passed = .some([0xe1, 4])
      header.added = [.init(type: 0xea, value: [1, 2]), .init(type: 4, value: [9])]
      cluster.proxyProtocol = header
    }
    world.config.listeners[0].listenerFilters = [passing]
    world.apply()
    let client = world.connect()
    let body: [UInt8] = [9, 8, 7, 6, 5, 4, 3, 2, 0, 11, 0, 22, 4, 0, 1, 7, 0xe1, 0, 1, 8, 0xe2, 0, 1, 6]
    client.send(Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x21, 0x11, 0, UInt8(body.count)] + body)
    #expect(ask(world, client) == 200)
    // The added one takes the place of the client's; types that are not passed stay here.
    let sent: [UInt8] = [9, 8, 7, 6, 5, 4, 3, 2, 0, 11, 0, 22, 0xea, 0, 2, 1, 2, 4, 0, 1, 9, 0xe1, 0, 1, 8]
    let expected = Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x21, 0x11, 0, UInt8(sent.count)] + sent
    #expect(Array(world.server.accepted[0].received.prefix(expected.count)) == expected)
    #expect(world.value(.proxyProtocolTLVsExceedMaxLength) == 0)
  }

  @Test("extensions that a header has no room for are left out, and counted")
  func noRoom() {
    let world = answering { cluster in
      var header = header(.binary)
      header.passed = .all
      header.added = [.init(type: 1, value: Array(repeating: 7, count: 65_000))]
      cluster.proxyProtocol = header
    }
    world.config.listeners[0].listenerFilters = [passing]
    world.apply()
    let client = world.connect()
    let body: [UInt8] = [9, 8, 7, 6, 5, 4, 3, 2, 0, 11, 0, 22, 2, 2, 88] + Array(repeating: 1, count: 600)
    client.send(
      Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x21, 0x11, UInt8(body.count >> 8), UInt8(body.count & 255)] + body)
    #expect(ask(world, client) == 200)
    #expect(world.value(.proxyProtocolTLVsExceedMaxLength) == 1)
    let length = world.server.accepted[0].received[14...15]
    #expect(Array(length) == [UInt8(65_015 >> 8), UInt8(65_015 & 255)])
  }

  @Test("it goes before what a TCP proxy sends, and before TLS", arguments: [false, true])
  func first(_ isTLS: Bool) throws {
    let tls = try TLSWorld()
    let world = ProxyWorld(security: TLSSecurity())
    world.simple(cluster: { cluster in
      cluster.proxyProtocol = self.header()
      if isTLS {
        var context = UpstreamTLSContext()
        context.common.validation = tls.validation
        cluster.tls = context
      }
    })
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
    world.apply()
    let client = world.connect(from: IPAddress("127.0.0.9"))
    client.send("hello")
    world.settle()
    let expected = "PROXY TCP4 127.0.0.9 127.0.0.1 \(port(world, client)) 15001\r\n"
    let received = world.server.accepted[0].received
    #expect(Array(received.prefix(expected.utf8.count)) == Array(expected.utf8))
    let rest = received.dropFirst(expected.utf8.count)
    if isTLS { #expect(rest.first == 0x16) } else { #expect(Array(rest) == Array("hello".utf8)) }
    client.reset()
    world.settle()
    #expect(world.engine.hosts.count == 1 && world.engine.turn[].parts.isEmpty)
  }

  @Test("a copy of a request says for whom it is, too")
  func copies() {
    let world = ProxyWorld()
    world.simple(route: { $0.mirrors = [MirrorPolicy(cluster: "shadow")] })
    var shadow = world.config.clusters[0]
    shadow.name = "shadow"
    shadow.loadAssignment.localities[0].endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: 8081))]
    shadow.proxyProtocol = header()
    world.config.clusters.append(shadow)
    world.server.listen(8081)
    world.apply()
    world.server.onBytes = { peer in
      if peer.text.hasSuffix("\r\n\r\n") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    }
    let client = world.connect(from: IPAddress("127.0.0.6"))
    #expect(ask(world, client) == 200)
    world.settle()
    let copy = world.server.accepted.first { $0.port == 8081 }
    #expect(copy?.text.hasPrefix("PROXY TCP4 127.0.0.6 127.0.0.1 \(port(world, client)) 15001\r\n") == true)
  }

  @Test("at the connection limit the idle connection of another client makes room")
  func room() {
    let world = answering { cluster in
      cluster.proxyProtocol = header()
      cluster.circuitBreakers.standard.maxConnections = 1
    }
    for _ in 0..<5 {
      let client = world.connect()
      #expect(ask(world, client) == 200)
    }
    world.settle()
    #expect(world.value(.upstreamCxTotal) == 5 && world.value(.upstreamCxActive) == 1)
    #expect(world.engine.turn[].parts.count == 1)
    world.expectClean()
  }

  @Test("pools go with their last connection")
  func ends() {
    let world = answering { cluster in
      cluster.proxyProtocol = header()
      cluster.idleTimeout = .seconds(5)
    }
    for _ in 0..<3 { #expect(ask(world, world.connect()) == 200) }
    #expect(world.engine.hosts.count == 4)
    world.advance(by: .seconds(7))
    #expect(world.engine.hosts.count == 1 && world.engine.turn[].parts.isEmpty)
  }
}

private func text(_ path: String) -> String {
  (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
}

@Suite("connections to endpoints from the client's address")
struct OriginalSourceTests {
  private func world(_ change: (inout Cluster) -> Void = { _ in }) -> ProxyWorld {
    let world = answering(cluster: change)
    world.config.listeners[0].listenerFilters = [.originalSource(mark: 7)]
    world.apply()
    return world
  }

  @Test("clients at one address share connections, others have their own")
  func shared() {
    let world = world { $0.binding = UpstreamBinding() }
    for own in ["127.0.0.7", "127.0.0.7", "127.0.0.8"] {
      #expect(ask(world, world.connect(from: IPAddress(own))) == 200)
    }
    #expect(world.server.accepted.map { "\($0.remote.ip)" } == ["127.0.0.7", "127.0.0.8"])
    #expect(world.proxyDriver.lastOptions.transparent && world.proxyDriver.lastOptions.mark == 7)
    world.settle()
    world.expectClean()
  }

  @Test("a filter before it that found another address decides")
  func behindProxy() {
    let world = world()
    world.config.listeners[0].listenerFilters = [.proxyProtocol(), .originalSource()]
    world.apply()
    let client = world.connect()
    client.send("PROXY TCP4 127.9.9.9 127.0.0.1 1 2\r\n")
    #expect(ask(world, client) == 200)
    #expect("\(world.server.accepted[0].remote.ip)" == "127.9.9.9")
  }

  @Test("the sessions of a TCP proxy come from there, too")
  func tcp() {
    let world = world()
    let filters = world.config.listeners[0].listenerFilters
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
    world.config.listeners[0].listenerFilters = filters
    world.apply()
    let client = world.connect(from: IPAddress("127.0.0.7"))
    world.settle()
    #expect("\(world.server.accepted[0].remote.ip)" == "127.0.0.7")
    client.reset()
    world.settle()
    #expect(world.engine.hosts.count == 1 && world.engine.turn[].parts.isEmpty)
  }

  @Test(
    "where the kernel refuses, requests fail with the reason, and it is counted",
    arguments: [
      (EPERM, "local_connection_failure|failed_to_bind:_Operation_not_permitted"),
      (EADDRNOTAVAIL, "local_connection_failure|failed_to_bind"),
    ])
  func refused(_ error: Int32, _ details: String) {
    let world = world()
    guard case .httpConnectionManager(var manager)? = world.config.listeners[0].filterChains[0].filters.last else {
      return
    }
    let directory = TemporaryDirectory()
    manager.accessLogs = [.file(directory.file("log"), "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n")]
    world.config.listeners[0].filterChains[0].filters = [.httpConnectionManager(manager)]
    world.apply()
    world.proxyDriver.refusesToBind = error
    let client = world.connect(from: IPAddress("127.0.0.7"))
    #expect(ask(world, client) == 503)
    #expect(client.text.hasSuffix("reset reason: local connection failure"), "\(client.text)")
    #expect(world.value(.bindErrors) == 1 && world.value(.upstreamCxConnectFail) == 1)
    world.settle()
    world.logs.flush()
    #expect(text(directory.file("log")) == "UF upstream_reset_before_response_started{\(details)}\n")
    world.expectClean()
    #expect(world.engine.hosts.count == 1 && world.engine.turn[].parts.isEmpty)
  }
}

@Suite("our own side of connections to endpoints")
struct UpstreamBindingTests {
  @Test("address, family, free binding and options go to the socket")
  func options() {
    var binding = UpstreamBinding()
    binding.address = .socket(host: "127.0.0.3", port: 0)
    binding.otherAddress = .socket(host: "::1", port: 0)
    binding.freebind = true
    binding.socketOptions = [
      SocketOption(level: 6, name: 12, value: .integer(5)),
      SocketOption(level: 6, name: 13, value: .integer(5), stage: .bound),
    ]
    let world = answering { $0.binding = binding }
    #expect(ask(world, world.connect()) == 200)
    #expect("\(world.server.accepted[0].remote.ip)" == "127.0.0.3")
    let options = world.proxyDriver.lastOptions
    #expect(options.freeBind && options.raw.map(\.name) == [12] && options.raw[0].value == [5, 0, 0, 0])
    world.server.listen(8080, at: IPAddress(v6High: 0, low: 1))
    world.config.clusters[0].loadAssignment.localities[0].endpoints = [
      Endpoint(address: .socket(host: "::1", port: 8080))
    ]
    world.apply()
    #expect(ask(world, world.connect()) == 200)
    #expect("\(world.server.accepted[1].remote.ip)" == "::1")
  }

  @Test("an endpoint of a family that there is no address of cannot be reached")
  func wrongFamily() {
    var binding = UpstreamBinding()
    binding.address = .socket(host: "::1", port: 0)
    let world = answering { $0.binding = binding }
    #expect(ask(world, world.connect()) == 503)
    #expect(world.value(.bindErrors) == 1)
  }
}
