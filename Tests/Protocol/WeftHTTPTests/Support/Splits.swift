// Ways to cut input into deliveries, as a network would.

import WeftBase

enum Split: CustomStringConvertible, Sendable {
  case whole, everyByte, at(Int), random(seed: UInt64)

  /// The end of each delivery within `count` bytes.
  func ends(_ count: Int) -> [Int] {
    switch self {
    case .whole: return [count]
    case .everyByte: return count == 0 ? [] : Array(1...count)
    case .at(let i): return i > 0 && i < count ? [i, count] : [count]
    case .random(let seed):
      var random = RandomSource(seed: seed)
      var ends: [Int] = []
      var at = 0
      while at < count {
        at = min(count, at + 1 + random.next(below: random.chance(1, in: 3) ? 3 : 40))
        ends.append(at)
      }
      return ends
    }
  }

  /// Whole, byte by byte, in two at every place, and forty random ways.
  static func all(_ count: Int) -> [Split] {
    [.whole, .everyByte] + (1..<max(2, min(count, 1500))).map { .at($0) } + (0..<40).map { .random(seed: $0 &* 7919) }
  }

  var description: String {
    switch self {
    case .whole: "whole"
    case .everyByte: "byte by byte"
    case .at(let i): "split at \(i)"
    case .random(let seed): "random, seed \(seed)"
    }
  }
}

/// What a loop does between deliveries: keeps what was not consumed and hands it again with more. Every delivery is in
/// memory of exactly its size, so that reading past it is seen by the address sanitizer.
struct Stash {
  private var held: [UInt8] = []

  mutating func deliver(_ bytes: ArraySlice<UInt8>, _ body: (inout ByteView) -> Void) {
    held += bytes
    let exact = [UInt8](held)
    let consumed = exact.withByteView { all in
      var rest = all
      body(&rest)
      return all.count - rest.count
    }
    held.removeFirst(consumed)
  }
}
