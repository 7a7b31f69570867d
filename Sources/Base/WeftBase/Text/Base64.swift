/// RFC 4648. Writes the standard alphabet.
package enum Base64 {
  package static func encode(_ bytes: [UInt8], padded: Bool = true) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count + 2) / 3 * 4)
    var at = 0
    while at < bytes.count {
      let count = min(3, bytes.count - at)
      var group: UInt32 = 0
      for i in 0..<3 { group = group << 8 | (i < count ? UInt32(bytes[at + i]) : 0) }
      for i in 0..<4 {
        if i <= count {
          out.append(alphabet[Int(group >> UInt32(18 - 6 * i) & 63)])
        } else if padded {
          out.append(UInt8(ascii: "="))
        }
      }
      at += 3
    }
    return String(decoding: out, as: UTF8.self)
  }

  package enum Alphabet { case standard, either }

  /// Padding may be left out. Nil for anything else than base64. Bits left over after the last whole byte are not looked at.
  package static func decode(_ text: some Collection<UInt8>, _ alphabet: Alphabet = .either) -> [UInt8]? {
    var digits = Array(text)
    let length = digits.count
    while digits.last == UInt8(ascii: "="), length - digits.count < 2 { digits.removeLast() }
    // Padding, where there is any, must fill the last group of four.
    if digits.count != length, length % 4 != 0 { return nil }
    guard digits.count % 4 != 1 else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(digits.count * 3 / 4)
    var group: UInt32 = 0
    var bits = 0
    for c in digits {
      guard let value = value(of: c, alphabet) else { return nil }
      group = group << 6 | value
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
      }
    }
    return out
  }

  private static func value(of c: UInt8, _ alphabet: Alphabet) -> UInt32? {
    switch c {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(c) - 0x41
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(c) - 0x61 + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(c) - 0x30 + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    case UInt8(ascii: "-") where alphabet == .either: 62
    case UInt8(ascii: "_") where alphabet == .either: 63
    default: nil
    }
  }
}
