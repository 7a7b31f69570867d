// Discovery in numbers.
import WeftBase
import WeftCompile
import WeftModel
import WeftTelemetry
import Synchronization

/// Writes what becomes of subscriptions under Envoy's names: `cluster_manager.cds.*`, `listener_manager.lds.*`, `http.<prefix>.rds.<route>.*`,
/// endpoints among their cluster's numbers, and `control_plane.*`.
///
/// An attempt is counted when a subscription begins and again with each outcome, after which the next answer is waited for.
struct XDSCounters: Sendable {
  private enum Outcome { case success(String, changed: Bool), rejected, failed, expired }

  private let metrics: MetricsRegistry
  private let plane: ScopeID
  /// Milliseconds since 1970.
  private let wallClock: @Sendable () -> UInt64

  init(_ metrics: MetricsRegistry, wallClock: @escaping @Sendable () -> UInt64) {
    self.metrics = metrics
    self.wallClock = wallClock
    plane = metrics.scope(ScopeKey(.controlPlane))
  }

  /// The scopes of route configurations and of clusters that are waited for are there as long as somebody in the store wants them.
  private final class Leases: Sendable {
    let all = Mutex<[ScopeKey: ScopeLease]>([:])
  }
  private let leases = Leases()

  /// Forgets what nobody in the store wants any more.
  func keep(_ store: XDSStore) {
    let wanted = [(XDSType.endpoints, store.neededEndpoints), (.routes, store.neededRoutes)].flatMap { type, names in
      keys(type, names, store).values.flatMap { $0 }
    }
    leases.all.withLock { leases in
      var kept: [ScopeKey: ScopeLease] = [:]
      for key in wanted where kept[key] == nil { kept[key] = leases[key] ?? metrics.lease(key) }
      leases = kept
    }
  }

  // MARK: The stream

  func opened() {
    metrics.add(ControlPlaneMetric.streamsOpened, plane)
    metrics.set(ControlPlaneMetric.connectedState, plane, 1)
  }

  /// The stream has ended, or could not be opened: nobody's answer can come.
  func closed(_ subscribed: [XDSType: [String]], _ store: XDSStore) {
    metrics.set(ControlPlaneMetric.connectedState, plane, 0)
    metrics.set(ControlPlaneMetric.pendingRequests, plane, 0)
    for (type, names) in subscribed { count(type, names, .failed, store) }
  }

  func received(identifier: String) {
    metrics.add(ControlPlaneMetric.responsesReceived, plane)
    if !identifier.isEmpty { metrics.set(.identifier, ScopeKey(.controlPlane), identifier) }
  }

  /// Settings without effect in what was taken.
  func warned(_ count: Int) {
    if count > 0 { metrics.add(ServerMetric.dynamicUnknownFields, metrics.scope(ScopeKey(.server)), UInt64(count)) }
  }

  func pending(_ count: Int) { metrics.set(ControlPlaneMetric.pendingRequests, plane, UInt64(count)) }
  func heldBack() { metrics.add(ControlPlaneMetric.rateLimitEnforced, plane) }

  func sent(_ request: XDSRequest) {
    metrics.add(ControlPlaneMetric.requestsSent, plane)
    if request.nonce.isEmpty { return }
    metrics.add(request.error.isEmpty ? ControlPlaneMetric.acknowledged : .refused, plane)
  }

  // MARK: Subscriptions

  /// Subscriptions that have begun.
  func began(_ subscribed: [XDSType: [String]], _ store: XDSStore) {
    for (type, names) in subscribed {
      for key in keys(type, names, store).values.flatMap({ $0 }) { add(.updateAttempt, key) }
    }
  }

  /// What became of an answer.
  func settled(_ type: XDSType, version: String, _ outcome: XDSOutcome, _ store: XDSStore) {
    if !outcome.rejections.isEmpty {
      metrics.add(ServerMetric.configRejected, metrics.scope(ScopeKey(.server)), UInt64(outcome.rejections.count))
    }
    if type.isWildcard {
      count(
        type, [""], outcome.rejections.isEmpty ? .success(version, changed: outcome.changed) : .rejected, store)
    } else {
      count(type, outcome.acceptedNames, .success(version, changed: outcome.changed), store)
      count(type, outcome.rejections.map(\.name), .rejected, store)
    }
  }

