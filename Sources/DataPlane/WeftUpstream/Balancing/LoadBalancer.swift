package import WeftBase
package import WeftModel
package import WeftProxyAPI
package import WeftTelemetry

/// Chooses hosts of one cluster for one worker: first the list, by priority, health and panic, then, by the cluster's policy, a host of it.
///
/// A priority has a list of its healthy hosts, of its degraded ones, and, in panic, of all. Where a policy without hashes balances by locality, such a
/// list holds localities, each of which is a list again.
///
/// Lists are made anew when hosts or their health change. Where the policy has tables, lists wait for theirs: new hosts bring them along (`jobs`), or
/// they are made at once; a change of health goes on with what is there until the tables that `order` asks for have come.
///
/// *Shape*: flat tables; `pick` allocates nothing. *Cost*: 20 instructions more than the policy's own. *Threads*: one worker. Time does not matter;
/// randomness is passed in.
/// Why sound: states lie in `memory` as long as `lists`, which says how many there are; both are made anew together.
@safe
package struct LoadBalancer: ~Copyable {
  private struct List: BitwiseCopyable {
    var isEmpty = true
    /// Whose turn it is, by number of list; empty: the list's members are hosts.
    var localities = EarliestDeadline()
  }

  private typealias Source = BalancerLists.Source
  private static var sources: Int { BalancerLists.sources }

  private let settings: LoadBalancing
  private let overprovisioning: Int
  private var panicThreshold: Double
  /// Nil where hosts come with connections.
  private var balancer: CompiledBalancer?
  private let hashes: Bool
  private var hosts = MutableTable<BalancerHost>()
  private var active = MutableTable<UInt32>()
  private var running = FlatTable<UInt32>()
  /// Requests that run on all hosts.
  private var allActive: UInt32 = 0
  private var lists = MutableTable<List>()
  /// States of the policy, one per list.
  private var states: UnsafeMutableRawPointer?
  private var shares = MutableTable<PriorityLoad.Share>()
  private var localityWeights: [UInt32: UInt32] = [:]
  private let memory: BalancerMemory
  private let shared: BalancerTables
  /// Where what is shared is counted, too; nil: by another worker.
  private let sharedStats: StatBlock<ClusterMetric>?
  /// Those that `states` read from.
  private var tables: [BalancerTable] = []
  /// Those that have come for lists that are not there yet.
  private var arrived: [BalancerTable] = []
  private var ordering = Ordering.nothing
  /// A request has been led away from the priorities it would go to: lists are made for all that could take one.
  private var spreads = false

  private enum Ordering {
    case nothing
    /// To be asked for.
    case wanted([BalancerTableJob])
    /// Asked for. What changes meanwhile is looked at when they come.
    case awaited
  }

  /// What it holds is counted in `stats`; so is what it shares, where `countsShared`.
  package init(
    _ settings: LoadBalancing, _ balancer: CompiledBalancer?, overprovisioningPercent: UInt32 = 140,
    stats: StatBlock<ClusterMetric>? = nil, shared: BalancerTables = BalancerTables(), countsShared: Bool = true
  ) {
    self.shared = shared
    sharedStats = countsShared ? stats : nil
    self.settings = settings
    self.balancer = balancer
    panicThreshold = settings.panicThresholdPercent
    overprovisioning = Int(overprovisioningPercent)
    hashes = balancer.map { $0.traits.hashes != .none } ?? false
    unsafe states = nil
    memory = BalancerMemory(stats)
  }

  deinit {
    count(shared: tables, isThere: false)
    memory.free()
  }

  /// Number of hosts.
  package var hostCount: Int { hosts.count }
  /// Bytes of its tables.
  package var tableBytes: Int { memory.byteCount + tables.reduce(0) { $0 + $1.byteCount } }
  /// Tables are on their way.
  package var awaitsTables: Bool { if case .nothing = ordering { false } else { true } }

  /// The same policy, compiled anew with the hosts that are set next.
  package mutating func renew(_ balancer: CompiledBalancer?) { self.balancer = balancer }

  /// Takes a new list of hosts. `active` holds the requests now running on each. `localityWeights` (by locality number) matter when the cluster
  /// balances by locality; a locality that is missing gets nothing.
  package mutating func setHosts(
    _ list: [BalancerHost], active counts: [UInt32] = [], localityWeights weights: [UInt32: UInt32] = [:],
    random: inout RandomSource
  ) {
    hosts.removeAll()
    active.removeAll()
    allActive = 0
    for (i, host) in list.enumerated() {
      hosts.append(host)
      active.append(i < counts.count ? counts[i] : 0)
      allActive &+= active[i]
    }
    running = active.flat
    localityWeights = weights
    rebuild(&random, mayWait: false)
  }

  /// The tables it waits for, which whoever calls has to order; they come with `take`.
  package mutating func order() -> [BalancerTableJob]? {
    guard case .wanted(let jobs) = ordering else { return nil }
    ordering = .awaited
    return jobs
  }

  /// Tables that were ordered have been made.
  package mutating func take(_ made: [BalancerTable], random: inout RandomSource) {
    guard case .awaited = ordering else { return }
    ordering = .nothing
    arrived = made
    rebuild(&random, mayWait: true)
    arrived = []
  }

  /// Notes that a host may or may not be chosen from now on.
  package mutating func setAvailability(_ position: Int32, _ availability: HostAvailability, random: inout RandomSource)
  {
    setAvailabilities(random: &random) { $0 == Int(position) ? availability : nil }
  }

  /// Notes which hosts may be chosen from now on; nil changes nothing. *Cost*: as new hosts, once, when there is a change.
  package mutating func setAvailabilities(random: inout RandomSource, _ availability: (Int) -> HostAvailability?) {
    var isChanged = false
    for i in 0..<hosts.count {
      guard let new = availability(i), hosts[i].availability != new else { continue }
      hosts[i].availability = new
      isChanged = true
    }
    if isChanged { rebuild(&random, mayWait: true) }
  }

  /// Sets the share of healthy hosts, in percent, below which all take part; it counts when lists are made next. *Returns*: whether it is another one.
  package mutating func setPanicThreshold(_ percent: Double) -> Bool {
    defer { panicThreshold = percent }
    return percent != panicThreshold
  }

  /// Makes the lists anew of the hosts that are there.
  package mutating func renewLists(random: inout RandomSource) { rebuild(&random, mayWait: true) }

  /// A request went to the host; call `finished` when it ends.
  package mutating func started(_ position: Int32) {
    active[Int(position)] &+= 1
    allActive &+= 1
  }

  package mutating func finished(_ position: Int32) {
    precondition(active[Int(position)] > 0, "more requests finished than started")
    active[Int(position)] &-= 1
    allActive &-= 1
  }

  package func activeRequests(_ position: Int32) -> UInt32 { active[Int(position)] }
  package var allActiveRequests: UInt32 { allActive }

  /// Chooses a host. With `avoiding` or `omittingCanaries`, up to `attempts` further picks are made to find one not tried yet, or no canary; then the
  /// last pick stands. Priorities to leave out are used where there is no other. `hash` is the request's, if it has one; it matters to policies that hash.
  package mutating func pick(
    hash: UInt64? = nil, random: inout RandomSource, avoiding tried: TriedHosts = TriedHosts(), attempts: Int = 1,
    leavingOut priorities: PrioritySet = PrioritySet(), omittingCanaries: Bool = false
  ) -> HostPick {
    guard let balancer, shares.count > 0 else { return .none }
    if !priorities.isEmpty, !spreads {
      spreads = true
      rebuild(&random, mayWait: true)
    }
    let hash = hashes ? hash ?? random.next() : 0
    return unsafe withUnsafeMutablePointer(to: &random) { random in
      var x = unsafe BalancerPick(hash: hash, running: running, allActive: allActive, memory, random)
      var choice = pickOnce(balancer, x, priorities)
      guard !tried.isEmpty || omittingCanaries else { return choice }
      while x.attempt < attempts, case .host(let position, _) = choice,
        tried.contains(position) || omittingCanaries && hosts[Int(position)].isCanary
      {
        x.attempt += 1
        choice = pickOnce(balancer, x, priorities)
      }
      return choice
    }
  }

  @inline(__always)
  private mutating func pickOnce(
    _ balancer: CompiledBalancer, _ x: borrowing BalancerPick, _ excluded: PrioritySet
  ) -> HostPick {
    var priority = 0
    var source = Source.healthy
    if shares.count > 1 || shares[0].healthy != 100 {
      // 1...100 against the running sum, healthy shares of all priorities before degraded ones.
      let ticket = 1 + (hashes ? Int(x.hash % 100) : x.draw(below: 100))
      guard let found = excluded.isEmpty ? find(ticket) : findElsewhere(ticket, excluded) else { return .none }
      (priority, source) = found
    }
    let panicking = shares[priority].inPanic
    if panicking {
      if settings.failTrafficOnPanic { return .none }
      source = .all
    } else if hashes, !lists[priority * Self.sources].isEmpty {
      // A key keeps its host: degraded ones get keys only where there is no other.
      source = .healthy
    }
    var list = priority * Self.sources + source.rawValue
    if lists[list].isEmpty { return .none }
    if !lists[list].localities.isEmpty { list = Int(lists[list].localities.next()) }
    let state = unsafe states.unsafelyUnwrapped + list * balancer.stateSize
    return unsafe .host(balancer.policy._pick(state, x), panicking: panicking)
  }

  /// The priorities of hosts that were tried, and which have any that could be.
  package func history(of tried: TriedHosts) -> PriorityHistory {
    var available = PrioritySet()
    for i in 0..<shares.count where shares[i].isAvailable { available.insert(i) }
    var out = PriorityHistory(available: available)
    tried.forEachOldestFirst { position in
      if position >= 0, Int(position) < hosts.count { out.append(Int(hosts[Int(position)].priority)) }
    }
    return out
  }

  /// As `find`, with what the excluded priorities would take spread over the others by what those can take. Where there is no other, as `find`.
  private func findElsewhere(_ ticket: Int, _ excluded: PrioritySet) -> (Int, Source)? {
    var total = 0
    for i in 0..<shares.count { total += load(i, .healthy, excluded) + load(i, .degraded, excluded) }
    if total == 0 { return find(ticket) }
    var sum = 0
    // What is lacking in one round comes from the next: each adds something.
    while true {
      for i in 0..<shares.count {
        sum += load(i, .healthy, excluded)
        if ticket <= sum { return (i, .healthy) }
      }
      for i in 0..<shares.count {
        sum += load(i, .degraded, excluded)
        if ticket <= sum { return (i, .degraded) }
      }
    }
  }

  /// What hosts of a priority could take; 0 where there is no list of them (yet).
  private func load(_ priority: Int, _ source: Source, _ excluded: PrioritySet) -> Int {
    let list = priority * Self.sources + (shares[priority].inPanic ? Source.all : source).rawValue
    if excluded.contains(priority) || lists[list].isEmpty { return 0 }
    return source == .healthy ? shares[priority].healthyAvailability : shares[priority].degradedAvailability
  }

  private func find(_ ticket: Int) -> (Int, Source)? {
    var sum = 0
    for i in 0..<shares.count {
      sum += shares[i].healthy
      if ticket <= sum { return (i, .healthy) }
    }
    for i in 0..<shares.count {
      sum += shares[i].degraded
      if ticket <= sum { return (i, .degraded) }
    }
    return nil
  }
}

