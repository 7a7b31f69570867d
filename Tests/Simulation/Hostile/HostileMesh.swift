// HostileMesh: one proxy, peers that do anything on both of its sides, configurations that change, and innocents in between.

import WeftBase
import WeftHTTP
import WeftListenerFilters
import WeftModel
import WeftRuntime
import WeftTelemetry
import WeftTestKit
import WeftUpstream

@testable import WeftProxy

/// Innocents and honest servers are those of the calm worlds: every request of theirs must be answered as the script says. They share the
/// listener `open`, the worker and the connections to the honest servers with attackers, who come by all listeners.
final class HostileMesh {
  static let openPort: UInt16 = 15001
  static let tightPort: UInt16 = 15002
  static let tcpPort: UInt16 = 15003
  static let movingPorts: [UInt16] = [15004, 15005, 15006]
  static let honestPorts: [UInt16] = [8080, 8081]
  static let badHTTP1Ports: [UInt16] = [9001, 9002]
  static let badHTTP2Ports: [UInt16] = [9003, 9004]
  static let rawPort: UInt16 = 9005
  static let securePort: UInt16 = 15007
  static let deadPort: UInt16 = 9009
  private static let scopes = ["open", "tight", "moving", "secure"]

  let world: SimWorld
  let traffic: SimTraffic
  let probes: SimProbes
  private let clients: SimEnds
  private let servers: SimEnds
  private let attackers: SimEnds
  private let edge: SimProxy
  private var users: [SimUser] = []
  /// Drawn once, so that no change concerns the innocents.
  private let honestSpeak: Cluster.UpstreamProtocol
  private let openBuffer: UInt32
  private let openWindow: UInt32
  /// Chooses copies and backups beside the world's other draws, so that a seed's other choices stay as they were.
  private var beside: RandomSource

  init(seed: UInt64, probes: SimProbes) {
    var chance = RandomSource(seed: RandomSource.mix(seed, 0xbad))
    beside = RandomSource(seed: RandomSource.mix(seed, 0xc0b1))
    var behaviour = MemoryBehaviour()
    behaviour.splits = chance.chance(1, in: 3)
    behaviour.shuffles = true
    behaviour.windowBytes = [2_000, 16_000, 64 << 10][chance.next(below: 3)]
    behaviour.latency =
      [.zero ... .zero, .microseconds(50) ... .microseconds(400), .milliseconds(1) ... .milliseconds(20)][
        chance.next(below: 3)]
    world = SimWorld(seed: seed, behaviour: behaviour)
    self.probes = probes
    traffic = SimTraffic(world, knobs: SimKnobs(world, calm: true), probes: probes)
    clients = SimEnds(world, world.addProcess("innocents"))
    servers = SimEnds(world, world.addProcess("servers"))
    attackers = SimEnds(world, world.addProcess("attackers"))
    edge = SimProxy(world, "edge", security: HostileSecurity())
    honestSpeak = world.pick([.http1, .http2])
    openBuffer = world.pick([4_096, 32_768, 1 << 20])
    openWindow = world.pick([65_535, 1 << 20, 16 << 20])
    let speak = honestSpeak
    for port in Self.honestPorts {
      servers.listen(port) { [traffic] host in
        speak == .http2 ? SimServerH2(host, traffic, port) : SimServerH1(host, traffic, port)
      }
    }
    for (ports, kind) in [
      (Self.badHTTP1Ports, HostileServer.Kind.http1), (Self.badHTTP2Ports, .http2), ([Self.rawPort], .raw),
    ] {
      for port in ports { attackers.listen(port) { HostileServer($0, probes, kind) } }
    }
  }

  // MARK: Configuration

  private func cluster(_ name: String, _ ports: [UInt16], _ speaks: Cluster.UpstreamProtocol) -> Cluster {
    var cluster = Cluster(name: name)
    var endpoints = LocalityEndpoints()
    for port in ports { endpoints.endpoints.append(Endpoint(address: .socket(host: "127.0.0.1", port: port))) }
    cluster.loadAssignment.localities = [endpoints]
    cluster.upstreamProtocol = speaks
    cluster.connectTimeout = .seconds(2)
    cluster.idleTimeout = .seconds(30)
    return cluster
  }

