// The binary format: vectors, round trips, damaged input.
import Testing
import WeftBase
import WeftProtobuf

/// A message with something in every kind of field.
func fullSample() -> Weft_Test_Sample {
  var leaf = Weft_Test_Sample()
  leaf.name = "leaf"
  leaf.deltas = [0, -1, 1, .min, .max]
  var sample = Weft_Test_Sample()
  sample.name = "größe"
  sample.count = 0
  sample.deltas = [1, -2, 3]
  sample.child = leaf
  sample.children = [leaf, Weft_Test_Sample()]
  sample.byName = ["b": leaf, "a": Weft_Test_Sample()]
  sample.flags = [-1: true, 7: false]
  sample.type = .roundRobin
  sample.protocol = .init()
  sample.protocol?.name = "h2"
  sample.choiceSpecifier = .nested(leaf)
  sample.any = Google_Protobuf_Any(packing: leaf)
  sample.limit = Google_Protobuf_UInt32Value(9)
  sample.metadata = Google_Protobuf_Struct(["list": [1, nil, "x", true], "inner": ["n": 1.5]])
  sample.payload = [0, 255, 128]
  sample.ratio = 0.25
  sample.stamp = 1 << 63
  sample.custom = "c"
  sample.number = -5
  sample.decoder = true
  sample.self_ = "s"
  sample.default = 3
  sample.list = ["", "x"]
  sample.value = Google_Protobuf_Value(nil)
  return sample
}

