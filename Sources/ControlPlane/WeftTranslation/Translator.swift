package import WeftControlAPI
import WeftKinds
import WeftXDSMessages

/// Names that a client asked for, by type. Only gRPC clients are given resources by name; all others get their set.
package struct Interest: Sendable, Hashable {
  private var byType: [ResourceType: Set<String>]

  package init(_ byType: [ResourceType: Set<String>] = [:]) { self.byType = byType }

  package func names(_ type: ResourceType) -> Set<String> { byType[type] ?? [] }
}

/// Turns a snapshot into what one proxy is given.
package enum Translator {
  /// *Cost*: linear in the services and rules the proxy sees; with explicit upstreams, in those it names. What other
  /// proxies have been given already is taken from `memo`, which must be of the same snapshot.
  package static func translate(
    _ snapshot: WeftSnapshot, for proxy: ProxyIdentity, interest: Interest = Interest(), memo: TranslationMemo? = nil
  ) -> ProxyResources {
    var resources = ProxyResources(version: snapshot.version, extensions: proxy.extensions)
    let scope = ProxyScope(snapshot, proxy)
    resources.dependencies.namespace = proxy.namespace
    resources.dependencies.isGateway = proxy.role == .router
    if let sidecar = scope.sidecar { resources.dependencies.objects.insert(sidecar.key) }
    if proxy.isGRPC {
      GRPCResources(scope: scope, interest: interest).add(to: &resources)
      addIssues(scope, except: [], to: &resources)
      return resources
    }
    let parts = SharedParts(
      scope: ProxyScope(snapshot, proxy.shared), memo: memo.flatMap { $0.snapshot === snapshot ? $0 : nil })
    // What a part depends on, it has noted the issues of.
    var noted: Set<ObjectKey> = []
    func merge(_ part: ProxyResources) {
      noted.formUnion(part.dependencies.objects)
      resources.merge(part)
    }
    if proxy.role == .router {
      merge(parts.gateway())
    } else if proxy.universal.isEmpty {
      merge(parts.captured())
      CapturedInbound(scope: scope).add(to: &resources)
    } else {
      ExplicitListeners(scope: scope).addInbound(to: &resources)
      for upstream in proxy.universal.upstreams { merge(parts.upstream(upstream)) }
      if let binding = proxy.universal.httpProxy { merge(parts.forwardProxy(binding)) }
      // The service of the workload itself: its name stands in the inbound cluster.
      if let workload = snapshot.workload(id: proxy.workload, namespace: proxy.namespace) {
        resources.dependencies.hosts.formUnion([workload.host(domain: scope.domain)])
      }
    }
    addIssues(scope, except: noted, to: &resources)
    return resources
  }

  /// What the rules in use ask for and nobody is given yet.
  static func addIssues(_ scope: ProxyScope, except noted: Set<ObjectKey>, to resources: inout ProxyResources) {
    var issues = Set(resources.issues)
    func note(_ features: [UnsupportedFeatures.Feature], _ origin: Origin) {
      for feature in features where feature.concerns(scope.proxy) { issues.insert(TranslationIssue(origin, feature)) }
    }
    for key in resources.dependencies.objects where !noted.contains(key) {
      if let rule = UnsupportedFeatures.of(key, in: scope.snapshot) { note(rule.features, rule.origin) }
    }
    // Where a rule's own field is named, the part it cost need not be told apart.
    let told = Set(issues.filter { $0.leftOut != nil && $0.path != "spec" }.map(\.origin))
    resources.issues = issues.filter { $0.leftOut == nil || $0.path != "spec" || !told.contains($0.origin) }.sorted()
  }
}

/// The parts of translations that proxies share. They see the proxy's shared traits only.
private struct SharedParts {
  let scope: ProxyScope
  let memo: TranslationMemo?

  private func part(_ part: TranslationMemo.Part, _ make: (inout ProxyResources) -> Void) -> ProxyResources {
    func made() -> ProxyResources {
      var resources = ProxyResources(version: scope.snapshot.version, extensions: scope.proxy.extensions)
      make(&resources)
      Translator.addIssues(scope, except: [], to: &resources)
      return resources
    }
    guard let memo else { return made() }
    return memo.part(TranslationMemo.Key(traits: scope.proxy, part: part), make: made)
  }

  func gateway() -> ProxyResources {
    part(.gateway) { resources in
      let sink = GatewayResources(scope: scope).add(to: &resources)
      addFixedClusters(to: &resources)
      add(sink, to: &resources)
      resources.dependencies.hosts = .only(Set(sink.destinations.map(\.host)).union(sink.awaited))
    }
  }

  func captured() -> ProxyResources {
    part(.captured) { resources in
      let sink = CapturedListeners(scope: scope).addOutbound(services: scope.services(), to: &resources)
      addFixedClusters(to: &resources)
      add(sink, to: &resources)
      resources.dependencies.hosts = .all
    }
  }

  func upstream(_ upstream: UniversalBindings.Upstream) -> ProxyResources {
    part(.upstream(upstream)) { resources in
      let sink = ExplicitListeners(scope: scope).add(upstream, to: &resources)
      add(sink, to: &resources)
      resources.dependencies.hosts = .only(Set(sink.destinations.map(\.host)).union(sink.awaited))
    }
  }

  func forwardProxy(_ binding: UniversalBindings.Binding) -> ProxyResources {
    part(.forwardProxy(binding)) { resources in
      let listeners = ExplicitListeners(scope: scope)
      let sink = listeners.addForwardProxy(binding, services: scope.services(), to: &resources)
      add(sink, to: &resources)
      resources.dependencies.hosts = .all
    }
  }

  private func addFixedClusters(to resources: inout ProxyResources) {
    let mesh = scope.snapshot.mesh
    resources.add(.cluster, ResourceName.blackHole, FixedClusters.blackHole(mesh), origins: [])
    resources.add(.cluster, ResourceName.passthrough, FixedClusters.passthrough(mesh), origins: [])
  }

  /// Clusters and endpoints for everything that routes lead to.
  private func add(_ sink: RouteSink, to resources: inout ProxyResources) {
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
