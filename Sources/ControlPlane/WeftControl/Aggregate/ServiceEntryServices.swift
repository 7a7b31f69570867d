import WeftControlAPI
import WeftKinds

/// Services made of ServiceEntry objects.
enum ServiceEntryServices {
  struct Selection {
    var entries: [ConfigObject<WorkloadEntrySpec>]
    var workloads: [Workload]
  }

  /// The service of `host` that entries of one namespace define together, oldest first: ports, addresses, names and
  /// instances of all; of two ports with one number the older entry's, and what there can be only one of is the oldest's.
  static func service(
    _ host: String, _ entries: [ConfigObject<ServiceEntrySpec>], selecting: ([String: String]) -> Selection
  ) -> Service? {
    guard let oldest = entries.first else { return nil }
    var ports: [ServicePort] = []
    var addresses: [String] = []
    var names: [String] = []
    var instances: [ServiceInstance] = []
    var places: [String: Int] = [:]
    for entry in entries {
      let own = entry.spec.ports.map(servicePort)
      for var port in own where !ports.contains(where: { $0.number == port.number }) {
        if ports.contains(where: { $0.name == port.name }) { port.name += "-\(port.number)" }
        ports.append(port)
      }
      // One spelling per address: it names listeners and domains.
      for address in entry.spec.addresses.map(AddressRules.canonical) where !addresses.contains(address) {
        addresses.append(address)
      }
      for name in entry.spec.subjectAltNames where !names.contains(name) { names.append(name) }
      for instance in self.instances(of: entry, ports: own, selecting: selecting) {
        // Two entries that select one workload: it serves the ports of both.
        if let index = places[instance.id] {
          instances[index].ports.merge(instance.ports) { older, _ in older }
        } else {
          places[instance.id] = instances.count
          instances.append(instance)
        }
      }
    }
    return Service(
      host: host, name: host, namespace: oldest.namespace, ports: ports, resolution: resolution(oldest.spec.resolution),
      addresses: addresses, isMeshExternal: oldest.spec.location == .meshExternal, labels: oldest.metadata.labels,
      subjectAltNames: names, visibility: oldest.visibility, creationTimestamp: oldest.metadata.creationTimestamp,
      instances: instances, origins: entries.map(\.origin))
  }

  private static func servicePort(_ port: Istio.ServicePort) -> ServicePort {
    ServicePort(
      number: UInt16(clamping: port.number), name: port.name, protocol: portProtocol(port),
      targetPort: port.targetPort == 0 ? nil : UInt16(clamping: port.targetPort))
  }

  private static func portProtocol(_ port: Istio.ServicePort) -> PortProtocol {
    port.protocol.isEmpty ? PortProtocol(portName: port.name) : PortProtocol(field: port.protocol) ?? .tcp
  }

  private static func resolution(_ resolution: ServiceEntrySpec.Resolution) -> Service.Resolution {
    switch resolution {
    case .static: .static
    case .dns: .dns
    case .dnsRoundRobin: .dnsRoundRobin
    case .dynamicDns: .dynamicDNS
    default: .none
    }
  }

  private static func instances(
    of entry: ConfigObject<ServiceEntrySpec>, ports: [ServicePort], selecting: ([String: String]) -> Selection
  ) -> [ServiceInstance] {
    if let selector = entry.spec.workloadSelector {
      let selection = selecting(selector.labels)
      let written = selection.entries.map { object in
        instance(
          object.spec, id: object.name, labels: object.spec.labels.merging(object.metadata.labels) { spec, _ in spec },
          namespace: object.namespace, ports: ports, origin: object.origin)
      }
      return written + selection.workloads.map { registered($0, ports: ports) }
    }
    return entry.spec.endpoints.enumerated().map { index, endpoint in
      instance(
        endpoint, id: "\(entry.name)/\(index)", labels: endpoint.labels, namespace: entry.namespace, ports: ports,
        origin: entry.origin)
    }
  }

  /// The port of an instance: by the port's name, else the service's target port, else its number.
  private static func instance(
    _ spec: WorkloadEntrySpec, id: String, labels: [String: String], namespace: String, ports: [ServicePort],
    origin: Origin
  ) -> ServiceInstance {
    var map: [UInt16: UInt16] = [:]
    for port in ports {
      map[port.number] = spec.ports[port.name].map { UInt16(clamping: $0) } ?? port.targetPort
    }
    let unix = "unix://"
    return ServiceInstance(
      id: id,
      address: spec.address.hasPrefix(unix)
        ? String(spec.address.dropFirst(unix.count)) : AddressRules.canonical(spec.address),
      ports: map, labels: labels, locality: Locality(spec.locality), network: spec.network,
      weight: max(spec.weight, 1), serviceAccount: spec.serviceAccount, namespace: namespace, workloadName: id,
      origin: origin)
  }

  /// A registered workload behind an entry: the port of the same name or number, at its proxy.
  private static func registered(_ workload: Workload, ports: [ServicePort]) -> ServiceInstance {
    var instance = workload.instance
    var map: [UInt16: UInt16] = [:]
    for port in ports {
      let own =
        workload.ports.first { $0.name == port.name } ?? workload.ports.first { $0.number == port.targetPort }
      if let own { map[port.number] = own.inboundPort }
    }
    instance.ports = map
    return instance
  }
}
