import Testing
import WeftBase
import WeftTestKit

/// Peers that do anything at any moment, on both sides, over random valid configurations that change.
@Suite("simulated hostile peers")
struct HostileSimulationTests {
  static let probes = SimProbes(
    [
      "peer resets", "handshake", "peer closes half", "peer stalls", "pipeline of a hostile client",
      "upgrade granted by a hostile server",
      "answer that ends without bytes", "answer over at its server, kept for a client that does not read",
      "listener removed", "listener gone, its connections still there", "three configurations in use",
      "connection broken by the network", "rapid resets over their limit", "client broke its protocol",
      "client's head too late", "request too late", "stream idle too long", "reading from a client paused",
      "delayed close ran out", "PING not answered by a client", "tunnel", "upgrade refused",
      "answer cut behind its head", "connection at its number of requests", "connection at its age",
      "server broke its protocol", "retry", "attempt timed out", "request timed out", "breaker refused", "host ejected",
      "reading from a server paused", "request held back", "connect refused", "stream reset by a server",
      "direct answer that no field can hold", "copy of a request that still comes",
    ], others: DataPlaneSimulationTests.probes.names)

  static func world(_ seed: UInt64) -> SimSeeds.Outcome {
    let mesh = HostileMesh(seed: seed, probes: probes)
    mesh.run()
    return SimSeeds.Outcome(failures: mesh.world.failures)
  }

  @Test("no peer traps the proxy, leaves anything behind in it, or hurts an innocent")
  func seeds() {
    for report in SimSeeds.run("hostile", usual: 24, probes: Self.probes, enough: 150, Self.world) {
      Issue.record("\(report)")
    }
  }
}
