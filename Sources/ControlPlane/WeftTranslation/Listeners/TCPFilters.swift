import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Filters that forward bytes, to one cluster or to several by weight.
enum TCPFilters {
  struct Share {
    var cluster: String
    var weight: UInt32
    /// The cluster balances by the client's address.
    var hashesSource = false
  }

  static func filter(_ shares: [Share], statPrefix: String, accessLogPath: String) -> NetworkFilter {
    var proxy = TCPProxy()
    proxy.statPrefix = statPrefix
    if shares.count == 1, let only = shares.first {
      proxy.clusterSpecifier = .cluster(only.cluster)
    } else {
      var weighted = TCPProxy.WeightedCluster()
      weighted.clusters = shares.map {
        var share = TCPProxy.WeightedCluster.ClusterWeight()
        share.name = $0.cluster
        share.weight = $0.weight
        return share
      }
      proxy.clusterSpecifier = .weightedClusters(weighted)
    }
    if shares.contains(where: \.hashesSource) {
      var policy = Envoy_Type_V3_HashPolicy()
      policy.policySpecifier = .sourceIp(.init())
      proxy.hashPolicy = [policy]
    }
    proxy.accessLog = AccessLogs.entries(path: accessLogPath)
    return NetworkFilter("envoy.filters.network.tcp_proxy", proxy)
  }

  static func filter(cluster: String, accessLogPath: String) -> NetworkFilter {
    filter([Share(cluster: cluster, weight: 1)], statPrefix: cluster, accessLogPath: accessLogPath)
  }
}

/// TCP and TLS routes of a rule, as filter chains to be matched.
struct L4Routes {
  struct Chain {
    /// Server names, for TLS.
    var serverNames: [String] = []
    /// Destination networks.
    var subnets: [String] = []
    var shares: [TCPFilters.Share]
  }

  let context: RouteContext
  let rule: ConfigObject<VirtualServiceSpec>

  /// The chains of the rule's `tcp` routes; the first that matches everything ends the list.
  func tcp(_ sink: inout RouteSink) -> [Chain] {
    var chains: [Chain] = []
    for route in rule.spec.tcp {
      let matches: [Istio_Networking_V1alpha3_L4MatchAttributes?] = route.match.isEmpty ? [nil] : route.match.map { $0 }
      for match in matches {
        if let match {
          guard
            isSelected(
              port: match.port, namespace: match.sourceNamespace, labels: match.sourceLabels, gateways: match.gateways)
          else { continue }
          // A match that cannot be expressed must not match more than it says.
          if !match.sourceSubnet.isEmpty { continue }
        }
        guard let shares = shares(route.route, &sink) else { continue }
        chains.append(Chain(subnets: match?.destinationSubnets ?? [], shares: shares))
        if match?.destinationSubnets.isEmpty ?? true { return chains }
      }
    }
    return chains
  }

  func tls(_ sink: inout RouteSink) -> [Chain] {
    var chains: [Chain] = []
    for route in rule.spec.tls {
      for match in route.match {
        guard
          isSelected(
            port: match.port, namespace: match.sourceNamespace, labels: match.sourceLabels, gateways: match.gateways),
          let shares = shares(route.route, &sink)
        else { continue }
        chains.append(
          Chain(
            serverNames: match.sniHosts.map(Hostname.canonical), subnets: match.destinationSubnets, shares: shares))
      }
    }
    return chains
  }

  private func isSelected(port: UInt32, namespace: String, labels: [String: String], gateways: [String]) -> Bool {
    (port == 0 || port == UInt32(context.port)) && (namespace.isEmpty || namespace == context.proxy.namespace)
      && context.proxy.carries(labels)
      && (gateways.isEmpty || context.isAmong(gateways, ruleNamespace: rule.namespace, whenEmpty: true))
  }

  private func shares(
    _ destinations: [Istio_Networking_V1alpha3_RouteDestination], _ sink: inout RouteSink
  ) -> [TCPFilters.Share]? {
    var usable = destinations.filter { $0.destination != nil }
    if usable.count > 1 { usable = usable.filter { $0.weight > 0 } }
    guard !usable.isEmpty else { return nil }
    sink.origins.append(rule.origin)
    return usable.map { entry in
      let host = Hostname.resolve(
        entry.destination?.host ?? "", namespace: rule.namespace, domain: context.scope.domain)
      var port = context.port
      if let number = entry.destination?.port?.number, number > 0 {
        port = UInt16(truncatingIfNeeded: number)
      } else if let only = context.scope.destination(host)?.service.ports, only.count == 1, let first = only.first {
        port = first.number
      }
      let subset = entry.destination?.subset ?? ""
      sink.destinations.insert(RouteSink.Destination(host: host, port: port, subset: subset))
      return context.scope.share(of: host, port: port, subset: subset, weight: UInt32(max(entry.weight, 1)))
    }
  }
}

extension ProxyScope {
  /// What goes to a service over TCP.
  func share(of host: String, port: UInt16, subset: String = "", weight: UInt32 = 1) -> TCPFilters.Share {
    let hashed = VirtualHosts(scope: self).hashPolicies(host: host, subset: subset, port: port)
    return TCPFilters.Share(
      cluster: ResourceName.outbound(port: port, subset: subset, host: host), weight: weight,
      hashesSource: hashed.contains {
        if case .connectionProperties(let properties)? = $0.policySpecifier { properties.sourceIp } else { false }
      })
  }
}
