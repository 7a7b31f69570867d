import WeftControlAPI
import WeftKinds

/// What one proxy sees of a snapshot: services, rules, and the Sidecar that limits both.
///
/// A gateway and a proxy without a Sidecar see everything that is exported to their namespace.
struct ProxyScope {
  let snapshot: WeftSnapshot
  let proxy: ProxyIdentity
  let sidecar: ConfigObject<SidecarSpec>?
  private let egress: [EgressListener]

  init(_ snapshot: WeftSnapshot, _ proxy: ProxyIdentity) {
    self.snapshot = snapshot
    self.proxy = proxy
    sidecar = proxy.role == .router ? nil : Self.sidecar(for: proxy, in: snapshot)
    egress = sidecar.map { object in object.spec.egress.map { EgressListener($0, owner: object.namespace) } } ?? []
  }

  var namespace: String { proxy.namespace }
  /// In lower case, as hosts are.
  var domain: String { Hostname.canonical(snapshot.mesh.domain) }

  /// Whether hosts that nobody knows may be reached.
  var allowsUnknownHosts: Bool {
    // A block that is present without a mode means REGISTRY_ONLY, whatever the mesh says.
    if let policy = sidecar?.spec.outboundTrafficPolicy { return policy.mode == .allowAny }
    return snapshot.mesh.outboundTrafficPolicy == .allowAny
  }

  /// Services that the proxy may call, oldest first, each with the ports it may use.
  func services() -> [VisibleService] {
    snapshot.services.services(visibleTo: namespace, where: isImported).map(visible)
  }

  /// The service that the proxy means by a full host name.
  func service(_ host: String) -> VisibleService? {
    snapshot.services.service(host, seenFrom: namespace, where: isImported).map(visible)
  }

  /// The same, whether or not a Sidecar imports it: a rule's destination is imported by the rule. Of several namespaces
  /// that have the host, one that the Sidecar imports comes first.
  func destination(_ host: String) -> VisibleService? {
    let service =
      snapshot.services.service(host, seenFrom: namespace, where: isImported)
      ?? snapshot.services.service(host, seenFrom: namespace)
    return service.map { VisibleService(service: $0, ports: $0.ports) }
  }

  /// The full name of an upstream as users write it: `reviews`, `reviews.prod`, `reviews.prod.svc`, or a full name. With it the
  /// names that it would stand for if they came to be known.
  func upstreamHost(_ text: String) -> (host: String, alternatives: Set<String>) {
    let written = Hostname.canonical(text.hasSuffix(".") ? String(text.dropLast()) : text)
    let full = Hostname.resolve(written, namespace: namespace, domain: domain)
    let parts = written.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2 || (parts.count == 3 && parts[2] == "svc") else { return (full, []) }
    let completed = "\(parts[0]).\(parts[1]).svc.\(domain)"
    // A service of that very name comes first: names with a dot are full names.
    if destination(full) == nil, destination(completed) != nil { return (completed, [full]) }
    return (full, [completed])
  }

  private func isImported(_ service: Service) -> Bool {
    egress.isEmpty || service.ports.contains { isImported($0, of: service) }
  }

  private func isImported(_ port: ServicePort, of service: Service) -> Bool {
    egress.contains { $0.imports(service.host, service.namespace, port: port.number, client: namespace) }
  }

  private func visible(_ service: Service) -> VisibleService {
    VisibleService(
      service: service,
      ports: egress.isEmpty ? service.ports : service.ports.filter { isImported($0, of: service) })
  }

  /// The rule that governs mesh traffic of this proxy to `host`: the oldest visible one with the most specific host.
  func meshRule(for host: String) -> ConfigObject<VirtualServiceSpec>? {
    snapshot.virtualServices.objects(mostSpecificFor: host) { isMeshRule($0) && isImported(host, of: $0) }.first
  }

  /// All mesh rules this proxy sees, oldest first, each with those of its hosts that a Sidecar imports.
  func meshRules() -> [(rule: ConfigObject<VirtualServiceSpec>, hosts: [String])] {
    snapshot.virtualServices.all.compactMap { rule in
      guard isMeshRule(rule) else { return nil }
      let hosts = egress.isEmpty ? rule.hosts : rule.hosts.filter { isImported($0, of: rule) }
      return hosts.isEmpty ? nil : (rule, hosts)
    }
  }

