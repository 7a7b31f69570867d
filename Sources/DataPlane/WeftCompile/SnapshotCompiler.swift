package import WeftBase
import WeftHTTP
import WeftModel
package import WeftProxyAPI
import WeftRuntime
import WeftTables
package import WeftTelemetry
package import WeftUpstream

/// Turns configuration into snapshots.
///
/// What did not change since the last snapshot is taken over as it is: the same `ConfigRef`, the same memory. A cluster
/// keeps its position for as long as anything compiled names it, be it that the cluster is gone. What cannot be compiled is reported and keeps its last good form; everything beside
/// it takes effect.
///
/// Longer than a file should be, and one noun: what is kept of clusters, route tables and listeners, who of them asks whom and who waits, are tables that
/// all three write. What only makes values of models stands beside it (`ListenerCompiler`, `RouteCompiler`, `FilterChains`, `RouteWarnings`).
/// *Threads*: one, none of the workers'.
package final class SnapshotCompiler {
  /// A compiled form, what it was made from, and what keeps its memory.
  private struct Unit<Model: Equatable, Value> {
    var model: Model
    var value: ConfigRef<Value>
    var storage: SnapshotStorage
    /// What a cluster's filters say without effect.
    var warnings: [ConfigError] = []
  }

  private struct ClusterModel: Equatable {
    var cluster: Cluster
    var assignment: LoadAssignment
    var addresses: [[IPAddress]]
    /// Those it names, in order; whether it goes on without some.
    var secrets: [Secret?]
    var lacksSecrets: Bool
  }

  private struct ListenerModel: Equatable {
    var listener: Listener
    /// Those its chains name, in order; whether it goes on without some.
    var secrets: [Secret?]
    var lacksSecrets: Bool
    /// Versions of the route tables it uses, and of its filter chains.
    var routes: [UInt64]
    var filters: [UInt64]
  }

  /// The clusters that something names: where they were found, and those that did not exist.
  private struct ClusterNames {
    var found: Set<String> = []
    var missing: Set<String> = []

    /// Whether what was compiled with them still says what is there now.
    func hold(_ positions: [String: Int32]) -> Bool {
      found.allSatisfy { positions[$0] != nil } && missing.allSatisfy { positions[$0] == nil }
    }
  }

  private struct RouteUnit {
    var unit: Unit<RouteConfiguration, RouteTable>
    var names: ClusterNames
    var version: UInt64
    /// Version of the filter chain it was compiled for; 0: it says nothing about filters.
    var filters: UInt64
    /// What it says without effect.
    var warnings: [ConfigError]
  }

  private struct ListenerUnit {
    var unit: Unit<ListenerModel, CompiledListener>
    /// Those of its TCP proxies.
    var names: ClusterNames
    /// Every cluster to whose position it leads, through its route tables, too.
    var reached: Set<String>
    /// What its HTTP filters say without effect.
    var warnings: [ConfigError]
  }

  let metrics: MetricsRegistry
  /// What its configuration may ask of runtime keys.
  package let runtime: RuntimeStore
  /// Hears of ejections.
  private let tellOutliers: (@Sendable (OutlierEvent) -> Void)?
  package let logs: AccessLogFiles
  package let security: (any SecurityFactory)?
  package let extensions: ProxyExtensions
  private let tables: BalancerTables
  /// What has to be made before a snapshot of what is compiled now may be handed out, by cluster.
  private var orders: [String: TableOrder] = [:]
  private var random: RandomSource
  private var version: UInt64 = 0
  private var routeVersion: UInt64 = 0
  private var missingSecrets: [SecretKey: Duration?] = [:]
  /// Clusters on their way; whether any that is not there may be.
  private var awaited: (clusters: Set<String>, all: Bool) = ([], false)
  /// When the hosts of a cluster were last changed; when the first change that is held back is due.
  private var hostsChanged: [String: MonotonicInstant] = [:]
  private var heldUntil: MonotonicInstant?

  /// Clusters by position; nil where none is. A listener that is kept in its last good form goes on using the positions it was compiled
  /// with, so the position of a removed cluster rests (`resting`) until nothing compiled leads to it any more.
  private var order: [String?] = []
  private var positions: [String: Int32] = [:]
  private var resting: [String: Int32] = [:]
  /// The clusters as the last snapshot had them; pieces whose numbers are in `stale` are made anew for the next.
  private var pieces: [ClusterList.Piece] = []
  private var stale: Set<Int> = []
  private var index = ClusterPositions([])
  private var indexIsStale = false

  private var clusters: [String: Unit<ClusterModel, CompiledCluster>] = [:]
  private var routes: [String: RouteUnit] = [:]
  private var chains: FilterChains
  private let protocols: ProtocolRegistry
  private var networkChains: NetworkChains
  private let listenerFilters: ListenerFilterRegistry
  private let loadBalancers: LoadBalancerRegistry
  private let accessLogs: AccessLogRegistry
  private var listeners: [String: ListenerUnit] = [:]
  /// Kept for as long as a snapshot uses it: a cluster that goes and comes back goes on counting what is in flight.
  private var breakers: [String: WeakBreaker] = [:]
  private var outliers: [String: OutlierMonitor] = [:]
  /// Route configurations refused while their last good form stays in force.
  private var pendingRejections: [ConfigError] = []

  package init(
    metrics: MetricsRegistry, logs: AccessLogFiles, security: (any SecurityFactory)? = nil,
    random: RandomSource = .fromSystem(), extensions: ProxyExtensions = .none,
    tables: BalancerTables = BalancerTables(), runtime: RuntimeStore? = nil,
    outlierEvents: (@Sendable (OutlierEvent) -> Void)? = nil
  ) {
    self.tables = tables
    tellOutliers = outlierEvents
    let runtime = runtime ?? RuntimeStore(metrics: metrics)
    self.runtime = runtime
    self.extensions = extensions
    chains = FilterChains(extensions.httpFilters, metrics: metrics, runtime: runtime.keys)
    protocols = extensions.protocols
    listenerFilters = extensions.listenerFilters
    accessLogs = extensions.accessLogs
    networkChains = NetworkChains(extensions.networkFilters, metrics: metrics, runtime: runtime.keys)
    loadBalancers = extensions.loadBalancers
    self.metrics = metrics
    self.logs = logs
    self.security = security
    self.random = random
  }

  /// The outlier monitors in use, by cluster: whoever owns the clock calls their `endInterval`.
  package var outlierMonitors: [String: OutlierMonitor] { outliers }

  /// The clusters in force, by name.
  var compiledClusters: [(String, ConfigRef<CompiledCluster>)] { clusters.map { ($0.key, $0.value.value) } }

  /// Has the tables of a compilation made on another thread; `done` is told there, and hands them to `keep` on this one.
  package func order(_ list: [TableOrder], done: @escaping @Sendable ([BalancerTable]) -> Void) {
    tables.order(list.flatMap(\.jobs)) { made in
      done(made)
      // They keep what the policies are configured with.
      withExtendedLifetime(list) {}
    }
  }

  /// Takes tables in keeping that were ordered.
  package func keep(_ made: [BalancerTable], of list: [TableOrder]) {
    var rest = made[...]
    for order in list {
      for table in rest.prefix(order.jobs.count) { order.storage.retain(table) }
      rest = rest.dropFirst(order.jobs.count)
    }
    // What was compiled meanwhile may need the same ones.
    for (name, order) in orders {
      let found = order.jobs.compactMap { tables.find($0) }
      guard found.count == order.jobs.count else { continue }
      for table in found { order.storage.retain(table) }
      orders[name] = nil
    }
  }

  /// Whether it is in force, be it in its last good form.
  package func hasCluster(_ name: String) -> Bool { clusters[name] != nil }
  package func hasListener(_ name: String) -> Bool { listeners[name] != nil }

  /// Where a cluster's statistics are.
  package func scope(ofCluster name: String) -> ScopeID {
    clusters[name]?.value[].scope ?? metrics.scope(ScopeKey(.cluster, name))
  }

  /// Compiles what is in force now. With the time, changes of hosts are merged (`updateMergeWindow`); without, nothing waits.
  package func compile(_ state: ConfigState, now: MonotonicInstant? = nil) -> Compilation {
    heldUntil = nil
    version += 1
    missingSecrets = [:]
    awaited = (state.awaitedClusters, state.awaitsClusters)
    var rejections: [ConfigError] = []
    var warming: [String] = []

    compileClusters(state, now, &rejections)
    forgetUnusedRoutes(state)

    var compiled: [ConfigRef<CompiledListener>] = []
    let boxes = SnapshotBoxes()
    for listener in state.listeners {
      do throws(ConfigError) {
        if let unit = try compile(listener, state) {
          count(listener, unit.unit.value, unit.unit.model.secrets)
          listeners[listener.name] = unit
        } else {
          warming.append(listener.name)
        }
      } catch {
        rejections.append(error.of(kind: "envoy.config.listener.v3.Listener", name: listener.name))
      }
      if let unit = listeners[listener.name]?.unit {
        compiled.append(unit.value)
        boxes.retain(unit.storage)
      }
    }
    let names = Set(state.listeners.map(\.name))
    let before = listeners.count
    listeners = listeners.filter { names.contains($0.key) }
    let manager = metrics.scope(ScopeKey(.listenerManager))
    if listeners.count < before {
      metrics.add(ListenerManagerMetric.listenerRemoved, manager, UInt64(before - listeners.count))
    }
    metrics.set(ListenerManagerMetric.totalListenersWarming, manager, UInt64(warming.count))
    for unit in routes.values { boxes.retain(unit.unit.storage) }
    rejections += pendingRejections
    pendingRejections = []

    freePositions()
    renewPieces()
    let snapshot = Snapshot(
      version: version, listeners: compiled, clusters: ClusterList(pieces, count: order.count), index: index,
      arena: ConstantArena(), boxes: boxes)
    var result = Compilation(snapshot: snapshot, rejections: rejections, warming: warming)
    result.missingSecrets = missingSecrets
    result.usedClusters = reachedClusters
    result.warnings = routes.sorted { $0.key < $1.key }.flatMap(\.value.warnings)
    result.warnings += listeners.sorted { $0.key < $1.key }.flatMap(\.value.warnings)
    result.warnings += clusters.filter { !$0.value.warnings.isEmpty }.sorted { $0.key < $1.key }.flatMap(
      \.value.warnings)
    result.heldUntil = heldUntil
    result.tables = orders.sorted { $0.key < $1.key }.map(\.value)
    return result
  }

  /// Whether all secrets are there that `contexts` name, or are not waited for any more. Takes note of those that are.
  private func hasSecrets(_ contexts: [CommonTLSContext], _ state: ConfigState) throws(ConfigError) -> Bool {
    var isComplete = true
    for reference in contexts.flatMap(\.secrets) {
      let key = reference.key
      if state.secrets[key] != nil || state.absentSecrets.contains(key) { continue }
      guard let source = reference.source else {
        throw ConfigError(
          path: FieldPath().field("transport_socket"),
          "unknown static secret \"\(reference.name)\"; define it in static_resources.secrets or give an sds_config")
      }
      isComplete = false
      guard let known = missingSecrets[key] else {
        missingSecrets.updateValue(source.initialFetchTimeout, forKey: key)
        continue
      }
      let longest: Duration? = if let known, let own = source.initialFetchTimeout { max(known, own) } else { nil }
      missingSecrets.updateValue(longest, forKey: key)
    }
    return isComplete
  }

  private static func secrets(_ contexts: [CommonTLSContext], _ state: ConfigState) -> [Secret?] {
    contexts.flatMap(\.secrets).map { state.secrets[$0.key] }
  }

  /// Whether one of the secrets that are not there has been waited for long enough by those who only ask who needs it.
  private static func isOverdue(_ contexts: [CommonTLSContext], _ state: ConfigState) -> Bool {
    contexts.flatMap(\.secrets).contains { state.secrets[$0.key] == nil && state.overdueSecrets.contains($0.key) }
  }

  private static func lacksSecrets(_ contexts: [CommonTLSContext], _ state: ConfigState) -> Bool {
    contexts.flatMap(\.secrets).contains {
      state.secrets[$0.key] == nil && state.absentSecrets.contains($0.key)
    }
  }

  /// Makes the pieces anew in which something changed.
  private func renewPieces() {
    let size = ClusterList.Piece.size
    for number in stale.sorted() {
      var references: [ConfigRef<CompiledCluster>?] = []
      var owners: [SnapshotStorage] = []
      for position in number * size..<min(order.count, (number + 1) * size) {
        let unit = order[position].flatMap { clusters[$0] }
        references.append(unit?.value)
        if let unit { owners.append(unit.storage) }
      }
      let piece = ClusterList.Piece(references, owners: owners)
      if number < pieces.count { pieces[number] = piece } else { pieces.append(piece) }
    }
    stale = []
    if indexIsStale { index = ClusterPositions(positions.map { ($0.key, $0.value) }) }
    indexIsStale = false
  }

  /// Something changed at a position.
  private func touch(_ position: Int32) { stale.insert(Int(position) / ClusterList.Piece.size) }

  // MARK: Clusters

  private func compileClusters(_ state: ConfigState, _ now: MonotonicInstant?, _ rejections: inout [ConfigError]) {
    var known: Set<String> = []
    for cluster in state.clusters where known.insert(cluster.name).inserted {
      // It goes on in its old form, or is not there yet, until its endpoints are.
      if state.awaitsEndpoints(of: cluster, isThere: clusters[cluster.name] != nil) { continue }
      let assignment = assignment(of: cluster, state)
      let names = assignment.localities.flatMap(\.endpoints).map { resolved($0, cluster, state) }
      let contexts = cluster.tls.map { [$0.common] } ?? []
      let model = ClusterModel(
        cluster: cluster, assignment: assignment, addresses: names, secrets: Self.secrets(contexts, state),
        lacksSecrets: Self.lacksSecrets(contexts, state))
      if clusters[cluster.name]?.model == model { continue }
      if let now, isHeldBack(model, now) { continue }
      do throws(ConfigError) {
        // It goes on in its old form, or is not there yet, until its secrets are.
        guard try hasSecrets(contexts, state) else {
          if !Self.isOverdue(contexts, state) { awaited.clusters.insert(cluster.name) }
          continue
        }
        let unit = try compile(model, state)
        if let old = clusters[cluster.name], old.model.secrets != model.secrets, cluster.tls != nil {
          metrics.add(ClusterMetric.sslUpdateBySDS, unit.value[].scope)
        }
        count(model, replacing: clusters[cluster.name]?.model)
        clusters[cluster.name] = unit
        if let position = positions[cluster.name] { touch(position) }
      } catch {
        rejections.append(error.of(kind: "envoy.config.cluster.v3.Cluster", name: cluster.name))
      }
    }
    let removed = positions.keys.filter { !known.contains($0) }
    let manager = metrics.scope(ScopeKey(.clusterManager))
    if !removed.isEmpty { metrics.add(ClusterManagerMetric.clusterRemoved, manager, UInt64(removed.count)) }
    for name in removed {
      clusters[name] = nil
      orders[name] = nil
      outliers[name] = nil
      hostsChanged[name] = nil
      guard let position = positions.removeValue(forKey: name) else { continue }
      resting[name] = position
      touch(position)
      indexIsStale = true
    }
    if !removed.isEmpty { breakers = breakers.filter { $0.value.state != nil } }
    var free = order.indices.filter { order[$0] == nil }[...]
    for cluster in state.clusters where clusters[cluster.name] != nil && positions[cluster.name] == nil {
      if let own = resting.removeValue(forKey: cluster.name) {
        positions[cluster.name] = own
      } else if let position = free.popFirst() {
        order[position] = cluster.name
        positions[cluster.name] = Int32(position)
      } else {
        order.append(cluster.name)
        positions[cluster.name] = Int32(order.count - 1)
      }
      if let position = positions[cluster.name] { touch(position) }
      indexIsStale = true
    }
  }

  /// Whether a change of nothing but hosts' health, weight and metadata waits for the end of its cluster's window, so that a burst of them is
  /// one change for the workers. Hosts that come or go never wait. *Source*: Envoy's `update_merge_window`.
  private func isHeldBack(_ model: ClusterModel, _ now: MonotonicInstant) -> Bool {
    let window = model.cluster.loadBalancing.updateMergeWindow
    guard let old = clusters[model.cluster.name]?.model else { return false }
    guard window > .zero, old.cluster == model.cluster,
      old.secrets == model.secrets, old.lacksSecrets == model.lacksSecrets, old.addresses == model.addresses,
      old.assignment.hasSameHosts(as: model.assignment)
    else {
      hostsChanged[model.cluster.name] = now
      return false
    }
    if let last = hostsChanged[model.cluster.name], last + window > now {
      heldUntil = min(heldUntil ?? .distantFuture, last + window)
      return true
    }
    hostsChanged[model.cluster.name] = now
    return false
  }

  /// Positions of removed clusters to which nothing leads any more may be given to others.
  private func freePositions() {
    if resting.isEmpty { return }
    let reached = reachedClusters
    for (name, position) in resting where !reached.contains(name) {
      resting[name] = nil
      order[Int(position)] = nil
    }
  }

  /// Clusters to which something compiled leads, those that get copies of their requests among them.
  private var reachedClusters: Set<String> {
    var reached: Set<String> = []
    for listener in listeners.values { reached.formUnion(listener.reached) }
    for table in routes.values { reached.formUnion(table.names.found) }
    for name in reached { reached.formUnion(mirrors(of: name).filter { positions[$0] != nil }) }
    return reached
  }

  /// Names of the clusters that get copies of what a cluster is asked.
  private func mirrors(of name: String) -> [String] {
    clusters[name]?.model.cluster.mirrors.map(\.cluster).filter { !$0.isEmpty } ?? []
  }

  /// Whether something compiled with these names would ask a cluster that is on its way. Whatever asks a cluster asks for its position when it is
  /// compiled, so nothing that is asked can be forgotten: routes and TCP proxies, copies, HTTP filters and what routes say about them.
  private func waits(for found: Set<String>, _ missing: Set<String>) -> Bool {
    if awaited.clusters.isEmpty, !awaited.all { return false }
    func isOnItsWay(_ name: String) -> Bool {
      positions[name] == nil && (awaited.all || awaited.clusters.contains(name))
    }
    return missing.contains(where: isOnItsWay) || found.contains { mirrors(of: $0).contains(where: isOnItsWay) }
  }

  /// A cluster whose hosts changed and nothing else was updated, not modified.
  private func count(_ model: ClusterModel, replacing old: ClusterModel?) {
    let metric: ClusterManagerMetric =
      if let old { old.cluster == model.cluster ? .clusterUpdated : .clusterModified } else { .clusterAdded }
    metrics.add(metric, metrics.scope(ScopeKey(.clusterManager)))
  }

  /// A listener whose routes changed and nothing else was not modified; one that keeps its socket changes in place.
  private func count(_ listener: Listener, _ compiled: ConfigRef<CompiledListener>, _ secrets: [Secret?]) {
    let manager = metrics.scope(ScopeKey(.listenerManager))
    guard let old = listeners[listener.name] else { return metrics.add(ListenerManagerMetric.listenerAdded, manager) }
    if old.unit.model.listener == listener, old.unit.model.secrets != secrets {
      metrics.add(ListenerMetric.sslUpdateBySDS, compiled[].stats)
    }
    if old.unit.model.listener == listener { return }
    metrics.add(ListenerManagerMetric.listenerModified, manager)
    if old.unit.value[].socketIdentity == compiled[].socketIdentity {
      metrics.add(ListenerManagerMetric.listenerInPlaceUpdated, manager)
    }
  }

  private func assignment(of cluster: Cluster, _ state: ConfigState) -> LoadAssignment {
    guard case .eds(_, let source) = cluster.discovery, let name = cluster.endpointsName else {
      return cluster.loadAssignment
    }
    return state.endpoints(name, from: source) ?? LoadAssignment(clusterName: name)
  }

  private func compile(
    _ model: ClusterModel, _ state: ConfigState
  ) throws(ConfigError) -> Unit<ClusterModel, CompiledCluster> {
    let storage = SnapshotStorage(runtime: runtime.keys)
    let cluster = model.cluster
    let balancer = try balancer(of: cluster, storage)
    let hashes = balancer?.traits.hashes ?? .none
    if let balancer, hashes != .none {
      try checkWeights(
        model.assignment,
        weighsLocalities: cluster.loadBalancing.localityWeighted || balancer.traits.weighsLocalities)
    }
    var endpoints: [CompiledEndpoint] = []
    var weights: [UInt32: UInt32] = [:]
    for (l, locality) in model.assignment.localities.enumerated() {
      weights[UInt32(l)] = locality.weight ?? 0
      for (e, endpoint) in locality.endpoints.enumerated() {
        let at = FieldPath().field("load_assignment").field("endpoints").index(l).field("lb_endpoints").index(e)
        for address in try addresses(endpoint, cluster, state, at) {
          var compiled = CompiledEndpoint(
            address: address, hostname: storage.text(hostname(endpoint, cluster)), weight: endpoint.weight,
            priority: locality.priority, locality: UInt32(l), health: endpoint.health, isCanary: endpoint.canary)
          if hashes != .none {
            compiled.hashKey =
              if !endpoint.hashKey.isEmpty {
                storage.text(endpoint.hashKey)
              } else if hashes == .hostname, !compiled.hostname.isEmpty {
                compiled.hostname
              } else {
                storage.text(address.unixPath ?? address.description)
              }
          }
          endpoints.append(compiled)
        }
      }
    }
    var compiled = CompiledCluster(
      config: cluster, name: storage.text(cluster.name), identity: 0,
      scope: storage.scope(ScopeKey(.cluster, cluster.statName), metrics), endpoints: endpoints,
      limits: HTTPLimits(upstreamOf: cluster), connectTimeout: cluster.connectTimeout.wholeNanoseconds)
    compiled.config.loadAssignment = model.assignment
    compiled.localityWeights = weights
    compiled.balancer = balancer
    compiled.tables = tables
    prepareTables(of: compiled, storage)
    compiled.metadata = storage.arena.metadata(cluster.metadata)
    compiled.mirrors = storage.mirrors(cluster.mirrors)
    compiled.options = ConnectionOptions(cluster)
    compiled.otherBinding = cluster.binding?.otherAddress.flatMap(SocketAddress.init)
    compiled.proxyHeader = cluster.proxyProtocol.map(ProxyPreface.init)
    compiled.idleTimeout = cluster.idleTimeout.wholeNanoseconds
    compiled.maxConnectionDuration = cluster.maxConnectionDuration.wholeNanoseconds
    compiled.maxRequestsPerConnection = cluster.maxRequestsPerConnection ?? .max
    if let keepalive = cluster.http2.keepalive {
      compiled.pingAfterIdle = keepalive.connectionIdleInterval.wholeNanoseconds
      compiled.pingInterval = keepalive.interval.wholeNanoseconds
      compiled.pingJitter = UInt64(
        Double(compiled.pingInterval) * min(100, max(0, keepalive.intervalJitterPercent)) / 100)
      compiled.pingTimeout = keepalive.timeout.wholeNanoseconds
    }
    if case .originalDestination(_, _, let interval) = cluster.discovery {
      compiled.isOriginalDestination = true
      compiled.cleanupInterval = max(interval, .milliseconds(1)).wholeNanoseconds
    }
    compiled.isLogical = cluster.discovery == .logicalDNS
    var warnings: [ConfigError] = []
    compiled.filters = try chains.upstream(
      cluster.filters, statPrefix: cluster.statName, storage,
      at: FieldPath().field("typed_extension_protocol_options").field("http_filters"), &warnings)
    if let tls = cluster.tls {
      guard let security else {
        throw ConfigError(path: FieldPath().field("transport_socket"), "TLS is not available here")
      }
      if tls.common.lacks(state.secrets) {
        compiled.security = MissingSecurity()
      } else {
        do throws(ConfigError) { compiled.security = try security.upstream(tls, secrets: state.secrets) } catch {
          throw error.inside(FieldPath().field("transport_socket").field("typed_config"))
        }
      }
      compiled.serverName = tls.sni
      compiled.sendsHostname = tls.autoHostSNI
      compiled.sendsAuthority = cluster.autoSNI
      compiled.checksAuthority = cluster.autoSANValidation
      compiled.authorityHeader = storage.text(cluster.autoSNIHeader)
    }
    compiled.keepsApart = compiled.sendsAuthority || compiled.checksAuthority || compiled.proxyHeader != nil
    compiled.identity = identity(model, security: compiled.security?.identity)
    compiled.breakerLimits = CircuitBreakerLimits(cluster.circuitBreakers.standard)
    compiled.highBreakerLimits = CircuitBreakerLimits(cluster.circuitBreakers.high)
    let breaker = breakers[cluster.name]?.state ?? CircuitBreakerState()
    breakers[cluster.name] = WeakBreaker(state: breaker)
    compiled.breakers = breaker
    attachOutliers(cluster, &compiled)
    publishMembers(compiled)
    return Unit(
      model: model, value: storage.keep(compiled), storage: storage,
      warnings: warnings.map { $0.of(kind: "envoy.config.cluster.v3.Cluster", name: cluster.name) })
  }

  /// Policies that hash make shares of the weights. *Errors*: weights of hosts, of a locality that has one itself or else of a priority, or of the
  /// localities of a priority, that come to more than Envoy takes.
  private func checkWeights(_ assignment: LoadAssignment, weighsLocalities: Bool) throws(ConfigError) {
    let at = FieldPath().field("load_assignment").field("endpoints")
    let weighted = Set(assignment.localities.filter { weighsLocalities && $0.weight != nil }.map(\.priority))
    var hosts: [UInt32: UInt64] = [:]
    var localities: [UInt32: UInt64] = [:]
    for (l, locality) in assignment.localities.enumerated() {
      let own = locality.endpoints.reduce(0 as UInt64) { $0 + UInt64($1.weight) }
      let sum = (weighted.contains(locality.priority) ? 0 : hosts[locality.priority, default: 0]) + own
      guard sum <= UInt32.max else {
        throw ConfigError(
          path: at.index(l).field("lb_endpoints"),
          "make the weights of hosts \(sum) together; \(UInt32.max) are allowed")
      }
      let all = localities[locality.priority, default: 0] + UInt64(locality.weight ?? 0)
      guard all <= UInt32.max else {
        throw ConfigError(
          path: at.index(l).field("load_balancing_weight"),
          "makes the weights of priority \(locality.priority) \(all) together; \(UInt32.max) are allowed")
      }
      (hosts[locality.priority], localities[locality.priority]) = (sum, all)
    }
  }

  private func balancer(of cluster: Cluster, _ storage: SnapshotStorage) throws(ConfigError) -> CompiledBalancer? {
    guard case .balancer(let config) = cluster.loadBalancing.policy else { return nil }
    let context = BalancerContext(storage: storage, metrics: metrics, cluster: cluster.statName)
    do throws(ConfigError) { return try loadBalancers.compile(config, context) } catch {
      throw error.inside(cluster.loadBalancing.policyPath)
    }
  }

  /// Sees to the tables that the cluster's hosts need as they are configured: they come with the hosts. As Envoy, which makes them before a cluster
  /// is warm.
  private func prepareTables(of cluster: CompiledCluster, _ storage: SnapshotStorage) {
    orders[cluster.config.name] = nil
    guard let balancer = cluster.balancer, balancer.traits.hasTable, tables.builder != .none else { return }
    let lists = BalancerLists(
      cluster.config.loadBalancing, balancer,
      overprovisioning: Int(cluster.config.loadAssignment.overprovisioningPercent),
      cluster.endpoints.map(BalancerHost.init), cluster.localityWeights)
    let wanted = lists.jobs(balancer)
    if tables.builder == .asker {
      for job in wanted { storage.retain(tables.make(job)) }
      return
    }
    let known = wanted.compactMap { tables.find($0) }
    if known.count == wanted.count {
      for table in known { storage.retain(table) }
    } else {
      orders[cluster.config.name] = TableOrder(jobs: wanted, storage: storage)
    }
  }

  private func attachOutliers(_ cluster: Cluster, _ compiled: inout CompiledCluster) {
    guard let settings = cluster.outlierDetection else {
      outliers[cluster.name] = nil
      return
    }
    let monitor: OutlierMonitor
    if let known = outliers[cluster.name], known.settings == settings {
      monitor = known
    } else {
      monitor = OutlierMonitor(
        settings, random: random.split(), cluster: cluster.name, tell: tellOutliers)
      outliers[cluster.name] = monitor
    }
    // A logical host stays who it is when its address changes.
    let blocks = monitor.setHosts(
      compiled.isLogical
        ? compiled.endpoints.map { $0.hostname.string } : compiled.endpoints.map(\.address.description),
      availability: compiled.endpoints.map(\.availability))
    for i in compiled.endpoints.indices { compiled.endpoints[i].outlier = blocks[i].host }
    compiled.outlierBlocks = blocks
    compiled.outlier = monitor
  }

  /// The gauges of a cluster's members; those of its health go on with every ejection.
  private func publishMembers(_ compiled: CompiledCluster) {
    let scope = compiled.scope
    metrics.set(ClusterMetric.membershipTotal, scope, UInt64(compiled.endpoints.count))
    metrics.set(ClusterMetric.maxHostWeight, scope, UInt64(compiled.endpoints.lazy.map(\.weight).max() ?? 0))
    if let monitor = compiled.outlier { return metrics.publishLevels(of: monitor, scope) }
    var levels = OutlierMonitor.Levels()
    levels.healthy = compiled.endpoints.count { $0.availability == .healthy }
    levels.degraded = compiled.endpoints.count { $0.availability == .degraded }
    metrics.publish(levels, scope)
  }

  private func addresses(
    _ endpoint: Endpoint, _ cluster: Cluster, _ state: ConfigState, _ at: FieldPath
  ) throws(ConfigError) -> [SocketAddress] {
    let path = at.field("endpoint").field("address")
    switch endpoint.address {
    case .pipe(let name):
      guard let address = SocketAddress(unixPath: name) else {
        throw ConfigError(
          path: path.field("pipe").field("path"), "\"\(name)\" is longer than a socket path may be (107 bytes)")
      }
      return [address]
    case .internalListener:
      throw ConfigError(path: path.field("envoy_internal_address"), "internal listeners are not supported")
    case .socket(let host, let port):
      if let ip = IPAddress(host) { return [SocketAddress(ip, port: port)] }
      switch cluster.discovery {
      case .strictDNS, .logicalDNS:
        return resolved(endpoint, cluster, state).map { SocketAddress($0, port: port) }
      case .fixed, .eds, .originalDestination:
        throw ConfigError(
          path: path.field("socket_address").field("address"),
          "\"\(host)\" is no IP address; names are for clusters of type STRICT_DNS and LOGICAL_DNS")
      }
    }
  }

  /// What the name of an endpoint stands for now.
  private func resolved(_ endpoint: Endpoint, _ cluster: Cluster, _ state: ConfigState) -> [IPAddress] {
    guard case .socket(let host, _) = endpoint.address, IPAddress(host) == nil else { return [] }
    return cluster.addresses(from: state.addresses[NameLookup(host, for: cluster).question] ?? [])
  }

  /// The endpoint's own name, or the one that it is looked up by.
  private func hostname(_ endpoint: Endpoint, _ cluster: Cluster) -> String {
    if !endpoint.hostname.isEmpty { return endpoint.hostname }
    guard cluster.discovery == .strictDNS || cluster.discovery == .logicalDNS,
      case .socket(let host, _) = endpoint.address
    else { return "" }
    return host
  }

  /// What a connection depends on; hosts, balancing and limits do not count.
  private func identity(_ model: ClusterModel, security: UInt64?) -> UInt64 {
    let c = model.cluster
    var hasher = StableHasher()
    hasher.combine(c.name)
    switch c.upstreamProtocol {
    case .http1: hasher.combine(0)
    case .http2: hasher.combine(1)
    case .automatic: hasher.combine(2)
    case .useDownstream: hasher.combine(3)
    }
    hasher.combine(c.http2)
    hasher.combine(security)
    hasher.combine(c.autoSNI)
    hasher.combine(c.autoSANValidation)
    hasher.combine(c.autoSNIHeader)
    hasher.combine(c.binding)
    hasher.combine(c.proxyProtocol)
    hasher.combine(c.tcpKeepalive)
    hasher.combine(c.perConnectionBufferLimitBytes)
    hasher.combine(c.maxResponseHeadersBytes)
    // Workers count a cluster where they first did.
    if !c.altStatName.isEmpty { hasher.combine(c.altStatName) }
    return hasher.finish()
  }

  // MARK: Routes

  private func forgetUnusedRoutes(_ state: ConfigState) {
    var used: Set<String> = []
    var places: Set<String> = []
    for listener in state.listeners {
      for (i, chain) in listener.allChains.enumerated() {
        for filter in chain.filters {
          guard case .httpConnectionManager(let manager) = filter else { continue }
          used.insert(Self.key(manager, listener, i))
          used.insert(Self.key(manager, listener, i) + Self.suffix(listener, i))
          places.insert(Self.suffix(listener, i))
        }
      }
    }
    chains.keep(only: places)
    routes = routes.filter { used.contains($0.key) }
  }

  /// Names a chain of a listener, and the tables that are compiled for its filters.
  private static func suffix(_ listener: Listener, _ chain: Int) -> String { " for \(listener.name)/\(chain)" }

  /// Discovered tables are shared by place and name, inline ones belong to their chain.
  private static func key(_ manager: HTTPConnectionManager, _ listener: Listener, _ chain: Int) -> String {
    switch manager.routes {
    case .discovered(let name, let source):
      if case .path(let file) = source.kind { "file/\(file)/\(name)" } else { "rds/\(name)" }
    case .inline: "inline/\(listener.name)/\(chain)"
    }
  }

  /// `nil` while the route configuration, or a cluster that it asks, has not arrived.
  private func table(
    _ manager: HTTPConnectionManager, _ listener: Listener, _ chain: Int, _ filters: FilterChains.Unit,
    _ state: ConfigState
  ) throws(ConfigError) -> RouteUnit? {
    let configuration: RouteConfiguration
    switch manager.routes {
    case .inline(let inline): configuration = inline
    case .discovered(let name, let source):
      guard let found = state.routes(name, from: source) else { return nil }
      configuration = found
    }
    let namesFilters = configuration.namesFilters
    let key = Self.key(manager, listener, chain) + (namesFilters ? Self.suffix(listener, chain) : "")
    let filtersVersion = namesFilters ? filters.version : 0
    if let known = routes[key], known.unit.model == configuration, known.filters == filtersVersion,
      known.names.hold(positions)
    {
      return known
    }
    let storage = SnapshotStorage(runtime: runtime.keys)
    var names = ClusterNames()
    let compiler = RouteCompiler(
      storage: storage, clusterPosition: { [positions] in Self.position(of: $0, positions, &names) },
      load: { (source) throws(ConfigError) in try source.load() }, filters: namesFilters ? filters.builder : nil,
      retryPriorities: extensions.retryPriorities)
    let table: RouteTable
    // Of a table that was not taken.
    _ = filters.builder.takeWarnings()
    do throws(ConfigError) { table = try compiler.compile(configuration) } catch {
      // A cluster that must exist may be on its way.
      if waits(for: names.found, names.missing) { return held(key, filtersVersion) }
      let named = error.of(kind: "envoy.config.route.v3.RouteConfiguration", name: configuration.name)
      // A table that worked stays in force while its successor is wrong.
      // It is laid out for one filter chain; under another its configurations would be taken for those of other filters.
      guard let known = routes[key], known.filters == filtersVersion else { throw named }
      pendingRejections.append(named)
      return known
    }
    if waits(for: names.found, names.missing) { return held(key, filtersVersion) }
    routeVersion += 1
    let unit = RouteUnit(
      unit: Unit(model: configuration, value: storage.keep(table), storage: storage), names: names,
      version: routeVersion, filters: filtersVersion,
      warnings: warnings(of: configuration, for: manager, filters, in: listener, chain, state))
    // Configurations that a route does not override are the chain's.
    if namesFilters { storage.retain(filters.storage) }
    routes[key] = unit
    return unit
  }

  /// What a table says that has no effect behind the managers that use it.
  private func warnings(
    of table: RouteConfiguration, for manager: HTTPConnectionManager, _ filters: FilterChains.Unit,
    in listener: Listener, _ chain: Int, _ state: ConfigState
  ) -> [ConfigError] {
    let ofFilters = filters.builder.takeWarnings()
    guard case .discovered(let name, let source) = manager.routes else {
      // Of its copies the converter tells.
      let at = listener.path(ofManagerIn: chain).field("route_config")
      let own = table.withoutEffect(behind: [manager]).filter {
        $0.path.elements.last != .field("request_mirror_policies")
      }
      return (ofFilters + own).map {
        $0.inside(at).of(kind: "envoy.config.listener.v3.Listener", name: listener.name)
      }
    }
    let managers = state.listeners.flatMap(\.allChains).flatMap(\.filters).compactMap { filter in
      guard case .httpConnectionManager(let other) = filter, case .discovered(name, let own) = other.routes,
        own.kind == source.kind
      else { return nil as HTTPConnectionManager? }
      return other
    }
    return (ofFilters + table.withoutEffect(behind: managers)).map {
      $0.of(kind: "envoy.config.route.v3.RouteConfiguration", name: table.name)
    }
  }

  /// The table in force while its successor waits.
  private func held(_ key: String, _ filters: UInt64) -> RouteUnit? {
    routes[key].flatMap { $0.filters == filters ? $0 : nil }
  }

  private static func position(of name: String, _ positions: [String: Int32], _ names: inout ClusterNames) -> Int32 {
    guard let position = positions[name] else {
      names.missing.insert(name)
      return -1
    }
    names.found.insert(name)
    return position
  }

  // MARK: Listeners

  /// `nil` while something it needs has not arrived.
  private func compile(
    _ listener: Listener, _ state: ConfigState
  ) throws(ConfigError) -> ListenerUnit? {
    var tables: [Int: RouteUnit] = [:]
    var filters: [Int: FilterChains.Unit] = [:]
    for (i, chain) in listener.allChains.enumerated() {
      for (f, filter) in chain.filters.enumerated() {
        guard case .httpConnectionManager(let manager) = filter else { continue }
        let at = listener.path(ofChain: i).field("filters").index(f).field("typed_config")
        let own: FilterChains.Unit
        do throws(ConfigError) { own = try chains.unit(of: manager, at: Self.suffix(listener, i), positions) } catch {
          throw error.inside(at)
        }
        filters[i] = own
        // A chain that is in force and lost one of its clusters does not hold its listener back.
        let isInForce = listeners[listener.name]?.unit.model.filters.contains(own.version) ?? false
        if !isInForce, waits(for: own.clusters.found, own.clusters.missing) { return nil }
        do throws(ConfigError) {
          guard let unit = try table(manager, listener, i, own, state) else { return nil }
          tables[i] = unit
        } catch {
          if case .discovered = manager.routes { throw error }
          var inner = error
          (inner.kind, inner.name) = ("", "")
          throw inner.inside(at.field("route_config"))
        }
      }
    }
    let contexts = listener.allChains.compactMap { $0.tls?.common }
    guard try hasSecrets(contexts, state) else { return nil }
    let model = ListenerModel(
      listener: listener, secrets: Self.secrets(contexts, state),
      lacksSecrets: Self.lacksSecrets(contexts, state),
      routes: tables.sorted { $0.key < $1.key }.map(\.value.version),
      filters: filters.sorted { $0.key < $1.key }.map(\.value.version))
    if let known = listeners[listener.name], known.unit.model == model, known.names.hold(positions) { return known }

    let storage = SnapshotStorage(runtime: runtime.keys)
    var names = ClusterNames()
    let builder = ListenerCompiler(
      storage: storage, metrics: metrics, logs: logs, sinks: accessLogs, security: security,
      secrets: state.secrets,
      tables: tables.mapValues(\.unit.value), filters: filters,
      protocols: protocols,
      clusterPosition: { [positions] in Self.position(of: $0, positions, &names) },
      listenerFilters: listenerFilters,
      network: { (chain, identity, name) throws(ConfigError) in
        try self.networkChains.unit(of: chain, identity, in: name)
      })
    let compiled = try builder.compile(listener)
    if waits(for: names.found, names.missing) { return nil }
    var reached = names.found
    for unit in filters.values {
      storage.retain(unit.storage)
      reached.formUnion(unit.clusters.found)
    }
    for table in tables.values {
      storage.retain(table.unit.storage)
      reached.formUnion(table.names.found)
    }
    let warnings = filters.sorted { $0.key < $1.key }.flatMap { chain, unit in
      let at = listener.path(ofManagerIn: chain)
      return unit.warnings.map { $0.inside(at).of(kind: "envoy.config.listener.v3.Listener", name: listener.name) }
    }
    return ListenerUnit(
      unit: Unit(model: model, value: storage.keep(compiled), storage: storage), names: names, reached: reached,
      warnings: warnings
        + builder.warnings(of: listener).map { $0.of(kind: "envoy.config.listener.v3.Listener", name: listener.name) })
  }
}

extension LoadAssignment {
  /// Whether two assignments differ in nothing but their hosts' health, weight and metadata.
  fileprivate func hasSameHosts(as other: LoadAssignment) -> Bool {
    guard localities.count == other.localities.count else { return false }
    return zip(localities, other.localities).allSatisfy { own, other in
      own.priority == other.priority && own.locality == other.locality && own.endpoints.count == other.endpoints.count
        && zip(own.endpoints, other.endpoints).allSatisfy { $0.address == $1.address && $0.hostname == $1.hostname }
    }
  }
}

/// A circuit breaker that lives as long as a compiled cluster holds it.
private struct WeakBreaker {
  weak var state: CircuitBreakerState?
}
