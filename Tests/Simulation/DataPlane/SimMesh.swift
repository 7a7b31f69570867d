// SimMesh: clients, a sidecar in front of them, a sidecar in front of the servers, servers; and what goes wrong between them.

import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry
import WeftTestKit

@testable import WeftCompile
@testable import WeftProxy

final class SimMesh {
  static let outboundPort: UInt16 = 15001
  static let inboundPorts: [UInt16] = [15006, 15007, 15008]
  static let serverPorts: [UInt16] = [8080, 8081, 8082]
  /// Where copies of requests go.
  static let copyPort: UInt16 = 8090

  let world: SimWorld
  let knobs: SimKnobs
  let traffic: SimTraffic
  let clients: SimEnds
  let servers: SimEnds
  let outbound: SimProxy
  let inbound: SimProxy
  /// Worlds in which requests are copied, and in which attempts go on when their time is over; and that time elsewhere. Chosen beside the other
  /// draws, so that a seed's other choices stay as they were.
  let hasCopies: Bool
  let hedges: Bool
  private let shortTry: Duration
  /// What the servers speak.
  let serversSpeak: Cluster.UpstreamProtocol
  private(set) var users: [SimUser] = []

  init(seed: UInt64, calm: Bool, probes: SimProbes) {
    var chance = RandomSource(seed: RandomSource.mix(seed, 0xfab))
    var behaviour = MemoryBehaviour()
    behaviour.splits = chance.chance(1, in: 3)
    behaviour.shuffles = true
    behaviour.windowBytes = [2_000, 16_000, 64 << 10][chance.next(below: 3)]
    behaviour.latency =
      [
        .zero ... .zero, .microseconds(50) ... .microseconds(400), .milliseconds(1) ... .milliseconds(40),
      ][chance.next(below: 3)]
    var beside = RandomSource(seed: RandomSource.mix(seed, 0xbac4))
    hasCopies = !calm && beside.chance(1, in: 2)
    hedges = !calm && beside.chance(1, in: 2)
    shortTry = .milliseconds([400, 2_000][beside.next(below: 2)])
    world = SimWorld(seed: seed, behaviour: behaviour)
    knobs = SimKnobs(world, calm: calm)
    traffic = SimTraffic(world, knobs: knobs, probes: probes)
    clients = SimEnds(world, world.addProcess("clients"))
    servers = SimEnds(world, world.addProcess("servers"))
    outbound = SimProxy(world, "outbound", scopes: ["out"])
    inbound = SimProxy(world, "inbound sidecar", scopes: ["in"])
    serversSpeak = world.pick([.http1, .http1, .http2])
    for port in Self.serverPorts + [Self.copyPort] { listen(port) }
  }

  func listen(_ port: UInt16) {
    let speaks = serversSpeak
    servers.listen(port) { [traffic] host in
      speaks == .http2 ? SimServerH2(host, traffic, port) : SimServerH1(host, traffic, port)
    }
  }

  // MARK: Configuration

  func manager(_ proxy: SimProxy, _ prefix: String, _ routes: HTTPConnectionManager.Routes) -> HTTPConnectionManager {
    var manager = HTTPConnectionManager(statPrefix: prefix, routes: routes)
    manager.accessLogs = [proxy.accessLog]
    manager.idleTimeout = .seconds(60)
    manager.streamIdleTimeout = .seconds(knobs.isCalm ? 300 : 20)
    manager.requestHeadersTimeout = .seconds(20)
    manager.serverName = "weft"
    return manager
  }

  func listener(_ name: String, _ port: UInt16, _ manager: HTTPConnectionManager) -> Listener {
    var listener = Listener(name: name, address: .socket(host: "127.0.0.1", port: port))
    var chain = FilterChain(name: "chain")
    chain.filters = [.httpConnectionManager(manager)]
    listener.filterChains = [chain]
    return listener
  }

  func cluster(_ name: String, _ ports: [UInt16], _ speaks: Cluster.UpstreamProtocol) -> Cluster {
    var cluster = Cluster(simulated: name, ports, speaks)
    cluster.connectTimeout = .milliseconds(700)
    return cluster
  }

  private func breakers(_ cluster: inout Cluster) {
    if knobs.isCalm {
      cluster.circuitBreakers.standard.maxConnections = UInt32(world.pick([1, 2, 1024]))
      return
    }
    cluster.circuitBreakers.standard.maxConnections = UInt32(world.pick([1, 4, 1024]))
    cluster.circuitBreakers.standard.maxPendingRequests = UInt32(world.pick([2, 1024]))
    cluster.circuitBreakers.standard.maxRequests = UInt32(world.pick([3, 1024]))
    cluster.circuitBreakers.standard.maxRetries = UInt32(world.pick([0, 1, 100]))
  }

