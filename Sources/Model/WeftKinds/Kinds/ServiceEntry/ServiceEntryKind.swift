/// Services that no registry knows.
package enum ServiceEntryKind: ConfigKind {
  package typealias Spec = ServiceEntrySpec

  package static let name = KindName.serviceEntry
  package static let plural = "serviceentries"
  package static let shortNames = ["se"]
  package static let documentation = KindDocumentation(
    summary: "A service that no registry knows: outside the mesh, or made of WorkloadEntry objects.",
    fields: [
      ("hosts", "Names of the service; `*.suffix` with resolution NONE or DYNAMIC_DNS."),
      ("addresses", "Virtual addresses or CIDR blocks by which TCP clients reach it."),
      ("ports", "Ports with number, name, protocol, and the instances' port if it differs."),
      ("location", "MESH_EXTERNAL (the default) or MESH_INTERNAL."),
      ("resolution", "NONE (the address the client asked for), STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS."),
      ("endpoints", "Instances, written out; exclusive with workloadSelector."),
      ("workloadSelector", "Instances by label: WorkloadEntry objects and registered workloads of the namespace."),
      ("exportTo", "Namespaces that see the service: `.`, `*` (the default), `~` (nobody), or names."),
      ("subjectAltNames", "Names that the servers' certificates may carry."),
    ])

  package static func hosts(_ spec: Spec) -> [String] { spec.hosts }
  package static func exportTo(_ spec: Spec) -> [String] { spec.exportTo }

  /// Protocols whose first bytes name the host; an empty one is told by the port's name.
  private static let dynamicProtocols: Set<String> = ["", "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS"]

  static let hostLimit = 256
  static let portLimit = 256
  static let endpointLimit = 4096

  package static func validate(_ spec: Spec, _ found: inout FindingCollector) {
    checkHosts(spec, &found)
    checkAddresses(spec, &found)
    checkPorts(spec, &found)
    checkEndpoints(spec, &found)
    found.checkExportTo(spec.exportTo, allowsNone: true)
    if let selector = spec.workloadSelector {
      found.at("workloadSelector") { $0.checkSelector("labels", selector.labels) }
    }
    found.each("subjectAltNames", spec.subjectAltNames) { item, name, _ in
      if name.isEmpty { item.error("must not be empty") }
    }
  }

  private static func checkHosts(_ spec: Spec, _ found: inout FindingCollector) {
    if spec.hosts.isEmpty { found.error("hosts", "must have at least one host") }
    if spec.hosts.count > hostLimit { found.error("hosts", "must not have more than \(hostLimit) hosts") }
    var seen: [String: String] = [:]
    found.each("hosts", Array(spec.hosts.prefix(hostLimit))) { item, host, _ in
      if host == "*" {
        item.error("\"*\" is not allowed; name the service, or a wildcard like \"*.example.com\"")
        return
      }
      item.checkWildcardHost(host)
      if let earlier = seen.updateValue(host, forKey: host.lowercased()) {
        if earlier == host {
          item.error("duplicate host \"\(host)\"")
        } else {
          item.warning("is the same host as \"\(earlier)\"; letter case does not matter")
        }
      }
      let isWildcard = host.hasPrefix("*")
      switch spec.resolution {
      case .dns, .dnsRoundRobin:
        if isWildcard, spec.endpoints.isEmpty, spec.workloadSelector == nil {
          item.error("a wildcard cannot be resolved; name endpoints, or use resolution NONE or DYNAMIC_DNS")
        }
      case .dynamicDns:
        if !isWildcard { item.error("must be a wildcard with resolution DYNAMIC_DNS; use DNS for one name") }
      default: break
      }
    }
  }

  private static func checkAddresses(_ spec: Spec, _ found: inout FindingCollector) {
    found.each("addresses", spec.addresses) { item, address, _ in
      item.checkSubnet(address)
      if address.contains("/"), spec.resolution != .none, spec.resolution != .static {
        item.error("a CIDR block needs resolution NONE or STATIC")
      }
    }
  }

  private static func checkPorts(_ spec: Spec, _ found: inout FindingCollector) {
    if spec.ports.count > portLimit { found.error("ports", "must not have more than \(portLimit) ports") }
    if spec.ports.isEmpty { found.warning("ports", "is empty: nobody can reach the service") }
    var numbers: Set<UInt32> = []
    var names: Set<String> = []
    found.each("ports", spec.ports) { item, port, _ in
      item.at("number") { $0.checkPort(port.number) }
      if !numbers.insert(port.number).inserted { item.error("number", "duplicate port \(port.number)") }
      PortFields.check(name: port.name, &item)
      if !port.name.isEmpty, !names.insert(port.name).inserted { item.error("name", "duplicate name \"\(port.name)\"") }
      PortFields.check(protocol: port.protocol, isRequired: false, &item)
      if port.targetPort != 0 { item.at("targetPort") { $0.checkPort(port.targetPort) } }
      CapturePorts.check(port.number, &item)
      if spec.resolution == .dynamicDns, !dynamicProtocols.contains(port.protocol.uppercased()) {
        item.error(
          "protocol",
          "\"\(port.protocol)\" tells no name to resolve; resolution DYNAMIC_DNS needs HTTP, HTTP2, GRPC, HTTPS or TLS")
      }
      let isTCP = ["", "TCP"].contains(port.protocol.uppercased())
      if isTCP, spec.addresses.isEmpty, spec.resolution != .dynamicDns {
        item.warning("a TCP port of a service without addresses takes all traffic to port \(port.number)")
      }
    }
  }

  private static func checkEndpoints(_ spec: Spec, _ found: inout FindingCollector) {
    if !spec.endpoints.isEmpty, spec.workloadSelector != nil {
      found.error("only one of endpoints and workloadSelector may be set")
    }
    if spec.endpoints.count > endpointLimit {
      found.error("endpoints", "must not have more than \(endpointLimit) endpoints")
    }
    switch spec.resolution {
    case .none:
      if !spec.endpoints.isEmpty { found.error("endpoints", "must be empty with resolution NONE") }
      if spec.workloadSelector != nil {
        found.warning(
          "workloadSelector", "has no effect with resolution NONE: a connection goes to the address it was made to")
      }
    case .dnsRoundRobin:
      if spec.endpoints.count > 1 {
        found.error("endpoints", "must not have more than one endpoint with resolution DNS_ROUND_ROBIN")
      }
    case .static:
      if spec.endpoints.isEmpty, spec.workloadSelector == nil {
        found.warning("endpoints", "is empty: the service has no instances")
      }
    case .dynamicDns:
      if !spec.endpoints.isEmpty { found.error("endpoints", "must be empty with resolution DYNAMIC_DNS") }
    default: break
    }
    let ports = Set(spec.ports.map(\.name))
    found.each("endpoints", Array(spec.endpoints.prefix(endpointLimit))) { item, endpoint, _ in
      let byName = spec.resolution == .dns || spec.resolution == .dnsRoundRobin
      WorkloadEntryKind.check(endpoint, allowsName: byName, &item)
      if byName, endpoint.address.hasPrefix("unix://") {
        item.error("address", "a Unix socket cannot be resolved by DNS")
      }
      item.entries("ports", endpoint.ports) { entry, name, _ in
        if !ports.contains(name) { entry.error("\"\(name)\" is not the name of a port of the service") }
      }
    }
  }
}

