import Testing
import WeftBase
import WeftRuntime
import WeftTestKit
import WeftTranslation
import WeftXDSMessages

@testable import WeftDiscovery

/// A control plane and its proxies over a network that loses streams.
@Suite("simulated control plane")
struct ControlPlaneSimulationTests {
  static let probes = SimProbes([
    "service removed", "NACK", "change that does not concern a proxy", "endpoints alone", "reconnect",
    "answers gathered at a slow proxy", "converged but for what is refused", "stream lost", "control plane cut off",
    "control plane down", "process suspended",
  ])

  static func world(_ seed: UInt64) -> SimSeeds.Outcome {
    var behaviour = MemoryBehaviour()
    behaviour.shuffles = true
    behaviour.splits = seed % 5 == 0
    behaviour.latency = seed % 2 == 0 ? .milliseconds(1) ... .milliseconds(60) : .zero ... .zero
    let world = SimWorld(seed: seed, behaviour: behaviour)
    let discovery = SimDiscovery(world, probes)
    let proxies = SimEnds(world, world.addProcess("proxies"))
    let subscribers = (0..<world.pick(1...4)).map { SimSubscriber(discovery, proxies, $0) }
    for subscriber in subscribers { world.after(world.milliseconds(0...2_000)) { subscriber.connect() } }
    let span = world.pick([300, 3_000, 10_000])
    for _ in 0..<world.pick(1...40) { world.after(world.milliseconds(0...span)) { discovery.change() } }
    for _ in 0..<world.pick(0...5) { world.after(world.milliseconds(0...span)) { trouble(world, discovery) } }
    // Quiet: reconnects, retirement and warming have had their time.
    world.run(for: .seconds(120))
    for subscriber in subscribers {
      world.expect(subscriber.end?.isOpen ?? false, "\(subscriber.node.id) is not connected when all is quiet")
      subscriber.checkConvergence(discovery.model.snapshot)
    }
    for stream in discovery.live {
      world.expect(
        stream.session?.isSettled ?? false, "\(stream.session?.proxy.nodeID ?? "?") is not settled when all is quiet")
    }
    world.end()
    return SimSeeds.Outcome(failures: world.failures)
  }

  private static func trouble(_ world: SimWorld, _ discovery: SimDiscovery) {
    let time = world.milliseconds(10...world.pick([300, 8_000]))
    switch world.pick(0...4) {
    case 0, 1:
      if world.network.breakConnection({ _ in true }) { probes.reached("stream lost") }
    case 2:
      for port in SimDiscovery.ports { world.network.cut(SocketAddress(.loopback4, port: port)) }
      probes.reached("control plane cut off")
      world.after(time) {
        for port in SimDiscovery.ports { world.network.restore(SocketAddress(.loopback4, port: port)) }
      }
    case 3:
      discovery.stopListening()
      for stream in discovery.live { stream.loop.close(stream.c) }
      probes.reached("control plane down")
      world.after(time) { discovery.listen() }
    default:
      world.stall(world.pick(world.processes), for: time)
      probes.reached("process suspended")
    }
  }

  @Test("when all is quiet every proxy has exactly what translation says, and nobody is told what does not concern it")
  func seeds() {
    for report in SimSeeds.run("control plane", usual: 24, probes: Self.probes, enough: 24, Self.world) {
      Issue.record("\(report)")
    }
  }
}
