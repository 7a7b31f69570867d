/// Rules of routing to hosts.
package enum VirtualServiceKind: ConfigKind {
  package typealias Spec = VirtualServiceSpec

  package static let name = KindName.virtualService
  package static let plural = "virtualservices"
  package static let shortNames = ["vs"]
  package static let documentation = KindDocumentation(
    summary: "How requests to one or more hosts are routed: matched, split, rewritten, retried, delayed, mirrored.",
    fields: [
      ("hosts", "Hosts the rule is about; short names are of the rule's namespace. Empty: a delegate of another rule."),
      ("gateways", "Where the rule holds: `mesh` (sidecars, the default), `name` or `namespace/name` of a Gateway."),
      ("http", "Routes for HTTP, HTTP/2 and gRPC, tried in order; the first whose match holds is taken."),
      ("tls", "Routes for TLS that is passed through, by SNI."),
      ("tcp", "Routes for everything else, by port and address."),
      ("exportTo", "Namespaces that see the rule: `.`, `*` (the default), or names."),
    ])

  package static func hosts(_ spec: Spec) -> [String] { spec.hosts }
  package static func exportTo(_ spec: Spec) -> [String] { spec.exportTo }

  package static func validate(_ spec: Spec, _ found: inout FindingCollector) {
    let isDelegate = spec.hosts.isEmpty
    let boundToMesh = !isDelegate && (spec.gateways.isEmpty || spec.gateways.contains("mesh"))
    if isDelegate {
      if !spec.gateways.isEmpty { found.error("gateways", "a delegate (no hosts) must not name gateways") }
      if !spec.tls.isEmpty { found.error("tls", "a delegate (no hosts) must not have tls routes") }
      if !spec.tcp.isEmpty { found.error("tcp", "a delegate (no hosts) must not have tcp routes") }
    }
    if spec.http.isEmpty, spec.tls.isEmpty, spec.tcp.isEmpty {
      found.error("one of http, tls and tcp must be set")
    }
    checkHosts(spec.hosts, boundToMesh: boundToMesh, &found)
    found.checkGatewayNames(spec.gateways)
    found.checkExportTo(spec.exportTo)
    found.each("http", spec.http) { route, http, _ in
      HTTPRouteValidation.check(http, isDelegate: isDelegate, &route)
    }
    found.each("tls", spec.tls) { route, tls, _ in L4RouteValidation.check(tls, hosts: spec.hosts, &route) }
    found.each("tcp", spec.tcp) { route, tcp, _ in L4RouteValidation.check(tcp, &route) }
    UnreachableRoutes.check(spec.http, &found)
  }

  private static func checkHosts(_ hosts: [String], boundToMesh: Bool, _ found: inout FindingCollector) {
    // What is compared: every host in lower case, the names exactly, the wildcards by their suffix. Linear in the hosts, whose number
    // nobody bounds.
    let compared = hosts.map { $0.lowercased() }
    var names: [String: Int] = [:]
    var wildcards: [String: Int] = [:]
    var parents: [String: Int] = [:]
    found.each("hosts", hosts) { item, host, index in
      if host == "*", boundToMesh {
        item.error("\"*\" is not allowed for sidecars; bind the rule to a gateway (gateways without \"mesh\")")
        return
      }
      if !AddressRules.isIP(host) { item.checkWildcardHost(host) }
      let name = compared[index]
      if let earlier = names[name] {
        if hosts[earlier] == host {
          item.error("duplicate host \"\(host)\"")
        } else {
          item.warning("is the same host as \"\(hosts[earlier])\"; letter case does not matter")
        }
        return
      }
      names[name] = index
      // A wildcard before it that covers it, or, for a wildcard, a host before it that it covers.
      let suffixes = suffixes(of: name)
      let covering = suffixes.compactMap { wildcards[$0] }.min()
      let covered = name.hasPrefix("*") ? parents[String(name.dropFirst())] : nil
      if let earlier = [covering, covered].compactMap({ $0 }).min() {
        item.error("\"\(host)\" overlaps with \"\(hosts[earlier])\"")
      }
      if name.hasPrefix("*"), wildcards[String(name.dropFirst())] == nil { wildcards[String(name.dropFirst())] = index }
      for suffix in suffixes where parents[suffix] == nil { parents[suffix] = index }
    }
  }

  /// What a wildcard that covers `host` may have behind its star: `.b.c`, `.c` and nothing for `a.b.c`.
  private static func suffixes(of host: String) -> [String] {
    var result = [""]
    var rest = host.hasPrefix("*") ? host.dropFirst() : host[...]
    if host.hasPrefix("*"), !rest.isEmpty { rest = rest.dropFirst() }
    while let dot = rest.firstIndex(of: ".") {
      result.append(String(rest[dot...]))
      rest = rest[rest.index(after: dot)...]
    }
    return result
  }

  /// Whether the wildcard `pattern` covers `host`.
  static func covers(_ pattern: String, _ host: String) -> Bool {
    guard pattern.hasPrefix("*") else { return pattern == host }
    return host.hasSuffix(pattern.dropFirst())
  }
}
