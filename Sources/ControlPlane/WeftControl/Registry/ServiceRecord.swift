import WeftBase
import WeftControlAPI
import WeftKinds

/// A service that registrations brought into being. It stays when its last instance goes, so that a service that comes
/// back is the same one and rules about it stay meaningful.
struct ServiceRecord: Hashable {
  var namespace: String
  var name: String
  var ports: [ServicePort]

  var key: ObjectKey { ObjectKey(kind: .service, namespace: namespace, name: name) }

  var envelope: Envelope {
    Envelope(
      apiVersion: WorkloadRecord.apiVersion, kind: .service,
      metadata: ObjectMetadata(name: name, namespace: namespace),
      spec: .object([
        "ports": .array(
          ports.map { port in
            .object([
              "number": .int(port.number), "name": .string(port.name), "protocol": .string(port.protocol.rawValue),
            ])
          })
      ]), source: Envelope.registrySource)
  }

  init(namespace: String, name: String, ports: [ServicePort]) {
    self.namespace = namespace
    self.name = name
    self.ports = ports
  }

  init?(envelope: Envelope) {
    guard let items = envelope.spec["ports"]?.arrayValue else { return nil }
    namespace = envelope.metadata.namespace
    name = envelope.metadata.name
    ports = items.compactMap { item in
      guard let number = item["number"]?.intValue.flatMap({ UInt16(exactly: $0) }), let name = item["name"]?.stringValue
      else { return nil }
      return ServicePort(
        number: number, name: name, protocol: PortProtocol(field: item["protocol"]?.stringValue ?? "") ?? .unknown)
    }
  }

  /// The ports that instances agree on: of two that name the same number, the older instance's definition holds.
  static func ports(of workloads: [Workload]) -> [ServicePort] {
    var ports: [ServicePort] = []
    for workload in workloads.sorted(by: precedes) {
      for port in workload.ports where !ports.contains(where: { $0.number == port.number || $0.name == port.name }) {
        ports.append(ServicePort(number: port.number, name: port.name, protocol: port.protocol))
      }
    }
    return ports.sorted { $0.number < $1.number }
  }

  private static func precedes(_ a: Workload, _ b: Workload) -> Bool {
    a.creationTimestamp == b.creationTimestamp ? a.id < b.id : a.creationTimestamp < b.creationTimestamp
  }
}
