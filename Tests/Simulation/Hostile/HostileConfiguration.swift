// HostileConfiguration: random valid configurations. What concerns innocents is drawn once; everything else is drawn anew with each change.

import WeftBase
import WeftModel
import WeftProtocols
import WeftTestKit

@testable import WeftCompile
@testable import WeftProxy

extension HostileMesh {
  static let secretNames = ["key-0", "key-1", "key-2"]

  func cluster(_ name: String, _ ports: [UInt16], _ speaks: Cluster.UpstreamProtocol) -> Cluster {
    var cluster = Cluster(simulated: name, ports, speaks)
    cluster.connectTimeout = .seconds(2)
    return cluster
  }

  /// Where the innocents go: generous, and never changed.
  func honest(_ name: String, _ ports: [UInt16], _ speaks: Cluster.UpstreamProtocol) -> Cluster {
    var cluster = cluster(name, ports, speaks)
    cluster.circuitBreakers.standard.maxConnections = 100_000
    cluster.circuitBreakers.standard.maxPendingRequests = 100_000
    cluster.circuitBreakers.standard.maxRequests = 100_000
    cluster.loadBalancing.policy = honestPolicy
    return cluster
  }

  func bad(_ name: String, _ ports: [UInt16], _ speaks: Cluster.UpstreamProtocol) -> Cluster {
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
    if world.chance(1, in: 2) {
      cluster.loadBalancing.policy = world.pick([.roundRobin, .leastRequest, .random, .ringHash, .maglev])
    }
    return cluster
  }

  var clusters: [Cluster] {
    var list = [
      honest("svc", Self.honestPorts, honestSpeak), honest("authz", [Self.authzPort], .http1),
      honest("rpc", Self.dubboPorts, .http1), bad("bad-rpc", Self.badDubboPorts, .http1),
      bad("bad-h1", Self.badHTTP1Ports, .http1), bad("bad-h2", Self.badHTTP2Ports, .http2),
      bad("bad-like", [world.pick([Self.badHTTP1Ports[0], Self.badHTTP2Ports[0]])], .useDownstream),
      bad("raw", [Self.rawPort], .http1), bad("dead", [Self.deadPort], .http1), cluster("nobody", [], .http1),
    ]
    if world.chance(1, in: 2) {
      var secure = bad("bad-tls", Self.badSecurePorts, .http1)
      secure.tls = UpstreamTLSContext()
      secure.tls?.common.certificateSecrets = secrets(world.pick(0...1))
      list.append(secure)
    }
    for i in list.indices { list.swapAt(i, i + world.random.next(below: list.count - i)) }
    return list
  }

  /// Copies to peers that do anything: of an attacker's requests, and of innocents'.
  func mirrors() -> [MirrorPolicy] {
    let names = ["bad-h1", "bad-h2", "bad-like", "raw", "dead", "nobody", "no-such-cluster"]
    return (0..<[0, 0, 1, 2, 4][beside.next(below: 5)]).map { _ in
      var policy = MirrorPolicy(cluster: names[beside.next(below: names.count)])
      policy.fraction = RuntimeFraction(FractionalPercent([100, 100, 40][beside.next(below: 3)]))
      policy.disableShadowHostSuffix = beside.chance(1, in: 2)
      return policy
    }
  }

