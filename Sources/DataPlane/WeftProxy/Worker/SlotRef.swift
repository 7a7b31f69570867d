// SlotRef: a slot of a slab, checked once and then read and written in place; and lists of slots.

import WeftBase
import WeftProxyAPI
import WeftUpstream

/// A live slot: `stream[].status = 200`.
///
/// *Shape*: one pointer. *Cost*: a load or a store; the generation was checked when the reference was made.
///
/// Why sound: slab slots never move and slots are removed only by the worker's `finish…` functions at the end of a slot's life; a `SlotRef` is
/// never stored, and never used after a call that may end its slot (such functions say so and return whether it lives on).
@safe
struct SlotRef<Element: BitwiseCopyable>: BitwiseCopyable {
  private let pointer: UnsafeMutablePointer<Element>

  init(_ pointer: UnsafeMutablePointer<Element>) { unsafe self.pointer = pointer }

  subscript() -> Element {
    @_transparent unsafeAddress { unsafe UnsafePointer(pointer) }
    @_transparent nonmutating unsafeMutableAddress { unsafe pointer }
  }
}

extension SlotTable {
  /// The live slot of `i`; traps when it is gone.
  @inline(__always)
  func ref(_ i: SlotIndex<Kind>) -> SlotRef<Element> { unsafe SlotRef(pointer(i)) }
}

extension SlotTable where Element: Linked, Element.SlotKind == Kind {
  /// Puts `i` in front of `list`.
  func pushFirst(_ i: SlotIndex<Kind>, _ list: inout SlotList<Kind>) {
    self[i].links.previous = .none
    self[i].links.next = list.first
    if list.first.isNone { list.last = i } else { self[list.first].links.previous = i }
    list.first = i
    list.count &+= 1
  }

  /// Puts `i` at the end of `list`.
  func pushLast(_ i: SlotIndex<Kind>, _ list: inout SlotList<Kind>) {
    self[i].links.next = .none
    self[i].links.previous = list.last
    if list.last.isNone { list.first = i } else { self[list.last].links.next = i }
    list.last = i
    list.count &+= 1
  }

  /// Takes `i` out of `list`, of which it must be a member.
  func unlink(_ i: SlotIndex<Kind>, _ list: inout SlotList<Kind>) {
    let own = self[i].links
    if own.previous.isNone { list.first = own.next } else { self[own.previous].links.next = own.next }
    if own.next.isNone { list.last = own.previous } else { self[own.next].links.previous = own.previous }
    self[i].links = SlotLinks()
    list.count &-= 1
  }
}
