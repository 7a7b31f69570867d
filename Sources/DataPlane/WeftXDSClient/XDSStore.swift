// Everything the control plane has said and we have taken, and which part of it requests may see.
package import WeftBase
package import WeftCompile
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

extension XDSModel {
  /// The first field that names the aggregated stream as a source; nil: it does without one.
  package var streamSource: FieldPath? {
    switch self {
    case .cluster(let cluster): cluster.streamSource
    case .listener(let listener): listener.streamSource
    case .endpoints, .routes, .secret: nil
    }
  }
}

/// Turns a packed resource into a model, or says what is wrong with it. What it holds that has no effect is added to the warnings.
package typealias XDSDecoder = @Sendable (XDSType, XDSResource, inout [ConfigError]) throws(ConfigError) -> XDSModel

/// Says what is wrong with a model that was understood and cannot be used beside what has been accepted.
package typealias XDSCheck = @Sendable (XDSModel, XDSStore) throws(ConfigError) -> Void

/// A first answer that did not come in time: for one resource, or (with an empty name) for a whole type.
package struct XDSExpiry: Sendable, Hashable {
  package var type: XDSType
  package var name: String
}

/// The accepted resources, and their warming: a change becomes visible only together with what it needs.
///
/// A cluster that takes its endpoints from the control plane is visible once they are there, or once its source's time for the first answer
/// is over; routes that never came are empty when the time of the listener that wants them is over. Who asks a cluster that waits is held back
/// by the compiler, which alone knows who asks whom (`ConfigState.awaitedClusters`), and says which clusters are in use: a removed one stays
/// for them.
package struct XDSStore: Sendable {
  package struct Entry: Sendable {
    package var model: XDSModel
    package var resource: XDSResource
  }

  /// What is subscribed to for another resource's sake.
  package private(set) var entries: [XDSType: [String: Entry]] = [:]

  private var visibleClusters: [String: Cluster] = [:]
  /// When a cluster began to wait for endpoints, a listener for a route configuration.
  private var waitingClusters: [String: MonotonicInstant] = [:]
  /// Those of them that nobody waits for any more.
  private var overdueClusters: Set<String> = []
  private var missingRoutes: [String: MonotonicInstant] = [:]
  /// Route configurations that never came and are visible as empty ones.
  private var emptyRoutes: Set<String> = []
  /// Secrets that were waited for in vain.
  private var absentSecrets: Set<String> = []
  private var leavingClusters: [String: MonotonicInstant] = [:]
  /// The clusters that what was compiled last leads to.
  private var usedClusters: Set<String> = []
  private var expired: [XDSExpiry] = []

  /// What clusters and listeners take from the stream that came some other way.
  package var fixed: XDSNeeds
  private enum FixedWait {
    case since(MonotonicInstant)
    /// They have come, or have been given up.
    case over
  }
  /// What has become of the endpoints of clusters of theirs, which go by `endpoints`, by cluster.
  private var fixedWaits: [String: (endpoints: String, wait: FixedWait)] = [:]
  private var waitingFixed: [String: MonotonicInstant] {
    fixedWaits.compactMapValues { if case .since(let since) = $0.wait { since } else { nil } }
  }

  package init(fixed: XDSNeeds = XDSNeeds()) { self.fixed = fixed }

  private var allClusters: [Cluster] {
    fixed.clusters.values
      + resources(.clusters).values.compactMap { if case .cluster(let cluster) = $0.model { cluster } else { nil } }
  }

  private var allListeners: [Listener] {
    fixed.listeners
      + resources(.listeners).values.compactMap { if case .listener(let listener) = $0.model { listener } else { nil } }
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
    Set(allClusters.compactMap(Self.endpointsName)).sorted()
  }

  /// Names of secrets that the accepted clusters and listeners need, sorted.
  package var neededSecrets: [String] {
    let contexts =
      allClusters.compactMap { $0.tls?.common }
      + allListeners.flatMap { $0.allChains.compactMap { $0.tls?.common } }
    return Set(contexts.flatMap(\.secrets).filter { $0.key.origin == .stream }.map(\.name)).sorted()
  }

  /// Names of assignments that nobody asks for any more and that clusters still use which were removed and stay for a while.
  var heldEndpoints: Set<String> {
    let accepted = resources(.clusters)
    var held: Set<String> = []
    for cluster in visibleClusters.values where accepted[cluster.name] == nil {
      if let name = Self.endpointsName(of: cluster) { held.insert(name) }
    }
    return held
  }

  /// Names of route configurations that the accepted listeners need, sorted.
  package var neededRoutes: [String] {
    Set(allListeners.flatMap(Self.routeNames)).sorted()
  }

  /// The connection managers that take the table of that name from the stream.
  package func managers(of table: String) -> [HTTPConnectionManager] {
    allListeners.flatMap(Self.streamTables).filter { $0.name == table }.map(\.manager)
  }

  package static func endpointsName(of cluster: Cluster) -> String? {
    guard case .eds(_, let source) = cluster.discovery, source.isStream else { return nil }
    return cluster.endpointsName
  }

  package static func routeNames(of listener: Listener) -> [String] { streamTables(of: listener).map(\.name) }

  /// The tables that a listener takes from the stream, and which connection manager does.
  private static func streamTables(
    of listener: Listener
  ) -> [(name: String, limit: Duration?, manager: HTTPConnectionManager)] {
    listener.allChains.flatMap(\.filters).compactMap { filter in
      guard case .httpConnectionManager(let manager) = filter,
        case .discovered(let name, let source) = manager.routes, source.isStream
      else { return nil }
      return (name, source.initialFetchTimeout, manager)
    }
  }

  /// Clusters a route configuration names outright, those that get copies among them; those named by request headers are not known before.
  package static func clusterNames(of routes: RouteConfiguration) -> Set<String> {
    var names = Set(routes.mirrors.map(\.cluster))
    for host in routes.virtualHosts { names.formUnion(host.mirrors.map(\.cluster)) }
    for route in routes.virtualHosts.flatMap(\.routes) {
      guard case .forward(let action) = route.action else { continue }
      names.formUnion(action.mirrors.map(\.cluster))
      switch action.cluster {
      case .cluster(let name): names.insert(name)
      case .weighted(let split): names.formUnion(split.entries.map(\.name))
      case .header: break
      }
    }
    names.remove("")
    return names
  }

  // MARK: - Warming

  /// Whether anything still waits for something else.
  package var isWarming: Bool {
    !waitingClusters.isEmpty || !waitingFixed.isEmpty
      || neededRoutes.contains { resources(.routes)[$0] == nil && !emptyRoutes.contains($0) }
  }

  /// Clusters that are not visible yet.
  package var warmingClusters: Int { waitingClusters.count + waitingFixed.count }

  /// When something that waits stops being waited for; nil when nothing does.
  package var nextDeadline: MonotonicInstant? {
    var deadlines = leavingClusters.values.map { $0 + Self.leaveTime }
    for (name, since) in waitingClusters {
      if !overdueClusters.contains(name) { deadlines.append(since + Self.clusterHold) }
      if case .cluster(let cluster)? = resources(.clusters)[name]?.model, let limit = fetchTimeout(of: cluster) {
        deadlines.append(since + limit)
      }
    }
    for (name, since) in waitingFixed {
      if !overdueClusters.contains(name) { deadlines.append(since + Self.clusterHold) }
      if let limit = fixed.clusters[name].flatMap(Self.endpointsTimeout) { deadlines.append(since + limit) }
    }
    if !missingRoutes.isEmpty {
      let limits = routeFetchTimeouts
      for (name, since) in missingRoutes {
        if let limit = limits[name] ?? nil { deadlines.append(since + limit) }
      }
    }
    return deadlines.min()
  }

  /// What has been waited for in vain since the last call.
  package mutating func takeExpired() -> [XDSExpiry] {
    defer { expired = [] }
    return expired
  }

  /// A removed cluster stays at most this long for the sake of those that still ask it.
  private static let leaveTime = Duration.seconds(30)
  /// Who asks a cluster is held back at most this long for its sake, be it that the cluster itself waits longer.
  package static let clusterHold = Duration.seconds(15)

  /// How long a cluster waits for what it lacks: the longest of its sources; nil: for ever.
  private func fetchTimeout(of cluster: Cluster) -> Duration? {
    var longest = Duration.zero
    if let name = Self.endpointsName(of: cluster), resources(.endpoints)[name] == nil {
      guard let limit = Self.endpointsTimeout(of: cluster) else { return nil }
      longest = max(longest, limit)
    }
    for secret in missingSecrets(of: cluster) {
      guard let limit = secret.source?.initialFetchTimeout else { return nil }
      longest = max(longest, limit)
    }
    return longest
  }

  private static func endpointsTimeout(of cluster: Cluster) -> Duration? {
    guard case .eds(_, let source) = cluster.discovery else { return .zero }
    return source.initialFetchTimeout
  }

  /// The secrets of the stream that a cluster waits for.
  private func missingSecrets(of cluster: Cluster) -> [SecretReference] {
    let known = resources(.secrets)
    return (cluster.tls?.common.secrets ?? []).filter {
      $0.key.origin == .stream && known[$0.name] == nil && !absentSecrets.contains($0.name)
    }
  }

  /// How long listeners wait for each route configuration they name: the longest where they differ; nil: for ever.
  private var routeFetchTimeouts: [String: Duration?] {
    var limits: [String: Duration?] = [:]
    for listener in allListeners {
      for (name, limit, _) in Self.streamTables(of: listener) {
        guard let known = limits[name] else {
          limits.updateValue(limit, forKey: name)
          continue
        }
        let longest: Duration? = if let known, let limit { max(known, limit) } else { nil }
        limits.updateValue(longest, forKey: name)
      }
    }
    return limits
  }

  /// Moves what is complete into view. *Returns*: what requests may see from now on.
  package mutating func settle(now: MonotonicInstant) -> ConfigState {
    var accepted: [String: Cluster] = [:]
    for case .cluster(let cluster) in resources(.clusters).values.map(\.model) { accepted[cluster.name] = cluster }

    for (name, cluster) in accepted {
      leavingClusters[name] = nil
      let old = visibleClusters[name]
      // A visible cluster that changed its service name goes on with the old form until the new endpoints are there.
      let isReady =
        isComplete(cluster) || (old != nil && old.flatMap(Self.endpointsName) == Self.endpointsName(of: cluster))
      if !isReady {
        guard hasWaited(since: &waitingClusters[name], fetchTimeout(of: cluster), now) else {
          if let since = waitingClusters[name], since + Self.clusterHold <= now { overdueClusters.insert(name) }
          continue
        }
        if let endpoints = Self.endpointsName(of: cluster), resources(.endpoints)[endpoints] == nil {
          expired.append(XDSExpiry(type: .endpoints, name: endpoints))
        }
        for secret in missingSecrets(of: cluster) {
          expired.append(XDSExpiry(type: .secrets, name: secret.name))
          absentSecrets.insert(secret.name)
        }
      }
      visibleClusters[name] = cluster
      waitingClusters[name] = nil
    }
    waitingClusters = waitingClusters.filter { accepted[$0.key] != nil }
    settleFixed(now)
    overdueClusters = overdueClusters.filter { waitingClusters[$0] != nil || waitingFixed[$0] != nil }
    if !absentSecrets.isEmpty {
      let known = resources(.secrets)
      absentSecrets = absentSecrets.intersection(neededSecrets).filter { known[$0] == nil }
    }
    settleRoutes(now)
    settleRemovals(accepted, now)
    return visible
  }

  /// Clusters that did not come over the stream are there without their endpoints; who asks one is held back until they have come.
  private mutating func settleFixed(_ now: MonotonicInstant) {
    let known = resources(.endpoints)
    fixedWaits = fixedWaits.filter { fixed.clusters[$0.key].flatMap(Self.endpointsName) == $0.value.endpoints }
    for (name, cluster) in fixed.clusters.sorted(by: { $0.key < $1.key }) {
      guard let endpoints = Self.endpointsName(of: cluster) else { continue }
      // What has come once may be taken away: that is no reason to wait again.
      guard case .since(let since) = fixedWaits[name]?.wait ?? .since(now) else { continue }
      var wait = FixedWait.since(since)
      if known[endpoints] != nil {
        wait = .over
      } else if let limit = Self.endpointsTimeout(of: cluster), since + limit <= now {
        wait = .over
        expired.append(XDSExpiry(type: .endpoints, name: endpoints))
      } else if since + Self.clusterHold <= now {
        overdueClusters.insert(name)
      } else {
        overdueClusters.remove(name)
      }
      fixedWaits[name] = (endpoints, wait)
    }
  }

  private mutating func settleRoutes(_ now: MonotonicInstant) {
    let wanted = Set(neededRoutes)
    let known = resources(.routes)
    emptyRoutes = emptyRoutes.filter { wanted.contains($0) && known[$0] == nil }
    settleMissing(wanted.filter { known[$0] == nil && !emptyRoutes.contains($0) }, now)
  }

  /// Listeners do not wait for routes for ever: these become visible without any.
  private mutating func settleMissing(_ missing: Set<String>, _ now: MonotonicInstant) {
    missingRoutes = missingRoutes.filter { missing.contains($0.key) }
    if missing.isEmpty { return }
    let limits = routeFetchTimeouts
    for name in missing where hasWaited(since: &missingRoutes[name], limits[name] ?? nil, now) {
      missingRoutes[name] = nil
      emptyRoutes.insert(name)
      expired.append(XDSExpiry(type: .routes, name: name))
    }
  }

  /// What was settled last has been compiled, and leads to these clusters. *Returns*: whether a removed cluster is now asked by nobody, so that
  /// settling again lets it go.
  package mutating func uses(clusters: Set<String>) -> Bool {
    usedClusters = clusters
    return leavingClusters.keys.contains { !clusters.contains($0) }
  }

  private mutating func settleRemovals(_ accepted: [String: Cluster], _ now: MonotonicInstant) {
    var left: Set<String> = []
    for name in visibleClusters.keys.sorted() where accepted[name] == nil {
      let since = leavingClusters[name] ?? now
      if usedClusters.contains(name), since + Self.leaveTime > now {
        leavingClusters[name] = since
      } else {
        leavingClusters[name] = nil
        if let endpoints = visibleClusters.removeValue(forKey: name).flatMap(Self.endpointsName) {
          left.insert(endpoints)
        }
      }
    }
    if left.isEmpty { return }
    for name in left.subtracting(neededEndpoints).subtracting(heldEndpoints) {
      entries[.endpoints]?.removeValue(forKey: name)
    }
  }

  private func isComplete(_ cluster: Cluster) -> Bool {
    guard missingSecrets(of: cluster).isEmpty else { return false }
    guard let name = Self.endpointsName(of: cluster) else { return true }
    return resources(.endpoints)[name] != nil
  }

  private func hasWaited(since: inout MonotonicInstant?, _ limit: Duration?, _ now: MonotonicInstant) -> Bool {
    let start = since ?? now
    since = start
    guard let limit else { return false }
    return start + limit <= now
  }

  private var visible: ConfigState {
    var state = ConfigState()
    state.needsRevision = fixed.revision
    state.absentSecrets = Set(
      absentSecrets.lazy.filter { resources(.secrets)[$0] == nil }.map { SecretKey($0, .stream) })
    state.clusters = visibleClusters.values.sorted { $0.name < $1.name }
    state.incompleteClusters = Set(waitingClusters.keys).union(waitingFixed.keys)
    state.awaitedClusters = state.incompleteClusters.subtracting(overdueClusters)
    for name in neededRoutes {
      if case .routes(let routes)? = resources(.routes)[name]?.model {
        state.routes[name] = routes
      } else if emptyRoutes.contains(name) {
        state.routes[name] = RouteConfiguration(name: name)
      }
    }
    for case .listener(let listener) in resources(.listeners).values.map(\.model) { state.listeners.append(listener) }
    state.listeners.sort { $0.name < $1.name }
    for (name, entry) in resources(.endpoints) {
      if case .endpoints(let assignment) = entry.model { state.endpoints[name] = assignment }
    }
    for (name, entry) in resources(.secrets) {
      if case .secret(let secret) = entry.model { state.secrets[SecretKey(name, .stream)] = secret }
    }
    return state
  }
}
