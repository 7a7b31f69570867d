import Testing
import WeftBase

@testable import WeftHTTPFilters

@Suite("protobuf in place")
struct WireTests {
  /// `{1: 300, 2: "text", 3: {1: 7}}`.
  static let message: [UInt8] = {
    var buffer = ByteBuffer()
    buffer.append(field: 1, varint: 300)
    buffer.append(field: 2, text: ByteView("text"))
    buffer.append(field: 3) { $0.append(field: 1, varint: 7) }
    return buffer.view.array
  }()

  static func fields(_ bytes: [UInt8]) -> (numbers: [UInt64], isMalformed: Bool) {
    bytes.withByteView { view in
      var reader = WireReader(view)
      var numbers: [UInt64] = []
      while let field = reader.next() { numbers.append(field.number) }
      return (numbers, reader.isMalformed)
    }
  }

  @Test("what was written is read again")
  func roundTrip() {
    Self.message.withByteView { view in
      var reader = WireReader(view)
      #expect(reader.next()?.value == 300)
      #expect(reader.next()?.bytes.string == "text")
      var inner = WireReader(reader.next()?.bytes ?? .empty)
      #expect(inner.next()?.value == 7)
      #expect(reader.next() == nil && !reader.isMalformed)
    }
  }

  @Test("a message that is cut in the middle of a field is malformed")
  func cut() {
    let whole: Set = [0, 3, 9, Self.message.count]
    for count in 0...Self.message.count {
      #expect(Self.fields(Array(Self.message.prefix(count))).isMalformed != whole.contains(count), "\(count)")
    }
  }

  @Test(
    "what is no message is malformed",
    arguments: [
      [0x00], [0x07, 0], [0x0b], [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
      [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0x09, 1, 2, 3], [0x0d, 1, 2, 3],
    ] as [[UInt8]])
  func malformed(bytes: [UInt8]) { #expect(Self.fields(bytes).isMalformed) }

  @Test("numbers of fixed width are passed over")
  func fixed() {
    #expect(Self.fields([0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x18, 1]).numbers == [1, 2, 3])
  }

  @Test("a length takes four bytes, whatever it is", arguments: [0, 1, 127, 128, 16384, 300_000])
  func lengths(count: Int) {
    var buffer = ByteBuffer()
    buffer.append(field: 1) { $0.append(repeating: 0x61, count: count) }
    var reader = WireReader(buffer.view)
    #expect(reader.next()?.bytes.count == count && buffer.count == count + 5)
    #expect(reader.next() == nil && !reader.isMalformed)
  }

  @Test(
    "what is no UTF-8 is replaced byte by byte",
    arguments: [
      ([0x61, 0xc3, 0xa9], "aé"), ([0xff, 0x61], "!a"), ([0xc3], "!"), ([0xe2, 0x82], "!!"), ([0xe2, 0x82, 0xac], "€"),
      ([0xed, 0xa0, 0x80], "!!!"), ([0xf0, 0x9f, 0x98, 0x80], "😀"), ([0xf4, 0x90, 0x80, 0x80], "!!!!"),
      ([0xc0, 0x80], "!!"), ([0xe0, 0x80, 0x80], "!!!"), (Array("0123456789abcdef".utf8) + [0x80], "0123456789abcdef!"),
    ] as [([UInt8], String)])
  func utf8(bytes: [UInt8], text: String) {
    var buffer = ByteBuffer()
    bytes.withByteView { buffer.appendUTF8($0) }
    #expect(buffer.view.string == text)
  }

  @Test("a gRPC answer is one message, uncompressed")
  func grpc() {
    func message(_ bytes: [UInt8]) -> [UInt8]? { bytes.withByteView { grpcMessage($0)?.array } }
    #expect(message([0, 0, 0, 0, 2, 8, 1]) == [8, 1] && message([0, 0, 0, 0, 0]) == [])
    #expect(message([1, 0, 0, 0, 2, 8, 1]) == nil && message([0, 0, 0, 0, 3, 8, 1]) == nil)
    #expect(message([0, 0, 0, 0, 1, 8, 1]) == nil && message([0, 0, 0, 0]) == nil && message([]) == nil)
  }
}