  func routes(retry: Bool) -> RouteConfiguration {
    func forward(_ prefix: String, _ change: (inout RouteAction) -> Void = { _ in }) -> Route {
      var action = RouteAction(cluster: .cluster("svc"))
      action.timeout = .seconds(knobs.isCalm ? 0 : world.pick([3, 12]))
      change(&action)
      return Route(match: RouteMatch(.prefix(prefix)), action: .forward(action))
    }
    var host = VirtualHost(name: "all", domains: ["*"])
    host.routes = [
      Route(
        match: RouteMatch(.prefix("/direct")),
        action: .respond(DirectResponse(status: 200, body: .inline(Array("directly".utf8))))),
      forward("/nobody") { $0.cluster = .cluster("nobody") },
      forward("/retry") { action in
        if !retry { return }
        var policy = RetryPolicy(retryOn: [.serverError, .reset, .connectFailure, .refusedStream])
        policy.maxRetries = UInt32(world.pick(1...3))
        policy.perTryTimeout = world.chance(1, in: 2) ? shortTry : nil
        policy.avoidPreviousHosts = world.chance(1, in: 2)
        policy.hostSelectionMaxAttempts = 3
        if hedges {
          policy.perTryTimeout = world.milliseconds(1...world.pick([30, 300, 2_000]))
          action.hedgesOnPerTryTimeout = true
        }
        action.retryPolicy = policy
      },
      forward("/split") {
        $0.cluster = .weighted(WeightedClusters([.init(name: "svc", weight: 60), .init(name: "svc-too", weight: 40)]))
      },
      forward("/"),
    ]
    if hasCopies {
      host.mirrors = [
        MirrorPolicy(cluster: "copies", fraction: RuntimeFraction(FractionalPercent(UInt32(world.pick([30, 100])))))
      ]
    }
    var routes = RouteConfiguration(name: "routes")
    routes.virtualHosts = [host]
    return routes
  }

  /// The usual configuration of both sidecars.
  func configure() {
    configureOutbound()
    configureInbound()
  }

  private func configureOutbound() {
    let between = world.pick([Cluster.UpstreamProtocol.http1, .http2, .useDownstream])
    var manager = manager(outbound, "out", .inline(routes(retry: !knobs.isCalm)))
    if world.chance(1, in: 6), !knobs.isCalm { manager.maxRequestsPerConnection = UInt32(world.pick(1...5)) }
    if world.chance(1, in: 6), !knobs.isCalm { manager.maxConnectionDuration = .seconds(world.pick(1...5)) }
    outbound.config.listeners = [listener("outbound", Self.outboundPort, manager)]
    var service = cluster("svc", Self.inboundPorts, between)
    breakers(&service)
    if !knobs.isCalm {
      var outliers = OutlierDetection()
      outliers.consecutive5xx = UInt32(world.pick(1...4))
      outliers.baseEjectionTime = .seconds(2)
      outliers.interval = .seconds(1)
      outliers.maxEjectionPercent = 50
      if world.chance(1, in: 2) { service.outlierDetection = outliers }
      if world.chance(1, in: 4) { service.maxRequestsPerConnection = UInt32(world.pick(1...4)) }
      if world.chance(1, in: 4) { service.maxConnectionDuration = .seconds(world.pick(1...6)) }
      if world.chance(1, in: 4), between == .http2 {
        service.http2.keepalive = .init(interval: .seconds(2), timeout: .seconds(1))
      }
    }
    service.perConnectionBufferLimitBytes = UInt32(world.pick([4_096, 32_768, 1 << 20]))
    outbound.config.clusters = [
      service, cluster("svc-too", [Self.inboundPorts[1]], between), cluster("nobody", [], .http1),
    ]
    if hasCopies { outbound.config.clusters.append(cluster("copies", [Self.copyPort], serversSpeak)) }
    outbound.config.listeners[0].perConnectionBufferLimitBytes = UInt32(world.pick([4_096, 32_768, 1 << 20]))
    outbound.apply()
  }

  func configureInbound() {
    for (index, port) in Self.inboundPorts.enumerated() {
      let name = "app-\(index)"
      var host = VirtualHost(name: "all", domains: ["*"])
      var action = RouteAction(cluster: .cluster(name))
      action.timeout = .zero
      host.routes = [Route(match: RouteMatch(.prefix("/")), action: .forward(action))]
      var routes = RouteConfiguration(name: name)
      routes.virtualHosts = [host]
      inbound.config.listeners.append(listener(name, port, self.manager(inbound, "in", .inline(routes))))
      var application = cluster(name, [Self.serverPorts[index]], serversSpeak)
      if world.chance(1, in: 3) { breakers(&application) }
      inbound.config.clusters.append(application)
    }
    inbound.apply()
  }

  // MARK: Load

  static let paths = ["/plain", "/plain", "/plain/x", "/retry", "/retry", "/split", "/direct"]

