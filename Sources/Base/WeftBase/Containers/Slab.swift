// Slab: slots of trivially copyable state addressed by index and generation. The only home of per-connection and per-stream state.

import Glibc

/// The address of a slot: an index and the generation it was handed out in. All zero bits mean "none".
@frozen @usableFromInline
package struct SlabIndex: BitwiseCopyable, Hashable, Sendable {
  @usableFromInline package let index: UInt32
  /// Starts at 1, so that zeroed memory never names a slot.
  @usableFromInline package let generation: UInt32

  @inlinable
  package init(index: UInt32, generation: UInt32) {
    self.index = index
    self.generation = generation
  }

  /// From the 64-bit form made by `rawValue`.
  @inlinable
  package init(rawValue: UInt64) {
    self.init(index: UInt32(truncatingIfNeeded: rawValue), generation: UInt32(truncatingIfNeeded: rawValue >> 32))
  }

  @inlinable package static var none: SlabIndex { SlabIndex(index: 0, generation: 0) }
  @inlinable package var isNone: Bool { generation == 0 }

  /// Both halves in one word (epoll data, timer tokens).
  @inlinable package var rawValue: UInt64 { UInt64(generation) << 32 | UInt64(index) }
}

/// A table of trivially copyable slots that grows by committing pages of one reserved range and never moves.
///
/// *Shape*: each slot carries its generation (odd = live) beside the element. Freed slots are reused last-in-first-out.
/// *Cost*: access is a bounds check, a generation check and an address computation; memory follows the highest number of slots in use.
/// *Errors*: `insert` returns nil at `maximum`; using an index whose slot has been removed traps (our bug, never outside input; ask
/// `contains` where an index may be stale).
///
/// Why sound: the range is reserved once and unmapped in deinit, elements are `BitwiseCopyable`, every access is checked.
@frozen @safe @usableFromInline
package struct Slab<Element: BitwiseCopyable>: ~Copyable {
  @frozen @usableFromInline
  struct Slot {
    @usableFromInline var generation: UInt32
    @usableFromInline var next: UInt32
    @usableFromInline var element: Element
  }

  @frozen @usableFromInline
  struct Header: BitwiseCopyable {
    @usableFromInline var touched: UInt32 = 0
    @usableFromInline var committedSlots: UInt32 = 0
    @usableFromInline var firstFree: UInt32 = .max
    @usableFromInline var live: UInt32 = 0
    @usableFromInline var refusals: UInt64 = 0
    @usableFromInline init() {}
  }

  @usableFromInline let slots: UnsafeMutablePointer<Slot>
  @usableFromInline let header: UnsafeMutablePointer<Header>
  /// Most slots that can be live at once.
  @usableFromInline package let maximum: Int

  /// An empty table for at most `maximum` slots. *Cost*: reserves address space, no memory.
  package init(maximum: Int, of type: Element.Type = Element.self) {
    precondition(maximum > 0 && maximum < Int(UInt32.max) && MemoryLayout<Slot>.alignment <= 16)
    self.maximum = maximum
    let bytes = Self.mappedBytes(maximum)
    guard
      let range = unsafe mmap(nil, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
      unsafe range != MAP_FAILED
    else { fatalError("cannot reserve \(bytes) bytes of address space") }
    unsafe slots = range.bindMemory(to: Slot.self, capacity: maximum)
    unsafe header = .allocate(capacity: 1)
    unsafe header.initialize(to: Header())
  }

  deinit {
    unsafe munmap(slots, Self.mappedBytes(maximum))
    unsafe header.deallocate()
  }

  static func mappedBytes(_ slots: Int) -> Int {
    let page = 4096
    return (slots * MemoryLayout<Slot>.stride + page - 1) / page * page
  }

  /// Live slots.
  @inlinable package var count: Int { unsafe Int(header.pointee.live) }

  /// How often there was no room.
  @inlinable package var refusals: UInt64 { unsafe header.pointee.refusals }

  /// Puts `element` into a free slot; nil when `maximum` slots are live.
  @inlinable
  package func insert(_ element: Element) -> SlabIndex? {
    let index: UInt32
    if unsafe header.pointee.firstFree != .max {
      index = unsafe header.pointee.firstFree
      unsafe header.pointee.firstFree = slots[Int(index)].next
      unsafe slots[Int(index)].generation &+= 1
    } else {
      index = unsafe header.pointee.touched
      if unsafe index == header.pointee.committedSlots {
        guard commit() else {
          unsafe header.pointee.refusals += 1
          return nil
        }
      }
      unsafe header.pointee.touched = index + 1
      unsafe slots[Int(index)].generation = 1
    }
    unsafe slots[Int(index)].element = element
    unsafe header.pointee.live += 1
    return unsafe SlabIndex(index: index, generation: slots[Int(index)].generation)
  }

  /// Frees the slot of `i`.
  @inlinable
  package func remove(_ i: SlabIndex) {
    precondition(contains(i), "stale slab index")
    unsafe slots[Int(i.index)].generation &+= 1
    unsafe slots[Int(i.index)].next = header.pointee.firstFree
    unsafe header.pointee.firstFree = i.index
    unsafe header.pointee.live -= 1
  }

  /// Whether `i` names a live slot.
  @inlinable
  package func contains(_ i: SlabIndex) -> Bool {
    unsafe i.index < header.pointee.touched && slots[Int(i.index)].generation == i.generation && i.generation & 1 == 1
  }

  /// The live slot at `index` whatever its generation; nil when that slot is free.
  @inlinable
  package func liveIndex(at index: UInt32) -> SlabIndex? {
    guard unsafe index < header.pointee.touched else { return nil }
    let generation = unsafe slots[Int(index)].generation
    return generation & 1 == 1 ? SlabIndex(index: index, generation: generation) : nil
  }

  /// The element in the slot of `i`, read and written in place: `slab[i].field += 1`.
  @inlinable
  package subscript(i: SlabIndex) -> Element {
    @_transparent unsafeAddress {
      precondition(contains(i), "stale slab index")
      return unsafe UnsafePointer(elementPointer(i.index))
    }
    @_transparent nonmutating unsafeMutableAddress {
      precondition(contains(i), "stale slab index")
      return unsafe elementPointer(i.index)
    }
  }

  @inlinable
  @unsafe func elementPointer(_ index: UInt32) -> UnsafeMutablePointer<Element> {
    let alignment = MemoryLayout<Element>.alignment
    let offset = (8 + alignment - 1) & ~(alignment - 1)
    return unsafe (UnsafeMutableRawPointer(slots + Int(index)) + offset).assumingMemoryBound(to: Element.self)
  }

  /// A pointer to the element of `i`, valid until `remove(i)`.
  @inlinable
  @unsafe package func pointer(_ i: SlabIndex) -> UnsafeMutablePointer<Element> {
    precondition(contains(i), "stale slab index")
    return unsafe elementPointer(i.index)
  }

  /// Calls `body` for every live slot, in index order; `body` may remove the slot it is given.
  @inlinable
  package func forEach(_ body: (SlabIndex) -> Void) {
    let (base, stride) = unsafe (UnsafeRawPointer(slots), MemoryLayout<Slot>.stride)
    var index: UInt32 = 0
    while unsafe index < header.pointee.touched {
      let generation = unsafe base.load(fromByteOffset: Int(index) * stride, as: UInt32.self)
      if generation & 1 == 1 { body(SlabIndex(index: index, generation: generation)) }
      index += 1
    }
  }

  /// Commits the next 64 KiB or 1/4 of what is there, whichever is larger.
  @usableFromInline
  func commit() -> Bool {
    let stride = MemoryLayout<Slot>.stride
    let have = unsafe Int(header.pointee.committedSlots)
    guard have < maximum else { return false }
    let want = Swift.min(maximum, Swift.max(have + have / 4, have + Swift.max(1, 65536 / stride)))
    let page = 4096
    let from = have * stride / page * page
    let to = (want * stride + page - 1) / page * page
    guard unsafe mprotect(UnsafeMutableRawPointer(slots) + from, to - from, PROT_READ | PROT_WRITE) == 0 else {
      return false
    }
    unsafe header.pointee.committedSlots = UInt32(want)
    return true
  }
}
