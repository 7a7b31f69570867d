// SlotList: doubly linked lists of slots, threaded through the slots themselves.

public import WeftProxyAPI

/// First and last of a doubly linked list of slots, and how many there are.
@frozen @usableFromInline
package struct SlotList<Kind>: BitwiseCopyable {
  @usableFromInline package var first = SlotIndex<Kind>.none
  @usableFromInline package var last = SlotIndex<Kind>.none
  @usableFromInline package var count: UInt32 = 0

  @inlinable package init() {}
  @inlinable package var isEmpty: Bool { first.isNone }
}

/// The links of a slot in the one list it may be in.
@frozen @usableFromInline
package struct SlotLinks<Kind>: BitwiseCopyable {
  @usableFromInline package var next = SlotIndex<Kind>.none
  @usableFromInline package var previous = SlotIndex<Kind>.none

  @inlinable package init() {}
}

/// A slot that can be a member of a `SlotList`.
@usableFromInline
package protocol Linked: BitwiseCopyable {
  associatedtype SlotKind
  var links: SlotLinks<SlotKind> { get set }
}
