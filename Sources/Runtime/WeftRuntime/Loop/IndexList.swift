// IndexList: a growable list of words that keeps its memory, for the loop's lists of things to do.

import WeftBase

/// Words to be handled first-in-first-out in batches. No allocation after warm-up.
///
/// Why sound: `base` holds `capacity` words for the life of the object, `count ≤ capacity`.
@safe
final class IndexList {
  @safe private struct State {
    var base: UnsafeMutablePointer<UInt64>
    var capacity: Int
    var count = 0
    var taken = 0
  }

  private let state: UnsafeMutablePointer<State>

  init(capacity: Int = 256) {
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(to: State(base: .allocate(capacity: capacity), capacity: capacity))
  }

  deinit {
    unsafe state.pointee.base.deallocate()
    unsafe state.deallocate()
  }

  var isEmpty: Bool { unsafe state.pointee.taken == state.pointee.count }
  var count: Int { unsafe state.pointee.count - state.pointee.taken }

  func append(_ word: UInt64) {
    if unsafe state.pointee.count == state.pointee.capacity { makeRoom() }
    unsafe state.pointee.base[state.pointee.count] = word
    unsafe state.pointee.count += 1
  }

  func popFirst() -> UInt64? {
    guard unsafe state.pointee.taken < state.pointee.count else { return nil }
    let word = unsafe state.pointee.base[state.pointee.taken]
    unsafe state.pointee.taken += 1
    if unsafe state.pointee.taken == state.pointee.count {
      unsafe state.pointee.taken = 0
      unsafe state.pointee.count = 0
    }
    return word
  }

  private func makeRoom() {
    let taken = unsafe state.pointee.taken
    let live = unsafe state.pointee.count - taken
    if unsafe taken >= state.pointee.capacity / 2 {
      unsafe state.pointee.base.update(from: state.pointee.base + taken, count: live)
    } else {
      let larger = unsafe state.pointee.capacity * 2
      let fresh = UnsafeMutablePointer<UInt64>.allocate(capacity: larger)
      unsafe fresh.update(from: state.pointee.base + taken, count: live)
      unsafe state.pointee.base.deallocate()
      unsafe state.pointee.base = fresh
      unsafe state.pointee.capacity = larger
    }
    unsafe state.pointee.taken = 0
    unsafe state.pointee.count = live
  }
}
