import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Virtual hosts for mesh traffic: one per service and port, and for rules whose hosts are no services.
struct VirtualHosts {
  let scope: ProxyScope

  /// The virtual host of a service on one of its ports. `domains` nil means all names of the service.
  func service(
    _ visible: VisibleService, port: ServicePort, authority: String? = nil, domains: [String]? = nil,
    sink: inout RouteSink
  ) -> VirtualHost {
    let service = visible.service
    var host = host(
      service.host, port: port.number, authority: authority, clusterHost: service.host, sink: &sink)
    sink.origins += service.origins
    if sink.makers[host.name] == nil { sink.makers[host.name] = service.origins }
    host.domains = domains ?? names(of: service)
    return host
  }

  /// The virtual host of a name, whether or not a service has it: the rule that governs it, or its own cluster.
  func host(
    _ host: String, port: UInt16, authority: String? = nil, clusterHost: String, sink: inout RouteSink
  ) -> VirtualHost {
    var virtualHost = VirtualHost()
    virtualHost.name = ResourceName.virtualHost(host, port)
    virtualHost.includeRequestAttemptCount = true
    virtualHost.routes = ruleRoutes(host, port: port, authority: authority, sink: &sink)
    if virtualHost.routes.isEmpty {
      virtualHost.routes = [defaultRoute(host: clusterHost, port: port, authority: authority, sink: &sink)]
    }
    return virtualHost
  }

  /// The routes of the rule that governs `host`; none when there is no such rule, or when nothing in it is meant for this
  /// proxy and port.
  func ruleRoutes(_ host: String, port: UInt16, authority: String? = nil, sink: inout RouteSink) -> [Route] {
    guard let rule = scope.meshRule(for: host) else { return [] }
    sink.considered.insert(rule.key)
    guard !rule.spec.http.isEmpty else { return [] }
    sink.makers[ResourceName.virtualHost(host, port)] = [rule.origin]
    var context = RouteContext(scope: scope, port: port, gateway: nil)
    context.authority = authority
    return HTTPRoutes(context: context, rule: rule, hashing: hashPolicies).make(&sink)
  }

  /// To the service's own cluster, with default retries.
  private func defaultRoute(host: String, port: UInt16, authority: String?, sink: inout RouteSink) -> Route {
    sink.destinations.insert(RouteSink.Destination(host: host, port: port, subset: ""))
    var action = RouteAction()
    action.clusterSpecifier = .cluster(ResourceName.outbound(port: port, host: host))
    if let authority { action.hostRewriteSpecifier = .hostRewriteLiteral(authority) }
    action.setTimeout(Google_Protobuf_Duration.none)
    action.hashPolicy = hashPolicies(host: host, subset: "", port: port)
    action.retryPolicy = RetryDefaults.policy(nil, hashes: !action.hashPolicy.isEmpty)
    var route = Route()
    route.name = "default"
    route.match = .everything
    route.action = .route(action)
    return route
  }

  /// What the destination's consistent hash looks at.
  func hashPolicies(host: String, subset: String, port: UInt16) -> [RouteAction.HashPolicy] {
    guard let service = scope.destination(host)?.service else { return [] }
    let policy = scope.destinationPolicy(host: host, serviceNamespace: service.namespace)
    let effective = policy.effective(port: port, subset: policy.subset(subset))
    guard case .consistentHash(let hash) = effective.loadBalancer?.lbPolicy else { return [] }
    return RouteAction.HashPolicy(hash).map { [$0] } ?? []
  }

  /// All names by which this proxy's application may call a service: the full name, with a final dot, the shorter forms
  /// that DNS search completes in its namespace, and the addresses.
  func names(of service: Service) -> [String] {
    var names = [service.host]
    if !Hostname.isWildcard(service.host) {
      names.append(service.host + ".")
      let clusterSuffix = ".svc." + scope.domain
      if service.host.hasSuffix(clusterSuffix) {
        let stem = String(service.host.dropLast(clusterSuffix.count))
        if let dot = stem.firstIndex(of: "."), stem[stem.index(after: dot)...] == scope.namespace {
          names.append(String(stem[..<dot]))
        }
        names.append(stem + ".svc")
        names.append(stem)
      }
    }
    for address in service.addresses where !address.contains("/") {
      names.append(address.contains(":") ? "[\(address)]" : address)
    }
    var seen: Set<String> = []
    return names.filter { seen.insert(Hostname.canonical($0)).inserted }
  }

  /// Removes domains that an earlier virtual host has, in whatever case, and hosts that are left without any.
  static func deduplicated(_ hosts: [VirtualHost]) -> [VirtualHost] {
    var seen: Set<String> = []
    return hosts.compactMap { host in
      var host = host
      host.domains = host.domains.filter { seen.insert(Hostname.canonical($0)).inserted }
      return host.domains.isEmpty ? nil : host
    }
  }
}
