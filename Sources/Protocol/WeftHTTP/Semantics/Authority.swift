// The authority of a request: host and port taken apart and checked.

package import WeftBase

/// Host and port of an authority.
package struct Authority {
  /// Host without port and brackets; not lower-cased.
  package var host: ByteView
  /// Nil when absent.
  package var port: UInt16?
  /// The host was an IPv6 literal in brackets.
  package var isIPv6: Bool

  /// Takes `text` apart. Nil for what is no authority: empty, user information, bad characters, a port out of range.
  package static func parse(_ text: ByteView) -> Authority? {
    guard let split = split(text, CharacterTable.shared) else { return nil }
    return split
  }

  /// True when `text` is host [":" port] of RFC 3986 without user information, host not empty.
  @inline(__always)
  static func isValid(_ text: ByteView, _ characters: CharacterTable) -> Bool {
    // Nearly always a name without port: one table look-up per byte decides.
    if !text.isEmpty, characters.all(text, CharacterTable.host) { return true }
    return split(text, characters) != nil
  }

  @inline(never)
  private static func split(_ text: ByteView, _ characters: CharacterTable) -> Authority? {
    guard let first = text.first else { return nil }
    var host = text
    var port: ByteView?
    let isIPv6 = first == UInt8(ascii: "[")
    if isIPv6 {
      guard let close = text.firstIndex(of: UInt8(ascii: "]")) else { return nil }
      host = text[1..<close]
      let rest = text.dropFirst(close + 1)
      if !rest.isEmpty {
        guard rest[0] == UInt8(ascii: ":") else { return nil }
        port = rest.dropFirst()
      }
      guard host.count >= 2 else { return nil }
      for i in 0..<host.count {
        let c = host[i]
        guard ASCII.hexadecimalValue(c) != nil || c == UInt8(ascii: ":") || c == UInt8(ascii: ".") else { return nil }
      }
    } else {
      if let colon = text.firstIndex(of: UInt8(ascii: ":")) {
        host = text.prefix(colon)
        port = text.dropFirst(colon + 1)
      }
      guard !host.isEmpty, characters.all(host, CharacterTable.host) else { return nil }
    }
    // "host:" is an authority with an empty port (RFC 3986 §3.2.3): the scheme's own.
    guard let port, !port.isEmpty else { return Authority(host: host, port: nil, isIPv6: isIPv6) }
    guard port.count <= 5, let number = ASCII.parseDecimal(port), number <= 65_535 else { return nil }
    return Authority(host: host, port: UInt16(number), isIPv6: isIPv6)
  }

  /// The host in the form used for matching: lower case, without one trailing dot. *Cost*: copies into the arena of
  /// `scratch` only when something changes.
  package func canonicalHost(in scratch: MessageHead) -> ByteView {
    var text = host
    if text.count > 1, text.last == UInt8(ascii: ".") { text = text.dropLast() }
    var hasUpper = false
    for i in 0..<text.count where text[i] &- 65 < 26 { hasUpper = true }
    if !hasUpper { return text }
    return unsafe scratch.build(text.count) { room in
      for i in 0..<text.count { unsafe room[i] = ASCII.lowercased(text[i]) }
      return text.count
    }
  }
}
