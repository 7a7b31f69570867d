import Testing
import WeftBase
import WeftModel
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxyTestKit
@testable import WeftTables

/// Something of a listener or its routes that asks the cluster `x`.
struct Asker: CustomTestStringConvertible, Sendable {
  var testDescription: String
  var change: @Sendable (inout ConfigState) -> Void

  init(_ name: String, _ change: @escaping @Sendable (inout ConfigState) -> Void) {
    testDescription = name
    self.change = change
  }

  private static func table(_ change: @escaping @Sendable (inout RouteConfiguration) -> Void)
    -> @Sendable (
      inout ConfigState
    ) -> Void
  {
    { state in change(&state.routes["r"]!) }
  }

  private static func action(_ change: @escaping @Sendable (inout RouteAction) -> Void)
    -> @Sendable (inout ConfigState)
    -> Void
  {
    table { table in
      guard case .forward(var action) = table.virtualHosts[0].routes[0].action else { return }
      change(&action)
      table.virtualHosts[0].routes[0].action = .forward(action)
    }
  }

  static let all: [Asker] = [
    Asker("a route", action { $0.cluster = .cluster("x") }),
    Asker(
      "a share of a route",
      action {
        $0.cluster = .weighted(
          WeightedClusters([.init(name: "a", weight: 1), .init(name: "x", weight: 1)]))
      }),
    Asker("copies of a route", action { $0.mirrors = [MirrorPolicy(cluster: "x")] }),
    Asker("copies of a virtual host", table { $0.virtualHosts[0].mirrors = [MirrorPolicy(cluster: "x")] }),
    Asker("copies of a table", table { $0.mirrors = [MirrorPolicy(cluster: "x")] }),
    Asker("a table that wants its clusters to exist") { state in
      var table = SnapshotCompilerTests.table("x")
      table.validateClusters = true
      state.listeners = [SnapshotCompilerTests.listener("l", .inline(table))]
    },
    Asker("copies of a cluster") { $0.clusters[0].mirrors = [MirrorPolicy(cluster: "x")] },
    Asker("a TCP proxy") {
      $0.listeners[0].filterChains[0].filters = [.tcpProxy(TCPProxy(statPrefix: "t", cluster: .single("x")))]
    },
  ]
}

