// ByteBuffer: a growable owner of bytes with append at the back and consumption at the front.

public import Glibc

/// A growable run of bytes with one owner.
///
/// Appending keeps amortised O(1): consumed room at the front is reclaimed only when at least half the bytes in use are gone, so that a
/// reader that consumes little by little never causes quadratic moves.
///
/// Why sound: `storage` holds `capacity` bytes for the whole life of the value; `0 ≤ head ≤ tail ≤ capacity` always.
@frozen @safe @usableFromInline
package struct ByteBuffer: ~Copyable {
  @usableFromInline var storage: UnsafeMutableRawPointer?
  @usableFromInline var head: Int
  @usableFromInline var tail: Int
  /// Bytes that fit without growing.
  @usableFromInline package internal(set) var capacity: Int

  /// An empty buffer; takes memory at the first append unless `capacity` is given.
  @inlinable
  package init(capacity: Int = 0) {
    unsafe self.storage = nil
    self.head = 0
    self.tail = 0
    self.capacity = 0
    if capacity > 0 { grow(toHold: capacity) }
  }

  deinit { unsafe free(storage) }

  /// Bytes held.
  @inlinable package var count: Int { tail - head }
  @inlinable package var isEmpty: Bool { tail == head }

  /// The bytes held, valid until the next mutation.
  @inlinable
  package var view: ByteView {
    guard let storage = unsafe storage else { return .empty }
    return unsafe ByteView(storage + head, count: tail - head)
  }

  /// Drops `n` bytes from the front.
  @inlinable
  package mutating func consume(_ n: Int) {
    precondition(n >= 0 && n <= count)
    head += n
    if head == tail {
      head = 0
      tail = 0
    }
  }

  /// Shortens to the first `n` bytes.
  @inlinable
  package mutating func truncate(to n: Int) {
    precondition(n >= 0 && n <= count)
    tail = head + n
  }

  /// Forgets all bytes, keeps the memory.
  @inlinable
  package mutating func removeAll() {
    head = 0
    tail = 0
  }

  /// Forgets all bytes and gives the memory back.
  package mutating func release() {
    unsafe free(storage)
    unsafe storage = nil
    head = 0
    tail = 0
    capacity = 0
  }

  /// Makes room for `n` more bytes.
  @inlinable
  package mutating func reserve(_ n: Int) {
    if capacity - tail < n { makeRoom(n) }
  }

  /// Lends room for at least `n` bytes; `body` returns how many it wrote.
  @inlinable
  package mutating func appendUninitialized(_ n: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) {
    reserve(n)
    guard let storage = unsafe storage else { return }
    let written = unsafe body(UnsafeMutableRawBufferPointer(start: storage + tail, count: capacity - tail))
    precondition(written >= 0 && written <= capacity - tail)
    tail += written
  }

  @inlinable
  package mutating func append(_ byte: UInt8) {
    reserve(1)
    unsafe storage.unsafelyUnwrapped.storeBytes(of: byte, toByteOffset: tail, as: UInt8.self)
    tail += 1
  }

  /// Appends the bytes of `view`, which must not be a view of this buffer.
  @inlinable
  package mutating func append(_ view: ByteView) {
    if view.count == 0 { return }
    reserve(view.count)
    unsafe memcpy(storage.unsafelyUnwrapped + tail, view.base, view.count)
    tail += view.count
  }

  @inlinable
  package mutating func append(_ text: StaticString) { append(ByteView(text)) }

  package mutating func append(_ bytes: [UInt8]) { bytes.withByteView { append($0) } }

  package mutating func append(_ text: String) { text.withByteView { append($0) } }

  @inlinable
  package mutating func append(repeating byte: UInt8, count: Int) {
    precondition(count >= 0)
    reserve(count)
    if count > 0 { unsafe memset(storage.unsafelyUnwrapped + tail, Int32(byte), count) }
    tail += count
  }

  /// Appends `value` most significant byte first.
  @inlinable
  package mutating func appendBigEndian<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
    reserve(MemoryLayout<T>.size)
    unsafe storage.unsafelyUnwrapped.storeBytes(of: value.bigEndian, toByteOffset: tail, as: T.self)
    tail += MemoryLayout<T>.size
  }

  /// Appends `value` in decimal digits.
  @inlinable
  package mutating func append(decimal value: UInt64) {
    reserve(20)
    tail += unsafe ASCII.writeDecimal(value, to: storage.unsafelyUnwrapped + tail)
  }

  /// Appends `value` in decimal digits, with a sign when negative.
  @inlinable
  package mutating func append(decimal value: Int) {
    if value < 0 { append(UInt8(ascii: "-")) }
    append(decimal: UInt64(value.magnitude))
  }

  /// Appends `value` in lower-case hexadecimal digits without leading zeroes.
  package mutating func append(hexadecimal value: UInt64) {
    var started = false
    for shift in stride(from: 60, through: 0, by: -4) {
      let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 15
      if digit != 0 || started || shift == 0 {
        append(ASCII.hexadecimalDigit(digit))
        started = true
      }
    }
  }

  /// Overwrites bytes from `offset` on (for lengths known only afterwards).
  package mutating func replace(at offset: Int, with view: ByteView) {
    precondition(offset >= 0 && view.count <= count - offset)
    if view.count > 0 { unsafe memcpy(storage.unsafelyUnwrapped + head + offset, view.base, view.count) }
  }

  /// Room for `n` more bytes: by moving to the front when that is cheap, else by growing.
  @usableFromInline
  mutating func makeRoom(_ n: Int) {
    let used = tail - head
    if let storage = unsafe storage, head >= used, capacity - used >= n {
      unsafe memcpy(storage, storage + head, used)  // regions cannot overlap: head ≥ used
      head = 0
      tail = used
      return
    }
    grow(toHold: used + n)
  }

  @usableFromInline
  mutating func grow(toHold n: Int) {
    var size = Swift.max(capacity, 64)
    while size < n { size *= 2 }
    guard let fresh = unsafe malloc(size) else { fatalError("out of memory") }
    let used = tail - head
    if let storage = unsafe storage {
      unsafe memcpy(fresh, storage + head, used)
      unsafe free(storage)
    }
    unsafe storage = fresh
    head = 0
    tail = used
    capacity = size
  }
}
