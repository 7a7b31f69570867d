// BalancerLists: which lists a cluster's hosts make, and who is in them.

package import WeftModel
package import WeftProxyAPI

/// What the lists of a balancer are made of, by their number: hosts, or localities by the numbers of their own lists. Lists that no request can come
/// to are empty.
package struct BalancerLists {
  enum Source: Int { case healthy, degraded, all }
  static var sources: Int { 3 }

  private(set) var shares: [PriorityLoad.Share]
  package private(set) var hosts: [[BalancerCandidate]]
  private(set) var localities: [Int: [BalancerCandidate]] = [:]
  /// Numbers of those that are there because of `spreads`.
  private(set) var extras: Set<Int> = []
  private let all: [BalancerHost]
  private let localityWeights: [UInt32: UInt32]
  private let overprovisioning: Int
  private let hashes: Bool
  private let weighsLocalities: Bool

  /// `panicThreshold`: in place of what the settings say. `spreads`: lists are made for all priorities that could take a request. *Cost*: O(hosts).
  package init(
    _ settings: LoadBalancing, _ balancer: CompiledBalancer, overprovisioning: Int, panicThreshold: Double? = nil,
    spreads: Bool = false, _ list: [BalancerHost], _ localityWeights: [UInt32: UInt32]
  ) {
    all = list
    self.localityWeights = localityWeights
    self.overprovisioning = overprovisioning
    hashes = balancer.traits.hashes != .none
    weighsLocalities = settings.localityWeighted || balancer.traits.weighsLocalities
    let priorities = list.reduce(0) { max($0, Int($1.priority) + 1) }
    var census = Array(repeating: PriorityLoad.Census(), count: priorities)
    for host in list {
      let p = Int(host.priority)
      census[p].total += 1
      switch host.availability {
      case .healthy: census[p].healthy += 1
      case .degraded: census[p].degraded += 1
      case .excluded: census[p].excluded += 1
      case .unhealthy: break
      }
    }
    shares =
      PriorityLoad(
        census, overprovisioningPercent: overprovisioning,
        panicThresholdPercent: panicThreshold ?? settings.panicThresholdPercent
      ).shares
    hosts = Array(repeating: [], count: priorities * Self.sources)
    for (priority, share) in shares.enumerated() {
      if share.inPanic {
        fill(priority, .all)
      } else {
        for (source, own) in [(Source.healthy, share.healthy), (.degraded, share.degraded)] where own > 0 || spreads {
          if own == 0 { extras.insert(priority * Self.sources + source.rawValue) }
          fill(priority, source)
        }
      }
    }
  }

  /// What has to be made before the lists can be used.
  package func jobs(_ balancer: CompiledBalancer) -> [BalancerTableJob] {
    hosts.filter { !$0.isEmpty }.map { BalancerTableJob(balancer, $0) }
  }

  /// Takes the hosts of a list away.
  mutating func empty(_ list: Int) { hosts[list] = [] }

  private func takes(_ host: BalancerHost, _ source: Source) -> Bool {
    switch source {
    case .healthy: host.availability == .healthy
    case .degraded: host.availability == .degraded
    case .all: true
    }
  }

  private mutating func fill(_ priority: Int, _ source: Source) {
    var everyone: [Int] = []
    var groups: [UInt32: [Int]] = [:]
    var order: [UInt32] = []
    var totals: [UInt32: Int] = [:]
    for i in all.indices where Int(all[i].priority) == priority {
      totals[all[i].locality, default: 0] += 1
      guard takes(all[i], source) else { continue }
      everyone.append(i)
      if groups[all[i].locality] == nil { order.append(all[i].locality) }
      groups[all[i].locality, default: []].append(i)
    }
    let list = priority * Self.sources + source.rawValue
    let weighted = weighsLocalities && order.contains { localityWeights[$0] ?? 0 > 0 }
    guard weighted, order.count > 1 || hashes else {
      hosts[list] = candidates(everyone, of: 1)
      return
    }
    if hashes {
      // All that have hosts count, whether or not those are healthy.
      let sum = totals.keys.reduce(0.0) { $0 + Double(localityWeights[$1] ?? 0) }
      for locality in order {
        guard let weight = localityWeights[locality], weight > 0, let members = groups[locality] else { continue }
        hosts[list] += candidates(members, of: Double(weight) / sum)
      }
      return
    }
    var turns: [BalancerCandidate] = []
    for locality in order {
      guard let weight = localityWeights[locality], weight > 0, let members = groups[locality] else { continue }
      // A locality that lost hosts gives load away once overprovisioning no longer covers the loss.
      let share = min(100, overprovisioning * members.count / max(1, totals[locality] ?? 1))
      turns.append(
        BalancerCandidate(position: Int32(hosts.count), weight: Double(weight) * Double(max(1, share))))
      hosts.append(candidates(members, of: 1))
    }
    localities[list] = turns
  }

  /// Hosts with their weights. To a policy that hashes, these are shares of `whole`.
  private func candidates(_ members: [Int], of whole: Double) -> [BalancerCandidate] {
    guard hashes else {
      return members.map { BalancerCandidate(position: Int32($0), weight: Double(all[$0].weight)) }
    }
    let sum = members.reduce(0.0) { $0 + Double(all[$1].weight) }
    return members.map {
      BalancerCandidate(position: Int32($0), weight: Double(all[$0].weight) * whole / sum, key: all[$0].key)
    }
  }
}
