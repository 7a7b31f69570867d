import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftTestKit

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("protocols under anything")
struct ProtocolStormTests {
  /// One story of peers and configurations, drawn from a seed.
  private final class Storm {
    let world: ProxyWorld
    let servers: DubboServers
    private var random: RandomSource
    private var isLines: Bool
    private var clients: [Peer] = []
    private var number: UInt64 = 0

    init(seed: UInt64) {
      var random = RandomSource(seed: seed)
      func draw(_ n: UInt64) -> UInt64 { random.next() % n }
      var policy = RetryPolicy(retryOn: [.reset, .connectFailure, .serverError])
      let hedges = seed % 2 == 0
      policy.perTryTimeout = .milliseconds(hedges ? 40 : 300)
      isLines = draw(4) == 0
      var limits = WorkerEngine.Limits()
      if draw(3) == 0 { limits.queuedAnswerBytes = 20_000 }
      if draw(3) == 0 { limits.messagesUnderWay = 1 + Int(draw(4)) }
      world = ProtocolWorld.make(
        isLines ? ProtocolWorld.lines : ProtocolWorld.dubbo, ports: [8080, 8081], splits: draw(2) == 0, seed: seed,
        window: draw(2) == 0 ? 2048 : 64 << 10, limits: limits,
        manager: { $0.requestHeadersTimeout = .seconds(1) },
        route: { action in
          action.timeout = .milliseconds(800)
          action.retryPolicy = policy
          action.hedgesOnPerTryTimeout = hedges
        },
        cluster: { cluster in
          if draw(2) == 0 { cluster.circuitBreakers.standard.maxRequests = UInt32(1 + draw(4)) }
          if draw(3) == 0 { cluster.maxRequestsPerConnection = UInt32(1 + draw(3)) }
          if draw(3) == 0 { cluster.circuitBreakers.standard.maxConnections = 1 }
        })
      self.random = random
      servers = DubboServers(world)
      let dubbo = world.server.onBytes
      world.server.onBytes = { [unowned self] peer in serve(peer, dubbo) }
      servers.answer = { [unowned self] _, frame in
        DubboFrames.answer(
          id: DubboFrames.id(frame), .bytes([UInt8](repeating: 1, count: Int(self.draw(5000)))),
          status: self.draw(5) == 0 ? 80 : 20)
      }
    }

    private func draw(_ n: UInt64) -> UInt64 { random.next() % n }

    private func serve(_ peer: Peer, _ dubbo: (Peer) -> Void) {
      switch draw(14) {
      case 0: peer.reset()
      case 1: peer.close()
      case 2: peer.finish()
      case 3: peer.send(isLines ? "+unasked\n" : "garbage")
      case 4: peer.send(isLines ? Array("-\n".utf8) : DubboFrames.lastCall(id: 0))
      case 5: peer.send(isLines ? Array("+half".utf8) : Array(DubboFrames.answer(id: 1).prefix(20)))
      case 6: break
      default:
        guard isLines else { return dubbo(peer) }
        while let end = peer.received.firstIndex(of: 0x0a) {
          peer.received.removeFirst(end + 1)
          peer.send("+ok\n")
        }
      }
    }

    private func request() -> [UInt8] {
      number += 1
      if isLines { return Array("GET a\nLOG! b\n".utf8) }
      let size = Int(draw(8)) * 1000
      return DubboFrames.request(
        id: number, types: "[B", arguments: [.bytes([UInt8](repeating: 1, count: size))], isOneWay: draw(4) == 0)
    }

    private func change() {
      switch draw(5) {
      case 0:
        let endpoints = [8080, 8081].prefix(1 + Int(draw(2)))
          .map { Endpoint(address: .socket(host: "127.0.0.1", port: $0)) }
        world.config.clusters[0].loadAssignment.localities[0].endpoints = endpoints
      case 1:
        guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0] else {
          return
        }
        isLines.toggle()
        manager.protocolCodec = draw(4) == 0 ? nil : isLines ? ProtocolWorld.lines : ProtocolWorld.dubbo
        world.config.listeners[0].filterChains[0].filters = [.httpConnectionManager(manager)]
      case 2: world.config.clusters[0].maxRequestsPerConnection = draw(2) == 0 ? nil : 2
      default: break
      }
      world.apply()
    }

    func step() {
      if clients.isEmpty || draw(6) == 0 { clients.append(world.connect()) }
      let client = clients[Int(draw(UInt64(clients.count)))]
      if client.isOver { return }
      switch draw(18) {
      case 0: client.reset()
      case 1: client.close()
      case 2: client.finish()
      case 3: client.send(isLines ? "\n" : "nothing of it")
      case 4: client.send(isLines ? Array("PING\n".utf8) : DubboFrames.heartbeat(id: 1))
      case 5: client.pause()
      case 6: client.resume()
      case 7: client.send(Array(request().prefix(30)))
      case 8: change()
      case 9: for _ in 0..<10 { client.send(request()) }
      default: client.send(request())
      }
      world.advance(by: .milliseconds(Int64(draw(120))))
    }

    func end() {
      var isDrained = false
      if draw(2) == 0 {
        world.engine.drain(until: world.proxyLoop.now.advanced(nanoseconds: 2_000_000_000)) { isDrained = true }
        world.advance(by: .seconds(3))
        #expect(isDrained)
      }
      for client in clients where !client.isOver { client.reset() }
      world.advance(by: .seconds(3))
      world.expectClean()
      #expect(world.engine.downstreams.count == 0)
    }
  }

  @Test("peers that do anything at any moment leave nothing behind", arguments: 1...16 as ClosedRange<UInt64>)
  func storm(seed: UInt64) {
    let storm = Storm(seed: seed)
    for _ in 0..<60 { storm.step() }
    storm.end()
  }
}
