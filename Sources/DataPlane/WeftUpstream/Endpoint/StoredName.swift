// StoredName: a short text that a slot keeps, named by a trivially copyable handle.

package import WeftBase

/// A copy of a name: `name.view`.
///
/// Why sound: made by `make`, ended once by `free` when its slot ends; the slot holds the only handle that is kept.
@safe
package struct StoredName: BitwiseCopyable {
  private let pointer: UnsafeMutableRawPointer?
  private let count: Int

  package static var none: StoredName { unsafe StoredName(pointer: nil, count: 0) }

  private init(pointer: UnsafeMutableRawPointer?, count: Int) {
    unsafe self.pointer = pointer
    self.count = count
  }

  /// *Cost*: one allocation.
  package static func make(_ text: ByteView) -> StoredName {
    if text.isEmpty { return .none }
    let copy = UnsafeMutableRawPointer.allocate(byteCount: text.count, alignment: 1)
    unsafe copy.copyMemory(from: text.base, byteCount: text.count)
    return unsafe StoredName(pointer: copy, count: text.count)
  }

  package var view: ByteView {
    guard let pointer = unsafe pointer else { return .empty }
    return unsafe ByteView(UnsafeRawPointer(pointer), count: count)
  }

  package func free() { unsafe pointer?.deallocate() }
}
