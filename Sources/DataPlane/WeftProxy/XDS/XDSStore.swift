// Everything the control plane has said and we have taken, and which part of it requests may see.
package import WeftBase
package import WeftModel

/// A resource that has been understood.
package enum XDSModel: Sendable, Hashable {
  case cluster(Cluster)
  case endpoints(LoadAssignment)
  case listener(Listener)
  case routes(RouteConfiguration)
  case secret(Secret)

  /// The name the resource carries inside.
  package var name: String {
    switch self {
    case .cluster(let cluster): cluster.name
    case .endpoints(let assignment): assignment.clusterName
    case .listener(let listener): listener.name
    case .routes(let routes): routes.name
    case .secret(let secret): secret.name
    }
  }
}

/// Turns a packed resource into a model, or says what is wrong with it.
package typealias XDSDecoder = @Sendable (XDSType, XDSResource) throws(ConfigError) -> XDSModel

/// The accepted resources, and their warming: a change becomes visible only together with what it needs.
///
/// A cluster that takes its endpoints from the control plane is visible once they are there, or once waiting for them took too long; a
/// route configuration once none of the clusters it names is still waiting. A removed cluster stays while a visible route names it.
/// Listeners are held back by the compiler until their routes are visible.
package struct XDSStore: Sendable {
  package struct Entry: Sendable {
    package var model: XDSModel
    package var resource: XDSResource
  }

  /// What is subscribed to for another resource's sake.
  package private(set) var entries: [XDSType: [String: Entry]] = [:]

  private var visibleClusters: [String: Cluster] = [:]
  private var visibleRoutes: [String: RouteConfiguration] = [:]
  /// When a cluster or route began to wait.
  private var waitingClusters: [String: MonotonicInstant] = [:]
  private var waitingRoutes: [String: MonotonicInstant] = [:]
  private var leavingClusters: [String: MonotonicInstant] = [:]
  /// How long anything may wait; nil: for ever.
  private let patience: Duration?

  package init(patience: Duration?) {
    self.patience = patience
  }

  package var isEmpty: Bool { entries.values.allSatisfy(\.isEmpty) }

  package func resources(_ type: XDSType) -> [String: Entry] { entries[type] ?? [:] }

  /// Takes one resource. *Returns*: whether it differs from what was there.
  package mutating func set(_ type: XDSType, _ name: String, _ entry: Entry) -> Bool {
    let old = entries[type, default: [:]].updateValue(entry, forKey: name)
    return old?.model != entry.model
  }

  /// Forgets one resource. *Returns*: whether it was there.
  package mutating func remove(_ type: XDSType, _ name: String) -> Bool {
    entries[type]?.removeValue(forKey: name) != nil
  }

  // MARK: - References

  /// Names of assignments that the accepted clusters need, sorted.
  package var neededEndpoints: [String] {
    Set(
      resources(.clusters).values.compactMap { entry in
        guard case .cluster(let cluster) = entry.model else { return nil }
        return Self.endpointsName(of: cluster)
      }
    ).sorted()
  }

  /// Names of route configurations that the accepted listeners need, sorted.
  package var neededRoutes: [String] {
    Set(
      resources(.listeners).values.flatMap { entry -> [String] in
        guard case .listener(let listener) = entry.model else { return [] }
        return Self.routeNames(of: listener)
      }
    ).sorted()
  }

  package static func endpointsName(of cluster: Cluster) -> String? {
    guard case .eds(let service, _) = cluster.discovery else { return nil }
    return service.isEmpty ? cluster.name : service
  }

  package static func routeNames(of listener: Listener) -> [String] {
    (listener.filterChains + (listener.defaultFilterChain.map { [$0] } ?? [])).flatMap { chain in
      chain.filters.compactMap { filter in
        guard case .httpConnectionManager(let manager) = filter, case .discovered(let name, _) = manager.routes else {
          return nil
        }
        return name
      }
    }
  }

  /// Clusters a route configuration names outright; those named by request headers are not known before.
  package static func clusterNames(of routes: RouteConfiguration) -> Set<String> {
    var names: Set<String> = []
    for route in routes.virtualHosts.flatMap(\.routes) {
      guard case .forward(let action) = route.action else { continue }
      switch action.cluster {
      case .cluster(let name): names.insert(name)
      case .weighted(let split): names.formUnion(split.entries.map(\.name).filter { !$0.isEmpty })
      case .header: break
      }
    }
    return names
  }

  /// Clusters that the TCP proxies of the accepted listeners name.
  private var clustersOfListeners: Set<String> {
    var names: Set<String> = []
    for case .listener(let listener) in resources(.listeners).values.map(\.model) {
      for chain in listener.filterChains + (listener.defaultFilterChain.map { [$0] } ?? []) {
        for case .tcpProxy(let proxy) in chain.filters {
          switch proxy.cluster {
          case .single(let name): names.insert(name)
          case .weighted(let parts): names.formUnion(parts.map(\.name))
          }
        }
      }
    }
    return names
  }

  // MARK: - Warming

  /// Whether anything still waits for something else.
  package var isWarming: Bool { !waitingClusters.isEmpty || !waitingRoutes.isEmpty || !missingRoutes.isEmpty }

  /// Route configurations that an accepted listener names and nobody has sent.
  private var missingRoutes: [String] { neededRoutes.filter { resources(.routes)[$0] == nil } }

  /// When something that waits stops being waited for; nil when nothing does.
  package var nextDeadline: MonotonicInstant? {
    guard let patience else { return leavingClusters.values.min().map { $0 + Self.leaveTime } }
    let waits = (Array(waitingClusters.values) + Array(waitingRoutes.values)).map { $0 + patience }
    return (waits + leavingClusters.values.map { $0 + Self.leaveTime }).min()
  }

  /// A removed cluster stays at most this long for the sake of routes that still name it.
  private static let leaveTime = Duration.seconds(30)

  /// Moves what is complete into view. *Returns*: what requests may see from now on.
  package mutating func settle(now: MonotonicInstant) -> ConfigState {
    var accepted: [String: Cluster] = [:]
    for case .cluster(let cluster) in resources(.clusters).values.map(\.model) { accepted[cluster.name] = cluster }

    for (name, cluster) in accepted {
      leavingClusters[name] = nil
      if isComplete(cluster) || hasWaited(since: &waitingClusters[name], now) || visibleClusters[name] != nil {
        // A visible cluster that changed its service name goes on with the old form until the new endpoints are there.
        if let old = visibleClusters[name], old.discovery != cluster.discovery, !isComplete(cluster),
          !hasWaited(since: &waitingClusters[name], now)
        {
          continue
        }
        visibleClusters[name] = cluster
        waitingClusters[name] = nil
      }
    }
    waitingClusters = waitingClusters.filter { accepted[$0.key] != nil }
    settleRoutes(accepted, now)
    settleRemovals(accepted, now)
    return visible
  }

  private mutating func settleRoutes(_ accepted: [String: Cluster], _ now: MonotonicInstant) {
    let wanted = Set(neededRoutes)
    for case .routes(let routes) in resources(.routes).values.map(\.model) where visibleRoutes[routes.name] != routes {
      let waits = Self.clusterNames(of: routes).contains { accepted[$0] != nil && visibleClusters[$0] == nil }
      if !waits || hasWaited(since: &waitingRoutes[routes.name], now) {
        visibleRoutes[routes.name] = routes
        waitingRoutes[routes.name] = nil
      }
    }
    let known = resources(.routes)
    visibleRoutes = visibleRoutes.filter { wanted.contains($0.key) && known[$0.key] != nil }
    waitingRoutes = waitingRoutes.filter { known[$0.key] != nil }
  }

  private mutating func settleRemovals(_ accepted: [String: Cluster], _ now: MonotonicInstant) {
    let named = visibleRoutes.values.reduce(into: clustersOfListeners) { $0.formUnion(Self.clusterNames(of: $1)) }
    for name in visibleClusters.keys.sorted() where accepted[name] == nil {
      let since = leavingClusters[name] ?? now
      if named.contains(name), since + Self.leaveTime > now {
        leavingClusters[name] = since
      } else {
        leavingClusters[name] = nil
        visibleClusters[name] = nil
      }
    }
  }

  private func isComplete(_ cluster: Cluster) -> Bool {
    guard let name = Self.endpointsName(of: cluster) else { return true }
    return resources(.endpoints)[name] != nil
  }

  private func hasWaited(since: inout MonotonicInstant?, _ now: MonotonicInstant) -> Bool {
    let start = since ?? now
    since = start
    guard let patience else { return false }
    return start + patience <= now
  }

  private var visible: ConfigState {
    var state = ConfigState()
    state.clusters = visibleClusters.values.sorted { $0.name < $1.name }
    state.routes = visibleRoutes
    for case .listener(let listener) in resources(.listeners).values.map(\.model) { state.listeners.append(listener) }
    state.listeners.sort { $0.name < $1.name }
    for (name, entry) in resources(.endpoints) {
      if case .endpoints(let assignment) = entry.model { state.endpoints[name] = assignment }
    }
    for (name, entry) in resources(.secrets) {
      if case .secret(let secret) = entry.model { state.secrets[name] = secret }
    }
    return state
  }
}
