package import WeftBase
package import WeftModel
import Glibc

/// Whether a host may be chosen.
package enum HostAvailability: UInt8, BitwiseCopyable, Sendable {
  case healthy, degraded
  /// Failing its checks, ejected, or draining: chosen in panic only.
  case unhealthy
  /// Not counted at all, such as before its first health check.
  case excluded
}

/// A host as balancing sees it. Its number is its position in the list given to `setHosts`.
package struct BalancerHost: BitwiseCopyable, Sendable {
  package var weight: UInt32
  package var priority: UInt32
  package var locality: UInt32
  package var availability: HostAvailability

  package init(
    weight: UInt32 = 1, priority: UInt32 = 0, locality: UInt32 = 0, availability: HostAvailability = .healthy
  ) {
    self.weight = max(1, weight)
    self.priority = priority
    self.locality = locality
    self.availability = availability
  }
}

/// Hosts that a request has tried. *Shape*: trivial; remembers the last eight.
package struct TriedHosts: BitwiseCopyable, Sendable {
  private var positions: (Int32, Int32, Int32, Int32, Int32, Int32, Int32, Int32) = (-1, -1, -1, -1, -1, -1, -1, -1)
  package init() {}
  package var isEmpty: Bool { positions.0 < 0 }

  package mutating func insert(_ position: Int32) {
    let p = positions
    positions = (position, p.0, p.1, p.2, p.3, p.4, p.5, p.6)
  }

  package func contains(_ position: Int32) -> Bool {
    let p = positions
    return p.0 == position || p.1 == position || p.2 == position || p.3 == position || p.4 == position
      || p.5 == position || p.6 == position || p.7 == position
  }
}

/// What a pick came to.
package enum HostPick: BitwiseCopyable, Sendable, Equatable {
  /// `panicking`: unhealthy hosts took part; count `lb_healthy_panic`.
  case host(Int32, panicking: Bool)
  /// No host may take the request: 503, flag UH.
  case none
}

