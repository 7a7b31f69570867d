/// One service of the model: a host of one namespace with its ports and instances, whichever registry it came from.
///
/// *Shape*: immutable, shared by reference; a service that did not change is the same object in the next snapshot.
package final class Service: Sendable {
  /// How clients find the service's endpoints.
  package enum Resolution: String, Hashable, Sendable {
    /// The instances listed here (EDS).
    case `static` = "STATIC"
    /// The address the client asked for (original destination).
    case none = "NONE"
    /// The names of the instances (or the host itself), resolved by the proxy; all answers are endpoints.
    case dns = "DNS"
    /// As `dns`, but the first answer is the endpoint.
    case dnsRoundRobin = "DNS_ROUND_ROBIN"
    /// The name in the request, resolved when it is asked for.
    case dynamicDNS = "DYNAMIC_DNS"

    /// The proxy looks names up.
    package var isByName: Bool { self == .dns || self == .dnsRoundRobin || self == .dynamicDNS }
  }

  /// The full host name, or a wildcard (`*.example.com`).
  package let host: String
  /// The short name: the registered service's name, or the host for a ServiceEntry.
  package let name: String
  package let namespace: String
  /// In the order of their numbers; numbers and names are unique.
  package let ports: [ServicePort]
  package let resolution: Resolution
  /// Virtual addresses: IPs or CIDRs. Empty: the service is known by name only.
  package let addresses: [String]
  /// Outside the mesh: no mutual TLS by default.
  package let isMeshExternal: Bool
  package let labels: [String: String]
  package let subjectAltNames: [String]
  package let visibility: Visibility
  package let creationTimestamp: WallTime
  /// Sorted by id.
  package let instances: [ServiceInstance]
  /// The object that defines the service first; objects that decorate it follow.
  package let origins: [Origin]

  package init(
    host: String, name: String, namespace: String, ports: [ServicePort], resolution: Resolution = .static,
    addresses: [String] = [], isMeshExternal: Bool = false, labels: [String: String] = [:],
    subjectAltNames: [String] = [], visibility: Visibility = .all,
    creationTimestamp: WallTime = WallTime(nanoseconds: 0), instances: [ServiceInstance] = [], origins: [Origin] = []
  ) {
    self.host = host
    self.name = name
    self.namespace = namespace
    self.ports = ports.sorted { $0.number < $1.number }
    self.resolution = resolution
    self.addresses = addresses
    self.isMeshExternal = isMeshExternal
    self.labels = labels
    self.subjectAltNames = subjectAltNames
    self.visibility = visibility
    self.creationTimestamp = creationTimestamp
    self.instances = instances.sorted { $0.id < $1.id }
    self.origins = origins
  }

  package func port(_ number: UInt16) -> ServicePort? { ports.first { $0.number == number } }
  package func port(named name: String) -> ServicePort? { ports.first { $0.name == name } }

  package func isVisible(to namespace: String) -> Bool { visibility.includes(namespace, owner: self.namespace) }

  /// Oldest first; equal ages by name, then by namespace, then by host.
  package static func precedes(_ a: Service, _ b: Service) -> Bool {
    if a.creationTimestamp != b.creationTimestamp { return a.creationTimestamp < b.creationTimestamp }
    return (a.name, a.namespace, a.host) < (b.name, b.namespace, b.host)
  }

  /// Everything except the instances is the same: only endpoints can have changed between the two.
  package func hasSameDefinition(as other: Service) -> Bool {
    self === other
      || (host == other.host && name == other.name && namespace == other.namespace && ports == other.ports
        && resolution == other.resolution && addresses == other.addresses && isMeshExternal == other.isMeshExternal
        && labels == other.labels && subjectAltNames == other.subjectAltNames && visibility == other.visibility
        && creationTimestamp == other.creationTimestamp && origins == other.origins)
  }
}

/// A port of a service.
package struct ServicePort: Hashable, Sendable {
  /// The number that clients use.
  package var number: UInt16
  package var name: String
  package var `protocol`: PortProtocol
  /// The number on instances that name none of their own.
  package var targetPort: UInt16

  package init(number: UInt16, name: String, protocol: PortProtocol, targetPort: UInt16? = nil) {
    self.number = number
    self.name = name
    self.protocol = `protocol`
    self.targetPort = targetPort ?? number
  }
}
