// ConfigRef: a pointer into compiled, immutable configuration.

/// Compiled configuration that lives as long as its snapshot: `route[].timeout`.
///
/// *Cost*: one pointer; reading a plain field costs a load and no reference counting.
///
/// Why sound: a stream or connection counts as a user of its snapshot while it holds one of these, and the worker lets go of a snapshot only
/// when it has no user; nothing writes to compiled configuration after it was published.
@frozen @safe @usableFromInline
package struct ConfigRef<Value>: BitwiseCopyable, @unchecked Sendable {  // immutable after publication
  @usableFromInline package let pointer: UnsafePointer<Value>

  @inlinable package init(_ pointer: UnsafePointer<Value>) { unsafe self.pointer = pointer }

  @inlinable
  package subscript() -> Value {
    @_transparent unsafeAddress { unsafe pointer }
  }

  @inlinable package static func == (a: ConfigRef, b: ConfigRef) -> Bool { unsafe a.pointer == b.pointer }
}

/// Owns one compiled value at a fixed address.
@safe
package final class ConfigBox<Value>: @unchecked Sendable {  // immutable after init
  private let pointer: UnsafeMutablePointer<Value>

  package init(_ value: consuming Value) {
    unsafe pointer = .allocate(capacity: 1)
    unsafe pointer.initialize(to: value)
  }

  deinit {
    unsafe pointer.deinitialize(count: 1)
    unsafe pointer.deallocate()
  }

  package var ref: ConfigRef<Value> { unsafe ConfigRef(UnsafePointer(pointer)) }
}
