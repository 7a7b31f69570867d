import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("many clients that are to go at once")
struct DepartureTests {
  enum Cause: CaseIterable { case listenerRemoved, listenerMoved, chainRemoved, stopped, drained }

  /// So many clients of one chain that none of them is young any more.
  private func world(_ clients: Int, tcp: Bool = false, _ limits: WorkerEngine.Limits) -> ProxyWorld {
    let world = ProxyWorld(limits: limits)
    world.simple(cluster: { $0.circuitBreakers.standard.maxConnections = 1 << 20 })
    if tcp {
      world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
      world.apply()
    }
    let peers = (0..<clients).map { _ in world.connect() }
    #expect(world.run { peers.allSatisfy(\.isConnected) && (!tcp || world.server.accepted.count == clients) })
    world.advance(by: .seconds(2))
    #expect(world.engine.clientConnections == clients)
    return world
  }

  private func make(_ cause: Cause, in world: ProxyWorld, whenDrained: @escaping () -> Void = {}) {
    switch cause {
    case .listenerRemoved: world.config.listeners = []
    case .listenerMoved where !world.config.listeners.isEmpty:
      world.config.listeners[0].address = .socket(host: "127.0.0.1", port: 15009)
    case .chainRemoved where !world.config.listeners.isEmpty:
      world.config.listeners[0].filterChains[0].match.sourcePrefixes = [
        CIDRRange(bytes: [127, 0, 0, 1], prefixLength: 8)
      ]
    case .listenerMoved, .chainRemoved: break
    case .stopped: return world.engine.drainListeners(inboundOnly: false, gracefully: false)
    case .drained:
      return world.engine.drain(until: world.proxyLoop.now + .seconds(600), whenEmpty: whenDrained)
    }
    world.apply()
  }

  private func count(_ world: ProxyWorld, _ isMeant: (DownstreamConnection) -> Bool) -> Int {
    world.engine.clients { isMeant(world.engine.downstreams[$0]) }.count
  }

  /// By how much `count` falls in any one turn, from `start` until nothing is left.
  private func largestStep(
    _ world: ProxyWorld, from start: Int, for limit: Duration = .seconds(30), of count: () -> Int
  ) -> Int {
    var (last, most) = (start, 0)
    let isOver = world.run(for: limit) {
      let left = count()
      most = max(most, last - left)
      last = left
      return left == 0
    }
    #expect(isOver, "\(last) are left")
    return most
  }

  @Test("no turn tells more of two thousand clients than a slice, and all are told and gone", arguments: Cause.allCases)
  func told(cause: Cause) {
    let limits = WorkerEngine.Limits()
    let world = world(2000, limits)
    var isDrained = false
    make(cause, in: world) { isDrained = true }
    let step = largestStep(world, from: 2000) { count(world) { $0.isOpen && !$0.farewell.isDue } }
    #expect(step == limits.closesPerTurn)
    #expect(world.run(for: .seconds(5)) { world.engine.clientConnections == 0 })
    #expect(world.run(for: .seconds(5)) { world.client.all.allSatisfy(\.isOver) })
    #expect(world.engine.turn[].departures.isEmpty)
    if cause == .drained { #expect(world.run(for: .seconds(1)) { isDrained }) }
    if cause == .listenerRemoved { #expect(world.engine.drainingListeners == 0) }
  }

  @Test("when the drain time is over no turn ends more of two thousand sessions than a slice, and all are ended")
  func ended() {
    var limits = WorkerEngine.Limits()
    limits.drainTime = .seconds(10)
    let world = world(2000, tcp: true, limits)
    make(.listenerRemoved, in: world)
    let told = largestStep(world, from: 2000) { count(world) { !$0.farewell.isDue } }
    #expect(told == limits.closesPerTurn)
    world.advance(by: .seconds(9))
    #expect(count(world, \.isOpen) == 2000, "sessions run on until the drain time is over")
    let ended = largestStep(world, from: 2000) { count(world, \.isOpen) }
    #expect(ended == limits.closesPerTurn)
    world.settle()
    #expect(world.engine.clientConnections == 0 && world.engine.upstreams.count == 0)
    #expect(world.engine.drainingListeners == 0)
  }

  @Test("what comes while clients are told in slices loses none of them", arguments: Cause.allCases, Cause.allCases)
  func between(first: Cause, second: Cause) {
    var limits = WorkerEngine.Limits()
    limits.closesPerTurn = 3
    let world = world(40, limits)
    make(first, in: world)
    #expect(count(world) { $0.isOpen && !$0.farewell.isDue } == 37)
    world.proxyLoop.turn(until: world.proxyLoop.now)
    // Some clients leave by themselves in the meantime.
    for peer in world.client.all.suffix(10) { peer.reset() }
    make(second, in: world)
    let step = largestStep(world, from: 34) { count(world) { $0.isOpen && !$0.farewell.isDue } }
    // Those that left by themselves come on top.
    #expect(step <= 3 + 10)
    #expect(world.run(for: .seconds(5)) { world.engine.clientConnections == 0 })
    #expect(world.run(for: .seconds(5)) { world.client.all.allSatisfy { $0.isOver || $0.closeReason != nil } })
    #expect(world.engine.turn[].departures.isEmpty)
  }

  @Test("hosts and clients that go at once share the slice")
  func together() {
    var limits = WorkerEngine.Limits()
    limits.closesPerTurn = 4
    let world = ProxyWorld(limits: limits)
    world.simple()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    let clients = (0..<20).map { _ in world.connect() }
    for client in clients { client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
    #expect(world.run { clients.allSatisfy { $0.text.hasPrefix("HTTP/1.1 200 ") } })
    world.settle()
    func open() -> Int {
      var open = count(world, \.isOpen)
      world.engine.upstreams.forEach { if !world.engine.upstreams[$0].life.isClosed { open += 1 } }
      return open
    }
    let start = open()
    #expect(start > 24)
    world.config = ConfigState()
    world.apply()
    #expect(largestStep(world, from: start, of: open) == 4)
    world.settle()
    #expect(world.engine.hosts.count == 0 && world.engine.clusters.count == 0 && world.engine.drainingListeners == 0)
  }
}