  func expired(_ expiries: [XDSExpiry], _ store: XDSStore) {
    for expiry in expiries { count(expiry.type, [expiry.name], .expired, store) }
  }

  /// Everything the proxy waits for when it starts is there.
  func initialized(after time: Duration) {
    metrics.record(
      ServerMetric.initializationTimeMs, metrics.scope(ScopeKey(.server)),
      UInt64(clamping: time.nanoseconds / 1_000_000))
  }

  func warming(_ store: XDSStore) {
    metrics.set(
      ClusterManagerMetric.warmingClusters, metrics.scope(ScopeKey(.clusterManager)), UInt64(store.warmingClusters))
  }

  // MARK: Parts

  private func count(_ type: XDSType, _ names: [String], _ outcome: Outcome, _ store: XDSStore) {
    for key in keys(type, names, store).values.flatMap({ $0 }) {
      add(.updateAttempt, key)
      switch outcome {
      case .rejected: add(.updateRejected, key)
      case .failed: add(.updateFailure, key)
      case .expired: add(.initFetchTimeout, key)
      case .success(let version, let changed):
        add(.updateSuccess, key)
        if changed, key.kind != .cluster { add(.configReload, key) }
        set(.updateTime, key, wallClock())
        set(.version, key, Self.hash(version))
        metrics.set(.versionText, key, version)
      }
    }
  }

  /// The scopes that count for each of `names`: whoever uses the resource.
  private func keys(_ type: XDSType, _ names: [String], _ store: XDSStore) -> [String: [ScopeKey]] {
    switch type {
    case .clusters: return ["": [ScopeKey(.cds)]]
    case .listeners: return ["": [ScopeKey(.lds)]]
    case .secrets: return [:]
    case .endpoints:
      let wanted = Set(names)
      var keys: [String: [ScopeKey]] = [:]
      for case .cluster(let cluster) in store.resources(.clusters).values.map(\.model) {
        guard let name = XDSStore.endpointsName(of: cluster), wanted.contains(name) else { continue }
        keys[name, default: []].append(ScopeKey(.cluster, cluster.statName))
      }
      return keys
    case .routes:
      let wanted = Set(names)
      var keys: [String: Set<ScopeKey>] = [:]
      for case .listener(let listener) in store.resources(.listeners).values.map(\.model) {
        for case .httpConnectionManager(let manager) in listener.allChains.flatMap(\.filters) {
          guard case .discovered(let name, _) = manager.routes, wanted.contains(name) else { continue }
          keys[name, default: []].insert(ScopeKey(.rds, manager.statPrefix, name))
        }
      }
      return keys.mapValues { Array($0) }
    }
  }

  private func add(_ metric: SubscriptionMetric, _ key: ScopeKey) {
    let scope = metrics.scope(key)
    guard key.kind == .cluster else { return metrics.add(metric, scope) }
    if let own = Self.ofCluster(metric) { metrics.add(own, scope) }
  }

  private func set(_ metric: SubscriptionMetric, _ key: ScopeKey, _ value: UInt64) {
    let scope = metrics.scope(key)
    guard key.kind == .cluster else { return metrics.set(metric, scope, value) }
    if let own = Self.ofCluster(metric) { metrics.set(own, scope, value) }
  }

  /// A cluster counts its endpoints' subscription among its own numbers.
  private static func ofCluster(_ metric: SubscriptionMetric) -> ClusterMetric? {
    switch metric {
    case .updateAttempt: .updateAttempt
    case .updateSuccess: .updateSuccess
    case .updateFailure: .updateFailure
    case .updateRejected: .updateRejected
    case .initFetchTimeout: .initFetchTimeout
    case .updateTime: .updateTime
    case .version: .version
    case .configReload: nil
    }
  }

  /// FNV-1a without its highest bit, so that no reader takes it for negative.
  static func hash(_ text: String) -> UInt64 {
    LastGoodFile.checksum(text.utf8) & (.max >> 1)
  }
}
