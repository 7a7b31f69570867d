import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftUpstream
import WeftXDSMessages

@testable import WeftLoadBalancers

/// What every balancing policy must keep, whatever its algorithm.
@Suite("balancer laws")
struct BalancerLaws {
  @Test("fairness: equal hosts get equal shares", arguments: TestedPolicy.all)
  func fairness(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy)
    kit.set(kit.hosts(1...5))
    let (hosts, none, panicking) = kit.counts(picks: 10_000)
    #expect(none == 0 && panicking == 0)
    for count in hosts { #expect(abs(count - 2000) < 250, "\(hosts)") }
  }

  @Test("weight: shares follow weights", arguments: TestedPolicy.weighted)
  func weight(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy, seed: 3)
    kit.set(kit.hosts(0...2) { [1, 2, 7][$0] })
    let hosts = kit.counts(picks: 10_000).hosts
    #expect(abs(hosts[0] - 1000) < 200 && abs(hosts[1] - 2000) < 200 && abs(hosts[2] - 7000) < 250, "\(hosts)")
  }

  @Test("health: only hosts that may take requests get them", arguments: TestedPolicy.all)
  func health(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy, seed: 2)
    kit.set(kit.hosts(1...4))
    kit.setAvailability(1, .unhealthy)
    let (hosts, none, panicking) = kit.counts(picks: 3000)
    #expect(hosts[1] == 0 && none == 0 && panicking == 0)
    #expect(hosts[0] > 800 && hosts[2] > 800 && hosts[3] > 800, "\(hosts)")
    kit.setAvailability(1, .healthy)
    #expect(kit.counts(picks: 4000).hosts[1] > 700)
  }

  @Test("panic: with most hosts unhealthy all share the load, unless the threshold is 0", arguments: TestedPolicy.all)
  func panic(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy, seed: 5)
    var list = kit.hosts(1...4)
    for i in 1...3 { list[i].availability = .unhealthy }
    kit.set(list)
    let spread = kit.counts(picks: 1000)
    #expect(spread.panicking == 1000 && spread.hosts.allSatisfy { $0 > 150 }, "\(spread.hosts)")
    let calm = try BalancerKit(policy, panic: 0)
    var same = calm.hosts(1...4)
    for i in 1...3 { same[i].availability = .unhealthy }
    calm.set(same)
    #expect(calm.counts(picks: 1000).hosts == [1000, 0, 0, 0])
    calm.setAvailability(0, .unhealthy)
    #expect(calm.counts(picks: 10).none == 10)
  }

  @Test("churn: hosts come and go without a pick of one that left", arguments: TestedPolicy.all)
  func churn(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy, seed: 4)
    for size in [3, 1, 8, 2, 0, 5] {
      kit.set(kit.hosts(0..<size) { UInt32($0 % 3 + 1) })
      for _ in 0..<200 {
        if let position = kit.pick() { #expect(position >= 0 && position < size) } else { #expect(size == 0) }
      }
    }
  }

  @Test("a single host gets everything, whatever its weight", arguments: TestedPolicy.all, [0, 1, UInt32.max])
  func single(policy: TestedPolicy, weight: UInt32) throws {
    let kit = try BalancerKit(policy)
    kit.set(kit.hosts(1...1) { _ in weight })
    #expect(kit.counts(picks: 100).hosts == [100])
  }

  @Test("weights as far apart as they can be: the heavy one gets nearly all", arguments: TestedPolicy.weighted)
  func extremes(policy: TestedPolicy) throws {
    // A ring of its default bounds would have eight million points.
    let policy =
      policy.name == "ring hash" ? TestedPolicy(TestedPolicy.ring(maximum: 1 << 16), policy.name) : policy
    let kit = try BalancerKit(policy)
    kit.set(kit.hosts(0...1) { $0 == 0 ? 1 : .max })
    let hosts = kit.counts(picks: 1000).hosts
    #expect(hosts[1] > 990 && hosts[0] + hosts[1] == 1000, "\(hosts)")
  }

  @Test("ten thousand hosts: tables are bounded, and all hosts are there", arguments: TestedPolicy.all)
  func many(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy)
    kit.set(kit.hosts(0..<10_000))
    var seen: Set<Int32> = []
    for key in 0..<60_000 { seen.insert(try #require(kit.pick(hash: BalancerKit.hash(ofKey: key)))) }
    #expect(seen.count > 9_000)
    // What the policy keeps per host, and a ring of 65,536 points in 16 bytes or a table of 65,537 entries in two.
    #expect(kit.balancer.tableBytes < 10_000 * 32 + 70_000 * 16 + 4096, "\(kit.balancer.tableBytes)")
    kit.set([])
    #expect(kit.balancer.tableBytes == 0)
  }

  @Test("localities share by their weights", arguments: TestedPolicy.all)
  func localities(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy, localityWeighted: true, seed: 11)
    var list = kit.hosts(0..<4)
    for i in 2...3 { list[i].locality = 1 }
    kit.set(list, localityWeights: [0: 3, 1: 1])
    let hosts = kit.counts(picks: 4000).hosts
    #expect(abs(hosts[0] + hosts[1] - 3000) < 150, "\(hosts)")
  }

  @Test("a locality without weight gets nothing; where none has any, all are used", arguments: TestedPolicy.all)
  func weightless(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy, localityWeighted: true)
    var list = kit.hosts(0..<4)
    for i in 2...3 { list[i].locality = 1 }
    kit.set(list, localityWeights: [0: 3])
    #expect(kit.counts(picks: 400).hosts[2...] == [0, 0])
    kit.set(list)
    #expect(kit.counts(picks: 400).hosts.allSatisfy { $0 > 40 })
  }

  @Test("a pick that avoids tried hosts finds another one before long", arguments: TestedPolicy.all)
  func avoids(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy, seed: 10)
    kit.set(kit.hosts(1...3))
    var found = 0
    for key in 0..<200 {
      let hash = BalancerKit.hash(ofKey: key)
      let first = try #require(kit.pick(hash: hash))
      var tried = TriedHosts()
      tried.insert(first)
      if kit.pick(hash: hash, avoiding: tried, attempts: 20) != first { found += 1 }
    }
    #expect(found >= 198, "\(found)")
    let single = try BalancerKit(policy)
    single.set(single.hosts(1...1))
    var tried = TriedHosts()
    tried.insert(0)
    #expect(single.pick(avoiding: tried, attempts: 5) == 0)
  }
}