  /// Where the innocents go: generous, and never changed.
  private var honest: Cluster {
    var cluster = cluster("svc", Self.honestPorts, honestSpeak)
    cluster.circuitBreakers.standard.maxConnections = 100_000
    cluster.circuitBreakers.standard.maxPendingRequests = 100_000
    cluster.circuitBreakers.standard.maxRequests = 100_000
    return cluster
  }

  private func bad(_ name: String, _ ports: [UInt16], _ speaks: Cluster.UpstreamProtocol) -> Cluster {
    var cluster = cluster(name, ports, speaks)
    cluster.connectTimeout = .milliseconds(world.pick([50, 500]))
    cluster.idleTimeout = .seconds(world.pick([1, 30]))
    cluster.perConnectionBufferLimitBytes = world.pick([1_024, 16_384, 1 << 20])
    if world.chance(1, in: 3) {
      cluster.circuitBreakers.standard.maxConnections = world.pick([1, 3])
      cluster.circuitBreakers.standard.maxPendingRequests = world.pick([1, 100])
      cluster.circuitBreakers.standard.maxRequests = world.pick([3, 1_024])
      cluster.circuitBreakers.standard.maxRetries = world.pick([0, 3])
    }
    if world.chance(1, in: 3) {
      var outliers = OutlierDetection()
      outliers.consecutive5xx = world.pick([1, 4])
      outliers.baseEjectionTime = .milliseconds(500)
      outliers.interval = .milliseconds(500)
      outliers.maxEjectionPercent = 100
      cluster.outlierDetection = outliers
    }
    if world.chance(1, in: 3) { cluster.maxRequestsPerConnection = world.pick([1, 2, 20]) }
    if world.chance(1, in: 4) { cluster.maxConnectionDuration = .milliseconds(world.pick([200, 3_000])) }
    if world.chance(1, in: 4) {
      cluster.http2.keepalive = .init(interval: .milliseconds(500), timeout: .milliseconds(300))
    }
    if world.chance(1, in: 4) { cluster.http2.maxConcurrentStreams = world.pick([1, 10]) }
    if world.chance(1, in: 4) { cluster.http2.initialStreamWindowBytes = 65_535 }
    return cluster
  }

  private var clusters: [Cluster] {
    var list = [
      honest, bad("bad-h1", Self.badHTTP1Ports, .http1), bad("bad-h2", Self.badHTTP2Ports, .http2),
      bad("bad-like", [world.pick([Self.badHTTP1Ports[0], Self.badHTTP2Ports[0]])], .useDownstream),
      bad("raw", [Self.rawPort], .http1), bad("dead", [Self.deadPort], .http1), cluster("nobody", [], .http1),
    ]
    for i in list.indices { list.swapAt(i, i + world.random.next(below: list.count - i)) }
    return list
  }

  /// Copies to peers that do anything: of an attacker's requests, and of innocents'.
  private func mirrors() -> [MirrorPolicy] {
    let names = ["bad-h1", "bad-h2", "bad-like", "raw", "dead", "nobody", "no-such-cluster"]
    return (0..<[0, 0, 1, 2, 4][beside.next(below: 5)]).map { _ in
      var policy = MirrorPolicy(cluster: names[beside.next(below: names.count)])
      policy.fraction = RuntimeFraction(FractionalPercent([100, 100, 40][beside.next(below: 3)]))
      policy.disableShadowHostSuffix = beside.chance(1, in: 2)
      return policy
    }
  }

