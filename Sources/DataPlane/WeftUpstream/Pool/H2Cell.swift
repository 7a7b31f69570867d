// H2Cell: the heap cell of one HTTP/2 connection's state, named by a trivially copyable handle.

package import WeftHTTP

/// A handle on an `H2Connection`: `cell[].sendData(…)`.
///
/// Why sound: made by `make`, ended once by `free` when the connection's slot ends; the slot holds the only handle that is kept.
@safe
package struct H2Cell: BitwiseCopyable {
  private let pointer: UnsafeMutablePointer<H2Connection>?

  package static var none: H2Cell { unsafe H2Cell(pointer: nil) }

  private init(pointer: UnsafeMutablePointer<H2Connection>?) { unsafe self.pointer = pointer }

  /// A new connection. *Cost*: one allocation per HTTP/2 connection.
  package static func make(role: H2Connection.Role, limits: HTTPLimits) -> H2Cell {
    let cell = UnsafeMutablePointer<H2Connection>.allocate(capacity: 1)
    unsafe cell.initialize(to: H2Connection(role: role, limits: limits))
    return unsafe H2Cell(pointer: cell)
  }

  package var isNone: Bool { unsafe pointer == nil }

  package subscript() -> H2Connection {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer!) }
    @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer! }
  }

  package func free() {
    guard let pointer = unsafe pointer else { return }
    unsafe pointer.deinitialize(count: 1)
    unsafe pointer.deallocate()
  }
}
