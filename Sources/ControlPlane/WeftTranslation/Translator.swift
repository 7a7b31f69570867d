package import WeftControlAPI
import WeftKinds
import WeftXDS

/// Names that a client asked for, by type. Only gRPC clients are given resources by name; all others get their set.
package struct Interest: Sendable, Hashable {
  private var byType: [ResourceType: Set<String>]

  package init(_ byType: [ResourceType: Set<String>] = [:]) { self.byType = byType }

  package func names(_ type: ResourceType) -> Set<String> { byType[type] ?? [] }
}

/// Turns a snapshot into what one proxy is given.
package enum Translator {
  /// *Cost*: linear in the services and rules the proxy sees; with explicit upstreams, in those it names.
  package static func translate(
    _ snapshot: WeftSnapshot, for proxy: ProxyIdentity, interest: Interest = Interest()
  ) -> ProxyResources {
    var resources = ProxyResources(version: snapshot.version)
    let scope = ProxyScope(snapshot, proxy)
    resources.dependencies.namespace = proxy.namespace
    resources.dependencies.isGateway = proxy.role == .router
    if let sidecar = scope.sidecar { resources.dependencies.objects.insert(sidecar.key) }
    if proxy.isGRPC {
      GRPCResources(scope: scope, interest: interest).add(to: &resources)
    } else if proxy.role == .router {
      addGateway(scope, to: &resources)
    } else if proxy.universal.isEmpty {
      addCapturedSidecar(scope, to: &resources)
    } else {
      addUniversalSidecar(scope, to: &resources)
    }
    addIssues(scope, to: &resources)
    return resources
  }

  /// What the rules in use ask for and nobody is given yet.
  private static func addIssues(_ scope: ProxyScope, to resources: inout ProxyResources) {
    let snapshot = scope.snapshot
    var issues = Set(resources.issues)
    func note(_ features: [UnsupportedFeatures.Feature], _ origin: Origin) {
      for feature in features where feature.concerns(scope.proxy) { issues.insert(TranslationIssue(origin, feature)) }
    }
    for key in resources.dependencies.objects {
      if let rule = snapshot.virtualServices[key] {
        note(UnsupportedFeatures.of(rule.spec), rule.origin)
      } else if let rule = snapshot.destinationRules[key] {
        note(UnsupportedFeatures.of(rule.spec), rule.origin)
      } else if let gateway = snapshot.gateways[key] {
        note(UnsupportedFeatures.of(gateway.spec), gateway.origin)
      } else if let sidecar = snapshot.sidecars[key] {
        note(UnsupportedFeatures.of(sidecar.spec), sidecar.origin)
      }
    }
    resources.issues = issues.sorted()
  }

  private static func addFixedClusters(_ scope: ProxyScope, to resources: inout ProxyResources) {
    let mesh = scope.snapshot.mesh
    resources.add(.cluster, ResourceName.blackHole, FixedClusters.blackHole(mesh), origins: [])
    resources.add(.cluster, ResourceName.passthrough, FixedClusters.passthrough(mesh), origins: [])
  }

  private static func addGateway(_ scope: ProxyScope, to resources: inout ProxyResources) {
    let sink = GatewayResources(scope: scope).add(to: &resources)
    addFixedClusters(scope, to: &resources)
    add(sink, scope, to: &resources)
    resources.dependencies.hosts = .only(Set(sink.destinations.map(\.host)).union(sink.awaited))
  }

  private static func addCapturedSidecar(_ scope: ProxyScope, to resources: inout ProxyResources) {
    let services = scope.services()
    let sink = CapturedListeners(scope: scope).addOutbound(services: services, to: &resources)
    CapturedInbound(scope: scope).add(to: &resources)
    addFixedClusters(scope, to: &resources)
    add(sink, scope, to: &resources)
    resources.dependencies.hosts = .all
  }

  private static func addUniversalSidecar(_ scope: ProxyScope, to resources: inout ProxyResources) {
    let listeners = ExplicitListeners(scope: scope)
    listeners.addInbound(to: &resources)
    var sink = listeners.addUpstreams(to: &resources)
    if scope.proxy.universal.httpProxy != nil {
      let services = scope.services()
      sink.merge(listeners.addForwardProxy(services: services, to: &resources))
    }
    add(sink, scope, to: &resources)
    if scope.proxy.universal.httpProxy != nil {
      resources.dependencies.hosts = .all
    } else {
      var hosts = Set(sink.destinations.map(\.host)).union(sink.awaited)
      // The service of the workload itself: its name stands in the inbound cluster.
      if let workload = scope.snapshot.workload(id: scope.proxy.workload, namespace: scope.namespace) {
        hosts.insert(workload.host(domain: scope.domain))
      }
      resources.dependencies.hosts = .only(hosts)
    }
  }

  /// Clusters and endpoints for everything that routes lead to.
  private static func add(_ sink: RouteSink, _ scope: ProxyScope, to resources: inout ProxyResources) {
    resources.issues += sink.issues
    resources.dependencies.objects.formUnion(sink.origins.map(\.key))
    resources.dependencies.considered.formUnion(sink.considered)
    var ports: [String: Set<UInt16>] = [:]
    for destination in sink.destinations { ports[destination.host, default: []].insert(destination.port) }
    for (host, numbers) in ports.sorted(by: { $0.key < $1.key }) {
      guard let visible = scope.destination(host) else { continue }
      let clusters = OutboundClusters(scope: scope, service: visible.service)
      resources.dependencies.considered.formUnion(clusters.policy.considered)
      for number in numbers.sorted() {
        if let port = visible.port(number) { clusters.add(port: port, to: &resources) }
      }
    }
    // What no registry and no rule knows (a service, a port, a subset) has a cluster without endpoints: the route to it
    // is there, answers 503, and needs no change when the endpoints come.
    for destination in sink.destinations {
      let name = ResourceName.outbound(port: destination.port, subset: destination.subset, host: destination.host)
      guard resources[.cluster, name] == nil else { continue }
      resources.add(.cluster, name, FixedClusters.unknown(name, scope.snapshot.mesh), origins: [])
      var nothing = ClusterLoadAssignment()
      nothing.clusterName = name
      resources.add(.endpoint, name, nothing, origins: [])
    }
  }
}