@Suite("protobuf wire format")
struct WireTests {
  struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let make: @Sendable (inout Weft_Test_Sample) -> Void
    var testDescription: String { name }
  }

  static let vectors = [
    Vector(name: "empty", bytes: []) { _ in },
    Vector(name: "string", bytes: [0x0A, 2, 0x68, 0x69]) { $0.name = "hi" },
    Vector(name: "zero with presence", bytes: [0x10, 0]) { $0.count = 0 },
    Vector(name: "packed zigzag", bytes: [0x1A, 3, 1, 2, 0]) { $0.deltas = [-1, 1, 0] },
    Vector(name: "nested", bytes: [0x22, 3, 0x0A, 1, 0x61]) {
      $0.child = Weft_Test_Sample()
      $0.child?.name = "a"
    },
    Vector(name: "empty nested", bytes: [0x22, 0]) { $0.child = Weft_Test_Sample() },
    Vector(name: "map, sorted by key", bytes: [0x3A, 4, 8, 1, 16, 0, 0x3A, 4, 8, 2, 16, 1]) {
      $0.flags = [2: true, 1: false]
    },
    Vector(name: "negative enum in ten bytes", bytes: [0x40] + [UInt8](repeating: 0xFF, count: 9) + [1]) {
      $0.type = .negative
    },
    Vector(name: "oneof holding its default", bytes: [0x52, 0]) { $0.choiceSpecifier = .text("") },
    Vector(name: "double", bytes: [0x89, 1, 0, 0, 0, 0, 0, 0, 0xD0, 0x3F]) { $0.ratio = 0.25 },
    Vector(name: "negative zero is not the default", bytes: [0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0x80]) { $0.ratio = -0.0 },
    Vector(name: "fixed64", bytes: [0x91, 1, 1, 0, 0, 0, 0, 0, 0, 0x80]) { $0.stamp = 1 << 63 | 1 },
  ]

  @Test("writes and reads known bytes", arguments: vectors)
  func vector(_ vector: Vector) throws {
    var message = Weft_Test_Sample()
    vector.make(&message)
    #expect(message.serialized() == vector.bytes)
    let back = try Weft_Test_Sample(serialized: vector.bytes)
    #expect(back == message)
    #expect(back.unknownFields.isEmpty)
  }

  @Test("a message with every kind of field survives the round trip")
  func roundTrip() throws {
    let sample = fullSample()
    let bytes = sample.serialized()
    let back = try Weft_Test_Sample(serialized: bytes)
    #expect(back.serialized() == bytes)
    #expect(back == sample)
    #expect(back.hashValue == sample.hashValue)
    #expect(back.child?.deltas == [0, -1, 1, .min, .max])
    #expect(try back.any?.unpack(as: Weft_Test_Sample.self)?.name == "leaf")
    #expect(try back.any?.unpack(as: Google_Protobuf_Duration.self) == nil)
  }

  @Test("every truncation is an error or a shorter message, never a trap")
  func truncation() {
    let bytes = fullSample().serialized()
    var refused = 0
    for count in 0..<bytes.count {
      do throws(ProtobufError) {
        let part = try Weft_Test_Sample(serialized: Array(bytes[..<count]))
        // What was accepted ends on a field boundary: it is a prefix when written again.
        #expect(part.serialized().count <= count)
      } catch {
        refused += 1
      }
    }
    #expect(refused > bytes.count / 2)
  }

  @Test("every changed byte is an error or another message, never a trap")
  func corruption() {
    let bytes = fullSample().serialized()
    var accepted = 0
    for at in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[at] ^= 1 << UInt8(bit)
        if let message = try? Weft_Test_Sample(serialized: damaged) {
          accepted += 1
          #expect((try? Weft_Test_Sample(serialized: message.serialized())) == message)
        }
      }
    }
    #expect(accepted > 0)
  }

  @Test("unknown fields of every wire type are kept and written back")
  func unknownFields() throws {
    let unknown: [UInt8] =
      [0xA0, 0x1F, 5]  // 500: varint
      + [0xA1, 0x1F, 1, 2, 3, 4, 5, 6, 7, 8]  // 500: fixed64
      + [0xA2, 0x1F, 2, 9, 9]  // 500: bytes
      + [0xA5, 0x1F, 1, 2, 3, 4]  // 500: fixed32
      + [0xA3, 0x1F, 0x08, 1, 0xA4, 0x1F]  // 500: group
    let message = try Weft_Test_Sample(serialized: unknown + [0x0A, 1, 0x61])
    #expect(message.name == "a")
    #expect(message.unknownFields.bytes == unknown)
    #expect(message.serialized() == [0x0A, 1, 0x61] + unknown)
  }

  @Test("a known field of another wire type is an unknown field")
  func otherWireType() throws {
    let message = try Weft_Test_Sample(serialized: [0x08, 5])
    #expect(message.name.isEmpty)
    #expect(message.unknownFields.bytes == [0x08, 5])
  }

  @Test("an unknown field at the end of a nested message does not hide the field after it")
  func unknownInside() throws {
    let message = try Weft_Test_Sample(serialized: [0x22, 3, 0xA0, 0x1F, 5, 0x0A, 1, 0x61])
    #expect(message.child?.unknownFields.bytes == [0xA0, 0x1F, 5])
    #expect(message.name == "a")
    #expect(message.unknownFields.isEmpty)
  }

  @Test("packed and single encodings are both read")
  func packedAndSingle() throws {
    #expect(try Weft_Test_Sample(serialized: [0x18, 1, 0x1A, 2, 2, 3, 0x18, 4]).deltas == [-1, 1, -2, 2])
  }

  @Test("later occurrences merge messages, replace scalars and append to lists")
  func merging() throws {
    let bytes: [UInt8] = [0x22, 3, 0x0A, 1, 0x61, 0x22, 2, 0x10, 7, 0x5A, 3, 0x0A, 1, 0x62, 0x5A, 2, 0x10, 9]
    let message = try Weft_Test_Sample(serialized: bytes)
    #expect(message.child?.name == "a")
    #expect(message.child?.count == 7)
    guard case .nested(let nested)? = message.choiceSpecifier else {
      Issue.record("expected the nested member")
      return
    }
    #expect(nested.name == "b")
    #expect(nested.count == 9)
  }

  @Test(
    "malformed input is refused",
    arguments: [
      ("tag zero", [0x00]),
      ("wire type 6", [0x0E]),
      ("field number beyond 29 bits", [0x88, 0x80, 0x80, 0x80, 0x10, 0]),
      ("tag longer than five bytes", [0x88, 0x80, 0x80, 0x80, 0x80, 0x00, 0]),
      ("varint of eleven bytes", [0x10] + [UInt8](repeating: 0x80, count: 10) + [0]),
      ("varint cut off", [0x10, 0x80]),
      ("length past the end", [0x0A, 5, 0x61]),
      ("length near 2^64", [0x0A] + [UInt8](repeating: 0xFF, count: 9) + [1]),
      ("nested length past its parent", [0x22, 3, 0x0A, 5, 0x61, 0x61, 0x61, 0x61, 0x61]),
      ("packed value cut off", [0x1A, 1, 0x80]),
      ("fixed64 cut off", [0x91, 1, 0, 0, 0]),
      ("end of group alone", [0x0C]),
      ("group without its end", [0xA3, 0x1F, 0x08, 1]),
      ("end of another group", [0xA3, 0x1F, 0xAC, 0x1F]),
      ("string of bad UTF-8", [0x0A, 1, 0xFF]),
      ("string with a surrogate", [0x0A, 3, 0xED, 0xA0, 0x80]),
    ] as [(String, [UInt8])])
  func malformed(_ name: String, _ bytes: [UInt8]) {
    #expect(throws: ProtobufError.self) { try Weft_Test_Sample(serialized: bytes) }
  }

  @Test("nesting is bounded, in messages and in unknown groups")
  func depth() throws {
    func nested(_ levels: Int) -> [UInt8] {
      var message = Weft_Test_Sample()
      for _ in 1..<levels {
        var outer = Weft_Test_Sample()
        outer.child = message
        message = outer
      }
      return message.serialized()
    }
    #expect(throws: Never.self) { try Weft_Test_Sample(serialized: nested(100)) }
    #expect(throws: ProtobufError.self) { try Weft_Test_Sample(serialized: nested(101)) }
    #expect(throws: ProtobufError.self) {
      try Weft_Test_Sample(serialized: nested(11), limits: DecodingLimits(depth: 10))
    }
    let start: [UInt8] = [0xA3, 0x1F]
    let groups = [UInt8](repeatElement(start, count: 100_000).joined())
    #expect(throws: ProtobufError.self) { try Weft_Test_Sample(serialized: groups) }
  }

  @Test("messages above the size limit are refused")
  func size() {
    #expect(throws: ProtobufError.self) {
      try Weft_Test_Sample(serialized: [0x0A, 2, 0x68, 0x69], limits: DecodingLimits(bytes: 3))
    }
  }

  @Test("boxed messages have value semantics")
  func valueSemantics() {
    var first = fullSample()
    let copy = first
    first.child?.name = "changed"
    first.child?.children.append(Weft_Test_Sample())
    #expect(copy.child?.name == "leaf")
    #expect(copy.child?.children.isEmpty == true)
    first.child = nil
    #expect(first.child == nil)
    #expect(copy.child != nil)
    first.child?.name = "nothing to set"
    #expect(first.child == nil)
  }
}
