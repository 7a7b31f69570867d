// SlotIndex: whose slot an index names, told to the compiler.
//
// A worker has a slab for each kind of thing that lives on it. All their indices look alike, and one that is used in another's slab finds
// either nothing or a stranger. So each kind has an index type of its own: same eight bytes, and the wrong slab does not compile.

public import WeftBase

/// The address of a slot among those of `Kind`. All zero bits mean "none".
@frozen @usableFromInline
package struct SlotIndex<Kind>: BitwiseCopyable, Hashable, Sendable {
  /// The same without its kind, for who has to do with any.
  @usableFromInline package let slot: SlabIndex

  @inlinable package init(_ slot: SlabIndex) { self.slot = slot }
  /// From the 64-bit form made by `rawValue`.
  @inlinable package init(rawValue: UInt64) { slot = SlabIndex(rawValue: rawValue) }

  @inlinable package static var none: Self { Self(.none) }
  @inlinable package var isNone: Bool { slot.isNone }
  @inlinable package var index: UInt32 { slot.index }
  /// Both halves in one word.
  @inlinable package var rawValue: UInt64 { slot.rawValue }

  @inlinable package static func == (a: Self, b: Self) -> Bool { a.slot == b.slot }
  @inlinable package func hash(into hasher: inout Hasher) { hasher.combine(slot) }
}

/// What the indices of a worker's slots are told apart by; none of these has a value.
@usableFromInline package enum StreamSlot {}
@usableFromInline package enum DownstreamSlot {}
@usableFromInline package enum UpstreamSlot {}
@usableFromInline package enum HostSlot {}
@usableFromInline package enum ClusterSlot {}
@usableFromInline package enum NetworkSlot {}

/// A request with its response, or a TCP session.
@usableFromInline package typealias StreamIndex = SlotIndex<StreamSlot>
/// A connection that a client made.
@usableFromInline package typealias DownstreamIndex = SlotIndex<DownstreamSlot>
/// A connection that the worker made.
@usableFromInline package typealias UpstreamIndex = SlotIndex<UpstreamSlot>
/// An endpoint of a cluster.
@usableFromInline package typealias HostIndex = SlotIndex<HostSlot>
/// A worker's state of a cluster.
@usableFromInline package typealias ClusterIndex = SlotIndex<ClusterSlot>
/// The states of a connection's network filters.
@usableFromInline package typealias NetworkIndex = SlotIndex<NetworkSlot>

/// A slab whose slots only the indices of `Kind` name. *Cost*: that of `Slab`.
@frozen @safe @usableFromInline
package struct SlotTable<Kind, Element: BitwiseCopyable>: ~Copyable {
  @usableFromInline let slab: Slab<Element>

  /// An empty table for at most `maximum` slots.
  package init(maximum: Int) { slab = Slab(maximum: maximum) }

  /// Live slots, and the most there can be.
  @inlinable package var count: Int { slab.count }
  @inlinable package var maximum: Int { slab.maximum }

  /// How often there was no room.
  @inlinable package var refusals: UInt64 { slab.refusals }

  /// Puts `element` into a free slot; nil when `maximum` slots are live.
  @inlinable package func insert(_ element: Element) -> SlotIndex<Kind>? { slab.insert(element).map { SlotIndex($0) } }

  /// Frees the slot of `i`.
  @inlinable package func remove(_ i: SlotIndex<Kind>) { slab.remove(i.slot) }

  /// Whether `i` names a live slot.
  @inlinable package func contains(_ i: SlotIndex<Kind>) -> Bool { slab.contains(i.slot) }

  /// The live slot at `index` whatever its generation; nil when that slot is free.
  @inlinable package func liveIndex(at index: UInt32) -> SlotIndex<Kind>? {
    slab.liveIndex(at: index).map { SlotIndex($0) }
  }

  /// The element in the slot of `i`, read and written in place.
  @inlinable
  package subscript(i: SlotIndex<Kind>) -> Element {
    @_transparent unsafeAddress { unsafe UnsafePointer(slab.pointer(i.slot)) }
    @_transparent nonmutating unsafeMutableAddress { unsafe slab.pointer(i.slot) }
  }

  /// A pointer to the element of `i`, valid until `remove(i)`.
  @inlinable
  @unsafe package func pointer(_ i: SlotIndex<Kind>) -> UnsafeMutablePointer<Element> { unsafe slab.pointer(i.slot) }

  /// Calls `body` for every live slot, in index order; `body` may remove the slot it is given.
  @inlinable
  package func forEach(_ body: (SlotIndex<Kind>) -> Void) { slab.forEach { body(SlotIndex($0)) } }
}
