package import WeftControlAPI
import WeftKinds

extension Translator {
  /// The same resources with new load assignments for `hosts`; nil when more would change (endpoints that a proxy
  /// resolves are part of their cluster; an instance that nobody can reach is an issue).
  ///
  /// *Cost*: linear in the endpoints of those hosts.
  package static func refreshEndpoints(
    of resources: ProxyResources, hosts: Set<String>, in snapshot: WeftSnapshot, for proxy: ProxyIdentity,
    memo: TranslationMemo? = nil
  ) -> ProxyResources? {
    // Issues are the whole translation's to raise and to take back.
    if resources.issues.contains(where: OutboundClusters.isAboutInstance) { return nil }
    let traits = proxy.isGRPC ? proxy : proxy.shared
    let scope = ProxyScope(snapshot, traits)
    let memo = memo.flatMap { $0.snapshot === snapshot ? $0 : nil }
    var result = resources
    result.version = snapshot.version
    var made: [String: ProxyResources] = [:]
    for host in hosts {
      let part =
        memo?.endpoints(TranslationMemo.EndpointKey(traits: traits, host: host)) { endpoints(of: host, scope) }
        ?? endpoints(of: host, scope)
      switch part {
      case .assignments(let assignments): made[host] = assignments
      case .unknown: continue
      case .needsTranslation: return nil
      }
    }
    for (name, old) in resources.all(.endpoint) {
      guard let (_, _, host) = ResourceName.parseOutbound(name), let assignments = made[host] else { continue }
      // A port or subset that is not there any more, or not yet.
      guard let new = assignments[.endpoint, name] else { return nil }
      if new.hash != old.hash || new.origins != old.origins { result.set(new) }
    }
    return result
  }

  private static func endpoints(of host: String, _ scope: ProxyScope) -> EndpointPart {
    guard let service = scope.destination(host)?.service else { return .unknown }
    guard service.resolution == .static else { return .needsTranslation }
    let clusters = OutboundClusters(scope: scope, service: service)
    guard clusters.instanceIssues.isEmpty else { return .needsTranslation }
    var made = ProxyResources(version: scope.snapshot.version)
    for port in service.ports {
      for subset in [""] + clusters.policy.subsets.map(\.subset.name) {
        if let resource = clusters.endpoints(port: port, subset: subset) { made.add(resource) }
      }
    }
    return .assignments(made)
  }
}