  /// The routes of a manager with these filters.
  func routes(_ filters: [ConfiguredFilter]) -> RouteConfiguration {
    func forward(_ prefix: String, _ cluster: String, retries: Bool = false) -> Route {
      var action = RouteAction(cluster: .cluster(cluster))
      action.timeout = world.pick([.zero, .milliseconds(300), .seconds(3)])
      action.idleTimeout = world.pick([.seconds(1), .seconds(20)])
      action.hashPolicies = hashPolicies
      if retries {
        var policy = RetryPolicy(retryOn: [.serverError, .reset, .connectFailure, .refusedStream])
        policy.maxRetries = world.pick([1, 3])
        policy.perTryTimeout = world.chance(1, in: 2) ? .milliseconds(200) : nil
        if beside.chance(1, in: 2) {
          policy.perTryTimeout = .milliseconds(1 + beside.next(below: [20, 200][beside.next(below: 2)]))
          policy.avoidPreviousHosts = beside.chance(1, in: 2)
          action.hedgesOnPerTryTimeout = true
        }
        action.retryPolicy = policy
      }
      action.mirrors = mirrors()
      var route = Route(match: RouteMatch(.prefix(prefix)), action: .forward(action))
      route.filters = self.filters.overrides(filters)
      return route
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
    innocent.hashPolicies = hashPolicies
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
      forward("/tls", "bad-tls"),
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

  var hashPolicies: [HashPolicy] {
    let all = [
      HashPolicy(.cookie(name: "key", path: "/", ttl: .seconds(world.pick(0...9)), attributes: [])),
      HashPolicy(.header(name: ":path", rewrite: nil), terminal: true), HashPolicy(.queryParameter("q")),
      HashPolicy(.sourceIP),
    ]
    return Array(all.dropFirst(world.pick(0...4)))
  }

  /// Names of secrets on the stream, which may have come or not.
  func secrets(_ count: Int) -> [SecretReference] {
    (0..<count).map { _ in SecretReference(name: world.pick(Self.secretNames), source: ConfigSource(.ads)) }
  }

  func manager(_ prefix: String, _ filters: [ConfiguredFilter]) -> HTTPConnectionManager {
    var manager = HTTPConnectionManager(statPrefix: prefix, routes: .inline(routes(filters)))
    manager.filters = filters
    manager.accessLogs = [edge.accessLog]
    manager.serverName = "weft"
    manager.idleTimeout = .seconds(60)
    manager.requestHeadersTimeout = .seconds(20)
    manager.http2.initialStreamWindowBytes = openWindow
    manager.allowConnect = true
    manager.upgrades = [UpgradeConfiguration(type: "CONNECT")]
    return manager
  }

  func table(_ name: String, _ filters: [ConfiguredFilter]) -> RouteConfiguration {
    var table = routes(filters)
    table.name = name
    return table
  }

  /// Dubbo: who calls the honest service is to be served.
  func dubbo(_ prefix: String, _ filters: [ConfiguredFilter]) -> HTTPConnectionManager {
    var manager = manager(prefix, filters)
    manager.protocolCodec = ExtensionConfig(typeName: DubboCodec.messages[0], message: [])
    manager.allowConnect = false
    manager.upgrades = []
    func forward(_ service: String, _ cluster: String, retries: Bool = false) -> Route {
      var action = RouteAction(cluster: .cluster(cluster))
      action.timeout = cluster == "rpc" ? .zero : world.pick([.zero, .milliseconds(300)])
      action.hashPolicies = hashPolicies
      if retries {
        var policy = RetryPolicy(retryOn: [.serverError, .reset, .connectFailure])
        policy.perTryTimeout = .milliseconds(200)
        action.retryPolicy = policy
      }
      return Route(match: RouteMatch(.prefix("/\(service)/")), action: .forward(action))
    }
    var host = VirtualHost(name: "all", domains: ["*"])
    host.routes = [
      forward("demo.Greeter", "rpc"), forward("bad.Greeter", "bad-rpc"),
      forward("retry.Greeter", "bad-rpc", retries: true),
      forward("dead.Greeter", "dead", retries: true),
    ]
    var table = RouteConfiguration(name: "services")
    table.virtualHosts = [host]
    manager.routes = .inline(table)
    return manager
  }

  func listener(_ name: String, _ port: UInt16, _ filter: ConfiguredNetworkFilter) -> Listener {
    var listener = Listener(name: name, address: .socket(host: "127.0.0.1", port: port))
    var chain = FilterChain(name: "chain")
    chain.filters = [filter]
    listener.filterChains = [chain]
    listener.listenerFiltersTimeout = .seconds(1)
    return listener
  }

  /// Any filters, one that holds answers among them at times.
  private func chain() -> [ConfiguredFilter] {
    holding(filters.chain(), beside.chance(1, in: 3) ? beside.next(below: AnswerHolder.ways) : nil)
  }

  /// `filters` with one before the router that holds answers, in a `way`; nil: without.
  func holding(_ filters: [ConfiguredFilter], _ way: Int?) -> [ConfiguredFilter] {
    guard let way else { return filters }
    var all = filters
    all.insert(
      ConfiguredFilter(name: "hold", .filter(AnswerHolder.configured(way))), at: beside.next(below: filters.count))
    return all
  }

  /// Of the attackers' endpoints some leave, all at once possibly, until the clusters are made anew.
  func thinned(_ clusters: [Cluster]) -> [Cluster] {
    clusters.map { cluster in
      guard cluster.name.hasPrefix("bad-"), !cluster.loadAssignment.localities.isEmpty, beside.chance(1, in: 3) else {
        return cluster
      }
      var thin = cluster
      for i in thin.loadAssignment.localities.indices {
        let count = thin.loadAssignment.localities[i].endpoints.count
        thin.loadAssignment.localities[i].endpoints.removeLast(beside.next(below: count + 1))
      }
      return thin
    }
  }

  /// A manager with every limit near.
  func tight(_ prefix: String) -> HTTPConnectionManager {
    var manager = manager(prefix, chain())
    if world.chance(1, in: 2) { manager.upgrades[0].filters = chain() }
    if world.chance(1, in: 3) {
      let name = "table-\(world.pick(0...1))"
      // Not every table has come.
      if edge.config.routes[name] == nil || world.chance(1, in: 2) {
        edge.config.routes[name] = table(name, manager.filters)
      }
      if world.chance(1, in: 8) { edge.config.routes[name] = nil }
      manager.routes = .discovered(name: name, source: ConfigSource(.ads))
    }
    manager.streamIdleTimeout = .milliseconds(world.pick([300, 5_000]))
    manager.requestHeadersTimeout = .milliseconds(world.pick([200, 3_000]))
    manager.requestTimeout = world.pick([nil, .milliseconds(500)])
    manager.idleTimeout = .seconds(world.pick([1, 5]))
    manager.delayedCloseTimeout = world.pick([nil, .milliseconds(200)])
    manager.maxRequestsPerConnection = world.pick([nil, 1, 7])
    manager.maxConnectionDuration = world.pick([nil, .milliseconds(900)])
    manager.http2.maxConcurrentStreams = world.pick([1, 10, 1_024])
    manager.http2.initialStreamWindowBytes = 65_535
    manager.allowConnect = world.chance(1, in: 2)
    if world.chance(1, in: 3) {
      manager.http2.keepalive = .init(interval: .milliseconds(700), timeout: .milliseconds(300))
    }
    if world.chance(1, in: 4) { manager.codec = world.pick([.http1, .http2]) }
    manager.proxy100Continue = world.chance(1, in: 2)
    return manager
  }

  var listeners: [Listener] {
    var open = listener("open", Self.openPort, .httpConnectionManager(manager("open", kindChain)))
    open.perConnectionBufferLimitBytes = openBuffer
    open.listenerFilters = kindListener
    open.filterChains[0].filters = kindNetwork + open.filterChains[0].filters
    var services = listener("rpc", Self.dubboPort, .httpConnectionManager(dubbo("rpc", kindServiceChain)))
    services.perConnectionBufferLimitBytes = openBuffer
    services.filterChains[0].filters = kindNetwork + services.filterChains[0].filters
    var list = [open, services]
    if world.chance(3, in: 4) {
      var manager = dubbo("rpc-tight", chain())
      manager.requestHeadersTimeout = .milliseconds(world.pick([200, 3_000]))
      manager.idleTimeout = .seconds(world.pick([1, 5]))
      manager.maxRequestsPerConnection = world.pick([nil, 1, 7])
      manager.maxConnectionDuration = world.pick([nil, .milliseconds(900)])
      var near = listener("rpc-tight", Self.tightDubboPort, .httpConnectionManager(manager))
      near.perConnectionBufferLimitBytes = world.pick([1_024, 32_768])
      near.filterChains[0].filters = filters.network() + near.filterChains[0].filters
      list.append(near)
    }
    if world.chance(3, in: 4) {
      var near = listener("tight", Self.tightPort, .httpConnectionManager(tight("tight")))
      near.perConnectionBufferLimitBytes = world.pick([1_024, 32_768])
      near.maxConnections = world.pick([nil, nil, 3])
      near.filterChains[0].filters = filters.network() + near.filterChains[0].filters
      near.listenerFilters = filters.listener(kind: false)
      list.append(near)
    }
    if world.chance(3, in: 4) {
      var proxy = TCPProxy(statPrefix: "tcp", cluster: .single(world.pick(["raw", "bad-h1", "dead"])))
      proxy.idleTimeout = .seconds(world.pick([1, 20]))
      proxy.maxConnectAttempts = world.pick([1, 3])
      var plain = listener("tcp", Self.tcpPort, .tcpProxy(proxy))
      plain.filterChains[0].filters = filters.network() + plain.filterChains[0].filters
      plain.listenerFilters = filters.listener(kind: false)
      list.append(plain)
    }
    if world.chance(3, in: 4) {
      var moving = listener("moving", world.pick(Self.movingPorts), .httpConnectionManager(tight("moving")))
      moving.listenerFilters = filters.listener(kind: false)
      moving.filterChains[0].filters = filters.network() + moving.filterChains[0].filters
      list.append(moving)
    }
    if world.chance(3, in: 4) {
      var secure = listener("secure", Self.securePort, .httpConnectionManager(tight("secure")))
      var context = DownstreamTLSContext()
      context.common.certificateSecrets = secrets(world.pick(0...2))
      secure.filterChains[0].tls = context
      secure.filterChains[0].transportSocketConnectTimeout = world.chance(1, in: 2) ? nil : .milliseconds(400)
      list.append(secure)
    }
    for i in list.indices { list.swapAt(i, i + world.random.next(below: list.count - i)) }
    return list
  }
}
