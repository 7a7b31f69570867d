import Testing
import WeftBase
import WeftModel
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit
@testable import WeftTables

@Suite("snapshot compiler")
struct SnapshotCompilerTests {
  let metrics = MetricsRegistry(workers: 1)

  func compiler() -> SnapshotCompiler {
    SnapshotCompiler(
      metrics: metrics, logs: AccessLogFiles(workers: 1, opensFiles: false), random: RandomSource(seed: 1),
      extensions: .basics)
  }

  static func cluster(_ name: String, ports: [UInt16] = [9000]) -> Cluster {
    var cluster = Cluster(name: name)
    var group = LocalityEndpoints()
    group.endpoints = ports.map { Endpoint(address: .socket(host: "127.0.0.1", port: $0)) }
    cluster.loadAssignment.localities = [group]
    return cluster
  }

  static func table(_ cluster: String, domains: [String] = ["*"], name: String = "r") -> RouteConfiguration {
    var host = VirtualHost(name: "v", domains: domains)
    host.routes = [Route(match: RouteMatch(.prefix("/")), action: .forward(RouteAction(cluster: .cluster(cluster))))]
    var table = RouteConfiguration(name: name)
    table.virtualHosts = [host]
    return table
  }

  static func listener(_ name: String, _ routes: HTTPConnectionManager.Routes, port: UInt16 = 1) -> Listener {
    var chain = FilterChain(name: "c")
    var manager = HTTPConnectionManager(statPrefix: name, routes: routes)
    manager.filters = [ConfiguredFilter(name: "router", .router(RouterOptions()))]
    chain.filters = [.httpConnectionManager(manager)]
    var listener = Listener(name: name, address: .socket(host: "127.0.0.1", port: port))
    listener.filterChains = [chain]
    return listener
  }

  static func position(_ compilation: Compilation, _ listener: Int = 0) -> Int32? {
    guard let table = compilation.snapshot.listeners[listener][].chains[0][].http?[].routes else { return nil }
    return table[].routes.indices.isEmpty ? nil : table[].routes[0][].cluster
  }

  @Test("routes point to clusters, endpoints carry addresses")
  func basics() throws {
    var state = ConfigState()
    state.clusters = [Self.cluster("a"), Self.cluster("b", ports: [1, 2])]
    state.listeners = [Self.listener("l", .inline(Self.table("b")))]
    let compilation = compiler().compile(state)
    #expect(compilation.rejections == [] && compilation.warming == [])
    #expect(Self.position(compilation) == 1)
    let b = compilation.snapshot.clusters[1]!
    #expect(b[].endpoints.map(\.address.port) == [1, 2] && b[].name.string == "b")
    #expect(b[].connectTimeout == 5_000_000_000 && b[].breakerLimits.retries == 3)
  }

  @Test("what did not change is taken over as it is")
  func reuse() throws {
    let compiler = compiler()
    var state = ConfigState()
    state.clusters = [Self.cluster("a"), Self.cluster("b")]
    state.listeners = [
      Self.listener("l", .inline(Self.table("a"))), Self.listener("m", .inline(Self.table("b")), port: 2),
    ]
    let first = compiler.compile(state)
    state.clusters[1] = Self.cluster("b", ports: [5, 6])
    let second = compiler.compile(state)
    #expect(second.snapshot.version == first.snapshot.version + 1)
    #expect(first.snapshot.clusters[0]! == second.snapshot.clusters[0]!)
    #expect(!(first.snapshot.clusters[1]! == second.snapshot.clusters[1]!))
    #expect(first.snapshot.clusters[1]![].identity == second.snapshot.clusters[1]![].identity)
    #expect(first.snapshot.clusters[1]![].breakers === second.snapshot.clusters[1]![].breakers)
    #expect(first.snapshot.listeners[0] == second.snapshot.listeners[0])
    #expect(first.snapshot.listeners[1] == second.snapshot.listeners[1])
  }

