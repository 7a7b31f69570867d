// BalancerMemory: where a balancer's tables lie.

package import WeftTelemetry

/// The memory of one cluster's balancer on one worker: it is filled when the hosts change and emptied before they change again. What it holds is a
/// gauge of the cluster (`lb_table_bytes`).
///
/// *Shape*: one pointer, trivially copyable. *Threads*: one worker.
/// Why sound: blocks are handed out as `FlatTable`s, which policies keep in states that end before the blocks do: `removeAll` is called by the balancer
/// alone, which makes all states anew behind it.
@safe @frozen @usableFromInline
package struct BalancerMemory: BitwiseCopyable {
  /// In front of each block.
  @safe private struct Header {
    var next: UnsafeMutableRawPointer?
    var size: Int
  }
  @safe @usableFromInline
  struct Root {
    var newest: UnsafeMutableRawPointer?
    var bytes = 0
    var stats: StatBlock<ClusterMetric>?
  }
  @usableFromInline let root: UnsafeMutablePointer<Root>

  package init(_ stats: StatBlock<ClusterMetric>?) {
    unsafe root = .allocate(capacity: 1)
    unsafe root.initialize(to: Root(newest: nil, stats: stats))
  }

  package var byteCount: Int { unsafe root.pointee.bytes }

  /// A table of `count` times `value`.
  @inlinable
  package func table<T: BitwiseCopyable>(_ value: T, count: Int) -> FlatTable<T> {
    if count <= 0 { return FlatTable() }
    precondition(MemoryLayout<T>.alignment <= 16)
    let base = unsafe allocate(MemoryLayout<T>.stride * count).bindMemory(to: T.self, capacity: count)
    unsafe base.initialize(repeating: value, count: count)
    return unsafe FlatTable(base: base, count: count)
  }

  /// Room that is not initialised, aligned to 16 bytes.
  @usableFromInline
  package func allocate(_ size: Int) -> UnsafeMutableRawPointer {
    let whole = 16 + size
    let block = UnsafeMutableRawPointer.allocate(byteCount: whole, alignment: 16)
    unsafe block.initializeMemory(as: Header.self, to: Header(next: root.pointee.newest, size: whole))
    unsafe root.pointee.newest = block
    unsafe root.pointee.bytes += whole
    unsafe root.pointee.stats?.add(.lbTableBytes, UInt64(whole))
    return unsafe block + 16
  }

  /// Gives all tables back.
  package func removeAll() {
    while let block = unsafe root.pointee.newest {
      let header = unsafe block.load(as: Header.self)
      unsafe root.pointee.newest = header.next
      unsafe block.deallocate()
    }
    if let stats = unsafe root.pointee.stats {
      unsafe stats.add(.lbTableBytes, 0 &- UInt64(root.pointee.bytes))
    }
    unsafe root.pointee.bytes = 0
  }

  package func free() {
    removeAll()
    unsafe root.deinitialize(count: 1)
    unsafe root.deallocate()
  }
}

/// A run of trivial values inside a `BalancerMemory`, to be read and written in place.
///
/// Why sound: every access checks its index; the memory outlives the table by contract.
@safe @frozen @usableFromInline
package struct FlatTable<T: BitwiseCopyable>: BitwiseCopyable {
  @usableFromInline let base: UnsafeMutablePointer<T>?
  @usableFromInline package let count: Int

  @inlinable package init() {
    unsafe base = nil
    count = 0
  }

  @inlinable package init(base: UnsafeMutablePointer<T>, count: Int) {
    unsafe self.base = base
    self.count = count
  }

  @inlinable package var isEmpty: Bool { count == 0 }
  @inlinable package var indices: Range<Int> { 0..<count }

  @inlinable
  package subscript(index: Int) -> T {
    @inline(__always) unsafeAddress {
      precondition(index >= 0 && index < count)
      return unsafe UnsafePointer(base.unsafelyUnwrapped + index)
    }
    @inline(__always) nonmutating unsafeMutableAddress {
      precondition(index >= 0 && index < count)
      return unsafe base.unsafelyUnwrapped + index
    }
  }

  /// The first `count` elements.
  @inlinable package func prefix(_ count: Int) -> FlatTable {
    precondition(count >= 0 && count <= self.count)
    guard let base = unsafe base else { return self }
    return unsafe FlatTable(base: base, count: count)
  }

  @inlinable package func sort(by isBefore: (T, T) -> Bool) {
    var elements = unsafe UnsafeMutableBufferPointer(start: base, count: count)
    unsafe elements.sort(by: isBefore)
  }
}
