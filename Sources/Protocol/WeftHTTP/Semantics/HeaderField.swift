// One field line of a head or trailer section.

package import WeftBase

/// A field: name and value somewhere in memory that outlives the head, and what we know about it.
///
/// *Shape*: 32 bytes, trivially copyable. Why sound: pointers and counts come from two `ByteView`s and are only read back as views.
@safe
package struct HeaderField: BitwiseCopyable {
  package struct Flags: OptionSet, BitwiseCopyable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Spelled out: the standard library's generic one is not specialised across targets.
    @inline(__always)
    package func contains(_ member: Flags) -> Bool { rawValue & member.rawValue == member.rawValue }

    /// Taken out of the head; iteration skips it.
    package static var removed: Flags { Flags(rawValue: 1) }
    /// Its bytes lie in memory exactly as `name: value CRLF`, checked by the HTTP/1 decoder.
    static var wireLine: Flags { Flags(rawValue: 2) }
    /// A secret: HPACK writes it as a never-indexed literal (RFC 7541 §7.1.3).
    package static var neverIndexed: Flags { Flags(rawValue: 4) }
  }

  let nameBase: UnsafeRawPointer
  let valueBase: UnsafeRawPointer
  let valueCount: UInt32
  let nameCount: UInt16
  package let id: HeaderName
  package internal(set) var flags: Flags

  package init(id: HeaderName, name: ByteView, value: ByteView, flags: Flags = []) {
    precondition(name.count <= Int(UInt16.max) && value.count <= Int(UInt32.max))
    unsafe self.nameBase = name.base
    unsafe self.valueBase = value.base
    self.nameCount = UInt16(truncatingIfNeeded: name.count)
    self.valueCount = UInt32(truncatingIfNeeded: value.count)
    self.id = id
    self.flags = flags
  }

  /// The name in the case received.
  package var name: ByteView { unsafe ByteView(nameBase, count: Int(nameCount)) }
  /// The value without surrounding blanks.
  package var value: ByteView { unsafe ByteView(valueBase, count: Int(valueCount)) }

  /// Size as HPACK and the header limits count it.
  var countedSize: Int { Int(nameCount) &+ Int(valueCount) &+ 32 }
}