  @Test("a change makes the piece anew that it falls into; the index of names only when clusters come or go")
  func pieces() {
    let compiler = compiler()
    var state = ConfigState()
    state.clusters = (0..<300).map { Self.cluster("c\($0)") }
    let first = compiler.compile(state).snapshot
    #expect(first.clusters.pieces.count == 5 && first.clusters.count == 300)
    state.clusters[130] = Self.cluster("c130", ports: [7])
    let second = compiler.compile(state).snapshot
    let kept = zip(first.clusters.pieces, second.clusters.pieces).map { $0 === $1 }
    #expect(kept == [true, true, false, true, true] && first.index === second.index)
    state.clusters.remove(at: 5)
    state.clusters.append(Self.cluster("new"))
    let third = compiler.compile(state).snapshot
    #expect(second.index !== third.index)
    for (name, expected) in [("c0", true), ("c5", false), ("c299", true), ("new", true), ("", false)] {
      let position = name.withByteView { ClusterPositions.position(of: $0, in: third.index.table) }
      #expect((position >= 0) == expected)
      if expected { #expect(third.clusters[Int(position)]?[].name.string == name) }
    }
    // Nothing changed: nothing is made.
    let fourth = compiler.compile(state).snapshot
    #expect(zip(third.clusters.pieces, fourth.clusters.pieces).allSatisfy { $0 === $1 })
  }

  @Test("changes of weight and health within the window are one; hosts that come or go do not wait")
  func mergeWindow() {
    let compiler = compiler()
    func at(_ milliseconds: Int64) -> MonotonicInstant { .zero + .seconds(100) + .milliseconds(milliseconds) }
    var state = ConfigState()
    state.clusters = [Cluster(name: "a", discovery: .eds(serviceName: "", source: .ads))]
    state.endpoints["a"] = Self.cluster("a", ports: [1, 2]).loadAssignment
    func seen(_ milliseconds: Int64) -> (weights: [UInt32], heldUntil: MonotonicInstant?) {
      let compilation = compiler.compile(state, now: at(milliseconds))
      return (compilation.snapshot.clusters[0]![].endpoints.map(\.weight), compilation.heldUntil)
    }
    func weigh(_ weight: UInt32) { state.endpoints["a"]?.localities[0].endpoints[0].weight = weight }
    #expect(seen(0) == ([1, 1], nil))
    // The first change of a new cluster does not wait.
    weigh(2)
    #expect(seen(100) == ([2, 1], nil))
    weigh(3)
    #expect(seen(200) == ([2, 1], at(1100)))
    weigh(4)
    #expect(seen(1000) == ([2, 1], at(1100)))
    #expect(seen(1100) == ([4, 1], nil))
    weigh(5)
    #expect(seen(1500) == ([4, 1], at(2100)))
    // A new host takes what waits with it.
    state.endpoints["a"] = Self.cluster("a", ports: [1, 2, 3]).loadAssignment
    weigh(5)
    #expect(seen(1600) == ([5, 1, 1], nil))
    weigh(6)
    #expect(seen(5000) == ([6, 1, 1], nil))
    state.clusters[0].loadBalancing.updateMergeWindow = .zero
    weigh(7)
    #expect(seen(5001) == ([7, 1, 1], nil))
    weigh(8)
    #expect(seen(5002) == ([8, 1, 1], nil))
  }

  @Test("a new cluster is found by routes that waited for it, a removed one is missed")
  func latecomers() throws {
    let compiler = compiler()
    var state = ConfigState()
    state.clusters = [Self.cluster("a")]
    state.listeners = [Self.listener("l", .inline(Self.table("late")))]
    #expect(Self.position(compiler.compile(state)) == -1)
    state.clusters.append(Self.cluster("late"))
    #expect(Self.position(compiler.compile(state)) == 1)
    state.clusters.removeFirst()
    #expect(Self.position(compiler.compile(state)) == 1)
    state.clusters = []
    #expect(Self.position(compiler.compile(state)) == -1)
  }

  /// The cluster that the first route of the first listener leads to.
  static func target(_ compilation: Compilation) -> String? {
    guard let position = position(compilation), position >= 0 else { return nil }
    return compilation.snapshot.clusters[Int(position)]?[].name.string
  }

  @Test(
    "a listener in its last good form leads to its own cluster, not to the one that took the place of a removed one")
  func lastGoodPositions() throws {
    let compiler = compiler()
    var state = ConfigState()
    state.clusters = [Self.cluster("a"), Self.cluster("b"), Self.cluster("c")]
    state.listeners = [Self.listener("l", .inline(Self.table("c")))]
    #expect(Self.target(compiler.compile(state)) == "c")
    // The new form of the listener is wrong, and a cluster before its own goes away.
    state.listeners = [Self.listener("l", .inline(Self.table("c", domains: ["x", "X"])))]
    state.clusters.removeFirst()
    let kept = compiler.compile(state)
    #expect(kept.rejections.count == 1)
    #expect(Self.target(kept) == "c")
    // Its own cluster goes, too, and another one comes: still nobody else's.
    state.clusters = [Self.cluster("b"), Self.cluster("d"), Self.cluster("e")]
    let orphan = compiler.compile(state)
    #expect(Self.position(orphan).map { $0 >= 0 } == true && Self.target(orphan) == nil)
    state.clusters.append(Self.cluster("c"))
    #expect(Self.target(compiler.compile(state)) == "c")
    // Once nothing names them, places are used again.
    state.listeners = []
    for i in 0..<50 {
      state.clusters = [Self.cluster("x\(i)")]
      #expect(compiler.compile(state).snapshot.clusters.count <= 7)
    }
  }

  @Test("a TCP proxy finds the cluster that comes after it")
  func lateTCPCluster() throws {
    let compiler = compiler()
    var state = ConfigState()
    var listener = Self.listener("l", .inline(Self.table("a")))
    listener.filterChains[0].filters = [.tcpProxy(TCPProxy(statPrefix: "t", cluster: .single("late")))]
    state.listeners = [listener]
    func position(_ compilation: Compilation) -> Int32? {
      compilation.snapshot.listeners[0][].chains[0][].tcp?[].choices[0].cluster
    }
    #expect(position(compiler.compile(state)) == -1)
    state.clusters = [Self.cluster("late")]
    #expect(position(compiler.compile(state)) == 0)
    state.clusters = []
    #expect(position(compiler.compile(state)) == -1)
  }

  @Test("a refused resource keeps its last good form and leaves the others alone")
  func rejection() throws {
    let compiler = compiler()
    var state = ConfigState()
    state.clusters = [Self.cluster("a")]
    state.routes = ["r": Self.table("a")]
    let discovered = HTTPConnectionManager.Routes.discovered(name: "r", source: .ads)
    state.listeners = [Self.listener("l", discovered), Self.listener("m", .inline(Self.table("a")), port: 2)]
    let good = compiler.compile(state)
    #expect(good.rejections == [])
    state.routes["r"] = Self.table("a", domains: ["x", "X"])
    state.clusters.append(
      {
        var bad = Self.cluster("bad")
        bad.loadAssignment.localities[0].endpoints[0].address = .socket(host: "name", port: 1)
        return bad
      }())
    let after = compiler.compile(state)
    #expect(after.rejections.count == 2)
    #expect(
      after.rejections.contains {
        $0.kind.hasSuffix("RouteConfiguration") && $0.name == "r"
          && $0.path.description == "virtual_hosts[0].domains[1]"
      })
    #expect(after.rejections.contains { $0.kind.hasSuffix("Cluster") && $0.name == "bad" })
    #expect(after.snapshot.listeners.count == 2 && after.snapshot.clusters.count == 1)
    #expect(good.snapshot.listeners[0] == after.snapshot.listeners[0])
  }

