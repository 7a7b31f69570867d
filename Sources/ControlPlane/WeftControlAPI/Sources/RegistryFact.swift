import WeftKinds

/// A service that a registry knows, whether or not it has instances now.
package struct RegisteredService: Hashable, Sendable {
  package var namespace: String
  package var name: String
  package var ports: [ServicePort]
  package var creationTimestamp: WallTime

  package init(
    namespace: String, name: String, ports: [ServicePort], creationTimestamp: WallTime = WallTime(nanoseconds: 0)
  ) {
    self.namespace = namespace
    self.name = name
    self.ports = ports
    self.creationTimestamp = creationTimestamp
  }

  package var key: ObjectKey { ObjectKey(kind: .service, namespace: namespace, name: name) }
}

/// One thing that a registry reports.
package enum RegistryFact: SourceElement {
  case service(RegisteredService)
  /// An instance, with its health.
  case workload(Workload)

  package var key: ObjectKey {
    switch self {
    case .service(let service): service.key
    case .workload(let workload): workload.key
    }
  }
}
