/// Listeners of proxies at the edge.
package enum GatewayKind: ConfigKind {
  package typealias Spec = GatewaySpec

  package static let name = KindName.gateway
  package static let plural = "gateways"
  package static let shortNames = ["gw"]
  package static let documentation = KindDocumentation(
    summary: "Ports, hosts and TLS of proxies at the edge; VirtualService objects that name it say where requests go.",
    fields: [
      ("selector", "Labels of the proxies it configures, in any namespace."),
      ("servers", "Each: port, hosts (`namespace/host`), TLS."),
    ])

  package static func validate(_ spec: Spec, _ found: inout FindingCollector) {
    found.checkSelector("selector", spec.selector)
    if spec.servers.isEmpty { found.error("servers", "must have at least one server") }
    var names: Set<String> = []
    var portNames: Set<String> = []
    found.each("servers", spec.servers) { item, server, _ in
      check(server, &item)
      if let name = server.port?.name, !name.isEmpty, !portNames.insert(name).inserted {
        item.at("port") { $0.error("name", "duplicate name \"\(name)\"; the names of a Gateway's ports must differ") }
      }
      if !server.name.isEmpty, !names.insert(server.name).inserted {
        item.error("name", "duplicate name \"\(server.name)\"")
      }
    }
  }

  private static func check(_ server: Istio.Server, _ item: inout FindingCollector) {
    guard let port = server.port else {
      item.error("port", "must be set")
      return
    }
    let wire = port.protocol.uppercased()
    let isSocket = AddressRules.isUnixSocket(server.bind)
    item.at("port") { here in
      // A socket has no port.
      if port.number != 0 || !isSocket { here.at("number") { $0.checkPort(port.number) } }
      PortFields.check(name: port.name, &here)
      PortFields.check(targetPort: port.targetPort, &here)
      PortFields.check(protocol: port.protocol, isRequired: true, &here)
    }
    if isSocket {
      item.at("bind") { $0.checkUnixSocket(server.bind) }
    } else if !server.bind.isEmpty, !AddressRules.isIP(server.bind) {
      item.error("bind", "\"\(server.bind)\" is neither an IP address nor unix:///path")
    }
    if server.hosts.isEmpty { item.error("hosts", "must have at least one host") }
    item.each("hosts", server.hosts) { entry, host, _ in checkHost(host, &entry) }
    if wire == "HTTPS" || wire == "TLS" {
      if server.tls == nil { item.error("tls", "must be set for protocol \(port.protocol)") }
    } else if let tls = server.tls {
      let onlyRedirect = tls.httpsRedirect && tls.mode == .passthrough && tls.serverCertificate.isEmpty
      if wire == "HTTP" || wire == "HTTP2" || wire == "GRPC" || wire == "GRPC-WEB" {
        if !onlyRedirect { item.error("tls", "only httpsRedirect may be set for protocol \(port.protocol)") }
      } else {
        item.error("tls", "must not be set for protocol \(port.protocol)")
      }
      return
    }
    if let tls = server.tls { item.at("tls") { ServerTLSValidation.check(tls, protocol: wire, &$0) } }
  }

  /// `host`, or `namespace/host` with `*`, `.` or a name as namespace.
  private static func checkHost(_ text: String, _ entry: inout FindingCollector) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2 else {
      entry.error("\"\(text)\" is not a host; allowed are \"host\" and \"namespace/host\"")
      return
    }
    if parts.count == 2, parts[0] != "*", parts[0] != ".", !NameRules.isDNSLabel(parts[0]) {
      entry.error("\"\(parts[0])\" is not a namespace; allowed are \"*\", \".\" and names")
    }
    let host = parts[parts.count - 1]
    if !AddressRules.isIP(host) { entry.checkWildcardHost(host) }
  }
}