  func addUsers(_ count: Int, requests: ClosedRange<Int>, paths: [String]) {
    let address = SocketAddress(.loopback4, port: Self.outboundPort)
    for _ in 0..<count {
      let old = world.chance(1, in: 12)
      let list = (0..<world.pick(requests)).map { _ in traffic.plan(paths: paths, simple: old) }
      if world.chance(1, in: 2), !old {
        users.append(SimUserH2(traffic, clients, address, list, streams: world.pick(1...12)))
      } else {
        users.append(SimUserH1(traffic, clients, address, list, depth: world.pick(1...4), old: old))
      }
    }
    for user in users { world.after(world.milliseconds(0...500)) { user.connect() } }
  }

  // MARK: Trouble

  /// Plans what goes wrong during the first `span`.
  func planTrouble(_ count: Int, within span: Int) {
    for _ in 0..<count {
      world.after(world.milliseconds(0...span)) { [self] in trouble() }
    }
  }

  private func trouble() {
    let port = world.pick(Self.inboundPorts + Self.serverPorts + [Self.outboundPort])
    let address = SocketAddress(.loopback4, port: port)
    let time = world.milliseconds(10...world.pick([100, 2_000, 10_000]))
    switch world.pick(0...4) {
    case 0, 1:
      if world.network.breakConnection({ $0.port == port }) {
        world.tell("a connection to \(port) breaks")
        traffic.probes.reached("connection broken by the network")
      }
    case 2:
      world.tell("\(port) is cut off for \(time)")
      world.network.cut(address)
      traffic.probes.reached("partition")
      world.after(time) { [self] in world.network.restore(address) }
    case 3 where Self.serverPorts.contains(port):
      world.tell("server \(port) listens no more for \(time)")
      servers.stopListening(port)
      traffic.probes.reached("server down")
      world.after(time) { [self] in listen(port) }
    default:
      let process = world.pick(world.processes)
      world.tell("\(process.name) is suspended for \(time)")
      world.stall(process, for: time)
      traffic.probes.reached("process suspended")
    }
  }

  // MARK: The whole

  /// Runs until every request has come to an end, lets everything idle away, and looks at what is left.
  func finish() {
    var round = 0
    var nextTelling = world.now + .seconds(5)
    world.betweenRounds = { [self] in
      round += 1
      // No plan of the world's: that would be a round more, which draws, and the story told aloud another one.
      if SimSeeds.isSingle, world.now >= nextTelling {
        nextTelling = world.now + .seconds(5)
        outbound.tellStreams()
        inbound.tellStreams()
      }
      if round % 16 == 0 {
        outbound.checkBounds()
        inbound.checkBounds()
        if outbound.hasRace { traffic.probes.reached("several attempts at once") }
      }
    }
    if !world.run(for: .seconds(600), until: { traffic.isDone || world.failures.count > 20 }) {
      for exchange in traffic.exchanges where !exchange.isFinal {
        world.fail("#\(exchange.id) \(exchange.method.text) \(exchange.path) hangs: \(exchange.outcome)")
      }
    }
    if world.failures.isEmpty {
      world.run(for: .seconds(180))
      outbound.checkEnd(clusters: outbound.config.clusters.map(\.name))
      inbound.checkEnd(clusters: inbound.config.clusters.map(\.name))
      countProbes()
    }
    if SimSeeds.isSingle {
      outbound.tellLog()
      inbound.tellLog()
    }
    world.end()
  }

  private func countProbes() {
    func count(_ name: String, _ metric: ClusterMetric) {
      let total = [outbound, inbound].reduce(0) { sum, proxy in
        proxy.config.clusters.reduce(sum) { $0 + Int(proxy.value(metric, $1.name)) }
      }
      traffic.probes.reached(name, total)
    }
    count("retry", .upstreamRqRetry)
    count("retry that succeeded", .upstreamRqRetrySuccess)
    count("attempt timed out", .upstreamRqPerTryTimeout)
    count("request timed out", .upstreamRqTimeout)
    count("connect timed out", .upstreamCxConnectTimeout)
    count("connect refused", .upstreamCxConnectFail)
    count("request waited for a connection", .upstreamRqPendingTotal)
    count("breaker refused", .upstreamRqPendingOverflow)
    count("retries at their breaker", .upstreamRqRetryOverflow)
    count("connection at its number of requests", .upstreamCxMaxRequests)
    count("connection at its age", .upstreamCxMaxDurationReached)
    count("host ejected", .outlierEjectionsEnforcedTotal)
    traffic.probes.reached("copy cut", Int(outbound.value(.retryOrShadowAbandoned, "copies")))
    count("request held back", .upstreamFlowControlBackedUp)
    traffic.probes.reached(
      "response held back", Int(outbound.value(.downstreamFlowControlPausedReading, "out")))
  }
}
