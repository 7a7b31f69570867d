import Testing
import WeftBase
import WeftModel
import WeftUpstream

@Suite("balancing")
struct BalancingTests {
  @Test(
    "priorities spill with 140 percent overprovisioning",
    arguments: [(5, 100, 0), (4, 100, 0), (3, 84, 16), (1, 28, 72)])
  func spill(healthy: Int, first: Int, second: Int) throws {
    let kit = try BalancerKit(.roundRobin, seed: 7)
    let upper = (0..<5).map { BalancerHost(availability: $0 < healthy ? .healthy : .unhealthy) }
    let lower = (0..<5).map { _ in BalancerHost(priority: 1) }
    kit.set(upper + lower)
    let hosts = kit.counts(picks: 20_000).hosts
    let share = hosts[..<5].reduce(0, +) * 100 / 20_000
    #expect(abs(share - first) <= 1, "\(share) of \(first)")
    #expect(abs(100 - share - second) <= 2)
  }

  @Test("round robin visits every host once per round, from a random start")
  func roundRobin() throws {
    var starts: Set<Int32> = []
    for seed in 0..<20 as Range<UInt64> {
      let kit = try BalancerKit(.roundRobin, seed: seed)
      kit.set(Array(repeating: BalancerHost(), count: 4))
      var seen: [Int32] = []
      for _ in 0..<4 { if let position = kit.pick() { seen.append(position) } }
      #expect(Set(seen).count == 4)
      starts.insert(seen[0])
    }
    #expect(starts.count > 1)
  }

  @Test("weighted round robin interleaves: no run longer than the ratio")
  func smooth() throws {
    let kit = try BalancerKit(.roundRobin, seed: 8)
    kit.set([BalancerHost(weight: 1), BalancerHost(weight: 3)])
    var run = 0
    for _ in 0..<400 {
      let position = try #require(kit.pick())
      run = position == 1 ? run + 1 : 0
      #expect(run <= 4)
    }
  }

  @Test("least request avoids the busy host")
  func leastRequest() throws {
    let kit = try BalancerKit(.leastRequest, seed: 9)
    kit.balancer.setHosts(Array(repeating: BalancerHost(), count: 4), active: [50, 0, 0, 0], random: &kit.random)
    let hosts = kit.counts(picks: 4000).hosts
    // The busy host is taken only when both draws name it: one time in sixteen.
    #expect(hosts[0] < 400, "\(hosts)")
    kit.balancer.started(1)
    #expect(kit.balancer.activeRequests(1) == 1)
    kit.balancer.finished(1)
    #expect(kit.balancer.activeRequests(1) == 0)
  }

  @Test("a retry avoids hosts that were tried, and takes the last pick when there is no other")
  func avoidsTried() throws {
    let kit = try BalancerKit(.roundRobin, seed: 10)
    kit.set(Array(repeating: BalancerHost(), count: 3))
    var tried = TriedHosts()
    tried.insert(0)
    tried.insert(2)
    for _ in 0..<50 {
      #expect(kit.pick(avoiding: tried, attempts: 3) == 1)
    }
    let single = try BalancerKit(.roundRobin)
    single.set([BalancerHost()])
    #expect(single.pick(avoiding: tried, attempts: 5) == 0)
  }

  @Test("locality weights decide before host weights, and a weakened locality gives load away")
  func localities() throws {
    let kit = try BalancerKit(.roundRobin, localityWeighted: true, seed: 11)
    let list = (0..<4).map { BalancerHost(locality: $0 < 2 ? 0 : 1) }
    kit.set(list, localityWeights: [0: 3, 1: 1])
    let hosts = kit.counts(picks: 4000).hosts
    #expect(abs(hosts[0] + hosts[1] - 3000) < 60, "\(hosts)")
    kit.setAvailability(0, .unhealthy)
    let after = kit.counts(picks: 4000).hosts
    // Locality 0 has 70 % of its weight left: 2.1 against 1.
    #expect(after[0] == 0 && abs(after[1] - 2710) < 60, "\(after)")
  }

  @Test("degraded hosts are used when healthy ones cannot take the load")
  func degraded() throws {
    let kit = try BalancerKit(.roundRobin, seed: 12)
    let list = (0..<4).map { BalancerHost(availability: $0 < 2 ? .healthy : .degraded) }
    kit.set(list)
    let hosts = kit.counts(picks: 10_000)
    // Health 70, degraded 70: 70 % and 30 %.
    #expect(abs(hosts.hosts[0] + hosts.hosts[1] - 7000) < 250 && hosts.panicking == 0, "\(hosts)")
  }
}
