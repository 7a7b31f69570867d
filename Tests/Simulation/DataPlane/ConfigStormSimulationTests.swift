import Testing
import WeftBase
import WeftTelemetry
import WeftTestKit

/// Configurations that replace each other under load, on a network that does nothing wrong.
@Suite("simulated config storm")
struct ConfigStormSimulationTests {
  static let probes = SimProbes(
    [
      "priorities", "cluster made anew", "cluster added", "cluster removed", "listener added", "listener removed",
      "answer under a configuration that was replaced", "request on its way met a new configuration",
      "pipelined request",
      "version held back for a cluster on its way",
      "multiplexed request", "upstream connection used again", "request waited for a connection",
    ], others: DataPlaneSimulationTests.probes.names)

  static func world(_ seed: UInt64) -> SimSeeds.Outcome {
    let mesh = SimMesh(seed: seed, calm: true, probes: probes)
    let storm = ConfigStorm(mesh)
    mesh.configureInbound()
    storm.change()
    mesh.addUsers(mesh.world.pick(2...6), requests: 4...16, paths: ["/plain", "/plain/x", "/split"])
    storm.plan(mesh.world.pick(1...60), within: mesh.world.pick([600, 3_000]))
    mesh.finish()
    // A connection that ended while its user wanted more was ended by a proxy.
    for user in mesh.users where user.connections > 1 && mesh.world.failures.isEmpty {
      let keeps = (user as? SimUserH1)?.isOld != true
      mesh.world.expect(!keeps, "a change ended a client's connection: it needed \(user.connections)")
    }
    let drained = mesh.outbound.value(HTTPMetric.downstreamCxDrainClose, "out")
    mesh.world.expect(drained == 0, "\(drained) connections drained that no change concerned")
    return SimSeeds.Outcome(failures: mesh.world.failures)
  }

  @Test("no request fails and no connection ends because of a change, and no request sees two configurations")
  func seeds() {
    for report in SimSeeds.run("config storm", usual: 16, probes: Self.probes, enough: 16, Self.world) {
      Issue.record("\(report)")
    }
  }
}