/// Ports that a proxy which captures traffic has for itself.
package enum CapturePorts {
  package static let outbound: UInt32 = 15001
  package static let inbound: UInt32 = 15006

  /// A warning: proxies with explicit listeners serve the port like any other.
  static func check(_ number: UInt32, _ item: inout FindingCollector) {
    guard number == outbound || number == inbound else { return }
    item.at("number") {
      $0.warning("\(number) is the port of proxies that capture traffic; they leave the listener out")
    }
  }
}

/// Checks of the fields that all port messages have.
enum PortFields {
  /// Of listeners, which have no other port behind them.
  static func check(targetPort number: UInt32, _ item: inout FindingCollector) {
    if number != 0 { item.warning("targetPort", "is deprecated and has no effect") }
  }

  private static let protocols: Set<String> = [
    "HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS", "REDIS", "MYSQL", "UDP", "HTTP_PROXY", "HBONE",
  ]

  static func check(name: String, _ item: inout FindingCollector) {
    if name.isEmpty {
      item.error("name", "must not be empty")
    } else if !NameRules.isDNSLabel(name.lowercased()) {
      item.error("name", "\"\(name)\" is not a port name (letters, digits and \"-\")")
    }
  }

  static func check(protocol text: String, isRequired: Bool, _ item: inout FindingCollector) {
    if text.isEmpty {
      if isRequired { item.error("protocol", "must not be empty") }
    } else if !protocols.contains(text.uppercased()) {
      item.error("protocol", "\"\(text)\" is not one of \(protocols.sorted().joined(separator: ", "))")
    }
  }
}
