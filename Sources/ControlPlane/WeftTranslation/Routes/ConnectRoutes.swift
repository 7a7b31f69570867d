import WeftControlAPI
import WeftProtobuf
import WeftXDSMessages

/// CONNECT through the forward proxy: how a program reaches a service that speaks TLS, or no HTTP at all, by name.
struct ConnectRoutes {
  let scope: ProxyScope

  /// The virtual host of one port of a service: its bytes go where the rule for its TCP or TLS traffic says. Every other request for
  /// that name is refused.
  func host(_ visible: VisibleService, port: ServicePort, domains: [String], sink: inout RouteSink) -> VirtualHost {
    let service = visible.service
    let own = ResourceName.outbound(port: port.number, host: service.host)
    var shares = [TCPFilters.Share(cluster: own, weight: 1)]
    if let rule = scope.meshRule(for: service.host) {
      sink.considered.insert(rule.key)
      let routes = L4Routes(context: RouteContext(scope: scope, port: port.number, gateway: nil), rule: rule)
      // The name in CONNECT is the one a TLS client will say, so a route by server name is taken by it.
      let chains = port.protocol.isTLS ? routes.tls(&sink) : routes.tcp(&sink)
      let chain = chains.first { chain in
        chain.subnets.isEmpty
          && (chain.serverNames.isEmpty
            || chain.serverNames.contains { Hostname.matches(pattern: $0, service.host) })
      }
      if let chain { shares = chain.shares }
    }
    sink.origins += service.origins
    sink.makers[ResourceName.virtualHost(service.host, port.number)] = service.origins
    sink.destinations.insert(RouteSink.Destination(host: service.host, port: port.number, subset: ""))
    var host = VirtualHost()
    host.name = ResourceName.virtualHost(service.host, port.number)
    host.domains = domains
    host.routes = [Self.route(to: shares)]
    return host
  }

  private static func route(to shares: [TCPFilters.Share]) -> Route {
    var action = RouteAction()
    if shares.count == 1, let only = shares.first {
      action.clusterSpecifier = .cluster(only.cluster)
    } else {
      var weighted = Envoy_Config_Route_V3_WeightedCluster()
      weighted.clusters = shares.map {
        var share = Envoy_Config_Route_V3_WeightedCluster.ClusterWeight()
        share.name = $0.cluster
        share.weight = Google_Protobuf_UInt32Value($0.weight)
        return share
      }
      action.clusterSpecifier = .weightedClusters(weighted)
    }
    var connect = RouteAction.UpgradeConfig()
    connect.upgradeType = "CONNECT"
    connect.connectConfig = RouteAction.UpgradeConfig.ConnectConfig()
    action.upgradeConfigs = [connect]
    action.timeout = Google_Protobuf_Duration.none
    var match = RouteMatch()
    match.pathSpecifier = .connectMatcher(RouteMatch.ConnectMatcher())
    var route = Route()
    route.name = "connect"
    route.match = match
    route.action = .route(action)
    return route
  }
}
