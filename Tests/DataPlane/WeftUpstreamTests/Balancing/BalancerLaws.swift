import Testing
import WeftBase
import WeftModel
import WeftUpstream

/// What every balancing policy must keep, whatever its algorithm.
@Suite("balancer laws")
struct BalancerLaws {
  static let policies: [LoadBalancing.Policy] = [
    .roundRobin, .leastRequest(choices: 2, activeRequestBias: 1), .random,
  ]

  static func settings(_ policy: LoadBalancing.Policy, panic: Double = 50) -> LoadBalancing {
    var settings = LoadBalancing()
    settings.policy = policy
    settings.panicThresholdPercent = panic
    return settings
  }

  /// Picks per host, requests ending at once.
  static func counts(
    _ balancer: inout LoadBalancer, picks: Int, random: inout RandomSource
  ) -> (hosts: [Int], none: Int, panicking: Int) {
    var hosts = Array(repeating: 0, count: balancer.hostCount)
    var none = 0
    var panicking = 0
    for _ in 0..<picks {
      switch balancer.pick(random: &random) {
      case .host(let position, let panic):
        hosts[Int(position)] += 1
        if panic { panicking += 1 }
      case .none: none += 1
      }
    }
    return (hosts, none, panicking)
  }

  @Test("fairness: equal hosts get equal shares", arguments: policies)
  func fairness(policy: LoadBalancing.Policy) {
    var random = RandomSource(seed: 1)
    var balancer = LoadBalancer(Self.settings(policy))
    balancer.setHosts(Array(repeating: BalancerHost(), count: 5), random: &random)
    let (hosts, none, panicking) = Self.counts(&balancer, picks: 10_000, random: &random)
    #expect(none == 0 && panicking == 0)
    for count in hosts { #expect(abs(count - 2000) < 250, "\(hosts)") }
  }

  @Test("health: only hosts that may take requests get them", arguments: policies)
  func health(policy: LoadBalancing.Policy) {
    var random = RandomSource(seed: 2)
    var balancer = LoadBalancer(Self.settings(policy))
    balancer.setHosts(Array(repeating: BalancerHost(), count: 4), random: &random)
    balancer.setAvailability(1, .unhealthy, random: &random)
    let (hosts, none, panicking) = Self.counts(&balancer, picks: 3000, random: &random)
    #expect(hosts[1] == 0 && none == 0 && panicking == 0)
    #expect(hosts[0] > 800 && hosts[2] > 800 && hosts[3] > 800)
    balancer.setAvailability(1, .healthy, random: &random)
    #expect(Self.counts(&balancer, picks: 4000, random: &random).hosts[1] > 700)
  }

  @Test("weight: shares follow weights", arguments: policies.dropLast())
  func weight(policy: LoadBalancing.Policy) {
    var random = RandomSource(seed: 3)
    var balancer = LoadBalancer(Self.settings(policy))
    balancer.setHosts([1, 2, 7].map { BalancerHost(weight: $0) }, random: &random)
    let hosts = Self.counts(&balancer, picks: 10_000, random: &random).hosts
    #expect(abs(hosts[0] - 1000) < 30 && abs(hosts[1] - 2000) < 30 && abs(hosts[2] - 7000) < 30, "\(hosts)")
  }

  @Test("churn: hosts come and go without a pick of one that left", arguments: policies)
  func churn(policy: LoadBalancing.Policy) {
    var random = RandomSource(seed: 4)
    var balancer = LoadBalancer(Self.settings(policy))
    for size in [3, 1, 8, 2, 0, 5] {
      let list = (0..<size).map { BalancerHost(weight: UInt32($0 % 3 + 1)) }
      balancer.setHosts(list, random: &random)
      for _ in 0..<200 {
        switch balancer.pick(random: &random) {
        case .host(let position, _): #expect(position >= 0 && position < size)
        case .none: #expect(size == 0)
        }
      }
    }
  }

  @Test("panic: with most hosts unhealthy all share the load, unless the threshold is 0", arguments: policies)
  func panic(policy: LoadBalancing.Policy) {
    var random = RandomSource(seed: 5)
    let list = (0..<4).map { BalancerHost(availability: $0 == 0 ? .healthy : .unhealthy) }
    var balancer = LoadBalancer(Self.settings(policy))
    balancer.setHosts(list, random: &random)
    let spread = Self.counts(&balancer, picks: 1000, random: &random)
    #expect(spread.panicking == 1000 && spread.hosts.allSatisfy { $0 > 150 }, "\(spread.hosts)")
    var calm = LoadBalancer(Self.settings(policy, panic: 0))
    calm.setHosts(list, random: &random)
    #expect(Self.counts(&calm, picks: 1000, random: &random).hosts == [1000, 0, 0, 0])
    calm.setAvailability(0, .unhealthy, random: &random)
    #expect(Self.counts(&calm, picks: 10, random: &random).none == 10)
  }
}

@Suite("balancing")
struct BalancingTests {
  @Test(
    "priorities spill with 140 percent overprovisioning",
    arguments: [(5, 100, 0), (4, 100, 0), (3, 84, 16), (1, 28, 72)])
  func spill(healthy: Int, first: Int, second: Int) {
    var random = RandomSource(seed: 7)
    var balancer = LoadBalancer(BalancerLaws.settings(.roundRobin))
    let upper = (0..<5).map { BalancerHost(availability: $0 < healthy ? .healthy : .unhealthy) }
    let lower = (0..<5).map { _ in BalancerHost(priority: 1) }
    balancer.setHosts(upper + lower, random: &random)
    let hosts = BalancerLaws.counts(&balancer, picks: 20_000, random: &random).hosts
    let share = hosts[..<5].reduce(0, +) * 100 / 20_000
    #expect(abs(share - first) <= 1, "\(share) of \(first)")
    #expect(abs(100 - share - second) <= 2)
  }