  private var routes: RouteConfiguration {
    func forward(_ prefix: String, _ cluster: String, retries: Bool = false) -> Route {
      var action = RouteAction(cluster: .cluster(cluster))
      action.timeout = world.pick([.zero, .milliseconds(300), .seconds(3)])
      action.idleTimeout = world.pick([.seconds(1), .seconds(20)])
      if retries {
        var policy = RetryPolicy(retryOn: [.serverError, .reset, .connectFailure, .refusedStream])
        policy.maxRetries = world.pick([1, 3])
        policy.perTryTimeout = world.chance(1, in: 2) ? .milliseconds(200) : nil
        action.retryPolicy = policy
      }
      action.mirrors = mirrors()
      return Route(match: RouteMatch(.prefix(prefix)), action: .forward(action))
    }
    func direct(_ path: String, _ status: UInt16, _ text: String) -> Route {
      Route(
        match: RouteMatch(.exact(path)),
        action: .respond(DirectResponse(status: status, body: .inline(Array(text.utf8)))))
    }
    var tunnel = RouteAction(cluster: .cluster(world.pick(["bad-h1", "bad-h2", "raw"])))
    tunnel.timeout = .zero
    tunnel.idleTimeout = .seconds(2)
    tunnel.upgrades = [
      UpgradeConfiguration(type: "websocket"),
      UpgradeConfiguration(type: "CONNECT", terminates: world.chance(1, in: 2)),
    ]
    var redirect = Redirect()
    redirect.path = .path("/x")
    var innocent = RouteAction(cluster: .cluster("svc"))
    innocent.timeout = .zero
    innocent.mirrors = mirrors()
    var host = VirtualHost(name: "all", domains: ["*"])
    host.routes = [
      Route(match: RouteMatch(.connect), action: .forward(tunnel)),
      Route(match: RouteMatch(.prefix("/socket")), action: .forward(tunnel)),
      direct("/direct", 200, "directly"), direct("/direct-204", 204, "hello"), direct("/direct-grpc", 403, "a\nb\0c%"),
      direct("/direct-large", 200, String(repeating: "x", count: 4_000)),
      Route(match: RouteMatch(.exact("/redirect")), action: .redirect(redirect)),
      forward("/bad-h1", "bad-h1"), forward("/bad-h2", "bad-h2"), forward("/bad-like", "bad-like"),
      forward("/retry-h1", "bad-h1", retries: true), forward("/retry-h2", "bad-h2", retries: true),
      forward("/raw", "raw"), forward("/dead", "dead", retries: true), forward("/nobody", "nobody"),
      forward("/gone", "no-such-cluster"),
      Route(match: RouteMatch(.prefix("/stranger")), action: .forward(innocent)),
      Route(match: RouteMatch(.prefix("/plain")), action: .forward(innocent)),
      forward("/", "bad-h1"),
    ]
    for i in 0..<world.pick(0...2) { host.routes.insert(forward("/unused-\(i)", "svc"), at: 0) }
    var routes = RouteConfiguration(name: "routes")
    routes.virtualHosts = [host]
    return routes
  }

  private func manager(_ prefix: String) -> HTTPConnectionManager {
    var manager = HTTPConnectionManager(statPrefix: prefix, routes: .inline(routes))
    manager.accessLogs = [edge.accessLog]
    manager.serverName = "weft"
    manager.idleTimeout = .seconds(60)
    manager.requestHeadersTimeout = .seconds(20)
    manager.http2.initialStreamWindowBytes = openWindow
    manager.http2.allowConnect = true
    manager.upgrades = [UpgradeConfiguration(type: "CONNECT")]
    return manager
  }

  private func listener(_ name: String, _ port: UInt16, _ filter: ConfiguredNetworkFilter) -> Listener {
    var listener = Listener(name: name, address: .socket(host: "127.0.0.1", port: port))
    var chain = FilterChain(name: "chain")
    chain.filters = [filter]
    listener.filterChains = [chain]
    listener.listenerFiltersTimeout = .seconds(1)
    return listener
  }

  /// A manager with every limit near.
  private func tight(_ prefix: String) -> HTTPConnectionManager {
    var manager = manager(prefix)
    manager.streamIdleTimeout = .milliseconds(world.pick([300, 5_000]))
    manager.requestHeadersTimeout = .milliseconds(world.pick([200, 3_000]))
    manager.requestTimeout = world.pick([nil, .milliseconds(500)])
    manager.idleTimeout = .seconds(world.pick([1, 5]))
    manager.delayedCloseTimeout = world.pick([nil, .milliseconds(200)])
    manager.maxRequestsPerConnection = world.pick([nil, 1, 7])
    manager.maxConnectionDuration = world.pick([nil, .milliseconds(900)])
    manager.http2.maxConcurrentStreams = world.pick([1, 10, 1_024])
    manager.http2.initialStreamWindowBytes = 65_535
    manager.http2.allowConnect = world.chance(1, in: 2)
    if world.chance(1, in: 3) {
      manager.http2.keepalive = .init(interval: .milliseconds(700), timeout: .milliseconds(300))
    }
    if world.chance(1, in: 4) { manager.codec = world.pick([.http1, .http2]) }
    manager.proxy100Continue = world.chance(1, in: 2)
    return manager
  }

