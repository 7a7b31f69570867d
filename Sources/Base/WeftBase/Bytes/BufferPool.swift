// BufferPool: free lists of memory blocks in powers of two, one pool per loop.

public import Glibc

/// A block lent by a `BufferPool`.
///
/// Why sound: carries its true size; whoever holds it gives it back exactly once, to the pool it came from.
@frozen @safe @usableFromInline
package struct PooledBlock: BitwiseCopyable {
  /// First byte, aligned to 64.
  @usableFromInline package let base: UnsafeMutableRawPointer
  /// Usable bytes.
  @usableFromInline package let capacity: Int

  @inlinable
  package init(base: UnsafeMutableRawPointer, capacity: Int) {
    unsafe self.base = base
    self.capacity = capacity
  }
}

/// Free lists of blocks from 2 KiB to 1 MiB.
///
/// *Shape*: one intrusive list per power of two; at most `maximumCached` free bytes are kept, the rest goes back to the allocator, so that
/// memory follows use. Larger requests come from the allocator and return to it.
/// *Cost*: take and give are a few instructions when the list has a block.
@safe @usableFromInline
package final class BufferPool {
  @usableFromInline static var smallest: Int { 2048 }
  @usableFromInline static var classes: Int { 10 }
  /// The largest block that comes in a class and is kept for reuse; above it each is as large as asked.
  package static var largest: Int { smallest << (classes - 1) }

  @frozen @usableFromInline
  struct State: BitwiseCopyable {
    @usableFromInline var cached: Int = 0
    @usableFromInline var lent: Int = 0
    @usableFromInline init() {}
  }

  @usableFromInline let lists: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  @usableFromInline let state: UnsafeMutablePointer<State>
  /// Free bytes kept for reuse at most.
  @usableFromInline package let maximumCached: Int

  package init(maximumCached: Int = 4 << 20) {
    unsafe lists = .allocate(capacity: Self.classes)
    unsafe lists.initialize(repeating: nil, count: Self.classes)
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(to: State())
    self.maximumCached = maximumCached
  }

  deinit {
    for index in 0..<Self.classes {
      while let block = unsafe lists[index] {
        unsafe lists[index] = block.load(as: UnsafeMutableRawPointer?.self)
        unsafe free(block)
      }
    }
    unsafe lists.deallocate()
    unsafe state.deallocate()
  }

  /// Bytes lent and not yet given back.
  package var lentBytes: Int { unsafe state.pointee.lent }
  /// Free bytes kept.
  package var cachedBytes: Int { unsafe state.pointee.cached }

  @inlinable
  static func classIndex(_ size: Int) -> Int {
    size <= smallest ? 0 : Int.bitWidth - (size - 1).leadingZeroBitCount - 11
  }

  /// A block of at least `size` bytes.
  @inlinable
  package func take(atLeast size: Int) -> PooledBlock {
    let index = Self.classIndex(size)
    guard index < Self.classes else { return allocate(size) }
    let capacity = Self.smallest << index
    guard let block = unsafe lists[index] else { return allocate(capacity) }
    unsafe lists[index] = block.load(as: UnsafeMutableRawPointer?.self)
    unsafe state.pointee.cached -= capacity
    unsafe state.pointee.lent += capacity
    return unsafe PooledBlock(base: block, capacity: capacity)
  }

  /// Gives `block` back; its bytes must not be used any more.
  @inlinable
  package func give(_ block: PooledBlock) {
    unsafe state.pointee.lent -= block.capacity
    let index = Self.classIndex(block.capacity)
    guard index < Self.classes, unsafe state.pointee.cached + block.capacity <= maximumCached else {
      unsafe free(block.base)
      return
    }
    unsafe block.base.storeBytes(of: lists[index], as: UnsafeMutableRawPointer?.self)
    unsafe lists[index] = block.base
    unsafe state.pointee.cached += block.capacity
  }

  @usableFromInline
  func allocate(_ capacity: Int) -> PooledBlock {
    let whole = (capacity + 63) & ~63
    guard let block = unsafe aligned_alloc(64, whole) else { fatalError("out of memory") }
    unsafe state.pointee.lent += capacity
    return unsafe PooledBlock(base: block, capacity: capacity)
  }
}
