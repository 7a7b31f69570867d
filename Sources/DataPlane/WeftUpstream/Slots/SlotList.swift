// SlotList: doubly linked lists of slots, threaded through the slots themselves.

package import WeftBase

/// First and last of a doubly linked list of slots, and how many there are.
@frozen
package struct SlotList: BitwiseCopyable {
  package var first = SlabIndex.none
  package var last = SlabIndex.none
  package var count: UInt32 = 0

  @inlinable package init() {}
  @inlinable package var isEmpty: Bool { first.isNone }
}

/// The links of a slot in the one list it may be in.
@frozen
package struct SlotLinks: BitwiseCopyable {
  package var next = SlabIndex.none
  package var previous = SlabIndex.none

  @inlinable package init() {}
}

/// A slot that can be a member of a `SlotList`.
package protocol Linked: BitwiseCopyable {
  var links: SlotLinks { get set }
}
