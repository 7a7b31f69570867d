package import WeftControlAPI
package import WeftXDSMessages
import WeftKinds
import WeftProtobuf

/// Who a proxy is and what it asked for, read once from the node of its first request.
package struct ProxyIdentity: Hashable, Sendable {
  package enum Role: String, Hashable, Sendable {
    /// Beside an application.
    case sidecar
    /// At the edge: serves Gateway objects.
    case router
  }

  /// How traffic comes to a sidecar without explicit listeners.
  package enum Interception: String, Hashable, Sendable {
    case redirect = "REDIRECT"
    case tproxy = "TPROXY"
    /// Not captured: outbound listeners are really bound.
    case none = "NONE"
  }

  /// The node id as sent.
  package var nodeID: String
  /// The node's `cluster`: `<service>.<namespace>`.
  package var cluster: String
  package var role: Role
  /// A gRPC client or server that speaks xDS itself: resources by name, never wildcard.
  package var isGRPC: Bool
  package var addresses: [String]
  /// The workload's id within its namespace.
  package var workload: String
  package var namespace: String
  /// The DNS suffix of the proxy's namespace: `<ns>.svc.<domain>`.
  package var dnsDomain: String
  package var labels: [String: String]
  package var locality: Locality
  package var network: String
  package var interception: Interception
  /// `user_agent_name`, with the version if there is one.
  package var userAgent: String
  /// Files that a rule names and this proxy has said it cannot read: servers that need them are left out of what it is sent.
  package var unreadableFiles: Set<String> = []
  package var universal: UniversalBindings
  /// Parts of the node that could not be read.
  package var problems: [String]

  package init(
    nodeID: String, cluster: String = "", role: Role = .sidecar, isGRPC: Bool = false, addresses: [String] = [],
    workload: String = "", namespace: String = "default", dnsDomain: String = "default.svc.cluster.local",
    labels: [String: String] = [:], locality: Locality = Locality(), network: String = "",
    interception: Interception = .redirect, userAgent: String = "", universal: UniversalBindings = UniversalBindings()
  ) {
    self.nodeID = nodeID
    self.cluster = cluster
    self.role = role
    self.isGRPC = isGRPC
    self.addresses = addresses.map(AddressRules.canonical)
    self.workload = workload
    self.namespace = namespace
    self.dnsDomain = dnsDomain
    self.labels = labels
    self.locality = locality
    self.network = network
    self.interception = interception
    self.userAgent = userAgent
    self.universal = universal
    self.problems = []
  }

  /// Reads a node. Ids that are not `role~ip~id.namespace~domain` are accepted as a sidecar of `default`: a stock Envoy
  /// or gRPC client need not know our form.
  package init(node: Envoy_Config_Core_V3_Node) {
    self.init(nodeID: node.id, cluster: node.cluster)
    let parts = node.id.split(separator: "~", omittingEmptySubsequences: false).map(String.init)
    if parts.count == 4, parts[0] == "router" || parts[0] == "sidecar" {
      role = parts[0] == "router" ? .router : .sidecar
      if !parts[1].isEmpty { addresses = [AddressRules.canonical(parts[1])] }
      workload = parts[2]
      if let dot = parts[2].lastIndex(of: ".") {
        workload = String(parts[2][..<dot])
        namespace = String(parts[2][parts[2].index(after: dot)...])
      }
      dnsDomain = parts[3]
    } else {
      workload = node.id
      dnsDomain = "\(namespace).svc.cluster.local"
      if parts.count > 1 { problems.append("node.id: expected sidecar|router~ip~id.namespace~domain") }
    }
    let metadata = node.metadata?.fields ?? [:]
    if let text = metadata["NAMESPACE"]?.string, !text.isEmpty { namespace = text }
    if case .structValue(let object) = metadata["LABELS"]?.kind {
      for (key, value) in object.fields { if let text = value.string { labels[key] = text } }
    }
    if let text = metadata["INSTANCE_IPS"]?.string {
      let listed = text.split(separator: ",").map { AddressRules.canonical(String($0)) }
      addresses += listed.filter { !addresses.contains($0) }
    }
    isGRPC = metadata["GENERATOR"]?.string == "grpc"
    network = metadata["NETWORK"]?.string ?? ""
    if let text = metadata["INTERCEPTION_MODE"]?.string {
      if let mode = Interception(rawValue: text) {
        interception = mode
      } else {
        problems.append("node.metadata.INTERCEPTION_MODE: expected REDIRECT, TPROXY or NONE")
      }
    }
    if let place = node.locality {
      locality = Locality(region: place.region, zone: place.zone, subZone: place.subZone)
    }
    userAgent = node.userAgentName
    if case .userAgentVersion(let version) = node.userAgentVersionType { userAgent += " " + version }
    universal = UniversalBindings(metadata: metadata, problems: &problems)
  }

  /// A stock Envoy, or a client like it: not our proxy, not a gRPC library.
  package var isEnvoy: Bool { !isGRPC && !isOurs }
  /// Our own proxy.
  var isOurs: Bool { userAgent.hasPrefix("weft-proxy") }

  /// The workload's key in the registry.
  package var workloadKey: ObjectKey { ObjectKey(kind: .workload, namespace: namespace, name: workload) }

  /// Whether all of `selector` are among the proxy's labels.
  package func carries(_ selector: [String: String]) -> Bool {
    selector.allSatisfy { labels[$0.key] == $0.value }
  }
}

extension Google_Protobuf_Value {
  var string: String? {
    if case .stringValue(let text) = kind { return text }
    return nil
  }

  /// A whole number of a port's range, given as a number or as digits.
  var portNumber: UInt16? {
    switch kind {
    case .numberValue(let number): UInt16(exactly: number)
    case .stringValue(let text): UInt16(text)
    default: nil
    }
  }
}
