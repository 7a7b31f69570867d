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

@Suite("listeners that change under connections")
struct ListenerUpdateTests {
  private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  private func answering(_ world: ProxyWorld) {
    world.server.onBytes = { peer in
      guard let message = HTTP1Text(peer.received) else { return }
      peer.received.removeFirst(message.length)
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    }
  }

  private func address(_ port: UInt16) -> Address { .socket(host: "127.0.0.1", port: port) }
  private func manager(_ metric: ListenerManagerMetric, _ world: ProxyWorld) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.listenerManager)))
  }

  /// A chain for clients on the loopback, more specific the higher `level` is.
  private func chain(_ world: ProxyWorld, _ name: String, level: UInt8) -> FilterChain {
    var chain = world.config.listeners[0].filterChains[0]
    chain.name = name
    if level > 0 { chain.match.sourcePrefixes = [CIDRRange(bytes: [127, 0, 0, 1], prefixLength: 8 * level)] }
    return chain
  }

  @Test("fifty updates of a listener close none of its connections, and the fifty-first request is served as the first")
  func fiftyUpdates() {
    let world = ProxyWorld()
    world.simple()
    answering(world)
    var tcp = Listener(name: "tcp", address: address(15002))
    var chain = FilterChain(name: "")
    chain.filters = [.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))]
    tcp.filterChains = [chain]
    world.config.listeners.append(tcp)
    world.apply()
    let one = world.connect()
    one.send(get)
    let two = world.connect()
    let h2 = H2Peer(.client, two)
    let first = h2.request(.get, "/")
    let raw = world.client.connect(SocketAddress(.loopback4, port: 15002))
    raw.send(get)
    #expect(world.run { one.text.hasSuffix("ok") && h2.messages[first]?.ended == true && raw.text.hasSuffix("ok") })
    for i in 0..<50 {
      // What control planes really change: routes, time-outs, names, limits, further chains and listeners.
      let route = world.config.listeners[0].filterChains[0]
      guard case .httpConnectionManager(var changed) = route.filters[0] else { return }
      changed.serverName = "weft-\(i)"
      changed.streamIdleTimeout = .seconds(100 + i)
      world.config.listeners[0].filterChains[0].filters[0] = .httpConnectionManager(changed)
      world.config.listeners[0].filterChains.removeLast(world.config.listeners[0].filterChains.count - 1)
      if i % 2 == 0 {
        var other = chain
        other.match.sourcePorts = [UInt16(i + 1)]
        world.config.listeners[0].filterChains.append(other)
      }
      world.config.listeners.removeLast(world.config.listeners.count - 2)
      world.config.listeners.append(Listener(name: "extra", address: address(16000 + UInt16(i))))
      world.apply()
      world.advance(by: .milliseconds(100))
      #expect(!one.isOver && !two.isOver && !raw.isOver && h2.goAways.isEmpty, "update \(i)")
    }
    one.received = []
    raw.received = []
    one.send(get)
    raw.send(get)
    let last = h2.request(.get, "/")
    #expect(world.run { one.text.hasSuffix("ok") && h2.messages[last]?.ended == true && raw.text.hasSuffix("ok") })
    #expect(one.text.contains("server: weft-49\r\n"))
    #expect(world.engine.snapshotsInUse <= 2, "no old configuration is kept by a connection that moved on")
  }

  @Test("only connections of a filter chain that is gone drain: idle ones at once, busy ones after their answer")
  func chainRemoved() {
    let world = ProxyWorld()
    world.simple()
    answering(world)
    let wide = chain(world, "same", level: 1)
    let narrow = chain(world, "same", level: 2)
    world.config.listeners[0].filterChains = [wide]
    world.apply()
    let idle = world.connect()
    idle.send(get)
    let busy = world.connect()
    #expect(world.run { idle.text.hasSuffix("ok") && busy.isConnected })
    var held: Peer?
    world.server.onBytes = { held = $0 }
    busy.send(get)
    #expect(world.run { held != nil })
    world.config.listeners[0].filterChains = [wide, narrow]
    world.apply()
    answering(world)
    let kept = world.connect()
    kept.send(get)
    #expect(world.run { kept.text.hasSuffix("ok") })
    world.config.listeners[0].filterChains = [narrow]
    world.apply()
    #expect(world.run(for: .milliseconds(100)) { idle.isOver })
    #expect(!busy.isOver && !kept.isOver)
    held?.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    #expect(world.run { busy.isOver })
    #expect(busy.text.hasSuffix("ok"))
    kept.received = []
    kept.send(get)
    #expect(world.run { kept.text.hasSuffix("ok") })
    #expect(!kept.isOver)
    world.settle()
    world.expectClean()
  }

  @Test("chains without names are told apart by what they match")
  func unnamedChains() {
    let world = ProxyWorld()
    world.simple()
    answering(world)
    let wide = chain(world, "", level: 1)
    var narrow = chain(world, "", level: 2)
    guard case .httpConnectionManager(var changed) = narrow.filters[0] else { return }
    changed.serverName = "narrow"
    narrow.filters[0] = .httpConnectionManager(changed)
    world.config.listeners[0].filterChains = [wide, narrow]
    world.apply()
    let client = world.connect()
    client.send(get)
    #expect(world.run { client.text.hasSuffix("ok") })
    #expect(client.text.contains("server: narrow\r\n"))
    changed.serverName = "narrower"
    narrow.filters[0] = .httpConnectionManager(changed)
    world.config.listeners[0].filterChains = [wide, narrow]
    world.apply()
    client.received = []
    client.send(get)
    #expect(world.run { client.text.hasSuffix("ok") })
    #expect(client.text.contains("server: narrower\r\n"))
  }

  @Test("a listener that moves listens there before it drains here")
  func addressChange() {
    let world = ProxyWorld()
    world.simple()
    answering(world)
    let idle = world.connect()
    idle.send(get)
    #expect(world.run { idle.text.hasSuffix("ok") })
    var held: Peer?
    world.server.onBytes = { held = $0 }
    let busy = world.connect()
    busy.send(get)
    #expect(world.run { held != nil })
    world.config.listeners[0].address = address(15005)
    world.apply()
    #expect(world.engine.listenerAddresses.map(\.address.port) == [15005])
    #expect(world.engine.drainingListeners == 1)
    #expect(world.run(for: .milliseconds(100)) { idle.isOver })
    #expect(!busy.isOver)
    held?.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    #expect(world.run { busy.isOver })
    #expect(busy.text.hasSuffix("ok"))
    answering(world)
    let moved = world.client.connect(SocketAddress(.loopback4, port: 15005))
    moved.send(get)
    #expect(world.run { moved.text.hasSuffix("ok") })
    #expect(world.engine.drainingListeners == 0)
    #expect(manager(.listenerCreateSuccess, world) == 2)
    world.settle()
    world.expectClean()
  }

  @Test("a listener that cannot listen at its new address goes on at its old one, until it can")
  func addressTaken() {
    let world = ProxyWorld()
    world.simple()
    answering(world)
    // Somebody else is there.
    world.server.listen(15005)
    let idle = world.connect()
    idle.send(get)
    #expect(world.run { idle.text.hasSuffix("ok") })
    world.config.listeners[0].address = address(15005)
    world.config.listeners[0].reusePort = false
    world.apply()
    #expect(world.engine.listenerAddresses.map(\.address.port) == [15001])
    #expect(world.engine.listenerFailures[].map(\.name) == ["in"])
    #expect(manager(.listenerCreateFailure, world) == 1)
    world.advance(by: .seconds(2))
    #expect(!idle.isOver)
    let fresh = world.connect()
    fresh.send(get)
    #expect(world.run { fresh.text.hasSuffix("ok") })
    world.server.stopListening(15005)
    world.apply()
    #expect(world.engine.listenerAddresses.map(\.address.port) == [15005])
  }

  @Test("what a removed listener carries on with ends when the drain time is over")
  func drainTimeOver() {
    let world = ProxyWorld()
    world.simple()
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
    world.apply()
    let raw = world.connect()
    raw.send("x")
    #expect(world.run { world.server.accepted.first?.text == "x" })
    world.config.listeners = []
    world.apply()
    world.advance(by: .seconds(599))
    #expect(!raw.isOver)
    #expect(world.run(for: .seconds(3)) { raw.isOver })
    world.settle()
    #expect(world.engine.streams.count == 0 && world.engine.downstreams.count == 0)
  }

  @Test("a connection that was accepted before its listener closed is served")
  func acceptedLast() {
    let world = ProxyWorld()
    world.simple()
    answering(world)
    let client = world.connect()
    #expect(world.run { client.isConnected })
    world.config.listeners = []
    world.apply()
    client.send(get)
    #expect(world.run { client.isOver })
    #expect(client.text.hasSuffix("ok"))
    #expect(client.text.contains("connection: close\r\n"))
  }

  /// Where the worker listens, and where the configuration wants it to.
  private func expectListening(
    _ world: ProxyWorld, _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let wanted = world.config.listeners.filter(\.bindToPort).map { "\($0.name) \($0.address)" }.sorted()
    let found = world.engine.listenerAddresses.map { "\($0.name) \($0.address)" }.sorted()
    #expect(found == wanted, "\(comment)", sourceLocation: sourceLocation)
    #expect(world.engine.listenerFailures[].isEmpty, "\(comment)", sourceLocation: sourceLocation)
  }

  private func plain(_ name: String, _ port: UInt16, _ world: ProxyWorld) -> Listener {
    var listener = Listener(name: name, address: address(port))
    listener.filterChains = world.config.listeners.first?.filterChains ?? []
    return listener
  }

  @Test("one listener is removed and another moves in one update: the one that moved is still there")
  func removedAndMoved() {
    let world = ProxyWorld()
    world.simple()
    answering(world)
    let (a, b) = (plain("a", 15001, world), plain("b", 15002, world))
    world.config.listeners = [a, b]
    world.apply()
    expectListening(world)
    // The place of the one that goes is free when the other opens anew.
    world.config.listeners = [plain("b", 15003, world)]
    world.apply()
    expectListening(world)
    for port in 15004..<15012 as Range<UInt16> {
      world.config.listeners = [plain("b", port, world)]
      world.apply()
      expectListening(world, "moved to \(port)")
    }
    let client = world.client.connect(SocketAddress(.loopback4, port: 15011))
    client.send(get)
    #expect(world.run { client.text.hasSuffix("ok") })
  }

  @Test("two listeners change places, whether their sockets can share an address or not", arguments: [true, false])
  func changedPlaces(_ reuses: Bool) {
    let world = ProxyWorld()
    world.simple()
    var (a, b) = (plain("a", 15001, world), plain("b", 15002, world))
    (a.reusePort, b.reusePort) = (reuses, reuses)
    world.config.listeners = [a, b]
    world.apply()
    swap(&a.address, &b.address)
    world.config.listeners = [a, b]
    world.apply()
    expectListening(world)
  }

  @Test("of two that change places, one that cannot open goes back; nobody is lost")
  func goesBack() {
    let world = ProxyWorld()
    world.simple()
    world.server.listen(15009)
    var (a, b) = (plain("a", 15001, world), plain("b", 15002, world))
    (a.reusePort, b.reusePort) = (false, false)
    world.config.listeners = [a, b]
    world.apply()
    a.address = address(15002)
    b.address = address(15009)
    world.config.listeners = [a, b]
    world.apply()
    // Somebody else has what b wants, and a has what b had: only one of them can be somewhere else than before.
    #expect(world.engine.listenerAddresses.contains { $0.name == "a" && $0.address.port == 15002 })
    #expect(world.engine.listenerFailures[].contains { $0.name == "b" })
  }

  @Test(
    "after any sequence of updates exactly the listeners of the configuration listen",
    arguments: 0..<24 as Range<UInt64>)
  func anySequence(_ seed: UInt64) {
    var random = RandomSource(seed: seed)
    let world = ProxyWorld()
    world.simple()
    let names = ["a", "b", "c", "d", "e", "f"]
    let chains = world.config.listeners[0].filterChains
    for step in 0..<40 {
      var ports = Array(15001..<15010 as Range<UInt16>)
      var listeners: [Listener] = []
      for name in names where random.chance(2, in: 3) {
        // Mostly where it was: what stays, what moves and what goes are to meet in one update.
        let old = world.config.listeners.first { $0.name == name }
        var listener = old ?? plain(name, 0, world)
        if old == nil || random.chance(1, in: 2) { listener.address = address(ports[random.next(below: ports.count)]) }
        if random.chance(1, in: 4) { listener.reusePort.toggle() }
        if random.chance(1, in: 8) { listener.bindToPort.toggle() }
        guard case .socket(_, let port) = listener.address, let free = ports.firstIndex(of: port) else { continue }
        ports.remove(at: free)
        listener.filterChains = chains
        listeners.append(listener)
      }
      for i in listeners.indices.dropFirst() where random.chance(1, in: 2) {
        listeners.swapAt(i, random.next(below: i))
      }
      world.config.listeners = listeners
      world.apply()
      expectListening(world, "seed \(seed), step \(step)")
    }
    world.config.listeners = []
    world.apply()
    #expect(world.engine.listenerAddresses.isEmpty)
  }
}