// MARK: - Building

extension LoadBalancer {
  /// `mayWait`: hosts are where they were, so that the lists that are there may serve until new ones have their tables.
  private mutating func rebuild(_ random: inout RandomSource, mayWait: Bool) {
    guard let balancer, hosts.count > 0 else {
      clear()
      return
    }
    var lists = BalancerLists(
      settings, balancer, overprovisioning: overprovisioning, panicThreshold: panicThreshold, spreads: spreads,
      (0..<hosts.count).map { hosts[$0] }, localityWeights)
    var extras: [BalancerTableJob] = []
    var made: [Int: BalancerTable] = [:]
    if balancer.traits.hasTable {
      var missing: [BalancerTableJob] = []
      for i in lists.hosts.indices where !lists.hosts[i].isEmpty {
        let job = BalancerTableJob(balancer, lists.hosts[i])
        if let known = shared.find(job) {
          made[i] = known
        } else if lists.extras.contains(i) && shared.builder != .asker {
          // Until its table is there, retries go where all requests go.
          extras.append(job)
          lists.empty(i)
        } else if !mayWait || shared.builder == .asker {
          made[i] = shared.make(job)
        } else {
          missing.append(job)
        }
      }
      if !missing.isEmpty {
        if case .nothing = ordering { ordering = .wanted(missing) }
        return
      }
      if case .wanted = ordering { ordering = .nothing }
      if !extras.isEmpty, case .nothing = ordering { ordering = .wanted(extras) }
    }
    install(lists, made, balancer, &random)
  }

