// PercentEncoding: bytes as `%` and two hexadecimal digits.

/// Percent-encoding (RFC 3986 §2.1). Which bytes stand for themselves is the caller's to say.
package enum PercentEncoding {
  package static func encode(_ text: String, standsForItself: (UInt8) -> Bool) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    out.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
      if standsForItself(byte) {
        out.append(byte)
      } else {
        out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// What becomes of a `%` without two digits behind it.
  package enum BrokenEscape { case refused, kept }

  /// `plusIsSpace`: as in queries of forms. Nil when an escape is broken and that is refused; the bytes need not be UTF-8.
  package static func decode(
    _ text: some StringProtocol, plusIsSpace: Bool = false, brokenEscape: BrokenEscape = .refused
  ) -> [UInt8]? {
    var out: [UInt8] = []
    var rest = Array(text.utf8)[...]
    out.reserveCapacity(rest.count)
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        out.append(byte == UInt8(ascii: "+") && plusIsSpace ? UInt8(ascii: " ") : byte)
        continue
      }
      let digits = rest.prefix(2).compactMap(ASCII.hexadecimalValue)
      if digits.count == 2 {
        out.append(digits[0] << 4 | digits[1])
        rest = rest.dropFirst(2)
      } else if brokenEscape == .kept {
        out.append(byte)
      } else {
        return nil
      }
    }
    return out
  }
}
