import WeftBase
import WeftProxyAPI

/// Keeps every host below a multiple of its share of the load: what would be too much goes to another host, which one is decided by the key alone.
///
/// *Cost*: a few instructions while the host has room; O(hosts) when it has not. *Source*: Mirrokni, Thorup, Zadimoghaddam, Consistent Hashing with
/// Bounded Loads (arXiv 1608.01350); the random jump: Chen, Coleman, Shrivastava (arXiv 1908.08762). The order of the jump is Envoy's.
struct LoadBound: BitwiseCopyable {
  /// Percent of the mean; 0: no bound.
  private let factor: UInt32
  private let order: FlatTable<UInt32>
  private var draws: MersenneTwister

  init(_ factor: UInt32, hosts: Int, _ memory: BalancerMemory) {
    self.factor = factor
    order = factor == 0 ? FlatTable() : memory.table(0 as UInt32, count: hosts)
    draws = factor == 0 ? MersenneTwister() : MersenneTwister(memory)
  }

  /// `choice` where it has room; else a host that has, or the one that is least above its bound.
  mutating func host(_ choice: Int, _ hosts: HashedHosts, _ x: borrowing BalancerPick) -> Int {
    if factor == 0 { return choice }
    var least = load(choice, hosts, x)
    if least <= 1 { return choice }
    var best = choice
    draws.seed(UInt32(truncatingIfNeeded: x.hash))
    for i in order.indices { order[i] = UInt32(i) }
    for i in order.indices {
      let j = i + draws.next(below: order.count - i)
      (order[i], order[j]) = (order[j], order[i])
      let other = Int(order[i])
      if other == choice { continue }
      let load = load(other, hosts, x)
      if load <= 1 { return other }
      if load < least { (best, least) = (other, load) }
    }
    return best
  }

  /// Requests of a host relative to those it may have.
  private func load(_ i: Int, _ hosts: HashedHosts, _ x: borrowing BalancerPick) -> Double {
    let all = ((UInt64(x.allActive) + 1) * UInt64(factor) + 99) / 100
    let bound = max((Double(all) * hosts[i].share).rounded(.up), 1)
    return Double(x.active(hosts[i].position)) / bound
  }
}

/// MT19937. *Source*: Matsumoto, Nishimura, Mersenne Twister (1998).
struct MersenneTwister: BitwiseCopyable {
  private static let size = 624
  private let words: FlatTable<UInt32>
  private var used = MersenneTwister.size

  /// None.
  init() { words = FlatTable() }

  init(_ memory: BalancerMemory) { words = memory.table(0 as UInt32, count: Self.size) }

  mutating func seed(_ seed: UInt32) {
    words[0] = seed
    for i in 1..<Self.size { words[i] = 1_812_433_253 &* (words[i - 1] ^ words[i - 1] >> 30) &+ UInt32(i) }
    used = Self.size
  }

  mutating func next() -> UInt32 {
    if used == Self.size { twist() }
    var y = words[used]
    used += 1
    y ^= y >> 11
    y ^= y << 7 & 0x9d2c_5680
    y ^= y << 15 & 0xefc6_0000
    return y ^ y >> 18
  }

  /// Uniform in `0..<bound`.
  mutating func next(below bound: Int) -> Int {
    let step = (1 << 32) / bound
    while true {
      let draw = Int(next()) / step
      if draw < bound { return draw }
    }
  }

  private mutating func twist() {
    for i in 0..<Self.size {
      let y = words[i] & 0x8000_0000 | words[(i + 1) % Self.size] & 0x7fff_ffff
      words[i] = words[(i + 397) % Self.size] ^ y >> 1 ^ (y & 1 == 0 ? 0 : 0x9908_b0df)
    }
    used = 0
  }
}
