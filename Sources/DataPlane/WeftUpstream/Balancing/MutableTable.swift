import WeftProxyAPI

/// A growable run of trivial values with one owner: what a Swift array would be without reference counts and uniqueness
/// checks.
///
/// Why sound: every access checks its index; the memory is freed with the value.
@safe @frozen @usableFromInline
package struct MutableTable<T: BitwiseCopyable>: ~Copyable {
  @usableFromInline var base: UnsafeMutablePointer<T>?
  @usableFromInline package private(set) var count = 0
  private var capacity = 0

  package init() { unsafe base = nil }

  deinit { unsafe base?.deallocate() }

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

  package mutating func append(_ value: T) {
    if count == capacity {
      let larger = UnsafeMutablePointer<T>.allocate(capacity: max(8, capacity * 2))
      if let base = unsafe base {
        unsafe larger.update(from: base, count: count)
        unsafe base.deallocate()
      }
      unsafe base = larger
      capacity = max(8, capacity * 2)
    }
    unsafe (base.unsafelyUnwrapped + count).initialize(to: value)
    count += 1
  }

  package mutating func removeAll() { count = 0 }

  /// What is there now, for those who are lent it until the next `append`.
  var flat: FlatTable<T> { unsafe base.map { unsafe FlatTable(base: $0, count: count) } ?? FlatTable() }
}
