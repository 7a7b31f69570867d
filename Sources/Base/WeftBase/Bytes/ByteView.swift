// ByteView: a borrowed run of bytes, two words, trivially copyable. The currency between loop, transport and codecs.

public import Glibc

/// A borrowed run of bytes.
///
/// A view is valid only as long as its owner says: bytes handed to `LoopHandler.received` until that callback returns, a view of a
/// `ByteBuffer` until that buffer is next mutated, a view of a `StaticString` for ever.
///
/// Why sound: every read checks its bounds against `count`; the owner guarantees `count` readable bytes at `base`.
@frozen @safe @usableFromInline
package struct ByteView: BitwiseCopyable {
  /// First byte; never null, also when empty.
  @usableFromInline package let base: UnsafeRawPointer
  /// Number of bytes.
  @usableFromInline package let count: Int

  /// A view of `count` bytes at `base`, which the caller keeps readable for as long as the view is used.
  @inlinable
  package init(_ base: UnsafeRawPointer, count: Int) {
    precondition(count >= 0)
    unsafe self.base = base
    self.count = count
  }

  /// A view of a buffer pointer (empty when it has no address).
  @inlinable
  package init(_ buffer: UnsafeRawBufferPointer) {
    if let base = buffer.baseAddress {
      unsafe self.base = base
      self.count = buffer.count
    } else {
      self = .empty
    }
  }

  /// A view of text in the program image, valid for ever.
  @inlinable
  package init(_ text: StaticString) {
    unsafe self.base = UnsafeRawPointer(text.utf8Start)
    self.count = text.utf8CodeUnitCount
  }

  /// No bytes at all.
  @inlinable
  package static var empty: ByteView { ByteView("" as StaticString) }

  @inlinable package var isEmpty: Bool { count == 0 }

  /// One past the last byte.
  @inlinable package var end: UnsafeRawPointer { unsafe base + count }

  @inlinable
  package var raw: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: base, count: count) }

  /// The byte at `index`.
  @inlinable
  package subscript(index: Int) -> UInt8 {
    precondition(index >= 0 && index < count)
    return unsafe base.load(fromByteOffset: index, as: UInt8.self)
  }

  /// The bytes of `range`.
  @inlinable
  package subscript(range: Range<Int>) -> ByteView {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return unsafe ByteView(base + range.lowerBound, count: range.count)
  }

  /// The first byte, if any.
  @inlinable package var first: UInt8? { count > 0 ? self[0] : nil }

  /// The last byte, if any.
  @inlinable package var last: UInt8? { count > 0 ? self[count - 1] : nil }

  /// Everything from byte `n` on; empty when there are fewer.
  @inlinable
  package func dropFirst(_ n: Int = 1) -> ByteView {
    let k = Swift.min(Swift.max(n, 0), count)
    return unsafe ByteView(base + k, count: count - k)
  }

  /// Everything but the last `n` bytes.
  @inlinable
  package func dropLast(_ n: Int = 1) -> ByteView {
    unsafe ByteView(base, count: Swift.max(0, count - Swift.max(n, 0)))
  }

  /// At most the first `n` bytes.
  @inlinable
  package func prefix(_ n: Int) -> ByteView {
    unsafe ByteView(base, count: Swift.min(Swift.max(n, 0), count))
  }

  /// At most the last `n` bytes.
  @inlinable
  package func suffix(_ n: Int) -> ByteView { dropFirst(count - Swift.min(Swift.max(n, 0), count)) }

  /// A little-endian 64-bit word at `offset`, unaligned; all eight bytes must lie inside the view.
  @inlinable
  package func loadUInt64(at offset: Int) -> UInt64 {
    precondition(offset >= 0 && offset <= count - 8)
    return unsafe UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// A big-endian 32-bit word at `offset`.
  @inlinable
  package func loadBigEndianUInt32(at offset: Int) -> UInt32 {
    precondition(offset >= 0 && offset <= count - 4)
    return unsafe UInt32(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// A big-endian 16-bit word at `offset`.
  @inlinable
  package func loadBigEndianUInt16(at offset: Int) -> UInt16 {
    precondition(offset >= 0 && offset <= count - 2)
    return unsafe UInt16(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
}

extension ByteView {
  /// Index of the first `byte` at or after `start`. *Cost*: memchr.
  @inlinable
  package func firstIndex(of byte: UInt8, from start: Int = 0) -> Int? {
    precondition(start >= 0)
    guard start < count, let hit = unsafe memchr(base + start, Int32(byte), count - start) else { return nil }
    return unsafe UnsafeRawPointer(hit) - base
  }

  /// Index of the last `byte`. *Cost*: memrchr is not in the C standard, so a plain backward loop.
  @inlinable
  package func lastIndex(of byte: UInt8) -> Int? {
    var i = count
    while i > 0 {
      i -= 1
      if unsafe base.load(fromByteOffset: i, as: UInt8.self) == byte { return i }
    }
    return nil
  }

  @inlinable
  package func contains(_ byte: UInt8) -> Bool { firstIndex(of: byte) != nil }

  /// Same bytes.
  @inlinable
  package func equals(_ other: ByteView) -> Bool {
    unsafe count == other.count && memcmp(base, other.base, count) == 0
  }

  @inlinable
  package func equals(_ text: StaticString) -> Bool { equals(ByteView(text)) }

  @inlinable
  package func starts(with other: ByteView) -> Bool { count >= other.count && prefix(other.count).equals(other) }

  @inlinable
  package func ends(with other: ByteView) -> Bool { count >= other.count && suffix(other.count).equals(other) }

  /// Same bytes when ASCII letters are compared without case.
  @inlinable
  package func equalsIgnoringCase(_ other: ByteView) -> Bool {
    guard count == other.count else { return false }
    var i = 0
    while i &+ 8 <= count {
      let a = unsafe base.loadUnaligned(fromByteOffset: i, as: UInt64.self)
      let b = unsafe other.base.loadUnaligned(fromByteOffset: i, as: UInt64.self)
      if a != b && ASCII.lowercased(word: a) != ASCII.lowercased(word: b) { return false }
      i &+= 8
    }
    while i < count {
      let a = unsafe base.load(fromByteOffset: i, as: UInt8.self)
      let b = unsafe other.base.load(fromByteOffset: i, as: UInt8.self)
      if ASCII.lowercased(a) != ASCII.lowercased(b) { return false }
      i &+= 1
    }
    return true
  }

  @inlinable
  package func equalsIgnoringCase(_ text: StaticString) -> Bool { equalsIgnoringCase(ByteView(text)) }

  /// Three-way comparison by unsigned bytes: negative, zero or positive.
  @inlinable
  package func compare(_ other: ByteView) -> Int {
    let order = unsafe memcmp(base, other.base, Swift.min(count, other.count))
    return order != 0 ? Int(order) : count - other.count
  }

  /// A 64-bit hash of the bytes, the same on every machine and run for one seed.
  /// *Cost*: about 0.3 ns per byte. Not for keys an attacker chooses unless `seed` is secret.
  @inlinable
  package func hash(seed: UInt64 = 0) -> UInt64 {
    var state = seed ^ 0x9e37_79b9_7f4a_7c15
    var i = 0
    while i &+ 8 <= count {
      state = RandomSource.mix(state ^ loadUInt64(at: i), 0xe703_7ed1_a0b4_28db)
      i &+= 8
    }
    var tail: UInt64 = 0
    var shift: UInt64 = 0
    while i < count {
      tail |= UInt64(self[i]) << shift
      shift &+= 8
      i &+= 1
    }
    return RandomSource.mix(
      state ^ tail ^ 0x8ebc_6af0_9c88_c6e3, UInt64(truncatingIfNeeded: count) ^ 0x5899_65cc_7537_4cc3)
  }

  /// The bytes as text; invalid UTF-8 is repaired. *Cost*: allocates; cold path only.
  @inlinable
  package var string: String { unsafe String(decoding: raw, as: UTF8.self) }

  /// A copy of the bytes. *Cost*: allocates; cold path only.
  @inlinable
  package var array: [UInt8] { unsafe [UInt8](raw) }
}

extension ByteView: CustomStringConvertible {
  @usableFromInline package var description: String { string }
}

extension [UInt8] {
  /// Lends the array's bytes to `body`.
  package func withByteView<R, E: Error>(_ body: (ByteView) throws(E) -> R) throws(E) -> R {
    // The rethrown type of withUnsafeBytes is wider than E, so the result travels as a value.
    let result: Result<R, E> = unsafe self.withUnsafeBytes { buffer in
      do throws(E) { return unsafe .success(try body(ByteView(buffer))) } catch { return .failure(error) }
    }
    return try result.get()
  }
}

extension String {
  /// Lends the text's UTF-8 to `body`. *Cost*: free for native strings.
  package func withByteView<R, E: Error>(_ body: (ByteView) throws(E) -> R) throws(E) -> R {
    var copy = self
    let result: Result<R, E> = copy.withUTF8 { buffer in
      do throws(E) {
        return unsafe .success(try body(ByteView(UnsafeRawBufferPointer(buffer))))
      } catch { return .failure(error) }
    }
    return try result.get()
  }
}