  private func isMeshRule(_ rule: ConfigObject<VirtualServiceSpec>) -> Bool {
    let gateways = rule.spec.gateways
    return (gateways.isEmpty || gateways.contains("mesh")) && !rule.hosts.isEmpty && rule.isVisible(to: namespace)
  }

  /// Host by host: that a rule speaks about an imported host, too, imports no other.
  private func isImported(_ host: String, of rule: ConfigObject<VirtualServiceSpec>) -> Bool {
    egress.isEmpty || egress.contains { $0.imports(host, rule.namespace, port: nil, client: namespace) }
  }

  /// Whether a service is there for this namespace and the Sidecar keeps it, or that port of it, from the proxy.
  func isHidden(_ host: String, port: UInt16) -> Bool {
    guard !egress.isEmpty, let service = snapshot.services.service(host, seenFrom: namespace) else { return false }
    guard let visible = self.service(host) else { return true }
    return service.port(port) != nil && visible.port(port) == nil
  }

  /// The rules for traffic to a service, merged: subsets of all, the oldest policy.
  func destinationPolicy(host: String, serviceNamespace: String) -> DestinationPolicy {
    let rules = snapshot.destinationRules(for: host, serviceNamespace: serviceNamespace, seenFrom: namespace)
    return DestinationPolicy(rules: rules, proxy: proxy)
  }

  /// Selector in the proxy's namespace, then no selector there, then no selector in the root namespace.
  private static func sidecar(
    for proxy: ProxyIdentity, in snapshot: WeftSnapshot
  ) -> ConfigObject<SidecarSpec>? {
    let own = snapshot.sidecars.objects(in: proxy.namespace)
    func selector(_ object: ConfigObject<SidecarSpec>) -> [String: String] {
      object.spec.workloadSelector?.labels ?? [:]
    }
    if let selected = own.first(where: { !selector($0).isEmpty && proxy.carries(selector($0)) }) { return selected }
    if let general = own.first(where: { selector($0).isEmpty }) { return general }
    return snapshot.sidecars.objects(in: snapshot.mesh.rootNamespace).first { selector($0).isEmpty }
  }
}

/// A service with those of its ports that a proxy may use.
struct VisibleService {
  let service: Service
  let ports: [ServicePort]

  var host: String { service.host }
  func port(_ number: UInt16) -> ServicePort? { ports.first { $0.number == number } }
}

/// One egress listener of a Sidecar: which hosts it imports, and on which port.
struct EgressListener {
  private struct Pattern {
    var namespace: String
    var host: String
  }

  private let port: UInt16?
  private let included: [Pattern]
  private let excluded: [Pattern]

  init(_ listener: Istio_Networking_V1alpha3_IstioEgressListener, owner: String) {
    let number = listener.port?.number ?? 0
    port = number == 0 ? nil : UInt16(exactly: number)
    var included: [Pattern] = []
    var excluded: [Pattern] = []
    for text in listener.hosts {
      let isExclusion = text.hasPrefix("~") && !text.hasPrefix("~/")
      let pattern = isExclusion ? text.dropFirst() : text[...]
      guard let slash = pattern.firstIndex(of: "/") else { continue }
      var namespace = String(pattern[..<slash])
      if namespace == "~" { continue }
      if namespace == "." { namespace = owner }
      let host = Hostname.canonical(String(pattern[pattern.index(after: slash)...]))
      if isExclusion {
        excluded.append(Pattern(namespace: namespace, host: host))
      } else {
        included.append(Pattern(namespace: namespace, host: host))
      }
    }
    self.included = included
    self.excluded = excluded
  }

  func imports(_ host: String, _ namespace: String, port: UInt16?, client: String) -> Bool {
    if let own = self.port, let port, own != port { return false }
    func covers(_ pattern: Pattern) -> Bool {
      (pattern.namespace == "*" || pattern.namespace == namespace) && Hostname.overlap(pattern.host, host)
    }
    return included.contains(where: covers) && !excluded.contains(where: covers)
  }
}
