// ClusterState: a cluster as one worker runs it. It outlives snapshots.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// A cluster's hosts, balancer and counters on one worker.
///
/// *Shape*: a slot. Counted by the pieces of snapshots that name it; gone when none does and its last connection has closed.
struct ClusterState: BitwiseCopyable {
  /// The newest configuration; older streams use it, too: it differs in what connections do not depend on.
  var config: ConfigRef<CompiledCluster>
  var identity: UInt64
  var stats: StatBlock<ClusterMetric>
  var balancer: Cell<LoadBalancer>
  var members: Cell<MemberList>
  var standard: CircuitBreaker
  var high: CircuitBreaker
  var standardLimits: CircuitBreakerLimits
  var highLimits: CircuitBreakerLimits
  /// Requests that are refused for maintenance, by a runtime key: parts per million.
  var maintenanceShare: UInt32 = 0
  /// Pieces in use that name it.
  var pieces: Int32 = 0
  var activeRequests: Int32 = 0
  /// Host slots, those that have left included.
  var hostSlots: Int32 = 0
  var ejectionVersion: UInt64 = 0
  /// Runs while there are hosts on demand.
  var cleanup = TimerID.none
  var outlier: OutlierHandle?
  /// Its policy hashes: requests are asked for their hash.
  var hashes = false
  /// A fresh response decoder, to be copied into new connections.
  var decoder: H1Decoder

  var hasOutlierDetection: Bool { outlier != nil }

  @inline(__always)
  func breaker(_ highPriority: Bool) -> CircuitBreaker { highPriority ? high : standard }
  @inline(__always)
  func breakerLimits(_ highPriority: Bool) -> CircuitBreakerLimits { highPriority ? highLimits : standardLimits }
}

/// What of a cluster is not trivially copyable.
struct MemberList {
  var name: String
  /// Slots of the hosts, by position in the balancer.
  var hosts: [HostIndex] = []
  var cells: [OutlierMonitor.HostCells?] = []
  /// ORIGINAL_DST: hosts by the address that clients meant.
  var onDemand: [SocketAddress: HostIndex] = [:]
  /// Keeps `config` alive.
  var owner: ClusterList.Piece?
}

extension WorkerEngine {
  /// The state of a cluster of a piece that is being taken over: the one that is there, brought up to date, or a new one.
  func adopt(_ config: ConfigRef<CompiledCluster>, in piece: ClusterList.Piece) -> ClusterIndex {
    let key = ClusterKey(name: config[].config.name, identity: config[].identity)
    if let known = clusterNames[][key] {
      clusters[known].pieces += 1
      if clusters[known].config == config {
        // The same compiled form: only what keeps its memory is new.
        clusters[known].members[].owner = piece
        return known
      }
      update(known, config, piece)
      return known
    }
    let stats = registry.block(ClusterMetric.self, config[].scope, worker: number)
    let state = ClusterState(
      config: config, identity: config[].identity, stats: stats, balancer: Cell(loadBalancer(config, stats)),
      members: Cell(MemberList(name: config[].config.name)),
      standard: config[].breakers.breaker(.standard), high: config[].breakers.breaker(.high),
      standardLimits: config[].breakerLimits, highLimits: config[].highBreakerLimits, pieces: 1,
      outlier: config[].outlier.map(OutlierHandle.init),
      decoder: H1Decoder(role: .response, limits: config[].limits))
    guard let i = clusters.insert(state) else { return .none }
    clusterNames[][key] = i
    update(i, config, piece)
    return i
  }

  /// Takes over what may change while connections stay: hosts, limits, policies.
  private func update(_ i: ClusterIndex, _ config: ConfigRef<CompiledCluster>, _ piece: ClusterList.Piece) {
    let state = clusters.ref(i)
    let balancerChanged =
      state[].config[].config.loadBalancing != config[].config.loadBalancing
      || overprovisioning(state[].config) != overprovisioning(config)
    state[].config = config
    state[].members[].owner = piece
    state[].standard = config[].breakers.breaker(.standard)
    state[].high = config[].breakers.breaker(.high)
    state[].outlier = config[].outlier.map(OutlierHandle.init)
    if balancerChanged {
      state[].balancer[] = loadBalancer(config, state[].stats)
    } else {
      state[].balancer[].renew(config[].balancer)
    }
    state[].hashes = config[].balancer.map { $0.traits.hashes != .none } ?? false
    _ = settleRuntime(i)
    setHosts(i, config[].endpoints)
  }

