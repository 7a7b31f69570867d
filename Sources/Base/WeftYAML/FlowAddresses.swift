/// IPv6 addresses in flow lists, `[::1, fd00::]`: YAML allows them as plain scalars, libyaml takes a colon at either end of one for
/// a mapping's. A text that it cannot read is read again with those quoted.
///
/// Columns behind such an address, on its line, are then told two too far.
enum FlowAddresses {
  /// The text with quotes around the addresses that need them; nil when there are none.
  static func quoted(_ bytes: [UInt8]) -> [UInt8]? {
    var out: [UInt8] = []
    var found = false
    var depth = 0
    var quote: UInt8 = 0
    var i = 0
    while i < bytes.count {
      let byte = bytes[i]
      let opens = i == 0 || isBreak(bytes[i - 1])
      if quote != 0 {
        if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\""), i + 1 < bytes.count {
          out += bytes[i...i + 1]
          i += 2
          continue
        }
        if byte == quote { quote = 0 }
      } else if opens {
        switch byte {
        case UInt8(ascii: "#"):
          let end = bytes[i...].firstIndex(of: 10) ?? bytes.count
          out += bytes[i..<end]
          i = end
          continue
        case UInt8(ascii: "\""), UInt8(ascii: "'"): quote = byte
        default:
          let end = bytes[i...].firstIndex { !isAddressByte($0) } ?? bytes.count
          if depth > 0, needsQuotes(bytes[i..<end]), end == bytes.count || isBreak(bytes[end]) {
            out += [UInt8(ascii: "\"")] + bytes[i..<end] + [UInt8(ascii: "\"")]
            found = true
            i = end
            continue
          }
        }
      }
      if quote == 0 {
        if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") { depth += 1 }
        if byte == UInt8(ascii: "]") || byte == UInt8(ascii: "}") { depth = max(depth - 1, 0) }
      }
      out.append(byte)
      i += 1
    }
    return found ? out : nil
  }

  private static func isBreak(_ byte: UInt8) -> Bool { byte <= 0x20 || "[]{},".utf8.contains(byte) }

  private static func isAddressByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x46, 0x61...0x66, UInt8(ascii: ":"), UInt8(ascii: "."), UInt8(ascii: "/"): true
    default: false
    }
  }

  /// Two colons at least, and one at an end: inside a scalar libyaml reads them.
  private static func needsQuotes(_ token: ArraySlice<UInt8>) -> Bool {
    let colon = UInt8(ascii: ":")
    return token.count { $0 == colon } >= 2 && (token.first == colon || token.last == colon)
  }
}
