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
    found.each("hosts", hosts) { item, host, index in
      if host == "*", boundToMesh {
        item.error("\"*\" is not allowed for sidecars; bind the rule to a gateway (gateways without \"mesh\")")
        return
      }
      if !AddressRules.isIP(host) { item.checkWildcardHost(host) }
      for earlier in hosts[..<index] {
        if earlier == host {
          item.error("duplicate host \"\(host)\"")
          break
        }
        if covers(earlier, host) || covers(host, earlier) {
          item.error("\"\(host)\" overlaps with \"\(earlier)\"")
          break
        }
      }
    }
  }

  /// Whether the wildcard `pattern` covers `host`.
  static func covers(_ pattern: String, _ host: String) -> Bool {
    guard pattern.hasPrefix("*") else { return pattern == host }
    return host.hasSuffix(pattern.dropFirst())
  }
}
