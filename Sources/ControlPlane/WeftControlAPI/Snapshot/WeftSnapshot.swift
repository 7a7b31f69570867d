package import WeftKinds

/// Everything the control plane knows at one moment: the input of translation.
///
/// *Shape*: immutable, shared by reference. Parts that did not change are the same objects in the next snapshot.
package final class WeftSnapshot: Sendable {
  /// Grows with every change and survives a restart: it is the store's counter.
  package let version: UInt64
  package let mesh: MeshSettings
  package let services: ServiceIndex
  /// Registered instances by namespace and id.
  package let workloads: [ObjectKey: Workload]
  package let destinationRules: ConfigIndex<DestinationRuleSpec>
  package let gateways: ConfigIndex<GatewaySpec>
  package let serviceEntries: ConfigIndex<ServiceEntrySpec>
  package let sidecars: ConfigIndex<SidecarSpec>
  package let virtualServices: ConfigIndex<VirtualServiceSpec>
  package let workloadEntries: ConfigIndex<WorkloadEntrySpec>

  package init(
    version: UInt64 = 0, mesh: MeshSettings = MeshSettings(), services: ServiceIndex = ServiceIndex(),
    workloads: [ObjectKey: Workload] = [:], destinationRules: ConfigIndex<DestinationRuleSpec> = ConfigIndex(),
    gateways: ConfigIndex<GatewaySpec> = ConfigIndex(), serviceEntries: ConfigIndex<ServiceEntrySpec> = ConfigIndex(),
    sidecars: ConfigIndex<SidecarSpec> = ConfigIndex(),
    virtualServices: ConfigIndex<VirtualServiceSpec> = ConfigIndex(),
    workloadEntries: ConfigIndex<WorkloadEntrySpec> = ConfigIndex()
  ) {
    self.version = version
    self.mesh = mesh
    self.services = services
    self.workloads = workloads
    self.destinationRules = destinationRules
    self.gateways = gateways
    self.serviceEntries = serviceEntries
    self.sidecars = sidecars
    self.virtualServices = virtualServices
    self.workloadEntries = workloadEntries
  }

  /// The registered instance that a proxy's node id (`<id>.<namespace>`) names.
  package func workload(id: String, namespace: String) -> Workload? {
    workloads[ObjectKey(kind: .workload, namespace: namespace, name: id)]
  }

  /// Rules for `host` visible to a client in `namespace`, oldest first: exact host before any wildcard.
  package func virtualServices(for host: String, seenFrom namespace: String) -> [ConfigObject<VirtualServiceSpec>] {
    virtualServices.objects(mostSpecificFor: host) { $0.isVisible(to: namespace) }
  }

  /// Rules that apply to calls from `namespace` to `service`, from the first place that has any: the client's
  /// namespace, the service's, the root namespace; in each the most specific host. Oldest first.
  ///
  /// A client in the root namespace finds there only rules exported to nobody else.
  package func destinationRules(
    for host: String, serviceNamespace: String, seenFrom namespace: String
  ) -> [ConfigObject<DestinationRuleSpec>] {
    let root = mesh.rootNamespace
    let own = destinationRules.objects(mostSpecificFor: host) {
      $0.namespace == namespace
        && (namespace != root || $0.visibility == .namespaces(["."]) || $0.visibility == .namespaces([root]))
    }
    if !own.isEmpty { return own }
    for place in [serviceNamespace, root] where place != namespace || place == root {
      let found = destinationRules.objects(mostSpecificFor: host) {
        $0.namespace == place && $0.isVisible(to: namespace)
      }
      if !found.isEmpty { return found }
    }
    return []
  }
}