  private var listeners: [Listener] {
    var open = listener("open", Self.openPort, .httpConnectionManager(manager("open")))
    open.perConnectionBufferLimitBytes = openBuffer
    var list = [open]
    if world.chance(3, in: 4) {
      var near = listener("tight", Self.tightPort, .httpConnectionManager(tight("tight")))
      near.perConnectionBufferLimitBytes = world.pick([1_024, 32_768])
      near.maxConnections = world.pick([nil, nil, 3])
      list.append(near)
    }
    if world.chance(3, in: 4) {
      var proxy = TCPProxy(statPrefix: "tcp", cluster: .single(world.pick(["raw", "bad-h1", "dead"])))
      proxy.idleTimeout = .seconds(world.pick([1, 20]))
      proxy.maxConnectAttempts = world.pick([1, 3])
      list.append(listener("tcp", Self.tcpPort, .tcpProxy(proxy)))
    }
    if world.chance(3, in: 4) {
      var moving = listener("moving", world.pick(Self.movingPorts), .httpConnectionManager(tight("moving")))
      if world.chance(1, in: 2) {
        moving.listenerFilters = [
          ConfiguredListenerFilter(ExtensionConfig(typeName: HTTPInspector.message, message: []))
        ]
      }
      list.append(moving)
    }
    if world.chance(3, in: 4) {
      var secure = listener("secure", Self.securePort, .httpConnectionManager(tight("secure")))
      secure.filterChains[0].tls = DownstreamTLSContext()
      secure.filterChains[0].transportSocketConnectTimeout = world.chance(1, in: 2) ? nil : .milliseconds(400)
      list.append(secure)
    }
    for i in list.indices { list.swapAt(i, i + world.random.next(below: list.count - i)) }
    return list
  }

  private func change() {
    if world.chance(1, in: 2) || edge.config.clusters.isEmpty { edge.config.clusters = clusters }
    let before = Set(edge.config.listeners.map(\.name))
    edge.config.listeners = listeners
    if !before.isSubset(of: edge.config.listeners.map(\.name)) { probes.reached("listener removed") }
    edge.apply()
    world.tell("changed: \(edge.config.listeners.map(\.name))")
  }

  // MARK: Load

  private func addUsers() {
    let address = SocketAddress(.loopback4, port: Self.openPort)
    for number in 0..<world.pick(1...4) {
      let list = (0..<world.pick(6...20)).map { _ in traffic.plan(paths: ["/plain", "/plain", "/direct"]) }
      users.append(
        number % 2 == 0
          ? SimUserH2(traffic, clients, address, list, streams: world.pick(1...8))
          : SimUserH1(traffic, clients, address, list, depth: world.pick(1...3), old: false))
    }
    for user in users { world.after(world.milliseconds(0...2_000)) { user.connect() } }
  }

  private func addAttackers(_ count: Int, within span: Int) {
    for _ in 0..<count {
      world.after(world.milliseconds(0...span)) { [self] in
        let port = world.pick(
          [Self.openPort, Self.openPort, Self.tightPort, Self.tcpPort, Self.securePort, Self.securePort]
            + Self.movingPorts)
        let client = HostileClient(attackers, probes, isSecure: port == Self.securePort)
        attackers.connect(client, to: SocketAddress(.loopback4, port: port))
      }
    }
    for _ in 0..<count / 8 {
      world.after(world.milliseconds(0...span)) { [self] in
        let port = world.pick(Self.badHTTP1Ports + Self.badHTTP2Ports + [Self.tightPort, Self.tcpPort])
        if world.network.breakConnection({ $0.port == port }) { probes.reached("connection broken by the network") }
      }
    }
  }

