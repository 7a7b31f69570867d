// ConfigStorm: one configuration after another while requests run.

import WeftBase
import WeftModel
import WeftRuntime
import WeftTestKit

@testable import WeftCompile
@testable import WeftProxy

/// Replaces the outbound sidecar's configuration again and again. Each version marks requests and responses with its number, so that a
/// mixture would show; what does not concern a request or a connection must not touch it.
final class ConfigStorm {
  private let mesh: SimMesh
  private var world: SimWorld { mesh.world }
  private var traffic: SimTraffic { mesh.traffic }
  /// Ports of servers behind each version's clusters.
  private var reachable: [Set<UInt16>] = [[]]
  private var spares: [String] = []
  private var bystanders: Set<UInt16> = []
  private let speaks: Cluster.UpstreamProtocol
  private let usesDiscovery: Bool
  private let hasCopies: Bool
  private var names = 0
  /// The last version that was made, in force or not.
  private var newest = 0

  init(_ mesh: SimMesh) {
    self.mesh = mesh
    speaks = mesh.world.pick([.http1, .http2, .useDownstream])
    usesDiscovery = mesh.world.chance(1, in: 2)
    hasCopies = RandomSource.mix(mesh.world.seed, 0xc0b1) % 2 == 0
    mesh.traffic.inspect = { [unowned self] in inspect($0, $1) }
  }

  /// Plans `count` changes within `span`.
  func plan(_ count: Int, within span: Int) {
    for _ in 0..<count { world.after(world.milliseconds(0...span)) { [self] in change() } }
  }

  /// Makes the next version, and puts it into force at once or, where it asks a cluster that is on its way, when that is there.
  func change() {
    newest += 1
    let version = newest
    var ports = SimMesh.inboundPorts.filter { _ in world.chance(2, in: 3) }
    if ports.isEmpty { ports = [world.pick(SimMesh.inboundPorts)] }
    reachable.append([])
    var clusters = [service("svc", ports, version)]
    clusters.append(service("svc-too", [world.pick(ports)], version))
    // Copies come and go with the configuration, under way or not.
    let hadCopies = mesh.outbound.config.clusters.contains { $0.name == "copies" }
    if hasCopies, world.chance(3, in: 4) {
      clusters.append(mesh.cluster("copies", [SimMesh.copyPort], mesh.serversSpeak))
    }
    changeSpares()
    clusters += spares.map { mesh.cluster($0, [world.pick(SimMesh.inboundPorts)], .http1) }
    // Positions of clusters move.
    for i in clusters.indices { clusters.swapAt(i, i + world.random.next(below: clusters.count - i)) }

    var routes = RouteConfiguration(name: "routes")
    routes.virtualHosts = [host(version)]
    routes.headers.request.add = [mark("x-version", version)]
    routes.headers.response.add = [mark("x-config", version)]
    let source: HTTPConnectionManager.Routes =
      usesDiscovery ? .discovered(name: "routes", source: ConfigSource(.ads)) : .inline(routes)
    mesh.outbound.config.routes = usesDiscovery ? ["routes": routes] : [:]
    mesh.outbound.config.listeners =
      [mesh.listener("outbound", SimMesh.outboundPort, mesh.manager(mesh.outbound, "out", source))] + changeBystanders()
    mesh.outbound.config.clusters = clusters
    mesh.outbound.config.awaitedClusters = []
    if version > 1, !hadCopies, clusters.contains(where: { $0.name == "copies" }),
      RandomSource.mix(world.seed, UInt64(version)) % 2 == 0
    {
      holdBack(version)
    } else {
      mesh.outbound.apply()
      traffic.version = version
    }
    world.tell("version \(version): servers \(reachable[version].sorted())")
  }

  /// The cluster that gets copies comes later: until then requests go on under the version that is in force.
  private func holdBack(_ version: Int) {
    let clusters = mesh.outbound.config.clusters
    mesh.outbound.config.clusters.removeAll { $0.name == "copies" }
    mesh.outbound.config.awaitedClusters = ["copies"]
    mesh.outbound.apply(mayWarm: true)
    traffic.probes.reached("version held back for a cluster on its way")
    world.after(.milliseconds(1 + Int(RandomSource.mix(world.seed, UInt64(version) << 8) % 200))) { [self] in
      // Another one has taken its place.
      guard newest == version else { return }
      mesh.outbound.config.clusters = clusters
      mesh.outbound.config.awaitedClusters = []
      mesh.outbound.apply()
      traffic.version = version
    }
  }

  private func mark(_ name: String, _ version: Int) -> HeaderValueOption {
    HeaderValueOption(name: name, value: "\(version)", action: .overwriteIfExistsOrAdd)
  }