/// Chooses hosts of one cluster for one worker.
///
/// *Shape*: flat tables; `pick` allocates nothing. *Cost*: a few loads for equal weights; O(log n) for weighted hosts.
/// *Threads*: one worker. Time does not matter; randomness is passed in.
package struct LoadBalancer: ~Copyable {
  /// A group of candidates: hosts, or localities each of which is a list again.
  struct List: BitwiseCopyable {
    var start = 0
    var count = 0
    var holdsLocalities = false
    var hasEqualWeights = true
    /// Round robin: what comes next.
    var cursor = 0
    /// Earliest-deadline-first: virtual time, and a tie-break that keeps the order of insertion.
    var clock = 0.0
    var sequence: UInt64 = 0
  }

  /// A member of a list. Lists with unequal weights are heaps by `(deadline, sequence)`.
  struct Member: BitwiseCopyable {
    /// Position of a host, or number of a list.
    var target: Int32
    var weight: Double
    var deadline = 0.0
    var sequence: UInt64 = 0
  }

  private static let sources = 3  // healthy, degraded, all

  private let settings: LoadBalancing
  private let overprovisioning: Int
  private var hosts = MutableTable<BalancerHost>()
  private var active = MutableTable<UInt32>()
  private var lists = MutableTable<List>()
  private var members = MutableTable<Member>()
  /// Per priority, percent of the load.
  private var shares = MutableTable<PriorityLoad.Share>()
  private var localityWeights: [UInt32: UInt32] = [:]
  private let choices: Int
  private let bias: Double
  private let isLeastRequest: Bool
  private let isRandom: Bool

  package init(_ settings: LoadBalancing, overprovisioningPercent: UInt32 = 140) {
    self.settings = settings
    overprovisioning = Int(overprovisioningPercent)
    switch settings.policy {
    case .leastRequest(let choices, let bias):
      (self.choices, self.bias, isLeastRequest, isRandom) = (max(1, Int(choices)), bias, true, false)
    case .roundRobin: (choices, bias, isLeastRequest, isRandom) = (1, 1, false, false)
    case .random, .ringHash, .maglev, .clusterProvided: (choices, bias, isLeastRequest, isRandom) = (1, 1, false, true)
    }
  }

  /// Number of hosts.
  package var hostCount: Int { hosts.count }

  /// Takes a new list of hosts. `active` holds the requests now running on each, for least request.
  /// `localityWeights` (by locality number) matter when the cluster balances by locality; a locality that is missing
  /// gets nothing.
  package mutating func setHosts(
    _ list: [BalancerHost], active running: [UInt32] = [], localityWeights weights: [UInt32: UInt32] = [:],
    random: inout RandomSource
  ) {
    hosts.removeAll()
    active.removeAll()
    for (i, host) in list.enumerated() {
      hosts.append(host)
      active.append(i < running.count ? running[i] : 0)
    }
    localityWeights = weights
    rebuild(&random)
  }

  /// Notes that a host may or may not be chosen from now on.
  package mutating func setAvailability(_ position: Int32, _ availability: HostAvailability, random: inout RandomSource)
  {
    guard hosts[Int(position)].availability != availability else { return }
    hosts[Int(position)].availability = availability
    rebuild(&random)
  }

  /// A request went to the host; call `finished` when it ends.
  package func started(_ position: Int32) { active[Int(position)] &+= 1 }

  package func finished(_ position: Int32) {
    precondition(active[Int(position)] > 0, "more requests finished than started")
    active[Int(position)] &-= 1
  }

  package func activeRequests(_ position: Int32) -> UInt32 { active[Int(position)] }

  /// Chooses a host. With `avoiding`, up to `attempts` further picks are made to find one not tried yet; then the last
  /// pick stands.
  package mutating func pick(
    random: inout RandomSource, avoiding tried: TriedHosts = TriedHosts(), attempts: Int = 1
  ) -> HostPick {
    var choice = pickOnce(&random)
    guard !tried.isEmpty else { return choice }
    var left = attempts
    while left > 0, case .host(let position, _) = choice, tried.contains(position) {
      choice = pickOnce(&random)
      left -= 1
    }
    return choice
  }

  private mutating func pickOnce(_ random: inout RandomSource) -> HostPick {
    guard shares.count > 0 else { return .none }
    var priority = 0
    var source = 0
    if shares.count > 1 || shares[0].healthy != 100 {
      // 1...100 against the running sum, healthy shares of all priorities before degraded ones.
      let ticket = random.next(below: 100) + 1
      guard let found = find(ticket) else { return .none }
      (priority, source) = found
    }
    let panicking = shares[priority].inPanic
    if panicking {
      if settings.failTrafficOnPanic { return .none }
      source = 2
    }
    var list = priority * Self.sources + source
    if lists[list].count == 0 { return .none }
    if lists[list].holdsLocalities { list = Int(schedule(list, byRequests: false)) }
    guard lists[list].count > 0 else { return .none }
    return .host(choose(list, &random), panicking: panicking)
  }

  private func find(_ ticket: Int) -> (Int, Int)? {
    var sum = 0
    for i in 0..<shares.count {
      sum += shares[i].healthy
      if ticket <= sum { return (i, 0) }
    }
    for i in 0..<shares.count {
      sum += shares[i].degraded
      if ticket <= sum { return (i, 1) }
    }
    return nil
  }

  private mutating func choose(_ list: Int, _ random: inout RandomSource) -> Int32 {
    let start = lists[list].start
    let count = lists[list].count
    if isRandom { return members[start + random.next(below: count)].target }
    if !lists[list].hasEqualWeights { return schedule(list, byRequests: isLeastRequest) }
    if isLeastRequest {
      // Power of two (or more) choices with replacement; the first of equals wins.
      var best = members[start + random.next(below: count)].target
      for _ in 1..<max(1, choices) {
        let other = members[start + random.next(below: count)].target
        if active[Int(other)] < active[Int(best)] { best = other }
      }
      return best
    }
    let cursor = lists[list].cursor
    lists[list].cursor = cursor + 1 == count ? 0 : cursor + 1
    return members[start + cursor].target
  }
}

// MARK: - Building

extension LoadBalancer {
  private mutating func rebuild(_ random: inout RandomSource) {
    lists.removeAll()
    members.removeAll()
    shares.removeAll()
    guard hosts.count > 0 else { return }
    var priorities = 0
    for i in 0..<hosts.count { priorities = max(priorities, Int(hosts[i].priority) + 1) }
    var census = Array(repeating: PriorityLoad.Census(), count: priorities)
    for i in 0..<hosts.count {
      let p = Int(hosts[i].priority)
      census[p].total += 1
      switch hosts[i].availability {
      case .healthy: census[p].healthy += 1
      case .degraded: census[p].degraded += 1
      case .excluded: census[p].excluded += 1
      case .unhealthy: break
      }
    }
    let load = PriorityLoad(
      census, overprovisioningPercent: overprovisioning, panicThresholdPercent: settings.panicThresholdPercent)
    for share in load.shares { shares.append(share) }
    for _ in 0..<priorities * Self.sources { lists.append(List()) }
    for priority in 0..<priorities {
      for source in 0..<Self.sources {
        fill(priority * Self.sources + source, priority: priority, source: source, &random)
      }
    }
  }

