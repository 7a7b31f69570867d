/// Checks of TLS and TCP routes.
enum L4RouteValidation {
  static func check(_ tls: Istio.TLSRoute, hosts: [String], _ route: inout FindingCollector) {
    if tls.match.isEmpty { route.error("match", "must have at least one match") }
    route.each("match", tls.match) { item, match, _ in
      if match.sniHosts.isEmpty { item.error("sniHosts", "must not be empty") }
      item.each("sniHosts", match.sniHosts) { entry, sni, _ in
        if !NameRules.isWildcardFQDN(sni) {
          entry.error("\"\(sni)\" is neither a domain name nor a wildcard of the form \"*\" or \"*.example.com\"")
        } else if !hosts.contains(where: { VirtualServiceKind.covers($0.lowercased(), sni.lowercased()) }) {
          entry.error("\"\(sni)\" is not covered by the hosts of the rule")
        }
      }
      checkCommon(match.destinationSubnets, match.port, match.sourceLabels, match.gateways, &item)
    }
    check(tls.route, &route)
  }

  static func check(_ tcp: Istio.TCPRoute, _ route: inout FindingCollector) {
    route.each("match", tcp.match) { item, match, _ in
      if !match.sourceSubnet.isEmpty { item.at("sourceSubnet") { $0.checkSubnet(match.sourceSubnet) } }
      checkCommon(match.destinationSubnets, match.port, match.sourceLabels, match.gateways, &item)
    }
    check(tcp.route, &route)
  }

  private static func checkCommon(
    _ subnets: [String], _ port: UInt32, _ labels: [String: String], _ gateways: [String],
    _ item: inout FindingCollector
  ) {
    item.each("destinationSubnets", subnets) { entry, subnet, _ in entry.checkSubnet(subnet) }
    if port != 0 { item.at("port") { $0.checkPort(port) } }
    item.checkLabels("sourceLabels", labels)
    item.checkGatewayNames(gateways)
  }

  private static func check(_ destinations: [Istio.RouteDestination], _ route: inout FindingCollector) {
    if destinations.isEmpty { route.error("route", "must have at least one destination") }
    route.each("route", destinations) { item, destination, _ in
      HTTPRouteValidation.check(destination: destination.destination, &item)
      item.checkNotNegative("weight", destination.weight)
    }
    HTTPRouteValidation.checkWeights(destinations.map(\.weight), &route)
  }
}
