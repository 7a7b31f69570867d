import WeftKinds

/// A registered instance of a service with a proxy beside it (universal mode): what the agent told the registry.
package struct Workload: Hashable, Sendable {
  /// The instance id, unique in its namespace; the middle part of the proxy's node id (`<id>.<namespace>`).
  package var id: String
  package var namespace: String
  /// The short name of the service; its host is `<service>.<namespace>.svc.<domain>`.
  package var service: String
  /// With `version` among them, and `app` as the service's name.
  package var labels: [String: String]
  /// Where the application listens, as its own proxy reaches it.
  package var address: String
  /// Where its proxy listens for others: the address of the service's endpoint.
  package var inboundAddress: String
  package var ports: [WorkloadPort]
  package var locality: Locality
  package var network: String
  package var weight: UInt32
  package var health: ServiceInstance.Health
  package var serviceAccount: String
  package var creationTimestamp: WallTime
  package var generation: Int64

  package init(
    id: String, namespace: String, service: String, labels: [String: String] = [:], address: String = "127.0.0.1",
    inboundAddress: String = "127.0.0.1", ports: [WorkloadPort], locality: Locality = Locality(), network: String = "",
    weight: UInt32 = 1, health: ServiceInstance.Health = .healthy, serviceAccount: String = "default",
    creationTimestamp: WallTime = WallTime(nanoseconds: 0), generation: Int64 = 1
  ) {
    self.id = id
    self.namespace = namespace
    self.service = service
    self.labels = labels
    self.address = address
    self.inboundAddress = inboundAddress
    self.ports = ports
    self.locality = locality
    self.network = network
    self.weight = weight
    self.health = health
    self.serviceAccount = serviceAccount
    self.creationTimestamp = creationTimestamp
    self.generation = generation
  }

  package var key: ObjectKey { ObjectKey(kind: .workload, namespace: namespace, name: id) }
  package var origin: Origin { Origin(key, generation: generation) }
  package var version: String { labels["version"] ?? "" }

  package func host(domain: String) -> String { "\(service).\(namespace).svc.\(domain)" }

  /// The endpoint that clients of the service see.
  package var instance: ServiceInstance {
    var map: [UInt16: UInt16] = [:]
    for port in ports { map[port.number] = port.inboundPort }
    return ServiceInstance(
      id: id, address: inboundAddress, ports: map, labels: labels, locality: locality, network: network, weight: weight,
      health: health, serviceAccount: serviceAccount, namespace: namespace, workloadName: id, origin: origin)
  }
}

/// A port of a registered workload.
package struct WorkloadPort: Hashable, Sendable {
  /// The service's port number, which clients use.
  package var number: UInt16
  package var name: String
  package var `protocol`: PortProtocol
  /// The application's own port at `Workload.address`.
  package var appPort: UInt16
  /// The proxy's port at `Workload.inboundAddress`.
  package var inboundPort: UInt16

  package init(number: UInt16, name: String, protocol: PortProtocol, appPort: UInt16, inboundPort: UInt16) {
    self.number = number
    self.name = name
    self.protocol = `protocol`
    self.appPort = appPort
    self.inboundPort = inboundPort
  }
}
