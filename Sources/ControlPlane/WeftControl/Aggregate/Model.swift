import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds

/// The neutral model under construction: takes rules and what registries say, answers snapshots. Pure: the same
/// objects give the same snapshot, in whatever order they came.
///
/// *Cost*: a change costs what depends on it; services that it does not touch are the same objects in the next
/// snapshot.
struct Model: Sendable {
  let mesh: MeshSettings
  private(set) var revision: UInt64 = 0
  /// Objects that are in the store but could not be read (a damaged file, an older program): left out, and reported.
  private(set) var unreadable: [ObjectKey: String] = [:]

  private var destinationRules = ConfigIndex<DestinationRuleSpec>()
  private var gateways = ConfigIndex<GatewaySpec>()
  private var serviceEntries = ConfigIndex<ServiceEntrySpec>()
  private var sidecars = ConfigIndex<SidecarSpec>()
  private var virtualServices = ConfigIndex<VirtualServiceSpec>()
  private var workloadEntries = ConfigIndex<WorkloadEntrySpec>()
  private var workloads: [ObjectKey: Workload] = [:]
  private var workloadsByService: [ServiceIndex.ID: Set<ObjectKey>] = [:]
  private var registeredServices: [ServiceIndex.ID: RegisteredService] = [:]
  /// What registries say, by what it is about: of two that name the same, the first in the order of origins holds.
  private var claims: [ObjectKey: [SourceOrigin: RegistryFact]] = [:]
  private var services = ServiceIndex()
  private var stale: Set<ServiceIndex.ID> = []

  init(mesh: MeshSettings) { self.mesh = mesh }

  /// Takes an object that exists, new or changed.
  mutating func put(_ object: Envelope) {
    revision = max(revision, object.metadata.resourceVersion)
    unreadable[object.key] = nil
    switch object.kind {
    case .destinationRule: place(DestinationRuleKind.self, object, \.destinationRules)
    case .gateway: place(GatewayKind.self, object, \.gateways)
    case .sidecar: place(SidecarKind.self, object, \.sidecars)
    case .virtualService: place(VirtualServiceKind.self, object, \.virtualServices)
    case .serviceEntry:
      touchHosts(of: object.key)
      place(ServiceEntryKind.self, object, \.serviceEntries)
      touchHosts(of: object.key)
    case .workloadEntry:
      place(WorkloadEntryKind.self, object, \.workloadEntries)
      touchSelecting(object.metadata.namespace)
    default: unreadable[object.key] = "unknown kind"
    }
  }

  /// Takes notice that an object is gone. *Parameter* `revision`: of the deletion.
  mutating func remove(_ key: ObjectKey, revision: UInt64) {
    self.revision = max(self.revision, revision)
    unreadable[key] = nil
    switch key.kind {
    case .destinationRule: destinationRules.remove(key)
    case .gateway: gateways.remove(key)
    case .sidecar: sidecars.remove(key)
    case .virtualService: virtualServices.remove(key)
    case .serviceEntry:
      touchHosts(of: key)
      serviceEntries.remove(key)
    case .workloadEntry:
      workloadEntries.remove(key)
      touchSelecting(key.namespace)
    default: break
    }
  }

  /// Takes what a registry tells.
  mutating func apply(_ batch: SourceBatch<RegistryFact>, from origin: SourceOrigin) {
    if batch.isWhole {
      for (key, claim) in claims where claim[origin] != nil && batch.upserts[key] == nil { withdraw(key, origin) }
    }
    for key in batch.removals { withdraw(key, origin) }
    for (key, fact) in batch.upserts where claims[key]?[origin] != fact {
      claims[key, default: [:]][origin] = fact
      settle(key)
    }
  }

  private mutating func withdraw(_ key: ObjectKey, _ origin: SourceOrigin) {
    guard claims[key]?.removeValue(forKey: origin) != nil else { return }
    if claims[key]?.isEmpty == true { claims[key] = nil }
    settle(key)
  }

  /// Puts in force what holds of what is said about a key.
  private mutating func settle(_ key: ObjectKey) {
    switch claims[key]?.min(by: { $0.key < $1.key })?.value {
    case .workload(let workload): put(workload)
    case .service(let service):
      let id = serviceID(service.name, service.namespace)
      registeredServices[id] = service
      stale.insert(id)
    case nil:
      if key.kind == .workload { return removeWorkload(key) }
      let id = serviceID(key.name, key.namespace)
      registeredServices[id] = nil
      stale.insert(id)
    }
  }

  /// Goes over to a new set of rules; what registries say stays.
  mutating func replaceRules(_ objects: some Sequence<Envelope>) {
    var fresh = Model(mesh: mesh)
    for object in objects { fresh.put(object) }
    for (key, claim) in claims {
      fresh.claims[key] = claim
      fresh.settle(key)
    }
    self = fresh
  }

  /// Notes that the model holds everything up to `revision`.
  mutating func reach(_ revision: UInt64) { self.revision = max(self.revision, revision) }

