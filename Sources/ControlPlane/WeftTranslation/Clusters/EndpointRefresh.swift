package import WeftControlAPI

extension Translator {
  /// The same resources with new load assignments for `hosts`; nil when more would change (endpoints that a proxy
  /// resolves are part of their cluster; an instance that nobody can reach is an issue).
  ///
  /// *Cost*: linear in the endpoints of those hosts.
  package static func refreshEndpoints(
    of resources: ProxyResources, hosts: Set<String>, in snapshot: WeftSnapshot, for proxy: ProxyIdentity
  ) -> ProxyResources? {
    // Issues are the whole translation's to raise and to take back.
    if resources.issues.contains(where: OutboundClusters.isAboutInstance) { return nil }
    let scope = ProxyScope(snapshot, proxy)
    var result = resources
    result.version = snapshot.version
    var clusters: [String: OutboundClusters] = [:]
    for host in hosts {
      guard let service = scope.destination(host)?.service else { continue }
      guard service.resolution == .static else { return nil }
      let made = OutboundClusters(scope: scope, service: service)
      guard made.instanceIssues.isEmpty else { return nil }
      clusters[host] = made
    }
    for (name, old) in resources.all(.endpoint) {
      guard let (number, subset, host) = ResourceName.parseOutbound(name), let made = clusters[host] else { continue }
      guard let port = made.service.port(number) else { return nil }
      guard let new = made.endpoints(port: port, subset: subset) else { return nil }
      if new.hash != old.hash || new.origins != old.origins { result.set(new) }
    }
    return result
  }
}
