import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds
import WeftTranslation

/// Warnings about one VirtualService: its hosts, its gateways, and where its routes lead.
struct VirtualServiceAnalysis {
  let snapshot: WeftSnapshot
  let rule: ConfigObject<VirtualServiceSpec>
  private var spec: FieldPath { FieldPath.root.field("spec") }
  private var domain: String { snapshot.mesh.domain }

  func warnings() -> [Problem] {
    var found: [Problem] = []
    checkHosts(&found)
    checkGateways(&found)
    for (path, destination) in Self.destinations(of: rule.spec) { check(destination, path, &found) }
    return found
  }

  // MARK: Hosts

  private static func isForMesh(_ spec: VirtualServiceSpec) -> Bool {
    spec.gateways.isEmpty || spec.gateways.contains("mesh")
  }

  private func checkHosts(_ found: inout [Problem]) {
    guard Self.isForMesh(rule.spec) else { return }
    // As RuleHosts of the translation has it.
    let known = rule.hosts.compactMap { snapshot.service(named: $0, from: rule.namespace) }
    let own = Set(known.flatMap(\.ports).filter(\.protocol.isHTTP).map(\.number))
    let ports = own.isEmpty ? "port 80" : "port \(own.sorted().map { "\($0)" }.joined(separator: ", "))"
    for (index, host) in rule.hosts.enumerated() {
      let path = spec.field("hosts").index(index)
      if !Hostname.isWildcard(host), snapshot.service(named: host, from: rule.namespace) == nil {
        found.append(
          Problem(
            .warning, at: path,
            "no service is known as \(host); only requests on \(ports) can match"
              + snapshot.question(host, after: found.count),
            code: "IST0101"))
      }
      checkRivals(host, path, &found)
    }
  }

  /// For mesh traffic one rule governs a host: the oldest that the client sees.
  private func checkRivals(_ host: String, _ path: FieldPath, _ found: inout [Problem]) {
    let all = snapshot.virtualServices.objects(naming: host).filter { other in
      other.key == rule.key || (Self.isForMesh(other.spec) && seenTogether(other))
    }
    guard all.count > 1, let first = all.first else { return }
    if first.key == rule.key {
      let losers = all.dropFirst().map { "\($0.key)" }.joined(separator: ", ")
      found.append(
        Problem(
          .warning, at: path,
          "this rule governs \(host) because it is the oldest; younger ones have no effect on mesh traffic to it: \(losers)",
          code: "IST0109"))
    } else {
      found.append(
        Problem(
          .warning, at: path,
          "\(first.key) is older and governs \(host); this rule has no effect on mesh traffic to it", code: "IST0109"))
    }
  }

  /// Whether some client can see both.
  private func seenTogether(_ other: ConfigObject<VirtualServiceSpec>) -> Bool {
    func names(_ object: ConfigObject<VirtualServiceSpec>) -> Set<String>? {
      switch object.visibility {
      case .all: nil
      case .none: []
      case .namespaces(let listed): Set(listed.map { $0 == "." ? object.namespace : $0 })
      }
    }
    switch (names(rule), names(other)) {
    case (nil, nil): return true
    case (nil, let some?), (let some?, nil): return !some.isEmpty
    case (let left?, let right?): return !left.isDisjoint(with: right)
    }
  }

  // MARK: Gateways

  private func checkGateways(_ found: inout [Problem]) {
    for (index, name) in rule.spec.gateways.enumerated() where name != "mesh" {
      let path = spec.field("gateways").index(index)
      let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
      let key = ObjectKey(
        kind: .gateway, namespace: parts.count > 1 ? parts[0] : rule.namespace, name: parts.last ?? "")
      guard let gateway = snapshot.gateways[key] else {
        found.append(
          Problem(
            .warning, at: path, "the gateway \(key.namespace)/\(key.name) does not exist; the rule has no effect there",
            code: "IST0101"))
        continue
      }
      let admitted = rule.hosts.contains { host in gateway.spec.servers.contains { admits($0, host, gateway) } }
      if !admitted, !rule.hosts.isEmpty {
        found.append(
          Problem(
            .warning, at: path,
            "no server of the gateway \(key.namespace)/\(key.name) is for any host of this rule; it has no effect there",
            code: "IST0132"))
      }
    }
  }

