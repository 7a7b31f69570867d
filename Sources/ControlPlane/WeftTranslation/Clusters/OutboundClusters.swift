import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDS

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
    add(port: port, subset: nil, to: &resources)
    for (subset, _) in policy.subsets { add(port: port, subset: subset, to: &resources) }
  }

  private func add(port: ServicePort, subset: Subset?, to resources: inout ProxyResources) {
    let name = ResourceName.outbound(port: port.number, subset: subset?.name ?? "", host: service.host)
    let origins = service.origins + policy.origins
    let effective = policy.effective(port: port.number, subset: subset)
    var cluster = Cluster()
    cluster.name = name
    let instances = service.instances.filter { subset == nil || $0.carries(subset?.labels ?? [:]) }
    setDiscovery(&cluster, port: port, instances: instances, policy: effective)
    let writer = ClusterPolicyWriter(
      mesh: scope.snapshot.mesh, service: service, port: port, isGRPC: scope.proxy.isGRPC)
    writer.write(effective, to: &cluster)
    cluster.metadata = metadata(subset: subset, port: port)
    resources.add(.cluster, name, cluster, origins: origins)
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
    case .static:
      cluster.clusterDiscoveryType = .type(.eds)
      var eds = Cluster.EdsClusterConfig()
      eds.edsConfig = .aggregated
      eds.serviceName = cluster.name
      cluster.edsClusterConfig = eds
    case .none:
      setOriginalDestination(&cluster)
    case .dns, .dnsRoundRobin, .dynamicDNS:
      // The name in the request is not known here; a wildcard host cannot be resolved and has no endpoints.
      cluster.clusterDiscoveryType = .type(service.resolution == .dns ? .strictDns : .logicalDns)
      cluster.dnsLookupFamily = .v4Preferred
      cluster.dnsRefreshRate = Google_Protobuf_Duration(seconds: 60)
      cluster.respectDnsTtl = true
      var named = instances
      if named.isEmpty, !Hostname.isWildcard(service.host), let origin = service.origins.first {
        named = [
          ServiceInstance(
            id: service.host, address: service.host, ports: [port.number: port.targetPort],
            namespace: service.namespace, origin: origin)
        ]
      }
      if service.resolution != .dns { named = Array(named.prefix(1)) }
      cluster.loadAssignment = LoadAssignment(name: cluster.name, port: port, instances: named).message
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