  private mutating func clear() {
    memory.removeAll()
    unsafe states = nil
    lists.removeAll()
    shares.removeAll()
    count(shared: tables, isThere: false)
    tables = []
  }

  private func count(shared tables: [BalancerTable], isThere: Bool) {
    for table in tables {
      sharedStats?.add(.lbTableBytes, isThere ? UInt64(table.byteCount) : 0 &- UInt64(table.byteCount))
    }
  }

  private mutating func install(
    _ new: BalancerLists, _ made: [Int: BalancerTable], _ balancer: CompiledBalancer, _ random: inout RandomSource
  ) {
    clear()
    tables = made.sorted { $0.key < $1.key }.map(\.value)
    count(shared: tables, isThere: true)
    for share in new.shares { shares.append(share) }
    unsafe states = memory.allocate(balancer.stateSize * new.hosts.count)
    for (i, members) in new.hosts.enumerated() {
      lists.append(List())
      let turns = new.localities[i]
      lists[i].isEmpty = members.isEmpty && turns == nil
      unsafe withUnsafeMutablePointer(to: &random) { random in
        if let turns { lists[i].localities = unsafe EarliestDeadline(BalancerList(turns, memory, random)) }
        if members.isEmpty { return }
        let list = unsafe BalancerList(members, memory, random, table: made[i])
        unsafe balancer.makeState(list, at: states.unsafelyUnwrapped + i * balancer.stateSize)
      }
    }
  }
}