@Suite("clusters that are on their way")
struct ClusterWarmingTests {
  private func compiler() -> SnapshotCompiler {
    SnapshotCompiler(
      metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1, opensFiles: false),
      random: RandomSource(seed: 1), extensions: .basics)
  }

  private func state(_ asker: Asker) -> ConfigState {
    var state = ConfigState()
    state.clusters = [SnapshotCompilerTests.cluster("a")]
    state.routes["r"] = SnapshotCompilerTests.table("a")
    state.listeners = [SnapshotCompilerTests.listener("l", .discovered(name: "r", source: .ads))]
    asker.change(&state)
    return state
  }

  @Test("whoever asks one is not there before it", arguments: Asker.all, [true, false])
  func waits(asker: Asker, discoveryIsSilent: Bool) {
    let compiler = compiler()
    var state = state(asker)
    state.awaitedClusters = discoveryIsSilent ? [] : ["x"]
    state.awaitsClusters = discoveryIsSilent
    let before = compiler.compile(state)
    #expect(before.warming == ["l"] && before.snapshot.listeners.isEmpty && before.rejections == [])
    state.awaitedClusters = []
    state.awaitsClusters = false
    state.clusters.append(SnapshotCompilerTests.cluster("x"))
    let after = compiler.compile(state)
    #expect(after.warming == [] && after.snapshot.listeners.count == 1 && after.rejections == [])
    #expect(after.usedClusters.contains("x"))
  }

  @Test("nobody waits for one that is not on its way, or not any more", arguments: Asker.all)
  func doesNotWait(asker: Asker) {
    let compiler = compiler()
    var state = state(asker)
    state.awaitedClusters = ["other"]
    let compilation = compiler.compile(state)
    #expect(compilation.warming == [] && !compilation.usedClusters.contains("x"))
    #expect(compilation.rejections.isEmpty == (asker.testDescription != "a table that wants its clusters to exist"))
  }

  @Test(
    "a cluster without the endpoints that the stream is to bring is not there, or stays in its old form, until they are, or are not waited for any more",
    arguments: [true, false])
  func endpoints(areWaitedFor: Bool) throws {
    let compiler = compiler()
    var state = state(Asker("") { _ in })
    func hosts(_ compilation: Compilation) -> Int? { compilation.snapshot.clusters[0]?[].endpoints.count }
    func take(_ name: String) {
      state.clusters = [Cluster(name: "a", discovery: .eds(serviceName: name, source: .ads))]
      state.awaitedClusters = ["a"]
      state.incompleteClusters = ["a"]
    }
    take("first")
    let before = compiler.compile(state)
    #expect(before.warming == ["l"] && before.snapshot.listeners.isEmpty)
    state.endpoints["first"] = SnapshotCompilerTests.cluster("a").loadAssignment
    state.awaitedClusters = []
    state.incompleteClusters = []
    #expect(hosts(compiler.compile(state)) == 1)
    // Another name, whose endpoints are on their way; the old ones are not kept by anybody any more.
    take("second")
    state.endpoints = [:]
    #expect(hosts(compiler.compile(state)) == 1)
    // Nobody is held back any more; the form in force stays.
    state.awaitedClusters = []
    #expect(hosts(compiler.compile(state)) == 1)
    if areWaitedFor { state.endpoints["second"] = SnapshotCompilerTests.cluster("a", ports: [1, 2]).loadAssignment }
    state.incompleteClusters = []
    #expect(hosts(compiler.compile(state)) == (areWaitedFor ? 2 : 0))
  }

  @Test("what is in force stays as it is until a change's clusters are there", arguments: Asker.all)
  func keepsOldForm(asker: Asker) {
    let compiler = compiler()
    let old = state(Asker("") { _ in })
    let first = compiler.compile(old)
    var state = state(asker)
    state.awaitedClusters = ["x"]
    let held = compiler.compile(state)
    #expect(held.rejections == [] && held.snapshot.listeners.count == 1)
    #expect(SnapshotCompilerTests.target(held) == "a")
    // A cluster's own copies concern the cluster, not those who have asked it all along.
    #expect(held.snapshot.listeners[0] == first.snapshot.listeners[0])
    #expect(held.usedClusters.contains("a"))
    state.awaitedClusters = []
    state.clusters.append(SnapshotCompilerTests.cluster("x"))
    #expect(compiler.compile(state).usedClusters.contains("x"))
  }

  @Test("a cluster that waits for a secret is on its way")
  func secret() {
    let compiler = compiler()
    var state = state(Asker.all[0])
    var waiting = SnapshotCompilerTests.cluster("x")
    var tls = UpstreamTLSContext()
    tls.common.certificateSecrets = [SecretReference(name: "s", source: .ads)]
    waiting.tls = tls
    state.clusters.append(waiting)
    let compilation = compiler.compile(state)
    #expect(compilation.warming == ["l"] && compilation.missingSecrets.count == 1)
    state.overdueSecrets = [SecretKey("s", .stream)]
    let later = compiler.compile(state)
    #expect(later.warming == [] && later.missingSecrets.count == 1, "the cluster alone goes on waiting")
  }

  @Test("a cluster that was lost and is on its way again holds nothing back that is in force")
  func lost() {
    let compiler = compiler()
    var state = state(Asker.all[0])
    state.clusters.append(SnapshotCompilerTests.cluster("x"))
    _ = compiler.compile(state)
    state.clusters.removeLast()
    #expect(compiler.compile(state).warming == [])
    state.awaitedClusters = ["x"]
    let compilation = compiler.compile(state)
    #expect(compilation.warming == [] && compilation.snapshot.listeners.count == 1)
  }
}