  private func loadBalancer(
    _ config: ConfigRef<CompiledCluster>, _ stats: StatBlock<ClusterMetric>
  ) -> LoadBalancer {
    LoadBalancer(
      config[].config.loadBalancing, config[].balancer, overprovisioningPercent: overprovisioning(config),
      stats: stats, shared: config[].tables, countsShared: number == 0)
  }

  /// Replaces the hosts of a cluster; those that stay keep their connections and counts.
  func setHosts(_ i: ClusterIndex, _ endpoints: [CompiledEndpoint]) {
    let state = clusters.ref(i)
    var known: [SocketAddress: HostIndex] = [:]
    // An address may be listed more than once: each entry is a host of its own.
    var twins: [SocketAddress: [HostIndex]] = [:]
    var isChanged = false
    for host in state[].members[].hosts {
      // A logical host is the same host at another address; its connections stay.
      if state[].config[].isLogical, let newest = endpoints.first { hosts[host].address = newest.address }
      let address = hosts[host].address
      if known[address] == nil { known[address] = host } else { twins[address, default: []].append(host) }
    }
    var list: [HostIndex] = []
    var balanced: [BalancerHost] = []
    var active: [UInt32] = []
    for endpoint in endpoints {
      if list.count >= limits.hosts { break }
      let position = Int32(list.count)
      let host: HostIndex
      if let old = known.removeValue(forKey: endpoint.address) ?? twins[endpoint.address]?.popLast() {
        host = old
        hosts[host].position = position
        hosts[host].weight = endpoint.weight
        forEachPart(host) {
          hosts[$0].position = position
          hosts[$0].address = endpoint.address
        }
      } else if let new = hosts.insert(
        Host(address: endpoint.address, cluster: i, position: position, weight: endpoint.weight))
      {
        host = new
        state[].hostSlots += 1
        isChanged = true
      } else {
        break
      }
      let availability = endpoint.availability
      hosts[host].availability = availability
      list.append(host)
      var requests = hosts[host].activeRequests
      forEachPart(host) { requests += hosts[$0].activeRequests }
      active.append(requests)
      balanced.append(BalancerHost(endpoint))
    }
    state[].members[].cells = endpoints.prefix(list.count).map(\.outlier)
    // The tables that came with the hosts are of those as configured.
    let hasTables = state[].config[].balancer?.traits.hasTable ?? false
    for position in list.indices where !hasTables && state[].members[].cells[position]?.isEjected ?? false {
      balanced[position].availability = .unhealthy
    }
    state[].members[].hosts = list
    state[].balancer[].setHosts(
      balanced, active: active, localityWeights: state[].config[].localityWeights, random: &turn[].random)
    if hasTables {
      state[].ejectionVersion = .max
      refreshEjections(i)
    }
    let stats = state[].stats
    if number == 0 {
      if !known.isEmpty || twins.values.contains(where: { !$0.isEmpty }) { isChanged = true }
      if isChanged { stats.add(.membershipChange) }
    }
    remove(hosts: Array(known.values) + twins.values.flatMap { $0 })
  }

  /// They leave together. What the removal of one ends (a request that waited there, with its copies) may be counted at another, whose position is
  /// the new list's already: so all lose theirs first.
  private func remove(hosts gone: [HostIndex]) {
    for h in gone {
      hosts[h].position = -1
      forEachPart(h) { hosts[$0].position = -1 }
    }
    for h in gone { remove(host: h) }
  }

  /// A host has left: no new request goes there, idle connections close, busy ones when they are free. Requests that wait for one of its
  /// connections go to another host if there is one.
  func remove(host h: HostIndex) {
    forEachPart(h) { remove(host: $0) }
    guard hosts.contains(h) else { return }
    let host = hosts.ref(h)
    host[].isRemoved = true
    host[].position = -1
    closeConnections(ofRemoved: h)
    if !host[].waiting.isEmpty, !clusters[host[].cluster].members[].hosts.isEmpty { moveWaiting(h) }
    if hosts.contains(h) { releaseIfUnused(host: h) }
  }

