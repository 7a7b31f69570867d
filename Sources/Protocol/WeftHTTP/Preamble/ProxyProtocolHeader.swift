// ProxyProtocolHeader: the line or block in which a load balancer says for whom it opened the connection.

package import WeftBase

/// A PROXY protocol header, version 1 (text) or 2 (binary).
///
/// *Lifetime*: views into the bytes it was read from.
/// *Source*: the HAProxy PROXY protocol; where it leaves a choice, Envoy's proxy_protocol filter, except that what cannot become a header is
/// known at its first wrong byte.
package struct ProxyProtocolHeader {
  package enum Version: UInt8, Hashable, Sendable { case one = 1, two = 2 }

  /// How the addresses are written.
  package enum Form: Hashable, Sendable {
    /// There are none: the load balancer speaks for itself (LOCAL) or does not know (UNKNOWN).
    case none
    case text
    /// Four or sixteen bytes in network order.
    case bytes
  }

  package enum Reading {
    case needMore
    /// The bytes are something else.
    case none
    /// It began as a header and is none.
    case malformed(Version)
    case header(ProxyProtocolHeader)
  }

  package let version: Version
  package fileprivate(set) var form = Form.none
  package fileprivate(set) var isIPv6 = false
  package fileprivate(set) var source = ByteView.empty
  package fileprivate(set) var destination = ByteView.empty
  package fileprivate(set) var sourcePort: UInt16 = 0
  package fileprivate(set) var destinationPort: UInt16 = 0
  /// Bytes the header takes.
  package fileprivate(set) var length = 0
  /// What comes behind the addresses: type, length, value, … (version 2). Complete, except that nobody looks into it behind LOCAL.
  package fileprivate(set) var extensions = ByteView.empty

  /// Longest header of version 1, its line end included. *Units*: bytes.
  package static var maximumTextBytes: Int { 108 }
  /// Longest header of version 2: what its length field can say. *Units*: bytes.
  package static var maximumBytes: Int { fixedBytes + 65_535 }

  private static var fixedBytes: Int { 16 }
  private static var textMark: ByteView { ByteView("PROXY " as StaticString) }
  private static var mark: ByteView { ByteView("\r\n\r\n\0\r\nQUIT\n" as StaticString) }

  /// Reads the first bytes of a connection.
  package static func read(_ bytes: ByteView) -> Reading {
    for (mark, version) in [(textMark, Version.one), (mark, .two)] {
      let common = min(bytes.count, mark.count)
      guard bytes.prefix(common).equals(mark.prefix(common)) else { continue }
      if bytes.count < mark.count { return .needMore }
      return version == .one ? readText(bytes) : readBinary(bytes)
    }
    return .none
  }

  // MARK: Version 1

  private static func readText(_ bytes: ByteView) -> Reading {
    let head = bytes.prefix(maximumTextBytes)
    var at = textMark.count
    while let end = head.firstIndex(of: UInt8(ascii: "\n"), from: at) {
      at = end + 1
      if head[end - 1] != UInt8(ascii: "\r") { continue }
      var header = ProxyProtocolHeader(version: .one)
      header.length = at
      return header.takeText(head.prefix(end - 1).dropFirst(textMark.count)) ? .header(header) : .malformed(.one)
    }
    return bytes.count >= maximumTextBytes ? .malformed(.one) : .needMore
  }

  /// TCP4 or TCP6, two addresses, two ports, one blank between each; or UNKNOWN and anything. The addresses are the caller's to read.
  private mutating func takeText(_ line: ByteView) -> Bool {
    var rest = line
    let family = Self.word(&rest)
    if family.equals("UNKNOWN") { return true }
    if family.equals("TCP6") { isIPv6 = true } else if !family.equals("TCP4") { return false }
    source = Self.word(&rest)
    destination = Self.word(&rest)
    guard !source.isEmpty, !destination.isEmpty, let from = Self.port(Self.word(&rest)), let to = Self.port(rest) else {
      return false
    }
    (sourcePort, destinationPort, form) = (from, to, .text)
    return true
  }

  /// What comes before the next blank; takes the blank, too.
  private static func word(_ rest: inout ByteView) -> ByteView {
    guard let end = rest.firstIndex(of: UInt8(ascii: " ")) else {
      defer { rest = .empty }
      return rest
    }
    let word = rest.prefix(end)
    rest = rest.dropFirst(end + 1)
    return word
  }

  private static func port(_ text: ByteView) -> UInt16? { ASCII.parseDecimal(text).flatMap { UInt16(exactly: $0) } }

  // MARK: Version 2

  private static func readBinary(_ bytes: ByteView) -> Reading {
    if bytes.count > mark.count, bytes[12] != 0x20, bytes[12] != 0x21 { return .malformed(.two) }
    guard bytes.count >= fixedBytes else { return .needMore }
    let length = Int(bytes.loadBigEndianUInt16(at: 14))
    var header = ProxyProtocolHeader(version: .two)
    header.length = fixedBytes + length
    let isLocal = bytes[12] == 0x20
    // An address family whose addresses mean something here, with room for them.
    let size: Int
    switch bytes[13] >> 4 {
    case 1: size = 4
    case 2: size = 16
    default: size = 0
    }
    if !isLocal, size == 0 || length < 2 * size + 4 { return .malformed(.two) }
    if bytes.count < header.length { return .needMore }
    if isLocal { return .header(header) }
    let body = bytes.prefix(header.length).dropFirst(fixedBytes)
    header.form = .bytes
    header.isIPv6 = size == 16
    header.source = body.prefix(size)
    header.destination = body.dropFirst(size).prefix(size)
    header.sourcePort = body.loadBigEndianUInt16(at: 2 * size)
    header.destinationPort = body.loadBigEndianUInt16(at: 2 * size + 2)
    header.extensions = body.dropFirst(2 * size + 4)
    return header.forEachExtension { _, _ in } ? .header(header) : .malformed(.two)
  }

  /// Calls `body` with type and value of each extension. *Returns*: whether all of them lie inside the header.
  @discardableResult
  package func forEachExtension(_ body: (UInt8, ByteView) -> Void) -> Bool {
    var rest = extensions
    while !rest.isEmpty {
      guard rest.count >= 3 else { return false }
      let length = Int(rest.loadBigEndianUInt16(at: 1))
      guard rest.count >= 3 + length else { return false }
      body(rest[0], rest.dropFirst(3).prefix(length))
      rest = rest.dropFirst(3 + length)
    }
    return true
  }

  private init(version: Version) { self.version = version }
}
