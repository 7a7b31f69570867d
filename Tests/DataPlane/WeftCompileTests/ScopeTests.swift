import Testing
import WeftBase
import WeftModel
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxyTestKit
@testable import WeftTables

@Suite("statistics of what comes and goes")
struct ScopeLifeTests {
  private let metrics = MetricsRegistry(workers: 1)

  private func compiler() -> SnapshotCompiler {
    SnapshotCompiler(
      metrics: metrics, logs: AccessLogFiles(workers: 1, opensFiles: false), random: RandomSource(seed: 1),
      extensions: .basics)
  }

  /// A configuration of nothing but names with a number in them.
  private func state(_ number: Int, clusters: Int) -> ConfigState {
    var state = ConfigState()
    state.clusters = (0..<clusters).map { SnapshotCompilerTests.cluster("c\(number)-\($0)") }
    state.clusters[0].loadBalancing.policy = .maglev
    var listener = SnapshotCompilerTests.listener(
      "l\(number)", .inline(SnapshotCompilerTests.table("c\(number)-0")), port: UInt16(1 + number))
    var chain = FilterChain(name: "t")
    chain.match.destinationPort = 1
    chain.filters = [.tcpProxy(TCPProxy(statPrefix: "t\(number)", cluster: .single("c\(number)-0")))]
    listener.filterChains.append(chain)
    state.listeners = [listener]
    return state
  }

  /// What a worker does when the first request comes.
  private func count(_ snapshot: Snapshot) {
    for i in 0..<snapshot.clusters.count {
      guard let cluster = snapshot.clusters[i] else { continue }
      metrics.block(ClusterMetric.self, cluster[].scope, worker: 0).add(.upstreamRqTotal)
    }
    for listener in snapshot.listeners {
      metrics.block(ListenerMetric.self, listener[].stats, worker: 0).add(.downstreamCxTotal)
    }
  }

  @Test("ten thousand clusters and a hundred listeners that come and go leave memory and pages as they were")
  func comeAndGo() {
    let compiler = compiler()
    _ = compiler.compile(state(0, clusters: 1))
    _ = compiler.compile(ConfigState())
    let scopes = metrics.occupancy.scopes
    let names = StatSnapshot(metrics).entries.map(\.name)
    for number in 0..<100 {
      let compilation = compiler.compile(state(number, clusters: 100))
      #expect(compilation.rejections == [])
      count(compilation.snapshot)
      _ = compiler.compile(ConfigState())
      withExtendedLifetime(compilation) {}
    }
    _ = compiler.compile(ConfigState())
    #expect(metrics.occupancy.scopes == scopes)
    // Of one configuration, and of the one that follows while it is still in use; a cold and a worker's block of each.
    #expect(metrics.occupancy.spareBlocks <= 2 * 2 * 105)
    #expect(StatSnapshot(metrics).entries.map(\.name) == names)
  }

  @Test("a scope stays for as long as a snapshot that names it is in use")
  func grace() {
    let compiler = compiler()
    func isThere() -> Bool { StatSnapshot(metrics).entries.contains { $0.name.hasPrefix("cluster.c1-0.") } }
    do {
      let old = compiler.compile(state(1, clusters: 1)).snapshot
      guard let cluster = old.clusters[0] else { return }
      let scope = cluster[].scope
      for _ in 0..<2 { _ = compiler.compile(ConfigState()) }
      // A request that is still under way.
      metrics.block(ClusterMetric.self, scope, worker: 0).add(.upstreamRqTotal)
      #expect(isThere() && metrics.value(ClusterMetric.upstreamRqTotal, scope) == 1)
      withExtendedLifetime(old) {}
    }
    #expect(!isThere())
  }
}