  // MARK: The whole

  func run() {
    let span = world.pick([500, 4_000])
    change()
    addUsers()
    addAttackers(world.pick(4...30), within: span)
    for _ in 0..<world.pick(0...8) { world.after(world.milliseconds(0...span)) { [self] in change() } }
    var round = 0
    world.betweenRounds = { [unowned self] in
      round += 1
      edge.checkBounds()
      if round % 8 != 0 { return }
      edge.checkGauges(scopes: Self.scopes)
      watch()
    }
    if !world.run(
      for: .seconds(600), until: { traffic.isDone && world.age > .milliseconds(span) || world.failures.count > 20 })
    {
      for exchange in traffic.exchanges where !exchange.isFinal {
        world.fail("an innocent's #\(exchange.id) \(exchange.method.text) \(exchange.path) hangs: \(exchange.outcome)")
      }
    }
    if world.failures.isEmpty {
      for user in users where user.connections > 1 {
        world.fail("an innocent's connection ended: it needed \(user.connections)")
      }
      // The stalls of those who only stall are over by then.
      world.run(for: .seconds(60))
      for end in attackers.liveEnds { attackers.process.loop.close(end.c, .reset) }
      // Longer than a listener that is gone waits for its connections.
      world.run(for: .seconds(700))
      edge.checkEnd(scopes: Self.scopes, clusters: edge.config.clusters.map(\.name))
      countProbes()
    }
    if SimSeeds.isSingle { edge.tellLog() }
    world.end()
  }

  /// Places that leave no trace in the statistics.
  private func watch() {
    if edge.hasEndedBehindBlockedClient {
      probes.reached("answer over at its server, kept for a client that does not read")
    }
    if edge.engine.drainingListeners > 0 { probes.reached("listener gone, its connections still there") }
    if edge.hasCopy { probes.reached("copy of a request that still comes") }
    if edge.engine.snapshotsInUse > 2 { probes.reached("three configurations in use") }
  }

  private func countProbes() {
    func clients(_ name: String, _ metric: HTTPMetric) {
      probes.reached(name, Self.scopes.reduce(0) { $0 + Int(edge.value(metric, $1)) })
    }
    func upstream(_ name: String, _ metric: ClusterMetric) {
      probes.reached(name, edge.config.clusters.reduce(0) { $0 + Int(edge.value(metric, $1.name)) })
    }
    clients("rapid resets over their limit", .downstreamRqTooManyPrematureResets)
    clients("client broke its protocol", .downstreamCxProtocolError)
    clients("client's head too late", .downstreamRqHeaderTimeout)
    clients("request too late", .downstreamRqTimeout)
    clients("stream idle too long", .downstreamRqIdleTimeout)
    clients("reading from a client paused", .downstreamFlowControlPausedReading)
    clients("delayed close ran out", .downstreamCxDelayedCloseTimeout)
    clients("PING not answered by a client", .downstreamCxHTTP2KeepaliveTimeout)
    clients("tunnel", .downstreamCxUpgradesTotal)
    clients("upgrade refused", .downstreamRqWSOnNonWSRoute)
    clients("answer cut behind its head", .rqResetAfterDownstreamResponseStarted)
    clients("connection at its number of requests", .downstreamCxMaxRequestsReached)
    clients("connection at its age", .downstreamCxMaxDurationReached)
    upstream("server broke its protocol", .upstreamCxProtocolError)
    upstream("retry", .upstreamRqRetry)
    upstream("attempt timed out", .upstreamRqPerTryTimeout)
    upstream("request timed out", .upstreamRqTimeout)
    upstream("breaker refused", .upstreamRqPendingOverflow)
    upstream("host ejected", .outlierEjectionsEnforcedTotal)
    upstream("reading from a server paused", .upstreamFlowControlPausedReading)
    upstream("request held back", .upstreamFlowControlBackedUp)
    upstream("connect refused", .upstreamCxConnectFail)
    upstream("stream reset by a server", .upstreamRqRxReset)
    probes.reached("direct answer that no field can hold", edge.logCount("/direct-grpc"))
  }
}