  private func service(_ name: String, _ ports: [UInt16], _ version: Int) -> Cluster {
    for port in ports { reachable[version].insert(port - SimMesh.inboundPorts[0] + SimMesh.serverPorts[0]) }
    var cluster = mesh.cluster(name, ports, speaks)
    cluster.loadAssignment.localities = ports.map { port in
      var locality = LocalityEndpoints()
      var endpoint = Endpoint(address: .socket(host: "127.0.0.1", port: port))
      endpoint.weight = UInt32(world.pick(1...5))
      locality.endpoints = [endpoint]
      return locality
    }
    // Priorities change, too; the first is never empty.
    if cluster.loadAssignment.localities.count > 1, world.chance(1, in: 3) {
      cluster.loadAssignment.localities[1].priority = 1
      for i in cluster.loadAssignment.localities.indices.dropFirst(2) {
        cluster.loadAssignment.localities[i].priority = 1
      }
      traffic.probes.reached("priorities")
    }
    cluster.circuitBreakers.standard.maxRetries = UInt32(world.pick(1...9))
    cluster.loadBalancing.policy = world.pick([.roundRobin, .random, .leastRequest, .ringHash, .maglev])
    // What connections depend on: the cluster is made anew.
    if world.chance(1, in: 4) {
      cluster.connectTimeout = .seconds(world.pick(2...5))
      traffic.probes.reached("cluster made anew")
    }
    return cluster
  }

  private func changeSpares() {
    if world.chance(1, in: 2) {
      names += 1
      spares.append("spare-\(names)")
      traffic.probes.reached("cluster added")
    }
    if !spares.isEmpty, world.chance(1, in: 2) {
      spares.remove(at: world.random.next(below: spares.count))
      traffic.probes.reached("cluster removed")
    }
  }

  private func changeBystanders() -> [Listener] {
    let port = UInt16(world.pick(15100...15103))
    if bystanders.remove(port) == nil {
      bystanders.insert(port)
      traffic.probes.reached("listener added")
    } else {
      traffic.probes.reached("listener removed")
    }
    return bystanders.sorted().map { port in
      var routes = RouteConfiguration(name: "nothing-\(port)")
      routes.virtualHosts = []
      return mesh.listener("bystander-\(port)", port, mesh.manager(mesh.outbound, "by", .inline(routes)))
    }
  }

  private func host(_ version: Int) -> VirtualHost {
    func forward(_ prefix: String, _ cluster: ClusterSpecifier) -> Route {
      var action = RouteAction(cluster: cluster)
      action.timeout = .zero
      if world.chance(2, in: 3) {
        action.hashPolicies = [
          HashPolicy(.cookie(name: "key", path: "/", ttl: .seconds(world.pick(0...9)), attributes: [])),
          HashPolicy(.header(name: ":path", rewrite: nil), terminal: true), HashPolicy(.sourceIP),
        ]
        action.hashPolicies.removeFirst(world.pick(0...2))
      }
      return Route(match: RouteMatch(.prefix(prefix)), action: .forward(action))
    }
    var host = VirtualHost(name: "all", domains: ["*"])
    if hasCopies { host.mirrors = [MirrorPolicy(cluster: "copies")] }
    let share = UInt32(world.pick(0...100))
    host.routes = [
      forward(
        "/split",
        .weighted(WeightedClusters([.init(name: "svc", weight: share), .init(name: "svc-too", weight: 100 - share)]))),
      forward("/", .cluster("svc")),
    ]
    // Routes nobody takes come and go in front.
    for i in 0..<world.pick(0...3) {
      host.routes.insert(forward("/unused-\(i)", .cluster(spares.first ?? "svc-too")), at: 0)
    }
    return host
  }

  private func inspect(_ exchange: SimExchange, _ fields: H1Reader.Fields) {
    let config = fields.first("x-config").flatMap { Int($0) } ?? -1
    let upstream = fields.first("x-upstream-version").flatMap { Int($0) } ?? -1
    world.expect(config == upstream, "#\(exchange.id): sent with version \(upstream), answered with \(config)")
    world.expect(
      config >= exchange.version && config <= traffic.version,
      "#\(exchange.id): begun under version \(exchange.version), served by \(config)")
    guard config >= 0, config <= traffic.version, let port = fields.first("x-port").flatMap({ UInt16($0) }) else {
      return
    }
    world.expect(
      (config...newest).contains { reachable[$0].contains(port) },
      "#\(exchange.id): version \(config) served by \(port), which neither it nor a later one has")
    if config != traffic.version { traffic.probes.reached("answer under a configuration that was replaced") }
    if config > exchange.version { traffic.probes.reached("request on its way met a new configuration") }
  }
}
