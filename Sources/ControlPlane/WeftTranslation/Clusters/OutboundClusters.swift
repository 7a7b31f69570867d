import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Clusters of one service port: one for all instances, one per subset.
struct OutboundClusters {
  let scope: ProxyScope
  let service: Service
  let policy: DestinationPolicy

  init(scope: ProxyScope, service: Service) {
    self.scope = scope
    self.service = service
    policy = scope.destinationPolicy(host: service.host, serviceNamespace: service.namespace)
  }

  /// Adds the clusters of `port`, and their load assignments.
  func add(port: ServicePort, to resources: inout ProxyResources) {
    resources.dependencies.objects.formUnion(policy.rules.map(\.key))
    resources.issues += instanceIssues
    add(port: port, subset: nil, to: &resources)
    for (subset, _) in policy.subsets { add(port: port, subset: subset, to: &resources) }
  }

  /// Instances that are left out because no proxy could be told how to reach them.
  var instanceIssues: [TranslationIssue] {
    let reach: LoadAssignment.Reach
    switch service.resolution {
    case .static: reach = .addressed
    case .dns, .dnsRoundRobin, .dynamicDNS: reach = .resolved
    case .none: return []
    }
    return service.instances.compactMap { instance in
      reach.objection(to: instance).map { objection in
        TranslationIssue(
          instance.origin, Self.instancePath(instance.origin),
          "the instance \(instance.id) of \(service.host) is left out: \(objection)")
      }
    }
  }

  private static func instancePath(_ origin: Origin) -> String {
    origin.kind == .workloadEntry ? "spec.address" : "spec.endpoints"
  }

  static func isAboutInstance(_ issue: TranslationIssue) -> Bool { issue.path == instancePath(issue.origin) }

  private func add(port: ServicePort, subset: Subset?, to resources: inout ProxyResources) {
    let name = ResourceName.outbound(port: port.number, subset: subset?.name ?? "", host: service.host)
    let origins = service.origins + policy.origins
    let effective = policy.effective(port: port.number, subset: subset)
    var cluster = Cluster()
    cluster.name = name
    let instances = service.instances.filter { subset == nil || $0.carries(subset?.labels ?? [:]) }
    // A subset that selects none of a DNS service's instances must not lead to the host as a whole.
    if service.resolution.isByName, instances.isEmpty, !service.instances.isEmpty { return }
    setDiscovery(&cluster, port: port, instances: instances, policy: effective)
    if service.resolution == .dynamicDNS, Hostname.isWildcard(service.host), subset == nil {
      resources.issues += service.origins.prefix(1).map {
        TranslationIssue(
          $0, "spec.resolution",
          "names under \(service.host) are not resolved when they are asked for; the service has no endpoints")
      }
    }
    let writer = ClusterPolicyWriter(
      mesh: scope.snapshot.mesh, service: service, port: port, isGRPC: scope.proxy.isGRPC, isEnvoy: scope.proxy.isEnvoy)
    writer.write(effective, to: &cluster)
    cluster.metadata = metadata(subset: subset, port: port)
    resources.add(.cluster, name, cluster, origins: origins)
    guard resources[.cluster, name] != nil else {
      // Refused. Without its rule's policy it would send in the clear what the rule may want encrypted, so it gets no
      // endpoints, now or later. gRPC libraries take no STATIC clusters; to them one that is absent is unavailable.
      if !scope.proxy.isGRPC {
        resources.add(.cluster, name, FixedClusters.closed(name, scope.snapshot.mesh), origins: origins)
      }
      return
    }
    if case .type(.eds) = cluster.clusterDiscoveryType {
      resources.add(assignment(name, port: port, instances: instances))
    }
  }

  /// The load assignment of one cluster; nil for a subset that no rule knows.
  func endpoints(port: ServicePort, subset name: String) -> Resource? {
    let subset = policy.subset(name)
    if !name.isEmpty, subset == nil { return nil }
    let instances = service.instances.filter { subset == nil || $0.carries(subset?.labels ?? [:]) }
    let cluster = ResourceName.outbound(port: port.number, subset: name, host: service.host)
    return assignment(cluster, port: port, instances: instances)
  }

  private func assignment(_ name: String, port: ServicePort, instances: [ServiceInstance]) -> Resource {
    Resource(
      .endpoint, name, LoadAssignment(name: name, port: port, instances: instances).message,
      origins: service.origins + policy.origins + instances.map(\.origin))
  }

  private func setDiscovery(
    _ cluster: inout Cluster, port: ServicePort, instances: [ServiceInstance], policy: EffectivePolicy
  ) {
    if case .simple(.passthrough) = policy.loadBalancer?.lbPolicy {
      setOriginalDestination(&cluster)
      return
    }
    switch service.resolution {
    case .static: cluster.setAggregatedEndpoints()
    case .none:
      setOriginalDestination(&cluster)
    case .dns, .dnsRoundRobin, .dynamicDNS:
      var named = instances.filter { LoadAssignment.Reach.resolved.objection(to: $0) == nil && $0.health != .unhealthy }
      if instances.isEmpty, !Hostname.isWildcard(service.host), let origin = service.origins.first {
        named = [
          ServiceInstance(
            id: service.host, address: service.host, ports: [port.number: port.targetPort],
            namespace: service.namespace, origin: origin)
        ]
      }
      if service.resolution != .dns { named = Array(named.prefix(1)) }
      let assignment = LoadAssignment(name: cluster.name, port: port, instances: named, reach: .resolved).message
      guard service.resolution == .dns || !assignment.endpoints.isEmpty else {
        // The name in the request is not known here, a wildcard has no address, and a cluster of one name must have it.
        return cluster.setAggregatedEndpoints()
      }
      cluster.clusterDiscoveryType = .type(service.resolution == .dns ? .strictDns : .logicalDns)
      cluster.dnsLookupFamily = .v4Preferred
      // Deprecated for `cluster_type` with a DNS cluster's message, as Envoy's log says; that one gRPC clients, weft-proxy and older Envoys do not know.
      cluster.dnsRefreshRate = Google_Protobuf_Duration(seconds: 60)
      cluster.respectDnsTtl = true
      cluster.loadAssignment = assignment
    }
  }

  private func setOriginalDestination(_ cluster: inout Cluster) {
    cluster.clusterDiscoveryType = .type(.originalDst)
    cluster.lbPolicy = .clusterProvided
    cluster.cleanupInterval = Google_Protobuf_Duration(seconds: 5)
  }

  private func metadata(subset: Subset?, port: ServicePort) -> Envoy_Config_Core_V3_Metadata {
    var fields: [String: Google_Protobuf_Value] = [
      "services": .list([
        .object(["host": .text(service.host), "name": .text(service.name), "namespace": .text(service.namespace)])
      ])
    ]
    if let rule = policy.rules.first {
      fields["config"] = .text(ResourceName.apiPath(rule.origin, plural: "destination-rule"))
    }
    if let subset { fields["subset"] = .text(subset.name) }
    return .istio(fields)
  }
}
