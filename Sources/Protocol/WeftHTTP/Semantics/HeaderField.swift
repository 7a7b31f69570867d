// One field line of a head or trailer section.

public import WeftBase

/// A field: name and value somewhere in memory that outlives the head, and what we know about it.
///
/// *Shape*: 32 bytes, trivially copyable. Why sound: pointers and counts come from two `ByteView`s and are only read back as views.
@safe @frozen @usableFromInline
package struct HeaderField: BitwiseCopyable {
  @frozen @usableFromInline
  package struct Flags: OptionSet, BitwiseCopyable {
    @usableFromInline package let rawValue: UInt8
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Spelled out: the standard library's generic one is not specialised across targets.
    @inlinable @inline(__always)
    package func contains(_ member: Flags) -> Bool { rawValue & member.rawValue == member.rawValue }

    /// Taken out of the head; iteration skips it.
    @inlinable package static var removed: Flags { Flags(rawValue: 1) }
    /// Its bytes lie in memory exactly as `name: value CRLF`, checked by the HTTP/1 decoder.
    @inlinable static var wireLine: Flags { Flags(rawValue: 2) }
    /// A secret: HPACK writes it as a never-indexed literal (RFC 7541 §7.1.3).
    @inlinable package static var neverIndexed: Flags { Flags(rawValue: 4) }
    /// Name and value are known to be such as a field line can hold; encoders do not look again.
    @inlinable package static var sound: Flags { Flags(rawValue: 8) }
  }

  @usableFromInline var nameBase: UnsafeRawPointer
  @usableFromInline var valueBase: UnsafeRawPointer
  @usableFromInline let valueCount: UInt32
  @usableFromInline let nameCount: UInt16
  @usableFromInline package let id: HeaderName
  @usableFromInline package internal(set) var flags: Flags

  @inlinable package init(id: HeaderName, name: ByteView, value: ByteView, flags: Flags = []) {
    precondition(name.count <= Int(UInt16.max) && value.count <= Int(UInt32.max))
    unsafe self.nameBase = name.base
    unsafe self.valueBase = value.base
    self.nameCount = UInt16(truncatingIfNeeded: name.count)
    self.valueCount = UInt32(truncatingIfNeeded: value.count)
    self.id = id
    self.flags = flags
  }

  /// `field` with its bytes elsewhere.
  @inline(__always)
  init(_ field: HeaderField, nameBase: UnsafeRawPointer, valueBase: UnsafeRawPointer) {
    self = field
    unsafe self.nameBase = nameBase
    unsafe self.valueBase = valueBase
  }

  /// The name in the case received.
  @inlinable package var name: ByteView { unsafe ByteView(nameBase, count: Int(nameCount)) }
  /// The value without surrounding blanks.
  @inlinable package var value: ByteView { unsafe ByteView(valueBase, count: Int(valueCount)) }
}
