import Testing
import WeftBase

/// The test macros cannot hold noncopyable values; a class can.
private final class Table<Element: BitwiseCopyable> {
  let slab: Slab<Element>
  init(maximum: Int) { slab = Slab(maximum: maximum) }
  var count: Int { slab.count }
  var refusals: UInt64 { slab.refusals }
  func insert(_ element: Element) -> SlabIndex? { slab.insert(element) }
  func remove(_ i: SlabIndex) { slab.remove(i) }
  func contains(_ i: SlabIndex) -> Bool { slab.contains(i) }
  func forEach(_ body: (SlabIndex) -> Void) { slab.forEach(body) }
  subscript(i: SlabIndex) -> Element {
    get { slab[i] }
    set { slab[i] = newValue }
  }
}

@Suite("slab")
struct SlabTests {
  struct Item: BitwiseCopyable, Equatable {
    var a: UInt64
    var b: UInt8
  }

  @Test("hands out slots that keep their contents and address while others come and go")
  func keepsContents() {
    let table = Table<Item>(maximum: 10_000)
    var live: [(SlabIndex, Item)] = []
    var random = RandomSource(seed: 42)
    for step in 0..<20_000 {
      if live.count < 5_000, random.chance(2, in: 3) {
        let item = Item(a: UInt64(step), b: UInt8(truncatingIfNeeded: step))
        guard let index = table.insert(item) else {
          Issue.record("table full at \(live.count)")
          return
        }
        live.append((index, item))
      } else if !live.isEmpty {
        let (index, item) = live.remove(at: random.next(below: live.count))
        #expect(table[index] == item)
        table.remove(index)
        #expect(!table.contains(index))
      }
    }
    #expect(table.count == live.count)
    for (index, item) in live { #expect(table[index] == item) }
  }

  @Test("a freed slot comes back with another generation")
  func generations() throws {
    let table = Table<Item>(maximum: 4)
    let first = try #require(table.insert(Item(a: 1, b: 1)))
    table.remove(first)
    let second = try #require(table.insert(Item(a: 2, b: 2)))
    #expect(second.index == first.index)
    #expect(second.generation != first.generation)
    #expect(!table.contains(first))
    #expect(table.contains(second))
    #expect(SlabIndex(rawValue: second.rawValue) == second)
    #expect(!table.contains(.none))
  }

  @Test("refuses at its maximum and works again after a removal")
  func maximum() throws {
    let table = Table<Item>(maximum: 3)
    let indices = (0..<3).compactMap { table.insert(Item(a: $0, b: 0)) }
    #expect(indices.count == 3)
    #expect(table.refusals == 0)
    #expect(table.insert(Item(a: 9, b: 9)) == nil)
    #expect(table.refusals == 1)
    table.remove(indices[1])
    let again = try #require(table.insert(Item(a: 9, b: 9)))
    table[again].b += 1
    #expect(table[again] == Item(a: 9, b: 10))
  }

  @Test("visits every live slot, even when the visit removes it")
  func forEachMayRemove() {
    let table = Table<Item>(maximum: 100)
    for i in 0..<100 { _ = table.insert(Item(a: UInt64(i), b: 0)) }
    var sum: UInt64 = 0
    table.forEach { index in
      sum += table[index].a
      table.remove(index)
    }
    #expect(sum == 4950)
    #expect(table.count == 0)
  }

  @Test("using a removed slot traps instead of touching another's state")
  func staleAccessTraps() async {
    await #expect(processExitsWith: .failure) {
      let slab = Slab<UInt64>(maximum: 4)
      if let index = slab.insert(1) {
        slab.remove(index)
        _ = slab.insert(2)
        slab[index] = 3
      }
    }
  }
}