/// What policies keep that give each key a host.
@Suite("laws of balancing by hash")
struct HashingLaws {
  @Test("a key has the same host in every worker and process", arguments: TestedPolicy.hashing)
  func stable(policy: TestedPolicy) throws {
    let one = try BalancerKit(policy, seed: 1)
    let other = try BalancerKit(policy, seed: 99)
    one.set(one.hosts(1...7))
    other.set(other.hosts(1...7))
    _ = other.counts(picks: 100)
    #expect(one.hosts(ofKeys: 1000) == other.hosts(ofKeys: 1000))
  }

  @Test("the order in which hosts are listed does not matter to a key", arguments: TestedPolicy.hashing)
  func order(policy: TestedPolicy) throws {
    let one = try BalancerKit(policy)
    let other = try BalancerKit(policy)
    one.set(one.hosts(0...7))
    other.set(other.hosts((0...7).reversed()))
    #expect(one.hosts(ofKeys: 1000) == other.hosts(ofKeys: 1000).map { $0.map { 7 - $0 } })
  }

  @Test(
    "a host that leaves moves its own keys, and few others",
    arguments: TestedPolicy.hashing)
  func disruption(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy)
    kit.set(kit.hosts(0...9))
    let before = kit.hosts(ofKeys: 4000)
    kit.set(kit.hosts(0...8))
    let after = kit.hosts(ofKeys: 4000)
    let moved = zip(before, after).count { $0 != 9 && $0 != $1 }
    // A ring of fewer hosts has more points of each: a part of the keys of all moves, less than the host's own.
    #expect(moved <= (policy.name == "Maglev" ? 160 : 400), "\(moved)")
    #expect(before.count { $0 == 9 } > 250)
  }

  @Test("a host in ill health loses its keys, and gets the same ones back", arguments: TestedPolicy.hashing)
  func health(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy)
    kit.set(kit.hosts(0...9))
    let before = kit.hosts(ofKeys: 1000)
    kit.setAvailability(3, .unhealthy)
    #expect(!kit.hosts(ofKeys: 1000).contains(3))
    kit.setAvailability(3, .healthy)
    #expect(kit.hosts(ofKeys: 1000) == before)
  }

  @Test("the hash decides about the priority, too", arguments: TestedPolicy.hashing)
  func priority(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy)
    var list = kit.hosts(0...9)
    for i in 5...9 { list[i].priority = 1 }
    for i in 0...1 { list[i].availability = .unhealthy }
    kit.set(list)
    // 3 of 5 healthy: 84 percent stay.
    let hosts = kit.hosts(ofKeys: 2000)
    let first = hosts.count { $0.map { $0 < 5 } ?? false }
    #expect(abs(first - 1680) < 90, "\(first)")
    #expect(kit.hosts(ofKeys: 2000) == hosts)
  }

  @Test("degraded hosts get keys where there are no others, and only there", arguments: TestedPolicy.hashing)
  func degraded(policy: TestedPolicy) throws {
    let kit = try BalancerKit(policy)
    var list = kit.hosts(0...3)
    for i in 2...3 { list[i].availability = .degraded }
    kit.set(list)
    #expect(kit.hosts(ofKeys: 400).allSatisfy { $0 == 0 || $0 == 1 })
    for i in 0...1 { list[i].availability = .degraded }
    kit.set(list)
    #expect(Set(kit.hosts(ofKeys: 400)) == [0, 1, 2, 3])
  }

  @Test("a bound keeps a favourite host near its share; the same keys overflow to the same hosts")
  func bounded() throws {
    let kit = try BalancerKit(TestedPolicy(TestedPolicy.ring(factor: 120), "bounded"))
    kit.set(kit.hosts(0...3))
    let favourite = try #require(kit.pick(hash: 7))
    var running = [0, 0, 0, 0]
    for _ in 0..<1000 {
      let host = try #require(kit.pick(hash: 7))
      kit.balancer.started(host)
      running[Int(host)] += 1
    }
    // 120 percent of a quarter, and one more: a host may take one when it is at its bound.
    #expect(running.allSatisfy { $0 <= 302 } && running[Int(favourite)] >= 295, "\(running)")
    let busy = try BalancerKit(TestedPolicy(TestedPolicy.ring(factor: 120), "bounded"))
    busy.set(busy.hosts(0...3))
    for _ in 0..<10 { busy.balancer.started(favourite) }
    let overflow = try #require(busy.pick(hash: 7))
    #expect(overflow != favourite)
    #expect(busy.pick(hash: 7) == overflow)
  }

  @Test("a Maglev table is the one of its definition, whatever the weights", arguments: 0..<6 as Range<UInt64>)
  func definition(seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    var message = MaglevMessage()
    message.tableSize = .init(251)
    let kit = try BalancerKit(TestedPolicy(message, "Maglev"))
    let count = 1 + random.next(below: 12)
    let list = kit.hosts(0..<count) { _ in UInt32(1 + random.next(below: seed == 0 ? 1 : 40)) }
    kit.set(list)
    let expected = Self.table(251, list)
    let table = (0..<251).map { kit.pick(hash: UInt64($0)) }
    #expect(table == expected.map { Int32($0) })
  }

  /// The table as Envoy's documentation describes it: round by round, each host in order, unless its weight is not due.
  private static func table(_ size: Int, _ hosts: [BalancerHost]) -> [Int] {
    let sum = hosts.reduce(0.0) { $0 + Double($1.weight) }
    let order = hosts.indices.sorted { hosts[$0].key.compare(hosts[$1].key) < 0 }
    let shares = hosts.map { Double($0.weight) * 1 / sum }
    let largest = shares.max() ?? 1
    var targets = hosts.map { _ in 0.0 }
    var next = hosts.map { _ in 0 }
    var table = Array(repeating: -1, count: size)
    var filled = 0
    var round = 1
    while filled < size {
      for i in order where filled < size && Double(round) * shares[i] >= targets[i] {
        targets[i] += largest
        let offset = Int(XXHash64.hash(hosts[i].key) % UInt64(size))
        let skip = Int(XXHash64.hash(hosts[i].key, seed: 1) % UInt64(size - 1)) + 1
        while table[(offset + next[i] * skip) % size] >= 0 { next[i] += 1 }
        table[(offset + next[i] * skip) % size] = i
        filled += 1
      }
      round += 1
    }
    return table
  }

  /// Hosts that an Envoy 1.40 chose for the keys `user-0`, `user-1eef`, `user-3dde` and so on, of five hosts with the weights 1, 30, 7, 2 and 11.
  static let ofEnvoy: [(policy: TestedPolicy, hosts: [Int32?])] = {
    var maglev = MaglevMessage()
    maglev.tableSize = .init(251)
    return [
      (
        TestedPolicy(TestedPolicy.ring(minimum: 17, maximum: 61), "ring hash"),
        [0, 2, 2, 4, 2, 4, 1, 1, 4, 4, 1, 2, 1, 3, 1, 2, 1, 1, 1, 1, 2, 2, 1, 1]
      ),
      (
        TestedPolicy(maglev, "Maglev"),
        [1, 1, 1, 2, 1, 1, 1, 1, 1, 3, 2, 2, 1, 1, 1, 1, 1, 1, 0, 4, 1, 2, 1, 1]
      ),
    ]
  }()

  @Test("keys have the hosts that Envoy gives them", arguments: ofEnvoy.indices)
  func envoy(index: Int) throws {
    let (policy, expected) = Self.ofEnvoy[index]
    let kit = try BalancerKit(policy)
    kit.set(
      [1, 30, 7, 2, 11].enumerated().map { BalancerHost(weight: $1, key: kit.storage.text("host-\($0)")) })
    let hosts = (0..<24).map { n in
      kit.pick(hash: "user-\(String(n * 7919, radix: 16))".withByteView { XXHash64.hash($0) })
    }
    #expect(hosts == expected)
  }

  @Test("one heavy host among ten thousand does not make a Maglev table slow to fill", .timeLimit(.minutes(5)))
  func skewed() throws {
    let kit = try BalancerKit(.maglev)
    kit.set(kit.hosts(0..<10_000) { $0 == 0 ? 1_000_000 : 1 })
    var heavy = 0
    for key in 0..<1000 where kit.pick(hash: BalancerKit.hash(ofKey: key)) == 0 { heavy += 1 }
    // Each host has an entry: 55,538 of 65,537 are left for the heavy one.
    #expect(abs(heavy - 847) < 60, "\(heavy)")
  }

  @Test("sizes of tables can be read")
  func gauges() throws {
    let kit = try BalancerKit(.maglev)
    kit.set(kit.hosts(0...2))
    #expect(kit.balancer.tableBytes > 65_537)
    let maglev = kit.metrics.scope(.init(.filter, "c", "cluster.*.maglev_lb."))
    #expect(kit.metrics.value(MaglevMetric.minEntriesPerHost, maglev) == 21_845)
    #expect(kit.metrics.value(MaglevMetric.maxEntriesPerHost, maglev) == 21_846)
    let ring = try BalancerKit(TestedPolicy(TestedPolicy.ring(minimum: 10), "ring"))
    ring.set(ring.hosts(0...2))
    _ = ring.pick(hash: 1)
    let scope = ring.metrics.scope(.init(.filter, "c", "cluster.*.ring_hash_lb."))
    #expect(ring.metrics.value(RingHashMetric.size, scope) == 12)
    #expect(ring.metrics.value(RingHashMetric.minHashesPerHost, scope) == 4)
    #expect(ring.metrics.value(RingHashMetric.maxHashesPerHost, scope) == 4)
  }

  @Test("the draws of bounded loads are those of the published generator")
  func mersenne() {
    let memory = BalancerMemory(nil)
    defer { memory.free() }
    var draws = MersenneTwister(memory)
    draws.seed(5489)
    #expect(draws.next() == 3_499_211_612)
    for _ in 0..<9998 { _ = draws.next() }
    #expect(draws.next() == 4_123_659_995)
  }
}