  private func admits(
    _ server: Istio_Networking_V1alpha3_Server, _ host: String, _ gateway: ConfigObject<GatewaySpec>
  ) -> Bool {
    server.hosts.contains { pattern in
      let parts = pattern.split(separator: "/", maxSplits: 1).map(String.init)
      let namespace = parts.count > 1 ? parts[0] : "*"
      let isOpen = namespace == "*" || (namespace == "." ? gateway.namespace : namespace) == rule.namespace
      return isOpen && Hostname.overlap(parts.last ?? "", host)
    }
  }

  // MARK: Destinations

  /// Everything requests of the rule are sent to, with the place of each.
  static func destinations(
    of spec: VirtualServiceSpec
  ) -> [(path: FieldPath, destination: Istio_Networking_V1alpha3_Destination)] {
    var all: [(FieldPath, Istio_Networking_V1alpha3_Destination)] = []
    func add(_ path: FieldPath, _ destination: Istio_Networking_V1alpha3_Destination?) {
      if let destination { all.append((path, destination)) }
    }
    let base = FieldPath.root.field("spec")
    for (index, http) in spec.http.enumerated() {
      let path = base.field("http").index(index)
      for (place, route) in http.route.enumerated() {
        add(path.field("route").index(place).field("destination"), route.destination)
      }
      add(path.field("mirror"), http.mirror)
      for (place, mirror) in http.mirrors.enumerated() {
        add(path.field("mirrors").index(place).field("destination"), mirror.destination)
      }
    }
    for (index, tls) in spec.tls.enumerated() {
      for (place, route) in tls.route.enumerated() {
        add(base.field("tls").index(index).field("route").index(place).field("destination"), route.destination)
      }
    }
    for (index, tcp) in spec.tcp.enumerated() {
      for (place, route) in tcp.route.enumerated() {
        add(base.field("tcp").index(index).field("route").index(place).field("destination"), route.destination)
      }
    }
    return all
  }

  private func check(
    _ destination: Istio_Networking_V1alpha3_Destination, _ path: FieldPath, _ found: inout [Problem]
  ) {
    func warn(_ field: String, _ message: String, _ code: String) {
      found.append(Problem(.warning, at: path.field(field), message, code: code))
    }
    let host = Hostname.resolve(destination.host, namespace: rule.namespace, domain: domain)
    guard let service = snapshot.service(named: host, from: rule.namespace) else {
      if snapshot.services.services(withHost: host).isEmpty {
        let question = snapshot.question(host, after: found.count)
        warn("host", "no service is known as \(host); requests sent there are answered with 503\(question)", "IST0101")
      } else {
        warn(
          "host", "the service \(host) is not exported to namespace \(rule.namespace); requests are answered with 503",
          "IST0101")
      }
      return
    }
    if let number = destination.port?.number, number > 0 {
      if UInt16(exactly: number).flatMap({ service.port($0) }) == nil {
        warn("port", "\(service.host) does not expose port \(number); it exposes \(service.portList)", "IST0101")
      }
    } else if service.ports.count > 1, rule.spec.gateways.contains(where: { $0 != "mesh" }) {
      warn(
        "port", "must be named for requests of a gateway: \(service.host) exposes \(service.portList)", "IST0112")
    }
    if !destination.subset.isEmpty {
      let known = snapshot.subsets(of: service, from: rule.namespace)
      if !known.contains(destination.subset) {
        let list = known.isEmpty ? "" : " (there are \(known.joined(separator: ", ")))"
        warn(
          "subset",
          "no DestinationRule for \(service.host) defines subset \(destination.subset)\(list); "
            + "requests sent there are answered with 503", "IST0101")
      }
    }
  }
}
