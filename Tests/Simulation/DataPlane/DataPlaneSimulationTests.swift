import Testing
import WeftBase
import WeftTestKit

/// Load over two sidecars and a network that does what networks do.
@Suite("simulated data plane")
struct DataPlaneSimulationTests {
  static let probes = SimProbes([
    "answer made by a proxy", "answer to a later attempt", "request arrived again", "response trailers",
    "request trailers",
    "exchange cut", "exchange abandoned by its client", "pipelined request", "multiplexed request",
    "half-closed client",
    "slow reader", "late credit", "informational response", "response before the request's end",
    "response ended by the connection's end", "GOAWAY to a client", "GOAWAY from a server", "refused stream",
    "stream reset at a server", "multiplexed to a server", "upstream connection used again", "server without an answer",
    "reset before the head", "reset after the head", "body cut by its server", "connection broken by the network",
    "partition", "server down", "process suspended", "retry", "retry that succeeded", "attempt timed out",
    "request timed out", "connect timed out", "connect refused", "request waited for a connection", "breaker refused",
    "retries at their breaker", "connection at its number of requests", "connection at its age", "host ejected",
    "request held back", "response held back", "copy of a request", "copy cut", "several attempts at once",
  ])

  /// One world. Every fourth is calm: there nothing may go wrong.
  static func world(_ seed: UInt64) -> SimSeeds.Outcome {
    let calm = seed % 4 == 0
    let mesh = SimMesh(seed: seed, calm: calm, probes: probes)
    mesh.configure()
    mesh.addUsers(mesh.world.pick(1...6), requests: 1...12, paths: SimMesh.paths + (calm ? [] : ["/nobody"]))
    if !calm { mesh.planTrouble(mesh.world.pick(0...6), within: 4_000) }
    mesh.finish()
    return SimSeeds.Outcome(failures: mesh.world.failures)
  }

  @Test("worlds that once went wrong stay right", arguments: [184, 444, 492] as [UInt64])
  func mended(seed: UInt64) {
    #expect(Self.world(seed).failures.isEmpty)
  }

  @Test("every request has one answer of its own or an end its client sees, and nothing is left behind")
  func seeds() {
    for report in SimSeeds.run("data plane", usual: 100, probes: Self.probes, enough: 100, Self.world) {
      Issue.record("\(report)")
    }
  }
}
