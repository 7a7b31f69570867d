// Byte classes of the HTTP grammar, one bit each, in one 256-byte table.

internal import Glibc
import WeftBase

/// Byte classes.
///
/// Why sound: 256 bytes, filled once, indexed by a `UInt8`.
@safe @usableFromInline
struct CharacterTable: @unchecked Sendable {
  static let token: UInt8 = 1  // RFC 9110 §5.6.2
  static let value: UInt8 = 2  // field-vchar, obs-text, SP, HTAB
  static let host: UInt8 = 4  // reg-name and IPv4 characters, percent-encoding included, without ':' and brackets
  static let target: UInt8 = 8  // request target: visible, no '#'
  static let lowerToken: UInt8 = 16  // token without A–Z: HTTP/2 names

  let bits: UnsafePointer<UInt8>

  static let shared = CharacterTable()

  private init() {
    let table = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
    for byte in 0...255 {
      let c = UInt8(byte)
      var classes: UInt8 = 0
      let alphanumeric = ASCII.isDigit(c) || (c | 0x20) &- 97 < 26
      if alphanumeric || "!#$%&'*+-.^_`|~".utf8.contains(c) {
        classes |= Self.token
        if !(c &- 65 < 26) { classes |= Self.lowerToken }
      }
      if c == 9 || (c >= 32 && c != 127) { classes |= Self.value }
      if alphanumeric || "-._~!$&'()*+;=%".utf8.contains(c) { classes |= Self.host }
      if c > 32 && c != 127 && c != UInt8(ascii: "#") { classes |= Self.target }
      unsafe table[byte] = classes
    }
    unsafe bits = UnsafePointer(table)
  }

  @inline(__always)
  func has(_ byte: UInt8, _ mask: UInt8) -> Bool { unsafe bits[Int(byte)] & mask != 0 }

  /// True when every byte of `view` is of a class in `mask`.
  @inline(__always)
  func all(_ view: ByteView, _ mask: UInt8) -> Bool {
    var i = 0
    while i < view.count {
      if unsafe bits[Int(view.base.load(fromByteOffset: i, as: UInt8.self))] & mask == 0 { return false }
      i &+= 1
    }
    return true
  }

  func isToken(_ view: ByteView) -> Bool { view.count > 0 && all(view, Self.token) }
}

/// Index of the first byte at or after `from` that is a control byte other than HTAB, or DEL; `n` if there is none.
///
/// *Cost*: eight bytes a step; never reads at or beyond `n`.
@inline(__always)
func firstControl(_ base: UnsafeRawPointer, _ from: Int, _ n: Int) -> Int {
  var i = from
  while i &+ 8 <= n {
    let v = unsafe base.loadUnaligned(fromByteOffset: i, as: UInt64.self)
    let low = (v &- 0x2020_2020_2020_2020) & ~v
    let x = v ^ 0x7f7f_7f7f_7f7f_7f7f
    let del = (x &- 0x0101_0101_0101_0101) & ~x
    let hits = (low | del) & 0x8080_8080_8080_8080
    if hits == 0 {
      i &+= 8
      continue
    }
    i &+= hits.trailingZeroBitCount &>> 3
    let c = unsafe base.load(fromByteOffset: i, as: UInt8.self)
    if c < 32 ? c != 9 : c == 127 { return i }
    i &+= 1
  }
  while i < n {
    let c = unsafe base.load(fromByteOffset: i, as: UInt8.self)
    if c < 32 ? c != 9 : c == 127 { return i }
    i &+= 1
  }
  return n
}

/// Index of the first byte at or after `from` that ends a field name or cannot stand in one at all: colon, blank, control, DEL or a byte
/// with the high bit set; `n` if there is none. Visible separators such as `(` are left to the caller.
///
/// *Cost*: eight bytes a step; never reads at or beyond `n`.
@inline(__always)
func firstNameEnd(_ base: UnsafeRawPointer, _ from: Int, _ n: Int) -> Int {
  var i = from
  while i &+ 8 <= n {
    let v = unsafe base.loadUnaligned(fromByteOffset: i, as: UInt64.self)
    let low = v &- 0x2121_2121_2121_2121
    let colon = (v ^ 0x3a3a_3a3a_3a3a_3a3a) &- 0x0101_0101_0101_0101
    // Borrows and carries only go up from a byte that is a hit itself: the lowest hit is exact.
    let hits = (low | colon | (v &+ 0x0101_0101_0101_0101) | v) & 0x8080_8080_8080_8080
    if hits != 0 { return i &+ hits.trailingZeroBitCount &>> 3 }
    i &+= 8
  }
  while i < n {
    let c = unsafe base.load(fromByteOffset: i, as: UInt8.self)
    if c < 33 || c > 126 || c == UInt8(ascii: ":") { return i }
    i &+= 1
  }
  return n
}

/// True when `value` may stand in a field value: no control bytes but HTAB (RFC 9110 §5.5; CR, LF and NUL above all).
@inline(__always)
func isFieldValue(_ value: ByteView) -> Bool {
  unsafe firstControl(value.base, 0, value.count) == value.count
}

/// Index of the first byte at or after `from` that cannot stand in a request target: blank, control, DEL or `#`.
@inline(__always)
func firstNonTarget(_ base: UnsafeRawPointer, _ from: Int, _ n: Int) -> Int {
  var i = from
  while i &+ 8 <= n {
    let v = unsafe base.loadUnaligned(fromByteOffset: i, as: UInt64.self)
    let low = (v &- 0x2121_2121_2121_2121) & ~v
    let del = v ^ 0x7f7f_7f7f_7f7f_7f7f
    let hash = v ^ 0x2323_2323_2323_2323
    let hits =
      (low | ((del &- 0x0101_0101_0101_0101) & ~del) | ((hash &- 0x0101_0101_0101_0101) & ~hash))
      & 0x8080_8080_8080_8080
    if hits != 0 { return i &+ hits.trailingZeroBitCount &>> 3 }
    i &+= 8
  }
  while i < n {
    let c = unsafe base.load(fromByteOffset: i, as: UInt8.self)
    if c < 33 || c == 127 || c == UInt8(ascii: "#") { return i }
    i &+= 1
  }
  return n
}
