import Testing
import WeftBase
import WeftCompile
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("runtime values: what keys say while the proxy runs")
struct RuntimeTests {
  private static func ends(_ world: ProxyWorld, _ status: Int = 200) -> Ends {
    Ends(world, client: .one, server: .one) { seen in
      (status, Array(seen.path.utf8), false, [])
    }
  }

  /// A world of two routes: one for the share of `k`, which answers 201, and one for the rest.
  private static func split(_ fraction: RuntimeFraction) -> ProxyWorld {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      guard case .inline(var table) = manager.routes else { return }
      var match = RouteMatch(.prefix("/"))
      match.runtimeFraction = fraction
      table.virtualHosts[0].routes.insert(Route(match: match, action: .respond(DirectResponse(status: 201))), at: 0)
      manager.routes = .inline(table)
    })
    return world
  }

  @Test(
    "a route's share is the key's: a number is percent, a share says of how many, and nothing else counts",
    arguments: [
      (nil, 0), ("0", 0), ("100", 100), ("250", 100), ("100.9", 100), ("true", 0), ("-5", 0), ("text", 0), ("", 0),
    ] as [(String?, Int)])
  func routeShare(value: String?, percent: Int) {
    let world = Self.split(RuntimeFraction(FractionalPercent(0, of: .million), runtimeKey: "k"))
    let ends = Self.ends(world)
    world.set("k", value)
    for _ in 0..<4 { #expect(ends.exchange()?.status == (percent == 100 ? 201 : 200)) }
  }

  @Test("a key that goes leaves what is configured")
  func taken() {
    let world = Self.split(RuntimeFraction(FractionalPercent(100), runtimeKey: "k"))
    let ends = Self.ends(world)
    #expect(ends.exchange()?.status == 201)
    world.set("k", "0")
    #expect(ends.exchange()?.status == 200)
    world.set("k", nil)
    #expect(ends.exchange()?.status == 201)
  }

  @Test("a key that was set before any configuration named it counts from the first request on")
  func early() {
    let world = ProxyWorld()
    world.set("k", "100")
    world.simple(manager: { manager in
      guard case .inline(var table) = manager.routes else { return }
      var match = RouteMatch(.prefix("/"))
      match.runtimeFraction = RuntimeFraction(FractionalPercent(0), runtimeKey: "k")
      table.virtualHosts[0].routes.insert(Route(match: match, action: .respond(DirectResponse(status: 201))), at: 0)
      manager.routes = .inline(table)
    })
    #expect(Self.ends(world).exchange()?.status == 201)
  }

  @Test("a table that comes late changes nothing")
  func late() {
    let world = Self.split(RuntimeFraction(FractionalPercent(0), runtimeKey: "k"))
    let old = world.values.table
    world.set("k", "100")
    world.engine.apply(old)
    #expect(Self.ends(world).exchange()?.status == 201)
  }

  @Test("weights of clusters are those of their keys; with none left there is no cluster")
  func weights() {
    let world = ProxyWorld()
    world.simple(route: { action in
      var split = WeightedClusters([.init(name: "backend", weight: 0), .init(name: "missing", weight: 100)])
      split.runtimeKeyPrefix = "w"
      action.cluster = .weighted(split)
      action.clusterNotFoundStatus = 404
    })
    let ends = Self.ends(world)
    #expect(ends.exchange()?.status == 404)
    world.set("w.backend", "1")
    world.set("w.missing", "0")
    for _ in 0..<5 { #expect(ends.exchange()?.status == 200) }
    world.set("w.backend", "0")
    #expect(ends.exchange()?.status == 404)
  }

  @Test("limits of a cluster's breakers are those of its keys, for requests and for retries")
  func breakers() {
    let world = ProxyWorld()
    world.simple()
    let ends = Self.ends(world)
    world.set("circuit_breakers.backend.default.max_requests", "0")
    #expect(ends.exchange()?.status == 503)
    #expect(world.value(ClusterMetric.upstreamRqPendingOverflow) == 1)
    world.set("circuit_breakers.backend.default.max_requests", nil)
    world.set("circuit_breakers.backend.high.max_requests", "0")
    world.set("circuit_breakers.other.default.max_requests", "0")
    #expect(ends.exchange()?.status == 200)
  }

  @Test("a new configuration of a cluster keeps what its keys say")
  func breakersStay() {
    let world = ProxyWorld()
    world.simple()
    let ends = Self.ends(world)
    world.set("circuit_breakers.backend.default.max_requests", "0")
    world.config.clusters[0].connectTimeout = .seconds(77)
    world.apply()
    #expect(ends.exchange()?.status == 503)
  }

  @Test("a cluster under maintenance is not asked")
  func maintenance() {
    let world = ProxyWorld()
    world.simple()
    let ends = Self.ends(world)
    world.set("upstream.maintenance_mode.backend", "100")
    let answer = ends.exchange()
    #expect(answer?.status == 503 && answer?.body == Array("maintenance mode".utf8) && ends.requests.isEmpty)
    #expect(answer?.fields.contains { $0 == ("x-envoy-overloaded", "true") } ?? false)
    #expect(world.value(ClusterMetric.upstreamRqMaintenanceMode) == 1)
    world.set("upstream.maintenance_mode.backend", nil)
    #expect(ends.exchange()?.status == 200)
    world.settle()
    world.expectClean()
  }

  @Test("upstream.use_retry switches retries off")
  func useRetry() {
    let world = ProxyWorld()
    world.simple(route: {
      $0.retryPolicy = RetryPolicy(retryOn: .serverError)
    })
    let ends = Self.ends(world, 500)
    #expect(ends.exchange()?.status == 500)
    #expect(ends.requests.count == 2)
    world.set("upstream.use_retry", "0")
    #expect(ends.exchange()?.status == 500)
    #expect(ends.requests.count == 3)
  }

  @Test("the base of back-offs is the key's where a policy says nothing of it")
  func backoff() {
    var random = RandomSource(seed: 1)
    var rules = RetryRules(RetryPolicy(retryOn: .reset))
    rules.setDefaultBackoff(1_000_000_000)
    #expect((0..<100).contains { _ in rules.backoff(attempt: 4, random: &random) > 5_000_000_000 })
    var own = RetryPolicy(retryOn: .reset)
    own.backoffIsDefault = false
    var fixed = RetryRules(own)
    fixed.setDefaultBackoff(1_000_000_000)
    #expect((0..<100).allSatisfy { _ in fixed.backoff(attempt: 4, random: &random) <= 250_000_000 })
  }

  @Test("a limit of all connections refuses the next one; those that are there stay")
  func connections() {
    let world = ProxyWorld()
    world.simple()
    let ends = Self.ends(world)
    #expect(ends.exchange()?.status == 200)
    world.set("overload.global_downstream_max_connections", "1")
    let second = world.connect()
    #expect(world.run { second.isClosed || second.readEnded })
    #expect(ends.exchange()?.status == 200)
    world.set("overload.global_downstream_max_connections", nil)
    let third = world.connect()
    world.settle()
    #expect(!third.isClosed)
  }

  @Test("places of keys are given again when nobody names them any more, and run out at the limit")
  func places() {
    let keys = RuntimeKeys(limit: 2)
    var first: SnapshotStorage? = SnapshotStorage(runtime: keys)
    let a = first!.runtimeKey("a")
    let b = first!.runtimeKey("b")
    #expect(a != b && a != .none && first!.runtimeKey("a") == a && first!.runtimeKey("") == .none)
    let second = SnapshotStorage(runtime: keys)
    #expect(second.runtimeKey("a") == a)
    #expect(second.runtimeKey("c") == .none && keys.overflows == 1)
    first = nil
    #expect(second.runtimeKey("c") == b)
    #expect(keys.names.list == ["a", "c"] && SnapshotStorage().runtimeKey("a") == .none)
  }

  @Test("later layers win, and what each says is told")
  func layers() {
    let metrics = MetricsRegistry(workers: 1)
    let store = RuntimeStore(
      [
        RuntimeLayer(name: "base", .fixed(["a": RuntimeValue(text: "1"), "b": RuntimeValue(text: "2")])),
        RuntimeLayer(name: "admin", .admin), RuntimeLayer(name: "top", .fixed(["b": RuntimeValue(text: "3")])),
      ], metrics: metrics)
    _ = store.modify([("a", RuntimeValue(text: "9")), ("b", RuntimeValue(text: "9"))])
    #expect(store.table.values["a"]?.integer == 9 && store.table.values["b"]?.integer == 3)
    let report = store.report
    #expect(report.layers == ["base", "admin", "top"] && report.hasAdminLayer)
    #expect(report.entries == ["a": ["1", "9", ""], "b": ["2", "9", "3"]])
    let scope = metrics.scope(ScopeKey(.filter, "", "runtime."), of: RuntimeMetric.self)
    #expect(metrics.value(RuntimeMetric.numKeys, scope) == 2 && metrics.value(RuntimeMetric.numLayers, scope) == 3)
    #expect(metrics.value(RuntimeMetric.adminOverridesActive, scope) == 1)
    _ = store.modify([("a", nil), ("b", nil)])
    #expect(metrics.value(RuntimeMetric.adminOverridesActive, scope) == 0 && store.table.values["a"]?.integer == 1)
    #expect(metrics.value(RuntimeMetric.loadSuccess, scope) == 3)
  }

  @Test("without an admin layer, or with too many keys, nothing can be set")
  func refusals() {
    let fixed = RuntimeStore(metrics: MetricsRegistry(workers: 1))
    guard case .failure(.noAdminLayer) = fixed.modify([("a", RuntimeValue(text: "1"))]) else {
      return #expect(Bool(false))
    }
    let store = RuntimeStore([RuntimeLayer(name: "admin", .admin)], metrics: MetricsRegistry(workers: 1))
    let many = (0...RuntimeStore.overrideLimit).map { ("k\($0)", RuntimeValue(text: "1") as RuntimeValue?) }
    guard case .failure(.tooMany) = store.modify(many) else { return #expect(Bool(false)) }
    #expect(store.table.values.isEmpty)
  }
}
