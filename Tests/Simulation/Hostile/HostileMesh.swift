// HostileMesh: one proxy, peers that do anything on both of its sides, configurations that change, and innocents in between.

import WeftBase
import WeftHTTP
import WeftHTTPFilters
import WeftModel
import WeftNetworkFilters
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftTestKit
import WeftUpstream

@testable import WeftCompile
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
  static let dubboPort: UInt16 = 15008
  static let tightDubboPort: UInt16 = 15009
  static let dubboPorts: [UInt16] = [8090, 8091]
  static let badDubboPorts: [UInt16] = [9006, 9007]
  static let badSecurePorts: [UInt16] = [9008]
  static let authzPort: UInt16 = 8095
  private static let scopes = ["open", "tight", "moving", "secure", "rpc", "rpc-tight"]

  let world: SimWorld
  let traffic: SimTraffic
  let probes: SimProbes
  private let clients: SimEnds
  private let servers: SimEnds
  private let attackers: SimEnds
  let edge: SimProxy
  let filters: HostileFilters
  private var users: [SimUser] = []
  private var callers: [DubboUser] = []
  /// Drawn once, so that no change concerns the innocents.
  let honestSpeak: Cluster.UpstreamProtocol
  let honestPolicy: LoadBalancing.Policy
  let openBuffer: UInt32
  let openWindow: UInt32
  private(set) var kindChain: [ConfiguredFilter]
  private(set) var kindServiceChain: [ConfiguredFilter]
  let kindNetwork: [ConfiguredNetworkFilter]
  let kindListener: [ConfiguredListenerFilter]
  /// Chooses copies and backups beside the world's other draws, so that a seed's other choices stay as they were.
  var beside: RandomSource

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
    var limits = WorkerEngine.Limits()
    limits.halfMessageBytes = world.pick([60_000, 64 << 20])
    limits.messagesUnderWay = world.pick([3, 1_024])
    limits.queuedAnswerBytes = world.pick([100_000, 32 << 20])
    edge = SimProxy(world, "edge", scopes: Self.scopes, limits: limits, security: HostileSecurity())
    filters = HostileFilters(world: world)
    honestSpeak = world.pick([.http1, .http2])
    honestPolicy = world.pick([.roundRobin, .leastRequest, .random, .ringHash, .maglev])
    kindChain = filters.kindChain()
    kindServiceChain = filters.kindChain()
    kindNetwork = filters.kindNetwork()
    kindListener = filters.listener(kind: true)
    openBuffer = world.pick([4_096, 32_768, 1 << 20])
    openWindow = world.pick([65_535, 1 << 20, 16 << 20])
    let speak = honestSpeak
    for port in Self.honestPorts {
      servers.listen(port) { [traffic] host in
        speak == .http2 ? SimServerH2(host, traffic, port) : SimServerH1(host, traffic, port)
      }
    }
    for port in Self.dubboPorts { servers.listen(port) { HonestDubboServer($0) } }
    servers.listen(Self.authzPort) { AuthzServer($0) }
    for port in Self.badDubboPorts { attackers.listen(port) { HostileDubboServer($0, probes) } }
    for (ports, kind) in [
      (Self.badHTTP1Ports, HostileServer.Kind.http1), (Self.badHTTP2Ports, .http2), ([Self.rawPort], .raw),
      (Self.badSecurePorts, .secure),
    ] {
      for port in ports { attackers.listen(port) { HostileServer($0, probes, kind) } }
    }
    // Answers to innocents wait for a moment, too.
    if beside.chance(1, in: 2) { kindChain = holding(kindChain, 0) }
    if beside.chance(1, in: 2) { kindServiceChain = holding(kindServiceChain, 0) }
  }

  // MARK: Configuration

  private func change() {
    if world.chance(1, in: 2) || edge.config.clusters.isEmpty { edge.config.clusters = clusters }
    let thin = thinned(edge.config.clusters)
    if thin != edge.config.clusters, edge.hasWaiting { probes.reached("endpoints leave while requests wait") }
    edge.config.clusters = thin
    changeSecrets()
    let before = Set(edge.config.listeners.map(\.name))
    edge.config.listeners = listeners
    // Nothing waits here for a cluster whose secret has not come: innocents are served from the start.
    edge.config.overdueSecrets = Set(Self.secretNames.map { SecretKey($0, .stream) })
    if !before.isSubset(of: edge.config.listeners.map(\.name)) { probes.reached("listener removed") }
    if edge.apply(mayWarm: true) { probes.reached("listener or cluster waits for a secret or a table") }
    world.tell("changed: \(edge.config.listeners.map(\.name))")
  }

  /// Secrets come, change and go; some are waited for in vain.
  private func changeSecrets() {
    for name in Self.secretNames where world.chance(1, in: 3) {
      let key = SecretKey(name, .stream)
      edge.config.absentSecrets.remove(key)
      switch world.pick(0...3) {
      case 0: edge.config.secrets[key] = nil
      case 1:
        edge.config.secrets[key] = nil
        edge.config.absentSecrets.insert(key)
        probes.reached("secret waited for in vain")
      default:
        if edge.config.secrets[key] != nil { probes.reached("secret changed") }
        let word = DataSource.inline([UInt8(world.pick(0...255))])
        edge.config.secrets[key] = Secret(
          name: name, content: .certificate(TLSCertificate(chain: word, privateKey: word)))
      }
    }
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
    for number in 0..<world.pick(0...3) {
      let caller = DubboUser(clients, number)
      callers.append(caller)
      world.after(world.milliseconds(0...2_000)) { [self] in
        clients.connect(caller, to: SocketAddress(.loopback4, port: Self.dubboPort))
      }
    }
  }

  private func addAttackers(_ count: Int, within span: Int) {
    for _ in 0..<count {
      world.after(world.milliseconds(0...span)) { [self] in
        let port = world.pick(
          [Self.openPort, Self.openPort, Self.tightPort, Self.tcpPort, Self.securePort, Self.securePort]
            + Self.movingPorts + [Self.dubboPort, Self.tightDubboPort, Self.tightDubboPort])
        let speaksDubbo = [Self.dubboPort, Self.tightDubboPort].contains(port) != world.chance(1, in: 40)
        let client =
          speaksDubbo
          ? HostileDubboClient(attackers, probes)
          : HostileClient(attackers, probes, isSecure: port == Self.securePort)
        attackers.connect(client, to: SocketAddress(.loopback4, port: port))
      }
    }
    for _ in 0..<count / 8 {
      world.after(world.milliseconds(0...span)) { [self] in
        let port = world.pick(
          Self.badHTTP1Ports + Self.badHTTP2Ports + Self.badDubboPorts + [Self.tightPort, Self.tcpPort])
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
      edge.checkGauges()
      watch()
    }
    if !world.run(
      for: .seconds(600), until: { isDone && world.age > .milliseconds(span) || world.failures.count > 20 })
    {
      for exchange in traffic.exchanges where !exchange.isFinal {
        world.fail("an innocent's #\(exchange.id) \(exchange.method.text) \(exchange.path) hangs: \(exchange.outcome)")
      }
      for caller in callers where !caller.isDone { world.fail("calls of the innocent \(caller.number) hang") }
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
      edge.checkEnd(clusters: edge.config.clusters.map(\.name))
      countProbes()
    }
    if SimSeeds.isSingle { edge.tellLog() }
    world.end()
  }

  private var isDone: Bool { traffic.isDone && callers.allSatisfy(\.isDone) }

  /// Places that leave no trace in the statistics.
  private func watch() {
    if edge.hasEndedBehindBlockedClient {
      probes.reached("answer over at its server, kept for a client that does not read")
    }
    if edge.engine.drainingListeners > 0 { probes.reached("listener gone, its connections still there") }
    if edge.hasRace { probes.reached("several attempts at once") }
    if edge.hasCopy { probes.reached("copy of a request that still comes") }
    let engine = edge.engine
    if !engine.paces[].isEmpty { probes.reached("answer on a pace") }
    if !engine.turn[].networkHolds.isEmpty { probes.reached("connection held by a network filter") }
    if !engine.inspections[].isEmpty { probes.reached("connection before its chain is known") }
    engine.streams.forEach { s in
      switch engine.streams[s].frame.phase {
      case .held: probes.reached(engine.streams[s].asked.isNone ? "request held" : "request held for an answer")
      case .responseHeld:
        probes.reached(engine.streams[s].asked.isNone ? "answer held" : "answer held for another")
      case .running: break
      }
    }
    if edge.value(.lbTableBytes, "svc") > 0 { probes.reached("innocents' hosts chosen by a table") }
    if ["bad-h1", "bad-h2", "bad-rpc"].contains(where: { edge.value(.lbTableBytes, $0) > 0 }) {
      probes.reached("attackers' hosts chosen by a table")
    }
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
    countFilters()
    clients("clients' half messages over their limit", .downstreamCxHalfMessageOverflow)
    upstream("endpoints' half messages over their limit", .upstreamCxHalfMessageOverflow)
    probes.reached("Dubbo calls", Int(edge.value(.downstreamRqTotal, "rpc")))
    probes.reached("Dubbo breaks its protocol", Int(edge.value(.downstreamCxProtocolError, "rpc-tight")))
    probes.reached("Dubbo endpoint breaks its protocol", Int(edge.value(.upstreamCxProtocolError, "bad-rpc")))
    probes.reached("Dubbo retry", Int(edge.value(.upstreamRqRetry, "bad-rpc")))
    probes.reached("TLS to a server", Int(edge.value(.upstreamRqTotal, "bad-tls")))
  }

  private func countFilters() {
    func count<M: Metric>(_ name: String, _ metric: M, _ scope: ScopeKey) {
      probes.reached(name, Int(edge.registry.value(metric, edge.registry.scope(scope, of: M.self))))
    }
    for scope in Self.scopes {
      func http<M: Metric>(_ name: String, _ metric: M, _ filter: String) {
        count(name, metric, ScopeKey(.filter, scope, "http.*.\(filter)."))
      }
      http("fault: aborted", FaultMetric.abortsInjected, "fault")
      http("fault: delayed", FaultMetric.delaysInjected, "fault")
      http("fault: slowed down", FaultMetric.responseRlInjected, "fault")
      http("fault: too many", FaultMetric.faultsOverflow, "fault")
      http("authorization: admitted", ExtAuthzMetric.ok, "ext_authz")
      http("authorization: refused", ExtAuthzMetric.denied, "ext_authz")
      http("authorization: no usable answer", ExtAuthzMetric.error, "ext_authz")
      http("authorization: admitted without an answer", ExtAuthzMetric.failureModeAllowed, "ext_authz")
    }
    count(
      "local rate limit: refused", WeftHTTPFilters.LocalRateLimitMetric.enforced,
      ScopeKey(.filter, "lim", "*.http_local_rate_limit."))
    count(
      "connection limit: refused", ConnectionLimitMetric.limitedConnections,
      ScopeKey(.filter, "cl", "connection_limit.*."))
    count(
      "connections over their rate", WeftNetworkFilters.LocalRateLimitMetric.rateLimited,
      ScopeKey(.filter, "nl", "local_rate_limit.*."))
    count("PROXY header taken", ProxyProtocolMetric.v1Found, ScopeKey(.proxyProtocol))
    count("PROXY header of version 2 taken", ProxyProtocolMetric.v2Found, ScopeKey(.proxyProtocol))
    count("PROXY header refused", ProxyProtocolMetric.v1Error, ScopeKey(.proxyProtocol))
    count("PROXY header of version 2 refused", ProxyProtocolMetric.v2Error, ScopeKey(.proxyProtocol))
    count("no PROXY header", ProxyProtocolMetric.notFoundDisallowed, ScopeKey(.proxyProtocol))
    count("HTTP found", HTTPInspectorMetric.http11Found, ScopeKey(.httpInspector))
    count("no HTTP found", HTTPInspectorMetric.httpNotFound, ScopeKey(.httpInspector))
    count("TLS found", TLSInspectorMetric.tlsFound, ScopeKey(.tlsInspector))
  }
}
