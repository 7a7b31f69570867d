import WeftBase
package import WeftProxyAPI
import WeftTelemetry

/// Gives each key the host in the key's entry of a table, which all hosts have filled in turn, each in an order of its own: the shares are nearly exact,
/// and a host that comes or goes moves few keys but its own.
///
/// All workers have one table between them. *Shape*: an entry is as wide as the number of hosts needs, one byte up to 256 of
/// them. *Cost*: one look-up a pick; to make, O(entries · log hosts), whatever the weights.
/// *Source*: Eisenbud et al., Maglev: A Fast and Reliable Software Network Load Balancer (NSDI 2016); weights as Envoy has them, to whose tables ours are
/// the same.
package struct Maglev: LoadBalancerPolicy {
  private let config: Config
  private let hosts: HashedHosts
  private let table: EntryTable
  private var bound: LoadBound

  package init(_ config: Config, _ list: borrowing BalancerList) {
    self.config = config
    hosts = HashedHosts(list)
    table = list.table(as: EntryTable.self)
    bound = LoadBound(config.hashing.balanceFactor, hosts: list.count, list.memory)
  }

  package mutating func pick(_ x: borrowing BalancerPick) -> Int32 {
    // Further attempts look elsewhere.
    let hash = x.attempt == 0 ? x.hash : x.hash ^ (0 &- UInt64(x.attempt))
    let entry = table[Int(hash % UInt64(config.size))]
    return hosts[bound.host(entry, hosts, x)].position
  }

  /// One who fills the table.
  private struct Filler {
    var host: UInt32
    var share: Double
    /// The entry to try next, and how far the one after it is.
    var entry: Int
    var skip: Int
    /// What the share, once per round, has to add up to before its turn.
    var target = 0.0
    var count = 0
  }

  /// A turn to come.
  private struct Turn {
    var round: Int
    var filler: Int
  }

  package static func table(_ config: Config, _ list: borrowing BalancerList) -> BalancerTable {
    let hosts = HashedHosts(list)
    return BalancerTable { entries(config, hosts, $0) }
  }

  private static func entries(_ config: Config, _ hosts: HashedHosts, _ memory: BalancerMemory) -> EntryTable {
    let size = config.size
    // In an order that is the same everywhere.
    let order = hosts.indices.sorted {
      let difference = hosts[$0].key.compare(hosts[$1].key)
      return difference != 0 ? difference < 0 : $0 < $1
    }
    var fillers = order.map { i in
      Filler(
        host: UInt32(i), share: hosts[i].share, entry: Int(XXHash64.hash(hosts[i].key) % UInt64(size)),
        skip: Int(XXHash64.hash(hosts[i].key, seed: 1) % UInt64(size - 1)) + 1)
    }
    // By round, and in a round by order: a heap. In the first round each has a turn.
    var turns = fillers.indices.map { Turn(round: 1, filler: $0) }
    var entries = [Int32](repeating: -1, count: size)
    for _ in 0..<size {
      let turn = turns[0]
      var filler = fillers[turn.filler]
      while entries[filler.entry] >= 0 { filler.entry = after(filler, size) }
      entries[filler.entry] = Int32(filler.host)
      filler.entry = after(filler, size)
      filler.count += 1
      filler.target += hosts.largestShare
      fillers[turn.filler] = filler
      turns[0].round = round(after: turn.round, filler)
      sink(&turns)
    }
    config.gauges.set(.minEntriesPerHost, UInt64(fillers.lazy.map(\.count).min() ?? 0))
    config.gauges.set(.maxEntriesPerHost, UInt64(fillers.lazy.map(\.count).max() ?? 0))
    return EntryTable(entries, hosts: hosts.count, memory)
  }

  @inline(__always)
  private static func after(_ filler: Filler, _ size: Int) -> Int {
    let next = filler.entry + filler.skip
    return next >= size ? next - size : next
  }

  /// The first round after `last` by which the filler's share has added up to its target. Compared as products, as the definition does: what a quotient
  /// says may be off by one.
  private static func round(after last: Int, _ filler: Filler) -> Int {
    var round = max(last + 1, Int(min(filler.target / filler.share, 1e15)))
    while round > last + 1, Double(round - 1) * filler.share >= filler.target { round -= 1 }
    while Double(round) * filler.share < filler.target, round < 1_000_000_000_000_000 { round += 1 }
    return round
  }

  /// Moves the first turn down to its place.
  private static func sink(_ turns: inout [Turn]) {
    var i = 0
    let moved = turns[0]
    while true {
      var least = i
      var best = moved
      for child in 2 * i + 1...2 * i + 2 where child < turns.count {
        let turn = turns[child]
        if turn.round < best.round || turn.round == best.round && turn.filler < best.filler {
          (least, best) = (child, turn)
        }
      }
      if least == i { break }
      turns[i] = best
      i = least
    }
    turns[i] = moved
  }
}

/// Numbers of hosts, each in as few bytes as the largest needs.
private struct EntryTable: BitwiseCopyable {
  private enum Entries: BitwiseCopyable {
    case bytes(FlatTable<UInt8>)
    case halves(FlatTable<UInt16>)
    case words(FlatTable<UInt32>)
  }
  private let entries: Entries

  init(_ numbers: [Int32], hosts: Int, _ memory: BalancerMemory) {
    if hosts <= 1 << 8 {
      let table = memory.table(0 as UInt8, count: numbers.count)
      for i in table.indices { table[i] = UInt8(numbers[i]) }
      entries = .bytes(table)
    } else if hosts <= 1 << 16 {
      let table = memory.table(0 as UInt16, count: numbers.count)
      for i in table.indices { table[i] = UInt16(numbers[i]) }
      entries = .halves(table)
    } else {
      let table = memory.table(0 as UInt32, count: numbers.count)
      for i in table.indices { table[i] = UInt32(numbers[i]) }
      entries = .words(table)
    }
  }

  subscript(i: Int) -> Int {
    switch entries {
    case .bytes(let table): Int(table[i])
    case .halves(let table): Int(table[i])
    case .words(let table): Int(table[i])
    }
  }
}
