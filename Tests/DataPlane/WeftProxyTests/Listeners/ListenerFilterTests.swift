import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTLS
import WeftTelemetry
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("listener filters")
struct ListenerFilterTests {
  private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  /// HTTP goes to the HTTP chain and is answered by 8080; everything else goes to 7000, which says hello first.
  private func captured(_ filters: [ConfiguredListenerFilter], change: (inout Listener) -> Void = { _ in })
    -> ProxyWorld
  {
    let world = ProxyWorld()
    world.simple()
    world.server.listen(7000)
    world.server.onAccept = { if $0.port == 7000 { $0.send("hello ") } }
    world.server.onBytes = { peer in
      if peer.port == 7000 { return peer.send("raw:" + peer.take()) }
      if peer.take().hasSuffix("\r\n\r\n") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    }
    var raw = Cluster(name: "raw")
    var endpoints = LocalityEndpoints()
    endpoints.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: 7000))]
    raw.loadAssignment.localities = [endpoints]
    world.config.clusters.append(raw)
    var listener = world.config.listeners[0]
    listener.filterChains[0].match.transportProtocol = "raw_buffer"
    listener.filterChains[0].match.applicationProtocols = ["http/1.0", "http/1.1", "h2c"]
    var other = FilterChain(name: "other")
    other.filters = [.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("raw")))]
    listener.defaultFilterChain = other
    listener.listenerFilters = filters
    listener.listenerFiltersTimeout = .seconds(5)
    listener.continueOnListenerFiltersTimeout = true
    change(&listener)
    world.config.listeners = [listener]
    world.apply()
    return world
  }

  private let inspectors: [ConfiguredListenerFilter] = [.tlsInspector(), .httpInspector()]

  private func listener(_ world: ProxyWorld, _ metric: ListenerMetric) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.listener, world.config.listeners[0].statName)))
  }

  private func http(_ world: ProxyWorld, _ metric: HTTPInspectorMetric) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.httpInspector)))
  }

  private func proxy(_ world: ProxyWorld, _ metric: ProxyProtocolMetric, _ prefix: String = "") -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.proxyProtocol, prefix)))
  }

  // MARK: http_inspector

  @Test("HTTP and TCP on one captured port both work, byte by byte, too", arguments: [false, true])
  func mixed(_ isSplit: Bool) {
    let world = captured(inspectors)
    let one = world.connect()
    let two = world.connect()
    let raw = world.connect()
    if isSplit {
      for byte in get.utf8 {
        one.send([byte])
        world.settle()
      }
      for byte in "SSH-2.0-x\r\n".utf8 {
        raw.send([byte])
        world.settle()
      }
    } else {
      one.send(get)
      raw.send("SSH-2.0-x\r\n")
    }
    let h2 = H2Peer(.client, two)
    let id = h2.request(.get, "/")
    #expect(
      world.run { one.text.hasSuffix("ok") && h2.messages[id]?.ended == true && raw.text.contains("raw:SSH-2.0-x") })
    #expect(world.value(HTTPMetric.downstreamRqTotal) == 2, "both have routes, retries and policies")
    #expect(http(world, .http11Found) == 1 && http(world, .http2Found) == 1 && http(world, .httpNotFound) == 1)
    #expect(world.engine.inspections[].isEmpty)
  }

  @Test("half of what HTTP may be waits, and goes to the other chain when the time is over, with every byte")
  func halfThenRaw() {
    let world = captured(inspectors)
    let silent = world.connect()
    let half = world.connect()
    half.send("PRI * HTT")
    world.advance(by: .milliseconds(4900))
    #expect(silent.text.isEmpty && half.text.isEmpty && world.server.accepted.isEmpty)
    // A server that speaks first is heard, if late.
    #expect(world.run(for: .milliseconds(300)) { silent.text == "hello " && half.text == "hello raw:PRI * HTT" })
    #expect(listener(world, .downstreamPreCxTimeout) == 2)
  }

  @Test("the time of listener filters ends a connection where they say so")
  func timedOut() {
    let world = captured(inspectors) { $0.continueOnListenerFiltersTimeout = false }
    let half = world.connect()
    half.send("GE")
    world.advance(by: .milliseconds(4900))
    #expect(!half.isOver)
    #expect(world.run(for: .milliseconds(300)) { half.isOver })
    #expect(world.engine.inspections[].isEmpty && world.engine.downstreams.count == 0)
  }

  @Test("half a chain of bytes over HTTP is delivered when the time is over and the HTTP chain is the one that fits")
  func halfToHTTP() {
    let world = captured([.httpInspector()]) {
      $0.filterChains[0].match = FilterChainMatch()
      $0.defaultFilterChain = nil
    }
    let client = world.connect()
    // No line end for the inspector, and nothing more to come from the client until it is answered.
    client.send("GE")
    world.advance(by: .seconds(6))
    client.send(String(get.dropFirst(2)))
    #expect(world.run { client.text.hasSuffix("ok") })
  }

  @Test("a first line without end is refused at 64 KiB")
  func endless() {
    let world = captured(inspectors)
    let client = world.connect()
    client.send("GET /" + String(repeating: "a", count: 70_000))
    #expect(world.run(for: .seconds(1)) { client.isOver })
    #expect(http(world, .readError) == 1 && listener(world, .downstreamListenerFilterError) == 1)
  }

  @Test("a filter that is disabled for a port has no part in its connections")
  func disabled() {
    let ports = ConfiguredListenerFilter.Predicate.destinationPorts(15001..<15002)
    let world = captured([.httpInspector(disabled: .anyOf([.not(.any), .all([ports, .any])]))])
    let client = world.connect()
    client.send(get)
    #expect(world.run { client.text.contains("raw:GET / HTTP/1.1") })
    #expect(world.value(HTTPMetric.downstreamCxTotal) == 0)
  }

  @Test("a configuration that comes while filters wait changes neither them nor what is kept")
  func changedMeanwhile() {
    let world = captured(inspectors)
    let client = world.connect()
    client.send("GET / HT")
    world.settle()
    world.config.listeners[0].listenerFilters = [.httpInspector()]
    world.apply()
    client.send("TP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { client.text.hasSuffix("ok") })
    #expect(world.engine.snapshotsInUse <= 2)
  }

  @Test("a client that leaves while filters wait leaves nothing behind")
  func leaves() {
    let world = captured(inspectors)
    let client = world.connect()
    client.send("GE")
    world.settle()
    client.close()
    world.advance(by: .seconds(2))
    #expect(listener(world, .downstreamListenerFilterRemoteClose) == 1)
    #expect(world.engine.inspections[].isEmpty && world.engine.downstreams.count == 0)
  }

  @Test(
    "a ClientHello over the limit is refused, one that is broken goes on as plain text or is refused",
    arguments: [false, true])
  func hello(_ closes: Bool) {
    let world = captured([.tlsInspector { $0.closeConnectionOnClientHelloParsingErrors = closes }])
    let large = world.connect()
    large.send([22, 3, 1, 0, 4, 1, 0, 0x40, 1])
    let broken = world.connect()
    broken.send([22, 3, 1, 0, 5, 2, 0, 0, 1, 0])
    #expect(
      world.run(for: .seconds(1)) { large.isOver && (closes ? broken.isOver : broken.text.hasPrefix("hello raw:")) })
    let scope = world.registry.scope(ScopeKey(.tlsInspector))
    #expect(world.registry.value(TLSInspectorMetric.clientHelloTooLarge, scope) == 1)
    #expect(world.registry.value(TLSInspectorMetric.tlsNotFound, scope) == 1)
  }

  // MARK: proxy_protocol

  private func proxied(_ change: (inout ProxyProtocolMessage) -> Void = { _ in }) -> ProxyWorld {
    let world = ProxyWorld()
    world.simple(manager: { $0.useRemoteAddress = true })
    world.server.onBytes = { peer in
      guard let message = HTTP1Text(peer.received) else { return }
      peer.received.removeFirst(message.length)
      let from = message.first("x-forwarded-for") ?? "none"
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: \(from.utf8.count)\r\n\r\n\(from)")
    }
    world.config.listeners[0].listenerFilters = [.proxyProtocol(change)]
    world.apply()
    return world
  }

  private static let mark: [UInt8] = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
  private static let binary: [UInt8] = mark + [0x21, 0x11, 0, 12, 9, 8, 7, 6, 5, 4, 3, 2, 0, 1, 0, 2]

  @Test(
    "the client is whom the header names",
    arguments: [
      (Array("PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n".utf8), "1.2.3.4"),
      (Array("PROXY TCP6 2001:db8::1 2001:db8::2 1000 2000\r\n".utf8), "2001:db8::1"),
      (Array("PROXY UNKNOWN\r\n".utf8), "127.0.0.1"), (binary, "9.8.7.6"), (mark + [0x20, 0, 0, 0], "127.0.0.1"),
    ] as [([UInt8], String)])
  func client(_ header: [UInt8], _ address: String) {
    for isSplit in [false, true] {
      let world = proxied()
      let client = world.connect()
      let bytes = header + Array(get.utf8)
      if isSplit {
        for byte in bytes {
          client.send([byte])
          world.settle()
        }
      } else {
        client.send(bytes)
      }
      #expect(world.run { client.text.hasSuffix("\r\n\r\n\(address)") })
      #expect(proxy(world, .v1Found) + proxy(world, .v2Found) == 1)
    }
  }

  @Test(
    "what is no header, or names no host, ends the connection and is counted",
    arguments: [
      "GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 ::1 ::2 1 2\r\n", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
      "PROXY TCP4 0.0.0.0 5.6.7.8 1 2\r\n", "PROXY TCP4 255.255.255.255 5.6.7.8 1 2\r\n",
      "PROXY TCP4 1.2.3.4 224.0.0.1 1 2\r\n",
      "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", "PROXY TCP6 ff02::1 ::2 1 2\r\n", "PROXY TCP6 :: ::2 1 2\r\n",
      "PROXY x\r\n",
    ])
  func refused(_ text: String) {
    let world = proxied()
    let client = world.connect()
    client.send(text)
    #expect(world.run(for: .seconds(1)) { client.isOver })
    #expect(client.text.isEmpty)
    let isHeader = text.hasPrefix("PROXY ")
    #expect(proxy(world, isHeader ? .v1Error : .notFoundDisallowed) == 1)
    let root = world.registry.scope(ScopeKey(.root))
    #expect(world.registry.value(RootMetric.downstreamCxProxyProtoError, root) == 1)
    #expect(listener(world, .downstreamListenerFilterError) == 1)
  }

  @Test("where a header is not demanded a client without one is itself, and one that begins like a header waits")
  func allowed() {
    let world = proxied {
      $0.allowRequestsWithoutProxyProtocol = true
      $0.statPrefix = "edge"
    }
    let plain = world.connect()
    plain.send(get)
    #expect(world.run { plain.text.hasSuffix("127.0.0.1") })
    let named = world.connect()
    named.send("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get)
    #expect(world.run { named.text.hasSuffix("1.2.3.4") })
    let post = world.connect()
    post.send("P")
    world.settle()
    post.send("OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    #expect(world.run { post.text.hasSuffix("127.0.0.1") })
    #expect(proxy(world, .notFoundAllowed, "edge") == 2 && proxy(world, .v1Found, "edge") == 1)
  }

  @Test("a version that is disallowed is refused, or is no header where none is demanded", arguments: [false, true])
  func disallowed(_ allows: Bool) {
    let world = proxied {
      $0.disallowedVersions = [.v1]
      $0.allowRequestsWithoutProxyProtocol = allows
    }
    let client = world.connect()
    client.send("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get)
    #expect(world.run(for: .seconds(1)) { client.isOver })
    #expect(client.text.hasPrefix(allows ? "HTTP/1.1 400 " : ""))
    #expect(proxy(world, .v1Disallowed) == (allows ? 0 : 1) && proxy(world, .notFoundAllowed) == (allows ? 1 : 0))
    let other = world.connect()
    other.send(Self.binary + Array(get.utf8))
    #expect(world.run { other.text.hasSuffix("9.8.7.6") })
  }

  @Test(
    "extensions that rules name are dynamic metadata of every request: the first of each type, as long as the connection lives"
  )
  func extensions() {
    let world = proxied { message in
      for (type, space, key) in [(2, "", "authority"), (0xea, "aws", "vpc")] as [(UInt32, String, String)] {
        var rule = ProxyProtocolMessage.Rule()
        rule.tlvType = type
        rule.onTlvPresent = ProxyProtocolMessage.KeyValuePair()
        rule.onTlvPresent?.metadataNamespace = space
        rule.onTlvPresent?.key = key
        message.rules.append(rule)
      }
    }
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0],
      case .inline(var routes) = manager.routes
    else { return }
    for (name, value) in [
      ("x-authority", "%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:authority)%"),
      ("x-vpc", "%METADATA(DYNAMIC:aws:vpc)%"), ("x-none", "%DYNAMIC_METADATA(aws:none)%"),
    ] {
      routes.headers.response.add.append(HeaderValueOption(name: name, value: value))
    }
    manager.routes = .inline(routes)
    world.config.listeners[0].filterChains[0].filters[0] = .httpConnectionManager(manager)
    world.apply()
    let client = world.connect()
    // 0xFF is no text.
    let extensions: [UInt8] = [2, 0, 3, 97, 98, 0xff, 4, 0, 1, 99, 2, 0, 1, 100, 0xea, 0, 1, 101]
    client.send(
      Self.mark + [0x21, 0x11, 0, UInt8(12 + extensions.count), 9, 8, 7, 6, 5, 4, 3, 2, 0, 1, 0, 2] + extensions
        + Array((get + get).utf8))
    #expect(world.run { client.text.matches(of: #/9.8.7.6/#).count == 2 })
    #expect(client.text.matches(of: #/x-authority: ab!\r\n/#).count == 2)
    #expect(client.text.matches(of: #/x-vpc: e\r\n/#).count == 2)
    #expect(!client.text.contains("x-none"))
    let other = world.connect()
    other.send(Self.mark + [0x20, 0, 0, 0] + Array(get.utf8))
    #expect(world.run { other.text.hasSuffix("127.0.0.1") })
    #expect(!other.text.contains("x-vpc"))
    client.close()
    world.advance(by: .seconds(2))
    #expect(world.engine.connectionMetadata[].isEmpty)
  }

  @Test("behind a header come TLS and HTTP as if it had not been there; chains match by its addresses")
  func beforeOthers() throws {
    let tls = try TLSWorld()
    let world = ProxyWorld(security: TLSSecurity())
    world.simple(manager: { $0.useRemoteAddress = true })
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    var context = DownstreamTLSContext()
    context.common.certificates = [try tls.certificate(SubjectAltName(.dns, "server.test"))]
    var chain = world.config.listeners[0].filterChains[0]
    chain.tls = context
    chain.match.serverNames = ["server.test"]
    chain.match.sourcePrefixes = [CIDRRange(bytes: [9, 0, 0, 0], prefixLength: 8)]
    world.config.listeners[0].filterChains = [chain]
    world.config.listeners[0].listenerFilters = [
      .proxyProtocol(), .tlsInspector(), .httpInspector(),
    ]
    world.apply()
    let client = world.connect()
    client.send(Self.binary)
    world.settle()
    let session = TLSSession.client(try TLSContext(.client(trusting: tls.authority.trust)), serverName: "server.test")
    world.clientLoop.startTransport(client.id, session)
    #expect(world.run { session.status == .open })
    client.send(get)
    #expect(world.run { client.text.hasSuffix("ok") })
    let stranger = world.connect()
    stranger.send("PROXY UNKNOWN\r\nhello\r\n")
    #expect(world.run(for: .seconds(1)) { stranger.isOver })
    #expect(listener(world, .noFilterChainMatch) == 1)
  }
}