  /// The model as it stands.
  mutating func snapshot() -> WeftSnapshot {
    for id in stale {
      if let service = build(id) {
        // The same object stays in place when nothing about it changed, so that nobody is told.
        if let old = services[id], old.hasSameDefinition(as: service), old.instances == service.instances { continue }
        services.update(service)
      } else {
        services.remove(id)
      }
    }
    stale = []
    return WeftSnapshot(
      version: revision, mesh: mesh, services: services, workloads: workloads, destinationRules: destinationRules,
      gateways: gateways, serviceEntries: serviceEntries, sidecars: sidecars, virtualServices: virtualServices,
      workloadEntries: workloadEntries)
  }

  // MARK: Kinds

  private mutating func place<Kind: ConfigKind>(
    _ kind: Kind.Type, _ object: Envelope, _ index: WritableKeyPath<Model, ConfigIndex<Kind.Spec>>
  ) {
    do {
      let spec = try kind.decode(object.spec)
      // Two spellings of a name are one host.
      var seen: Set<String> = []
      let hosts = kind.hosts(spec).map {
        Hostname.resolve($0, namespace: object.metadata.namespace, domain: mesh.domain)
      }.filter { seen.insert($0).inserted }
      self[keyPath: index].update(
        ConfigObject(
          kind: object.kind, metadata: object.metadata, spec: spec, hosts: hosts,
          visibility: Visibility(exportTo: kind.exportTo(spec))))
    } catch {
      unreadable[object.key] = "\(error)"
      self[keyPath: index].remove(object.key)
    }
  }

  private mutating func touchHosts(of key: ObjectKey) {
    for host in serviceEntries[key]?.hosts ?? [] {
      stale.insert(ServiceIndex.ID(host: host, namespace: key.namespace))
    }
  }

  /// Services of the namespace whose entries select workloads by label.
  private mutating func touchSelecting(_ namespace: String) {
    for entry in serviceEntries.objects(in: namespace) where entry.spec.workloadSelector != nil {
      for host in entry.hosts { stale.insert(ServiceIndex.ID(host: host, namespace: namespace)) }
    }
  }

  // MARK: Registrations

  private func serviceID(_ name: String, _ namespace: String) -> ServiceIndex.ID {
    ServiceIndex.ID(
      host: Hostname.resolve(name, namespace: namespace, domain: mesh.domain), namespace: namespace)
  }

  private mutating func put(_ workload: Workload) {
    removeWorkload(workload.key)
    workloads[workload.key] = workload
    let id = serviceID(workload.service, workload.namespace)
    workloadsByService[id, default: []].insert(workload.key)
    stale.insert(id)
    touchSelecting(workload.namespace)
  }

  private mutating func removeWorkload(_ key: ObjectKey) {
    guard let old = workloads.removeValue(forKey: key) else { return }
    let id = serviceID(old.service, old.namespace)
    workloadsByService[id]?.remove(key)
    if workloadsByService[id]?.isEmpty == true { workloadsByService[id] = nil }
    stale.insert(id)
    touchSelecting(key.namespace)
  }

  // MARK: Services

  private func build(_ id: ServiceIndex.ID) -> Service? {
    let entries = serviceEntries.objects(in: id.namespace).filter { $0.hosts.contains(id.host) }
    if workloadsByService[id] != nil || registeredServices[id] != nil { return registered(id, decoratedBy: entries) }
    return ServiceEntryServices.service(id.host, entries) { labels in selected(labels, in: id.namespace) }
  }

  /// A service made of registrations; ServiceEntry objects for its host add names and visibility, never replace it.
  private func registered(_ id: ServiceIndex.ID, decoratedBy entries: [ConfigObject<ServiceEntrySpec>]) -> Service {
    let members = (workloadsByService[id] ?? []).compactMap { workloads[$0] }
    let record = registeredServices[id]
    let name = record?.name ?? members.first?.service ?? id.host
    let ports = RegisteredService.ports(of: members)
    let age =
      record?.creationTimestamp ?? members.map(\.creationTimestamp).min() ?? WallTime(nanoseconds: 0)
    let origin = Origin(kind: .service, namespace: id.namespace, name: name, generation: 1)
    return Service(
      host: id.host, name: name, namespace: id.namespace, ports: ports.isEmpty ? record?.ports ?? [] : ports,
      subjectAltNames: Array(Set(entries.flatMap(\.spec.subjectAltNames))).sorted(),
      visibility: entries.first?.visibility ?? .all, creationTimestamp: age, instances: members.map(\.instance),
      origins: [origin] + entries.map(\.origin))
  }

  /// WorkloadEntry objects and registered workloads of a namespace that carry the labels.
  private func selected(_ labels: [String: String], in namespace: String) -> ServiceEntryServices.Selection {
    func matches(_ carried: [String: String]) -> Bool { labels.allSatisfy { carried[$0.key] == $0.value } }
    return ServiceEntryServices.Selection(
      entries: workloadEntries.objects(in: namespace).filter { object in
        matches(object.spec.labels.merging(object.metadata.labels) { spec, _ in spec })
      },
      workloads: workloads.values.filter { $0.namespace == namespace && matches($0.labels) })
  }
}
