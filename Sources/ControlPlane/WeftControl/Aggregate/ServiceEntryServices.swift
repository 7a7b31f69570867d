import WeftControlAPI
import WeftKinds

/// Services made of ServiceEntry objects.
enum ServiceEntryServices {
  struct Selection {
    var entries: [ConfigObject<WorkloadEntrySpec>]
    var workloads: [Workload]
  }

  /// The service of `host` that `entry` defines. Younger entries for the same host in the namespace only add names.
  static func service(
    _ host: String, _ entry: ConfigObject<ServiceEntrySpec>, decoratedBy others: [ConfigObject<ServiceEntrySpec>],
    selecting: ([String: String]) -> Selection
  ) -> Service {
    let spec = entry.spec
    let ports = spec.ports.map { port in
      ServicePort(
        number: UInt16(clamping: port.number), name: port.name,
        protocol: portProtocol(port), targetPort: port.targetPort == 0 ? nil : UInt16(clamping: port.targetPort))
    }
    var names = spec.subjectAltNames
    for name in others.flatMap(\.spec.subjectAltNames) where !names.contains(name) { names.append(name) }
    return Service(
      host: host, name: host, namespace: entry.namespace, ports: ports, resolution: resolution(spec.resolution),
      addresses: spec.addresses, isMeshExternal: spec.location == .meshExternal, labels: entry.metadata.labels,
      subjectAltNames: names, visibility: entry.visibility, creationTimestamp: entry.metadata.creationTimestamp,
      instances: instances(of: entry, ports: ports, selecting: selecting),
      origins: [entry.origin] + others.map(\.origin))
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
      id: id, address: spec.address.hasPrefix(unix) ? String(spec.address.dropFirst(unix.count)) : spec.address,
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
