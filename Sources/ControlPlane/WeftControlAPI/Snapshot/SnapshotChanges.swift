package import WeftKinds

/// What differs between two snapshots: enough to decide which proxies a change concerns and which resources to redo.
package struct SnapshotChanges: Sendable, Equatable {
  /// Hosts of services that came, went, or changed in anything but their instances.
  package var services: Set<String> = []
  /// Hosts of services of which only instances changed (an endpoint push is enough).
  package var endpoints: Set<String> = []
  /// Objects that came, went or changed, by kind. Registered workloads are under `.workload`.
  package var objects: [KindName: Set<ObjectKey>] = [:]
  /// Mesh settings changed: concerns everybody.
  package var mesh = false

  package init() {}

  package var isEmpty: Bool { services.isEmpty && endpoints.isEmpty && objects.isEmpty && !mesh }
  package var kinds: Set<KindName> { Set(objects.keys) }

  /// Both together, for a coalescing window.
  package mutating func merge(_ other: SnapshotChanges) {
    services.formUnion(other.services)
    endpoints.formUnion(other.endpoints)
    endpoints.subtract(services)
    for (kind, keys) in other.objects { objects[kind, default: []].formUnion(keys) }
    mesh = mesh || other.mesh
  }
}

extension WeftSnapshot {
  /// What changed since `old`. *Cost*: linear in the objects of both; unchanged ones cost a pointer comparison.
  package func changes(since old: WeftSnapshot) -> SnapshotChanges {
    var changes = SnapshotChanges()
    guard self !== old else { return changes }
    changes.mesh = mesh != old.mesh
    (changes.services, changes.endpoints) = services.changes(since: old.services)
    func note(_ kind: KindName, _ keys: Set<ObjectKey>) {
      if !keys.isEmpty { changes.objects[kind] = keys }
    }
    note(.destinationRule, destinationRules.changedKeys(since: old.destinationRules))
    note(.gateway, gateways.changedKeys(since: old.gateways))
    note(.serviceEntry, serviceEntries.changedKeys(since: old.serviceEntries))
    note(.sidecar, sidecars.changedKeys(since: old.sidecars))
    note(.virtualService, virtualServices.changedKeys(since: old.virtualServices))
    note(.workloadEntry, workloadEntries.changedKeys(since: old.workloadEntries))
    var changedWorkloads: Set<ObjectKey> = []
    for (key, workload) in workloads where old.workloads[key] != workload { changedWorkloads.insert(key) }
    for key in old.workloads.keys where workloads[key] == nil { changedWorkloads.insert(key) }
    note(.workload, changedWorkloads)
    return changes
  }
}