  @Test("a listener waits for its route configuration")
  func warming() throws {
    let compiler = compiler()
    var state = ConfigState()
    state.listeners = [Self.listener("l", .discovered(name: "r", source: .ads))]
    let before = compiler.compile(state)
    #expect(before.warming == ["l"] && before.snapshot.listeners.isEmpty && before.rejections == [])
    state.routes["r"] = Self.table("a")
    #expect(compiler.compile(state).snapshot.listeners.count == 1)
  }

  @Test("what a table says of a filter that no manager of it has is told by path, and the table serves")
  func withoutEffect() throws {
    let compiler = compiler()
    var state = ConfigState()
    state.clusters = [Self.cluster("a")]
    var table = Self.table("a")
    table.filters["nobody"] = FilterOverride(config: nil, isDisabled: true)
    table.virtualHosts[0].filters["router"] = FilterOverride(config: nil, isDisabled: true)
    table.virtualHosts[0].routes[0].filters["elsewhere"] = FilterOverride(config: nil, isDisabled: true)
    table.virtualHosts[0].routes[0].filters["nobody"] = FilterOverride(config: nil, isDisabled: true)
    state.routes["r"] = table
    let discovered = HTTPConnectionManager.Routes.discovered(name: "r", source: .ads)
    state.listeners = [Self.listener("l", discovered), Self.listener("m", .inline(table), port: 2)]
    let compilation = compiler.compile(state)
    #expect(compilation.rejections == [] && compilation.snapshot.listeners.count == 2)
    let route = "virtual_hosts[0].routes[0].typed_per_filter_config"
    let at = "filter_chains[0].filters[0].typed_config.route_config."
    let why = "has no effect: no filter of the connection manager has that name"
    #expect(
      Set(compilation.warnings.map(\.description)) == [
        "envoy.config.route.v3.RouteConfiguration r: typed_per_filter_config[\"nobody\"]: \(why)",
        "envoy.config.route.v3.RouteConfiguration r: \(route)[\"elsewhere\"]: \(why)",
        "envoy.config.listener.v3.Listener m: \(at)typed_per_filter_config[\"nobody\"]: \(why)",
        "envoy.config.listener.v3.Listener m: \(at)\(route)[\"elsewhere\"]: \(why)",
      ])
    #expect(compiler.compile(state).warnings == compilation.warnings)
  }

  @Test("copies that a discovered table wants of messages that are not copied are told by path")
  func copiesWithoutEffect() throws {
    var table = Self.table("a")
    table.virtualHosts[0].mirrors = [MirrorPolicy(cluster: "a")]
    guard case .forward(var action) = table.virtualHosts[0].routes[0].action else { return }
    action.mirrors = table.virtualHosts[0].mirrors
    table.virtualHosts[0].routes[0].action = .forward(action)
    var dubbo = HTTPConnectionManager(statPrefix: "d", routes: .inline(table))
    dubbo.protocolCodec = ExtensionConfig(typeName: "codec", message: [])
    let http = HTTPConnectionManager(statPrefix: "h", routes: .inline(table))
    #expect(
      table.withoutEffect(behind: [dubbo]).map(\.path.description) == [
        "virtual_hosts[0].request_mirror_policies", "virtual_hosts[0].routes[0].route.request_mirror_policies",
      ])
    #expect(table.withoutEffect(behind: [dubbo, http]).isEmpty)
  }

  @Test("EDS and DNS clusters take their endpoints from what has arrived")
  func endpoints() throws {
    let compiler = compiler()
    var state = ConfigState()
    var dns = Self.cluster("dns")
    dns.discovery = .strictDNS
    dns.loadAssignment.localities[0].endpoints[0].address = .socket(host: "db.mesh", port: 5)
    state.clusters = [Cluster(name: "eds", discovery: .eds(serviceName: "svc", source: .ads)), dns]
    let before = compiler.compile(state)
    #expect(before.rejections == [] && before.snapshot.clusters.map { $0![].endpoints.count } == [0, 0])
    state.endpoints["svc"] = Self.cluster("svc", ports: [1, 2, 3]).loadAssignment
    state.addresses[DNSQuestion("db.mesh")] = [IPAddress(v4: 0x0a000001), IPAddress(v4: 0x0a000002)]
    let after = compiler.compile(state)
    #expect(after.snapshot.clusters.map { $0![].endpoints.count } == [3, 2])
    #expect(after.snapshot.clusters[1]![].endpoints.map(\.address.description) == ["10.0.0.1:5", "10.0.0.2:5"])
  }

  @Test("outlier monitors live on while their settings stay the same")
  func outliers() throws {
    let compiler = compiler()
    var state = ConfigState()
    var cluster = Self.cluster("a", ports: [1, 2])
    cluster.outlierDetection = OutlierDetection()
    state.clusters = [cluster]
    // References are good for as long as their snapshot lives.
    let before = compiler.compile(state)
    let first = before.snapshot.clusters[0]!
    state.clusters[0].loadAssignment.localities[0].endpoints.removeFirst()
    let after = compiler.compile(state)
    let second = after.snapshot.clusters[0]!
    #expect(first[].outlier === second[].outlier && second[].outlier != nil)
    #expect(first[].endpoints[1].outlier?.number == second[].endpoints[0].outlier?.number)
    state.clusters[0].outlierDetection?.consecutive5xx = 2
    let changed = compiler.compile(state)
    #expect(changed.snapshot.clusters[0]![].outlier !== second[].outlier)
    withExtendedLifetime((before, after, changed)) {}
  }

  @Test("breakers at their limit and ejected hosts show in the statistics")
  func levels() throws {
    let compiler = compiler()
    var state = ConfigState()
    var cluster = Self.cluster("levels", ports: [1, 2])
    cluster.circuitBreakers.standard.maxRequests = 2
    cluster.circuitBreakers.standard.trackRemaining = true
    cluster.outlierDetection = OutlierDetection()
    state.clusters = [cluster]
    let compilation = compiler.compile(state)
    let compiled = compilation.snapshot.clusters[0]!
    let scope = compiled[].scope
    let breaker = compiled[].breakers.breaker(.standard)
    breaker.takeAnyway(.requests)
    compiler.publishLevels()
    #expect(metrics.value(ClusterMetric.breakerDefaultRqOpen, scope) == 0)
    #expect(metrics.value(ClusterMetric.breakerDefaultRemainingRq, scope) == 1)
    breaker.takeAnyway(.requests)
    for _ in 0..<5 {
      _ = compiled[].outlier?.record(try #require(compiled[].endpoints[0].outlier), .serverError, now: .zero)
    }
    if let monitor = compiled[].outlier { metrics.publishLevels(of: monitor, scope) }
    compiler.publishLevels()
    #expect(metrics.value(ClusterMetric.breakerDefaultRqOpen, scope) == 1)
    #expect(metrics.value(ClusterMetric.outlierEjectionsActive, scope) == 1)
    breaker.give(.requests)
    compiler.publishLevels()
    #expect(metrics.value(ClusterMetric.breakerDefaultRqOpen, scope) == 0)
    withExtendedLifetime(compilation) {}
  }

  @Test("a filter chain that asks more of its clients is another one; another certificate is not")
  func chainIdentity() throws {
    let compiler = SnapshotCompiler(
      metrics: metrics, logs: AccessLogFiles(workers: 1, opensFiles: false), security: ToySecurity(),
      random: RandomSource(seed: 1), extensions: .basics)
    var state = ConfigState()
    state.clusters = [Self.cluster("a")]
    state.listeners = [Self.listener("l", .inline(Self.table("a")))]
    state.listeners[0].filterChains[0].tls = DownstreamTLSContext()
    func identity() -> UInt64 { compiler.compile(state).snapshot.listeners[0][].chains[0][].identity }
    let first = identity()
    state.listeners[0].filterChains[0].tls?.common.certificates = [
      TLSCertificate(chain: .inline([1]), privateKey: .inline([2]))
    ]
    #expect(identity() == first)
    state.listeners[0].filterChains[0].tls?.requireClientCertificate = true
    #expect(identity() != first)
  }
}
