// SlotList: doubly linked lists of slots, threaded through the slots themselves.

public import WeftBase

/// First and last of a doubly linked list of slots, and how many there are.
@frozen @usableFromInline
package struct SlotList: BitwiseCopyable {
  @usableFromInline package var first = SlabIndex.none
  @usableFromInline package var last = SlabIndex.none
  @usableFromInline package var count: UInt32 = 0

  @inlinable package init() {}
  @inlinable package var isEmpty: Bool { first.isNone }
}

/// The links of a slot in the one list it may be in.
@frozen @usableFromInline
package struct SlotLinks: BitwiseCopyable {
  @usableFromInline package var next = SlabIndex.none
  @usableFromInline package var previous = SlabIndex.none

  @inlinable package init() {}
}

/// A slot that can be a member of a `SlotList`.
@usableFromInline
package protocol Linked: BitwiseCopyable {
  var links: SlotLinks { get set }
}
