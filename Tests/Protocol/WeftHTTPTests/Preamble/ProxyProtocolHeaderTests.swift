import Testing
import WeftBase

@testable import WeftHTTP

@Suite("PROXY protocol headers")
struct ProxyProtocolHeaderTests {
  static let mark: [UInt8] = Array("\r\n\r\n\0\r\nQUIT\n".utf8)

  /// A header of version 2.
  static func binary(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
    mark + [command, family, UInt8(body.count >> 8), UInt8(body.count & 0xff)] + body
  }

  static let ip4: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 0x03, 0xe8, 0x07, 0xd0]
  static let ip6: [UInt8] = Array(repeating: 0xa, count: 16) + Array(repeating: 0xb, count: 16) + [0, 5, 0, 6]

  static func tlv(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
    [type, UInt8(value.count >> 8), UInt8(value.count & 0xff)] + value
  }

  enum Says: Equatable {
    case needMore, none, bad1, bad2
    /// Length, source port, and whether there are addresses.
    case header(Int, UInt16, Bool)
  }

  private static func read(_ bytes: [UInt8]) -> Says {
    bytes.withByteView { view in
      switch ProxyProtocolHeader.read(view) {
      case .needMore: .needMore
      case .none: .none
      case .malformed(let version): version == .one ? .bad1 : .bad2
      case .header(let header): .header(header.length, header.sourcePort, header.form != .none)
      }
    }
  }

  struct Row: CustomTestStringConvertible {
    var bytes: [UInt8]
    var says: Says
    init(_ text: String, _ says: Says) { (bytes, self.says) = (Array(text.utf8), says) }
    init(_ bytes: [UInt8], _ says: Says) { (self.bytes, self.says) = (bytes, says) }
    var testDescription: String { String(decoding: bytes.prefix(80), as: UTF8.self).debugDescription }
  }

  /// What Envoy's proxy_protocol filter says, tried on 1.40; whether an address is one is told by the filter, not here.
  static let table: [Row] = [
    Row("PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n", .header(38, 1000, true)),
    Row("PROXY TCP6 ::1 fe80::2 1000 2000\r\n", .header(34, 1000, true)),
    Row("PROXY TCP4 1.2.3.4 5.6.7.8 01 02\r\n", .header(34, 1, true)),
    Row("PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", .header(32, 0, true)),
    Row("PROXY UNKNOWN\r\n", .header(15, 0, false)), Row("PROXY UNKNOWN foo bar\r\n", .header(23, 0, false)),
    Row("PROXY UNKNOWNX\r\n", .bad1), Row("PROXY \r\n", .bad1), Row("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", .bad1),
    Row("PROXY TCP4 1.2.3.4 5.6.7.8 1000\r\n", .bad1), Row("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", .bad1),
    Row("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", .bad1), Row("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", .bad1),
    Row("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", .bad1),
    Row("PROXY TCP4 1.2.3.4 5.6.7.8 1 99999999999999999999\r\n", .bad1),
    Row("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", .bad1), Row("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", .bad1),
    Row("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", .bad1), Row("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", .needMore),
    Row("PROXY UNKNOWN " + String(repeating: "a", count: 92) + "\r\n", .header(108, 0, false)),
    Row("PROXY UNKNOWN " + String(repeating: "a", count: 93) + "\r\n", .bad1),
    Row("PROXY UNKNOWN " + String(repeating: "a", count: 94), .bad1),
    Row("PROXY\r\n", .none), Row("GET / HTTP/1.1\r\n", .none), Row("\r\n\r\nabcdefgh", .none), Row("proxy TCP4", .none),
    Row("", .needMore), Row("PROX", .needMore), Row("PROXY ", .needMore), Row("\r\n", .needMore),
    Row(binary(0x21, 0x11, ip4), .header(28, 1000, true)), Row(binary(0x21, 0x21, ip6), .header(52, 5, true)),
    Row(binary(0x21, 0x12, ip4), .header(28, 1000, true)), Row(binary(0x20, 0x00, []), .header(16, 0, false)),
    Row(binary(0x20, 0x11, ip4), .header(28, 0, false)), Row(binary(0x20, 0x00, [2, 0, 255]), .header(19, 0, false)),
    Row(binary(0x21, 0x00, []), .bad2), Row(binary(0x21, 0x31, [UInt8](repeating: 97, count: 216)), .bad2),
    Row(binary(0x22, 0x11, ip4), .bad2), Row(binary(0x11, 0x11, ip4), .bad2),
    Row(binary(0x21, 0x11, Array(ip4.dropLast())), .bad2),
    Row(binary(0x21, 0x11, ip4 + tlv(2, [1, 2]) + tlv(4, [])), .header(36, 1000, true)),
    Row(binary(0x21, 0x11, ip4 + [2]), .bad2), Row(binary(0x21, 0x11, ip4 + [2, 0, 9, 97]), .bad2),
    Row(binary(0x21, 0x11, ip4 + tlv(2, [UInt8](repeating: 7, count: 65_520))), .header(65_551, 1000, true)),
    Row(Array(binary(0x21, 0x11, ip4).dropLast()), .needMore), Row(mark, .needMore),
  ]

  @Test("says what Envoy says", arguments: table)
  func says(_ row: Row) { #expect(Self.read(row.bytes) == row.says) }

  @Test("bytes that come one by one say the same, and what follows changes nothing", arguments: table)
  func split(_ row: Row) {
    // Long ones are known not to change in their middle.
    let counts =
      row.bytes.count < 400 ? Array(0...row.bytes.count) : Array(0...40) + [row.bytes.count - 1, row.bytes.count]
    var said = Says.needMore
    for count in counts where said == .needMore { said = Self.read(Array(row.bytes[..<count])) }
    #expect(said == row.says)
    if row.says != .needMore { #expect(Self.read(row.bytes + Array("GET / HTTP/1.1\r\n\r\n".utf8)) == row.says) }
  }

  @Test("addresses and extensions are where the header says")
  func parts() {
    let text = Array("PROXY TCP6 ::1 fe80::2 1000 2000\r\n".utf8)
    text.withByteView { view in
      guard case .header(let header) = ProxyProtocolHeader.read(view) else {
        Issue.record("no header")
        return
      }
      #expect(header.source.string == "::1" && header.destination.string == "fe80::2" && header.isIPv6)
      #expect(header.sourcePort == 1000 && header.destinationPort == 2000 && header.form == .text)
    }
    let bytes = Self.binary(0x21, 0x11, Self.ip4 + Self.tlv(2, [9, 8]) + Self.tlv(0xea, []))
    bytes.withByteView { view in
      guard case .header(let header) = ProxyProtocolHeader.read(view) else {
        Issue.record("no header")
        return
      }
      #expect(header.source.array == [1, 2, 3, 4] && header.destination.array == [5, 6, 7, 8] && !header.isIPv6)
      #expect(header.destinationPort == 2000)
      var found: [UInt8: [UInt8]] = [:]
      #expect(header.forEachExtension { found[$0] = $1.array })
      #expect(found == [2: [9, 8], 0xea: []])
    }
  }
}