  /// Closes what nobody uses of a host that has left, and drains the rest: as much as a turn may, the rest in later turns, so that the requests
  /// of others do not wait until ten thousand connections are closed.
  func closeConnections(ofRemoved h: HostIndex) {
    let host = hosts.ref(h)
    while !host[].idle.isEmpty || !host[].multiplexed.isEmpty || !host[].speaking.isEmpty {
      guard mayEndConnection() else { return turn[].departures.hosts.append(h) }
      turn[].departures.spend()
      if !host[].idle.isEmpty {
        close(upstream: host[].idle.first, .gracefully)
      } else {
        drain(upstream: host[].multiplexed.isEmpty ? host[].speaking.first : host[].multiplexed.first)
      }
    }
  }

  /// A piece that named the cluster was let go.
  func leave(_ i: ClusterIndex) {
    if i.isNone { return }
    let state = clusters.ref(i)
    state[].pieces -= 1
    if state[].pieces > 0 { return }
    clusterNames[][ClusterKey(name: state[].members[].name, identity: state[].identity)] = nil
    let list = state[].members[].hosts
    state[].members[].hosts = []
    remove(hosts: list)
    let onDemand = clusters.contains(i) ? Array(state[].members[].onDemand.values) : []
    if !onDemand.isEmpty { state[].members[].onDemand = [:] }
    for host in onDemand { remove(host: host) }
    // The last host may have taken the cluster with it.
    guard clusters.contains(i) else { return }
    state[].balancer[].setHosts([], random: &turn[].random)
    releaseIfUnused(cluster: i)
  }

  func releaseIfUnused(host h: HostIndex) {
    let host = hosts.ref(h)
    guard host[].isRemoved || !host[].whole.isNone, host[].connections == 0, host[].activeRequests == 0,
      host[].waiting.isEmpty, host[].parts.isEmpty
    else { return }
    let cluster = host[].cluster
    let whole = host[].whole
    if !whole.isNone { dissolve(part: h) }
    hosts.remove(h)
    clusters[cluster].hostSlots -= 1
    if whole.isNone { releaseIfUnused(cluster: cluster) } else { releaseIfUnused(host: whole) }
  }

  func releaseIfUnused(cluster i: ClusterIndex) {
    let state = clusters.ref(i)
    guard state[].pieces == 0, state[].hostSlots == 0, state[].activeRequests == 0 else { return }
    if !state[].cleanup.isNone { loop.cancel(state[].cleanup) }
    state[].balancer.free()
    state[].members.free()
    clusters.remove(i)
  }

  private func overprovisioning(_ config: ConfigRef<CompiledCluster>) -> UInt32 {
    config[].config.loadAssignment.overprovisioningPercent
  }

  /// Takes note of ejections that another worker (or this one) made.
  func refreshEjections(_ i: ClusterIndex) {
    let state = clusters.ref(i)
    guard let outlier = state[].outlier else { return }
    let version = outlier.version
    if version == state[].ejectionVersion { return }
    state[].ejectionVersion = version
    state[].balancer[].setAvailabilities(random: &turn[].random) { position in
      guard position < state[].members[].cells.count else { return nil }
      let ejected = state[].members[].cells[position]?.isEjected ?? false
      return ejected ? .unhealthy : hosts[state[].members[].hosts[position]].availability
    }
    orderTables(i)
  }

  /// Has the tables made that lists wait for; until they come, those that are there serve.
  func orderTables(_ i: ClusterIndex) {
    let state = clusters.ref(i)
    guard let jobs = state[].balancer[].order() else { return }
    let mailbox = loop.mailbox
    let owner = state[].members[].owner
    state[].config[].tables.order(jobs) { made in
      mailbox.post { loop in (loop.handler as? WorkerEngine)?.take(made, of: i) }
      _ = owner
    }
  }

  private func take(_ tables: [BalancerTable], of i: ClusterIndex) {
    guard clusters.contains(i) else { return }
    clusters[i].balancer[].take(tables, random: &turn[].random)
    orderTables(i)
  }
}

/// Names a cluster whose connections are interchangeable.
struct ClusterKey: Hashable {
  var name: String
  var identity: UInt64
}
