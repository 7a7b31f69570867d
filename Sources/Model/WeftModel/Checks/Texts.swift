// Texts that conversion and checks read alike.

/// IP literals without a socket library.
package enum IPText {
  /// 4 or 16 bytes in network order.
  package static func parse(_ text: String) -> [UInt8]? { text.contains(":") ? parse6(text) : parse4(text) }

  package static func parse4(_ text: String) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
      guard part.count <= 3, !part.isEmpty, part.allSatisfy({ $0.isASCII && $0.isNumber }), let byte = UInt8(part),
        part.count == 1 || part.first != "0"
      else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  package static func parse6(_ text: String) -> [UInt8]? {
    var halves: [[UInt8]] = []
    var gaps = 0
    var current: [UInt8] = []
    var rest = Substring(text)
    if rest.hasPrefix("::") {
      gaps = 1
      halves.append([])
      rest = rest.dropFirst(2)
    } else if rest.hasPrefix(":") {
      return nil
    }
    while !rest.isEmpty {
      let end = rest.firstIndex(of: ":") ?? rest.endIndex
      let group = rest[..<end]
      if group.contains(".") {
        guard end == rest.endIndex, let v4 = parse4(String(group)) else { return nil }
        current += v4
        rest = ""
        break
      }
      guard group.count <= 4, group.allSatisfy({ $0.isASCII && $0.isHexDigit }), let value = UInt16(group, radix: 16)
      else {
        return nil
      }
      current += [UInt8(value >> 8), UInt8(value & 0xff)]
      rest = rest[end...]
      if rest.hasPrefix("::") {
        gaps += 1
        halves.append(current)
        current = []
        rest = rest.dropFirst(2)
      } else if rest.hasPrefix(":") {
        rest = rest.dropFirst()
        if rest.isEmpty { return nil }
      }
    }
    halves.append(current)
    let known = halves.reduce(0) { $0 + $1.count }
    if gaps == 0 { return known == 16 ? current : nil }
    guard gaps == 1, known <= 14 else { return nil }
    return halves[0] + Array(repeating: 0, count: 16 - known) + halves[1]
  }
}

/// What may stand in a header.
package enum HeaderText {
  package static func isToken(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }

  package static func isValue(_ text: String) -> Bool { !text.utf8.contains { $0 == 0 || $0 == 10 || $0 == 13 } }
}
