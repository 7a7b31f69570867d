import WeftKinds

/// One instance behind a service: where a client's proxy connects to.
package struct ServiceInstance: Hashable, Sendable {
  package enum Health: String, Hashable, Sendable {
    case healthy = "HEALTHY"
    case unhealthy = "UNHEALTHY"
    /// Finishes what it has and gets nothing new.
    case draining = "DRAINING"
  }

  package enum AddressForm: Hashable, Sendable {
    /// Behind another network's gateway: nothing to connect to.
    case none
    case ip
    case unixSocket
    /// To be resolved.
    case name
  }

  /// Unique within the service: the workload's name, or `<entry>/<index>` for an inline endpoint.
  package var id: String
  /// An IP address, a host name (DNS resolution only), or a Unix socket: an absolute path or an abstract name (`@name`).
  package let address: String
  /// What `address` is, read once.
  package let addressForm: AddressForm
  /// By the service's port number, the port at `address`. A port that is not listed is not served here.
  package var ports: [UInt16: UInt16]
  package var labels: [String: String]
  package var locality: Locality
  package var network: String
  /// At least 1; shares within a locality.
  package var weight: UInt32
  package var health: Health
  package var serviceAccount: String
  package var namespace: String
  /// The workload this instance is, for tools that show who answers.
  package var workloadName: String
  package var origin: Origin

  package init(
    id: String, address: String, ports: [UInt16: UInt16], labels: [String: String] = [:],
    locality: Locality = Locality(), network: String = "", weight: UInt32 = 1, health: Health = .healthy,
    serviceAccount: String = "", namespace: String, workloadName: String = "", origin: Origin
  ) {
    self.id = id
    self.address = address
    addressForm =
      switch address.utf8.first {
      case nil: .none
      case UInt8(ascii: "/"), UInt8(ascii: "@"): .unixSocket
      default: AddressRules.isIP(address) ? .ip : .name
      }
    self.ports = ports
    self.labels = labels
    self.locality = locality
    self.network = network
    self.weight = weight
    self.health = health
    self.serviceAccount = serviceAccount
    self.namespace = namespace
    self.workloadName = workloadName
    self.origin = origin
  }

  package var isUnixSocket: Bool { addressForm == .unixSocket }

  /// Whether the instance carries all of `labels` (a subset's or selector's).
  package func carries(_ labels: [String: String]) -> Bool {
    labels.allSatisfy { self.labels[$0.key] == $0.value }
  }
}
