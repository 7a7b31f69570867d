// Small ASCII work shared by codecs: case folding, decimal and hexadecimal numbers.

/// ASCII tables and conversions. Nothing here knows a locale.
@usableFromInline
package enum ASCII {
  @inlinable
  package static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 65 < 26 ? byte | 0x20 : byte }

  @inlinable
  package static func uppercased(_ byte: UInt8) -> UInt8 { byte &- 97 < 26 ? byte & 0xdf : byte }

  /// Eight bytes at once: `A`–`Z` become `a`–`z`, all other bytes stay.
  @inlinable
  package static func lowercased(word: UInt64) -> UInt64 {
    let high: UInt64 = 0x8080_8080_8080_8080
    let seven = word & ~high
    let aboveZ = seven &+ 0x2525_2525_2525_2525  // high bit: byte > 'Z'
    let fromA = seven &+ 0x3f3f_3f3f_3f3f_3f3f  // high bit: byte ≥ 'A'
    let isUpper = (fromA & ~aboveZ & ~word) & high
    return word | isUpper >> 2
  }

  @inlinable
  package static func isDigit(_ byte: UInt8) -> Bool { byte &- 48 < 10 }

  /// Value of a hexadecimal digit of either case; nil for other bytes.
  @inlinable
  package static func hexadecimalValue(_ byte: UInt8) -> UInt8? {
    if byte &- 48 < 10 { return byte &- 48 }
    let letter = byte | 0x20
    return letter &- 97 < 6 ? letter &- 87 : nil
  }

  /// The lower-case digit of `value` (0–15).
  @inlinable
  package static func hexadecimalDigit(_ value: UInt8) -> UInt8 { value < 10 ? 48 &+ value : 87 &+ value }

  /// An unsigned decimal number that fills `view` wholly: digits only, no sign, no blank. Nil on anything else or overflow.
  @inlinable
  package static func parseDecimal(_ view: ByteView) -> UInt64? {
    if view.isEmpty { return nil }
    var value: UInt64 = 0
    for i in 0..<view.count {
      let digit = view[i] &- 48
      guard digit < 10 else { return nil }
      let (product, over) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      if over || carry { return nil }
      value = sum
    }
    return value
  }

  /// An unsigned hexadecimal number that fills `view` wholly. Nil on anything else or overflow.
  @inlinable
  package static func parseHexadecimal(_ view: ByteView) -> UInt64? {
    if view.isEmpty { return nil }
    var value: UInt64 = 0
    for i in 0..<view.count {
      guard let digit = hexadecimalValue(view[i]), value >> 60 == 0 else { return nil }
      value = value << 4 | UInt64(digit)
    }
    return value
  }

  /// Writes `value` in decimal at `target`, which has room for 20 bytes; returns the number of digits.
  @inlinable
  @unsafe package static func writeDecimal(_ value: UInt64, to target: UnsafeMutableRawPointer) -> Int {
    var digits = 1
    var bound: UInt64 = 10
    while value >= bound {
      digits += 1
      if digits == 20 { break }
      bound &*= 10
    }
    var rest = value
    var i = digits
    repeat {
      i -= 1
      unsafe target.storeBytes(of: 48 &+ UInt8(truncatingIfNeeded: rest % 10), toByteOffset: i, as: UInt8.self)
      rest /= 10
    } while i > 0
    return digits
  }

  /// Removes spaces and tabs at both ends.
  @inlinable
  package static func trimmed(_ view: ByteView) -> ByteView {
    var low = 0
    var high = view.count
    while low < high, view[low] == 32 || view[low] == 9 { low += 1 }
    while high > low, view[high - 1] == 32 || view[high - 1] == 9 { high -= 1 }
    return view[low..<high]
  }
}
