// EarliestDeadline: shares in proportion to weights, interleaved. What weighted policies and localities stand on.

/// Members take their turns so that each comes round once in `1 / weight`: a heap by deadline, earlier insertion first among equals.
///
/// *Shape*: trivial; the heap lies in the balancer's memory. *Cost*: O(log n) a turn.
/// *Source*: Envoy's published description of its weighted schedulers.
@frozen @usableFromInline
package struct EarliestDeadline: BitwiseCopyable {
  @frozen @usableFromInline
  package struct Member: BitwiseCopyable {
    @usableFromInline package let target: Int32
    @usableFromInline package let weight: Double
    @usableFromInline var deadline = 0.0
    @usableFromInline var sequence: UInt64 = 0
    init(target: Int32, weight: Double) { (self.target, self.weight) = (target, weight) }
  }

  private var members = FlatTable<Member>()
  private var clock = 0.0
  private var sequence: UInt64 = 0

  /// Nobody.
  package init() {}

  package init(_ list: borrowing BalancerList) {
    members = list.memory.table(Member(target: 0, weight: 1), count: list.count)
    for i in members.indices {
      members[i] = Member(target: list[i].position, weight: max(list[i].weight, 1e-9))
      renew(i, weight: members[i].weight)
      rise(i)
    }
    // A random number of turns, so that many proxies do not all begin with the same member.
    guard members.count > 1, !list.hasEqualWeights else { return }
    for _ in 0..<list.draw(below: members.count) { _ = next() }
  }

  package var isEmpty: Bool { members.isEmpty }

  /// Whose turn it is. It stays until `putBack`.
  package var first: Member { members[0] }

  /// Puts the first member back, to come again after `1 / weight`.
  package mutating func putBack(weight: Double) {
    clock = members[0].deadline
    renew(0, weight: weight)
    sink()
  }

  /// Takes a turn by plain weights.
  package mutating func next() -> Int32 {
    let member = members[0]
    putBack(weight: member.weight)
    return member.target
  }

  private mutating func renew(_ i: Int, weight: Double) {
    members[i].deadline = clock + 1 / weight
    members[i].sequence = sequence
    sequence &+= 1
  }

  private func rise(_ index: Int) {
    var i = index
    while i > 0, isEarlier(i, (i - 1) / 2) {
      swap(i, (i - 1) / 2)
      i = (i - 1) / 2
    }
  }

  private func sink() {
    var i = 0
    while true {
      var least = i
      for child in 2 * i + 1...2 * i + 2 where child < members.count && isEarlier(child, least) { least = child }
      if least == i { return }
      swap(i, least)
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
