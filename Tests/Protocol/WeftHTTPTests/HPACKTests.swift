// HPACK: the vectors of RFC 7541 appendix C, round trips, and what must be refused.

import Testing
import WeftBase

@testable import WeftHTTP

private func bytes(_ hex: String) -> [UInt8] {
  let digits = hex.utf8.compactMap { ASCII.hexadecimalValue($0) }
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

@Suite("HPACK")
struct HPACKTests {
  @Test("a name that the peer's table holds and ours cannot is an error of the connection", arguments: [true, false])
  func longName(fits: Bool) {
    let name = [0x7f] + [0x80 | UInt8(69_873 & 0x7f), 0x80 | UInt8(69_873 >> 7 & 0x7f), UInt8(69_873 >> 14)]
    let block = [0x40] + name + [UInt8](repeating: UInt8(ascii: "x"), count: 70_000) + [1, UInt8(ascii: "y")]
    // A field larger than the table only empties it, on both sides.
    let decoded = decode([block], tableSize: fits ? 128 << 10 : 4096)
    #expect(decoded[0].last == "error" ? fits : !fits && decoded[0].count == 1)
  }

  /// Decodes `blocks` in turn with one decoder; an error ends the list with "error".
  private func decode(_ blocks: [[UInt8]], tableSize: Int = 4096) -> [[String]] {
    var decoder = HPACKDecoder(tableSize: tableSize)
    let scratch = HeadScratch()
    return blocks.map { block in
      block.withByteView { view in
        scratch.head.reset()
        decoder.begin()
        var rest = view
        var fields: [String] = []
        do throws(HPACKError) {
          while let field = try decoder.next(&rest, scratch: scratch.head) {
            fields.append("\(field.name): \(field.value)")
          }
        } catch { fields.append("error") }
        return fields
      }
    }
  }

  static let request1 = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"]
  static let request2 = request1 + ["cache-control: no-cache"]
  static let request3 = [
    ":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value",
  ]
  static let response1 = [
    ":status: 302", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ]
  static let response2 = [
    ":status: 307", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ]
  static let response3 = [
    ":status: 200", "cache-control: private", "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip", "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
  ]

  @Test(
    "RFC 7541 C.2: single fields",
    arguments: [
      ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header"),
      ("040c2f73616d706c652f70617468", ":path: /sample/path"),
      ("100870617373776f726406736563726574", "password: secret"),
      ("82", ":method: GET"),
    ])
  func single(_ hex: String, _ field: String) {
    #expect(decode([bytes(hex)]) == [[field]])
  }

  @Test("RFC 7541 C.3 and C.4: requests, plain and Huffman")
  func requests() {
    let plain = [
      "828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ]
    let coded = [
      "828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ]
    let expected = [Self.request1, Self.request2, Self.request3]
    #expect(decode(plain.map(bytes)) == expected)
    #expect(decode(coded.map(bytes)) == expected)
  }

  @Test("RFC 7541 C.5 and C.6: responses with a table of 256 bytes, plain and Huffman")
  func responses() {
    let plain = [
      "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
      "4803333037c1c0bf",
      "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ]
    let coded = [
      "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
      "4883640effc1c0bf",
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ]
    let expected = [Self.response1, Self.response2, Self.response3]
    #expect(decode(plain.map(bytes), tableSize: 256) == expected)
    #expect(decode(coded.map(bytes), tableSize: 256) == expected)
  }

  @Test(
    "refuses",
    arguments: [
      ("index 0", "80"), ("an index beyond the tables", "be"), ("a size update after a field", "8220"),
      ("a size update above the limit", "3fe21f"), ("a cut integer", "ff"), ("an endless integer", "ffffffffffffff7f"),
      ("a cut string", "400a6375"), ("EOS in a string", "0001618430ffffffff"),
      ("padding longer than seven bits", "00016182ffff"),
      ("padding of zeroes", "0001618100"),
    ])
  func refuses(_ name: String, _ hex: String) {
    #expect(decode([bytes(hex)]).first?.last == "error")
  }

  @Test("Huffman codes every byte and comes back")
  func huffman() {
    let all = (0...255).map { UInt8($0) }
    all.withByteView { view in
      let count = Huffman.shared.encodedCount(view)
      var coded = [UInt8](repeating: 0, count: count)
      unsafe coded.withUnsafeMutableBytes { unsafe #expect(Huffman.shared.encode(view, to: $0.baseAddress!) == count) }
      var plain = [UInt8](repeating: 0, count: count * 2)
      let n = coded.withByteView { coded in
        unsafe plain.withUnsafeMutableBytes { unsafe Huffman.shared.decode(coded, to: $0.baseAddress!) }
      }
      #expect(n == 256)
      #expect(Array(plain.prefix(256)) == all)
    }
  }

  @Test(
    "what the encoder writes the decoder reads, with any table size, through changes of it, and when memory is given back",
    arguments: [0, 64, 300, 4096, 65_536])
  func roundTrip(_ tableSize: Int) {
    let most = max(4096, tableSize)
    // In a large table more entries than a byte can number.
    let values = tableSize > 4096 ? 900 : 6
    var random = RandomSource(seed: UInt64(tableSize) &+ 42)
    var encoder = HPACKEncoder(tableSize: tableSize)
    var decoder = HPACKDecoder(tableSize: most)
    let scratch = HeadScratch()
    let names = [
      "accept", "user-agent", "x-a", "x-b", "authorization", "cookie", "grpc-status", "x-request-id", "date",
    ]
    for _ in 0..<400 {
      if random.chance(1, in: 20) { encoder.peerTableSize(random.next(below: most + 1)) }
      if random.chance(1, in: 10) { encoder.shrink() }
      if random.chance(1, in: 10) { decoder.shrink() }
      var fields: [String] = []
      var output = ByteBuffer()
      encoder.begin(&output)
      for _ in 0..<random.next(below: 12) {
        let name = names[random.next(below: names.count)]
        let value = String(repeating: "v\(random.next(below: values))", count: random.next(below: values > 6 ? 3 : 40))
        fields.append("\(name): \(value)")
        name.withByteView { name in
          value.withByteView {
            encoder.field(name: name, value: $0, id: HeaderName.find(name), neverIndexed: false, &output)
          }
        }
      }
      scratch.head.reset()
      decoder.begin()
      var rest = output.view
      var read: [String] = []
      do throws(HPACKError) {
        while let field = try decoder.next(&rest, scratch: scratch.head) {
          read.append("\(field.name): \(field.value)")
        }
      } catch { Issue.record("\(error)") }
      #expect(read == fields)
    }
  }

  @Test("a field the peer knows is one byte, also after memory was given back")
  func indexIsRebuilt() {
    var encoder = HPACKEncoder(tableSize: 4096)
    func write(_ name: StaticString, _ value: StaticString) -> Int {
      var output = ByteBuffer()
      encoder.begin(&output)
      encoder.field(name: ByteView(name), value: ByteView(value), id: .other, neverIndexed: false, &output)
      return output.count
    }
    for name in ["x-first", "x-second", "x-third"] as [StaticString] { #expect(write(name, "value") > 5) }
    encoder.shrink()
    for name in ["x-first", "x-second", "x-third"] as [StaticString] { #expect(write(name, "value") == 1) }
    let other = write("x-first", "another value")
    encoder.shrink()
    #expect(write("x-second", "another value") == other, "a name that is known is not written")
  }

  @Test("secrets are never indexed")
  func secrets() {
    var encoder = HPACKEncoder(tableSize: 4096)
    var output = ByteBuffer()
    encoder.field(
      name: ByteView("authorization" as StaticString), value: ByteView("Bearer x" as StaticString), id: .authorization,
      neverIndexed: false, &output)
    let first = output.view[0]
    #expect(first & 0xf0 == 0x10)
  }
}
