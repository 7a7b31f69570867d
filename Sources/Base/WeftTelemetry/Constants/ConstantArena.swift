package import WeftBase

/// Memory for compiled configuration: text and tables that are written once, then read by every worker until their
/// owner goes away.
///
/// *Shape*: blocks that only grow; what is handed out are views and `ConstantTable`s, trivially copyable and without
/// reference counts.
/// They live exactly as long as the arena, which the owner of the compiled form (a `Snapshot`, a `RouteTable`) keeps.
/// Threads: filled by one thread, then published with its owner and read by all.
@safe
// Written only while its owner is built, before it is published.
package final class ConstantArena: @unchecked Sendable {
  private var blocks: [UnsafeMutableRawPointer] = unsafe []
  private var room = 0
  private var used = 0
  /// Bytes taken from the system.
  package private(set) var footprintBytes = 0

  package init() {}

  deinit {
    for i in unsafe blocks.indices { unsafe blocks[i].deallocate() }
  }

  private func allocate(_ size: Int, alignment: Int) -> UnsafeMutableRawPointer {
    precondition(alignment <= 16)
    var offset = (used + alignment - 1) & ~(alignment - 1)
    if unsafe blocks.isEmpty || offset + size > room {
      let capacity = max(4096, size)
      let block = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
      footprintBytes += capacity
      unsafe blocks.append(block)
      room = capacity
      offset = 0
    }
    used = offset + size
    return unsafe blocks[blocks.count - 1] + offset
  }

  /// A copy of `bytes`.
  package func copy(_ bytes: ByteView) -> ByteView {
    if bytes.isEmpty { return .empty }
    // Eight readable bytes follow, for scans by words.
    let target = unsafe allocate(bytes.count + 8, alignment: 1)
    unsafe target.copyMemory(from: bytes.base, byteCount: bytes.count)
    return unsafe ByteView(UnsafeRawPointer(target), count: bytes.count)
  }

  /// The UTF-8 of `text`.
  package func text(_ text: String) -> ByteView { text.withByteView { copy($0) } }

  /// A table of `elements`.
  package func table<T: BitwiseCopyable>(_ elements: [T]) -> ConstantTable<T> {
    if elements.isEmpty { return ConstantTable() }
    let target = unsafe allocate(MemoryLayout<T>.stride * elements.count, alignment: MemoryLayout<T>.alignment)
    let typed = unsafe target.bindMemory(to: T.self, capacity: elements.count)
    for (i, element) in elements.enumerated() { unsafe (typed + i).initialize(to: element) }
    return unsafe ConstantTable(base: UnsafePointer(typed), count: elements.count)
  }
}

/// A run of trivial values inside a `ConstantArena`.
///
/// Why sound: every access checks its index; the arena outlives the table by contract.
@frozen @safe @usableFromInline
package struct ConstantTable<T: BitwiseCopyable>: BitwiseCopyable, @unchecked Sendable {  // immutable memory
  @usableFromInline let base: UnsafePointer<T>?
  @usableFromInline package let count: Int

  @inlinable package init() {
    unsafe base = nil
    count = 0
  }

  /// Elements that someone else keeps in place for as long as the table is used.
  @unsafe package init(base: UnsafePointer<T>, count: Int) {
    unsafe self.base = base
    self.count = count
  }

  /// Whether both are the same memory.
  @inlinable package func isSame(as other: ConstantTable) -> Bool { unsafe base == other.base }

  @inlinable package var isEmpty: Bool { count == 0 }
  @inlinable package var indices: Range<Int> { 0..<count }

  /// The element at `index`, read in place.
  @inlinable package subscript(index: Int) -> T {
    @_transparent unsafeAddress {
      precondition(index >= 0 && index < count)
      return unsafe base.unsafelyUnwrapped + index
    }
  }

  /// The same where the caller has made sure that `index` is one of `indices`.
  @inlinable @unsafe package subscript(unchecked index: Int) -> T {
    @_transparent unsafeAddress { unsafe base.unsafelyUnwrapped + index }
  }
}
