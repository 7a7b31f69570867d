/// What a workload's proxy sees of the mesh.
package enum SidecarKind: ConfigKind {
  package typealias Spec = SidecarSpec

  package static let name = KindName.sidecar
  package static let plural = "sidecars"
  package static let shortNames = ["sc"]
  package static let documentation = KindDocumentation(
    summary: "What the proxies of workloads see of the mesh: the hosts they call, the ports they serve.",
    fields: [
      (
        "workloadSelector",
        "Labels of the workloads; none: all of the namespace (or of the mesh, in the root namespace)."
      ),
      ("ingress", "Ports that the workload serves, instead of those derived from its services."),
      ("egress", "Hosts that the workload calls: `namespace/host`; `.` is the own namespace, `*` any, `~` none."),
      (
        "outboundTrafficPolicy",
        "ALLOW_ANY or REGISTRY_ONLY for hosts that nobody knows. The block without a mode means REGISTRY_ONLY."
      ),
      ("inboundConnectionPool", "Limits of connections to the workload."),
    ])

  package static func exportTo(_ spec: Spec) -> [String] { ["."] }

  package static func validate(_ spec: Spec, _ found: inout FindingCollector) {
    if let selector = spec.workloadSelector {
      found.at("workloadSelector") { $0.checkSelector("labels", selector.labels) }
      if found.context.namespace == found.context.rootNamespace {
        found.warning("workloadSelector", "selects workloads of the root namespace only, not of the mesh")
      }
    }
    if spec.egress.isEmpty, spec.ingress.isEmpty, spec.outboundTrafficPolicy == nil, spec.inboundConnectionPool == nil {
      found.error("one of ingress, egress, outboundTrafficPolicy and inboundConnectionPool must be set")
    }
    checkIngress(spec, &found)
    checkEgress(spec, &found)
    if let pool = spec.inboundConnectionPool {
      found.at("inboundConnectionPool") { TrafficPolicyValidation.check(pool, &$0) }
    }
    if let policy = spec.outboundTrafficPolicy, let proxy = policy.egressProxy {
      found.at("outboundTrafficPolicy") { here in
        if policy.mode != .allowAny { here.error("egressProxy", "needs mode ALLOW_ANY") }
        here.at("egressProxy") { inner in
          inner.at("host") { $0.checkHost(proxy.host) }
          if let port = proxy.port {
            inner.at("port") { $0.at("number") { $0.checkPort(port.number) } }
          } else {
            inner.error("port", "must be set")
          }
        }
      }
    }
  }

  private static func checkIngress(_ spec: Spec, _ found: inout FindingCollector) {
    var seen: Set<String> = []
    found.each("ingress", spec.ingress) { item, listener, _ in
      guard let port = listener.port else {
        item.error("port", "must be set")
        return
      }
      item.at("port") { here in
        here.at("number") { $0.checkPort(port.number) }
        PortFields.check(protocol: port.protocol, isRequired: true, &here)
        PortFields.check(targetPort: port.targetPort, &here)
      }
      if !seen.insert("\(AddressRules.canonical(listener.bind)):\(port.number)").inserted {
        item.error("port", "duplicate listener on port \(port.number)")
      }
      CapturePorts.check(port.number, &item)
      checkBind(listener.bind, &item)
      checkDefaultEndpoint(listener.defaultEndpoint, &item)
      if let pool = listener.connectionPool {
        item.at("connectionPool") { TrafficPolicyValidation.check(pool, &$0) }
      }
      if let tls = listener.tls {
        item.at("tls") { here in
          if tls.mode != .simple, tls.mode != .mutual { here.error("mode", "must be SIMPLE or MUTUAL") }
          ServerTLSValidation.check(tls, protocol: port.protocol.uppercased(), &here)
        }
      }
    }
  }

  private static func checkEgress(_ spec: Spec, _ found: inout FindingCollector) {
    var seen: Set<String> = []
    var withoutPort: Int?
    found.each("egress", spec.egress) { item, listener, index in
      if let first = withoutPort {
        item.error(
          listener.port == nil
            ? "only one listener may be without a port; egress[\(first)] is"
            : "the listener without a port (egress[\(first)]) must be the last")
      }
      if let port = listener.port, port.number != 0 {
        item.at("port") { here in
          here.at("number") { $0.checkPort(port.number) }
          PortFields.check(protocol: port.protocol, isRequired: true, &here)
          PortFields.check(targetPort: port.targetPort, &here)
        }
        if !seen.insert("\(AddressRules.canonical(listener.bind)):\(port.number)").inserted {
          item.error("port", "duplicate listener on port \(port.number)")
        }
      } else if listener.port == nil {
        if withoutPort == nil { withoutPort = index }
        if listener.bind.hasPrefix("unix://") { item.error("bind", "a Unix socket needs a port with number 0") }
        if !listener.bind.isEmpty { item.error("port", "must be set when bind is") }
      }
      checkBind(listener.bind, &item)
      if listener.hosts.isEmpty { item.error("hosts", "must have at least one host") }
      item.each("hosts", listener.hosts) { entry, host, _ in checkHost(host, &entry) }
    }
  }

  private static func checkBind(_ bind: String, _ item: inout FindingCollector) {
    if AddressRules.isUnixSocket(bind) {
      item.at("bind") { $0.checkUnixSocket(bind) }
    } else if !bind.isEmpty, !AddressRules.isIP(bind) {
      item.error("bind", "\"\(bind)\" is neither an IP address nor unix:///path")
    }
  }

  private static func checkDefaultEndpoint(_ text: String, _ item: inout FindingCollector) {
    if text.isEmpty { return }
    let allowed = "allowed are 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT and unix:///path"
    if AddressRules.isUnixSocket(text) { return item.at("defaultEndpoint") { $0.checkUnixSocket(text) } }
    guard let colon = text.lastIndex(of: ":"), let port = UInt32(text[text.index(after: colon)...]),
      (1...65_535).contains(port)
    else {
      item.error("defaultEndpoint", "\"\(text)\" is not an endpoint; \(allowed)")
      return
    }
    if !["", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"].contains(String(text[..<colon])) {
      item.error("defaultEndpoint", "\"\(text)\" is not an endpoint; \(allowed)")
    }
  }

  /// `namespace/host`: namespace `*`, `.`, `~` or a name; `~namespace/host` leaves out.
  private static func checkHost(_ text: String, _ entry: inout FindingCollector) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2 else {
      entry.error("\"\(text)\" is not of the form namespace/host")
      return
    }
    var namespace = parts[0]
    if namespace.hasPrefix("~"), namespace != "~" { namespace.removeFirst() }
    if !["*", ".", "~"].contains(namespace), !NameRules.isDNSLabel(namespace) {
      entry.error("\"\(parts[0])\" is not a namespace; allowed are \"*\", \".\", \"~\" and names")
    }
    entry.checkWildcardHost(parts[1])
  }
}