  private func takes(_ host: BalancerHost, source: Int) -> Bool {
    switch source {
    case 0: host.availability == .healthy
    case 1: host.availability == .degraded
    default: true
    }
  }

  private mutating func fill(_ list: Int, priority: Int, source: Int, _ random: inout RandomSource) {
    var localities: [UInt32: [Int32]] = [:]
    var order: [UInt32] = []
    var everyone: [Int32] = []
    var totals: [UInt32: Int] = [:]
    for i in 0..<hosts.count where Int(hosts[i].priority) == priority {
      totals[hosts[i].locality, default: 0] += 1
      guard takes(hosts[i], source: source) else { continue }
      everyone.append(Int32(i))
      if localities[hosts[i].locality] == nil { order.append(hosts[i].locality) }
      localities[hosts[i].locality, default: []].append(Int32(i))
    }
    guard settings.localityWeighted, order.count > 1, order.contains(where: { localityWeights[$0] ?? 0 > 0 }) else {
      let weights = everyone.map { Double(hosts[Int($0)].weight) }
      build(list, everyone, weights, &random)
      return
    }
    var targets: [Int32] = []
    var weights: [Double] = []
    for locality in order {
      guard let weight = localityWeights[locality], weight > 0, let members = localities[locality] else { continue }
      let sub = lists.count
      lists.append(List())
      build(sub, members, members.map { Double(hosts[Int($0)].weight) }, &random)
      // A locality that lost hosts gives load away once overprovisioning no longer covers the loss.
      let share = min(100, overprovisioning * members.count / max(1, totals[locality] ?? 1))
      targets.append(Int32(sub))
      weights.append(Double(weight) * Double(max(1, share)))
    }
    build(list, targets, weights, &random)
    lists[list].holdsLocalities = true
    lists[list].hasEqualWeights = false
  }

  private mutating func build(_ list: Int, _ targets: [Int32], _ weights: [Double], _ random: inout RandomSource) {
    lists[list].start = members.count
    lists[list].count = targets.count
    lists[list].hasEqualWeights = weights.allSatisfy { $0 == weights.first }
    for (target, weight) in zip(targets, weights) { members.append(Member(target: target, weight: max(weight, 1e-9))) }
    guard targets.count > 0 else { return }
    // A random start, so that many proxies do not all begin with the same host.
    lists[list].cursor = random.next(below: targets.count)
    if targets.count > 1 {
      for i in 0..<targets.count { insert(list, at: i, byRequests: false) }
      for _ in 0..<random.next(below: targets.count) where !lists[list].hasEqualWeights {
        _ = schedule(list, byRequests: false)
      }
    }
  }
}

// MARK: - Earliest deadline first

extension LoadBalancer {
  /// Takes the member with the earliest deadline and puts it back 1/weight later.
  private mutating func schedule(_ list: Int, byRequests: Bool) -> Int32 {
    let start = lists[list].start
    let target = members[start].target
    lists[list].clock = members[start].deadline
    renew(list, 0, byRequests: byRequests)
    sink(start, lists[list].count, 0)
    return target
  }

  private func renew(_ list: Int, _ index: Int, byRequests: Bool) {
    let slot = lists[list].start + index
    var weight = members[slot].weight
    if byRequests {
      let load = Double(active[Int(members[slot].target)]) + 1
      weight = bias == 1 ? weight / load : weight / pow(load, bias)
    }
    members[slot].deadline = lists[list].clock + 1 / weight
    members[slot].sequence = lists[list].sequence
    lists[list].sequence &+= 1
  }

  private mutating func insert(_ list: Int, at index: Int, byRequests: Bool) {
    renew(list, index, byRequests: byRequests)
    let start = lists[list].start
    var i = index
    while i > 0, isEarlier(start + i, start + (i - 1) / 2) {
      swap(start + i, start + (i - 1) / 2)
      i = (i - 1) / 2
    }
  }

  private func sink(_ start: Int, _ count: Int, _ from: Int) {
    var i = from
    while true {
      var least = i
      for child in 2 * i + 1...2 * i + 2 where child < count && isEarlier(start + child, start + least) {
        least = child
      }
      if least == i { return }
      swap(start + i, start + least)
      i = least
    }
  }

  private func isEarlier(_ a: Int, _ b: Int) -> Bool {
    let x = members[a].deadline
    let y = members[b].deadline
    return x < y || (x == y && members[a].sequence < members[b].sequence)
  }

  private func swap(_ a: Int, _ b: Int) {
    let kept = members[a]
    members[a] = members[b]
    members[b] = kept
  }
}