  @Test("round robin visits every host once per round, from a random start")
  func roundRobin() {
    var starts: Set<Int32> = []
    for seed in 0..<20 as Range<UInt64> {
      var random = RandomSource(seed: seed)
      var balancer = LoadBalancer(BalancerLaws.settings(.roundRobin))
      balancer.setHosts(Array(repeating: BalancerHost(), count: 4), random: &random)
      var seen: [Int32] = []
      for _ in 0..<4 { if case .host(let position, _) = balancer.pick(random: &random) { seen.append(position) } }
      #expect(Set(seen).count == 4)
      starts.insert(seen[0])
    }
    #expect(starts.count > 1)
  }

  @Test("weighted round robin interleaves: no run longer than the ratio")
  func smooth() {
    var random = RandomSource(seed: 8)
    var balancer = LoadBalancer(BalancerLaws.settings(.roundRobin))
    balancer.setHosts([BalancerHost(weight: 1), BalancerHost(weight: 3)], random: &random)
    var run = 0
    for _ in 0..<400 {
      guard case .host(let position, _) = balancer.pick(random: &random) else { return }
      run = position == 1 ? run + 1 : 0
      #expect(run <= 4)
    }
  }

  @Test("least request avoids the busy host")
  func leastRequest() {
    var random = RandomSource(seed: 9)
    var balancer = LoadBalancer(BalancerLaws.settings(.leastRequest(choices: 2, activeRequestBias: 1)))
    balancer.setHosts(Array(repeating: BalancerHost(), count: 4), active: [50, 0, 0, 0], random: &random)
    let hosts = BalancerLaws.counts(&balancer, picks: 4000, random: &random).hosts
    // The busy host is taken only when both draws name it: one time in sixteen.
    #expect(hosts[0] < 400, "\(hosts)")
    balancer.started(1)
    #expect(balancer.activeRequests(1) == 1)
    balancer.finished(1)
    #expect(balancer.activeRequests(1) == 0)
  }

  @Test("a retry avoids hosts that were tried, and takes the last pick when there is no other")
  func avoidsTried() {
    var random = RandomSource(seed: 10)
    var balancer = LoadBalancer(BalancerLaws.settings(.roundRobin))
    balancer.setHosts(Array(repeating: BalancerHost(), count: 3), random: &random)
    var tried = TriedHosts()
    tried.insert(0)
    tried.insert(2)
    for _ in 0..<50 {
      #expect(balancer.pick(random: &random, avoiding: tried, attempts: 3) == .host(1, panicking: false))
    }
    var single = LoadBalancer(BalancerLaws.settings(.roundRobin))
    single.setHosts([BalancerHost()], random: &random)
    #expect(single.pick(random: &random, avoiding: tried, attempts: 5) == .host(0, panicking: false))
  }

  @Test("locality weights decide before host weights, and a weakened locality gives load away")
  func localities() {
    var random = RandomSource(seed: 11)
    var settings = BalancerLaws.settings(.roundRobin)
    settings.localityWeighted = true
    var balancer = LoadBalancer(settings)
    let list = (0..<4).map { BalancerHost(locality: $0 < 2 ? 0 : 1) }
    balancer.setHosts(list, localityWeights: [0: 3, 1: 1], random: &random)
    let hosts = BalancerLaws.counts(&balancer, picks: 4000, random: &random).hosts
    #expect(abs(hosts[0] + hosts[1] - 3000) < 60, "\(hosts)")
    balancer.setAvailability(0, .unhealthy, random: &random)
    let after = BalancerLaws.counts(&balancer, picks: 4000, random: &random).hosts
    // Locality 0 has 70 % of its weight left: 2.1 against 1.
    #expect(after[0] == 0 && abs(after[1] - 2710) < 60, "\(after)")
  }

  @Test("degraded hosts are used when healthy ones cannot take the load")
  func degraded() {
    var random = RandomSource(seed: 12)
    var balancer = LoadBalancer(BalancerLaws.settings(.roundRobin))
    let list = (0..<4).map { BalancerHost(availability: $0 < 2 ? .healthy : .degraded) }
    balancer.setHosts(list, random: &random)
    let hosts = BalancerLaws.counts(&balancer, picks: 10_000, random: &random)
    // Health 70, degraded 70: 70 % and 30 %.
    #expect(abs(hosts.hosts[0] + hosts.hosts[1] - 7000) < 250 && hosts.panicking == 0, "\(hosts)")
  }
}
