// proto2: required fields, closed enums, groups.
import Testing
import WeftBase
import WeftProtobuf

@Suite("protobuf proto2")
struct LegacyTests {
  @Test("a missing required field is refused, at the top and below")
  func required() throws {
    #expect(throws: ProtobufError.self) { try Weft_Test_Legacy(serialized: []) }
    #expect(throws: ProtobufError.self) { try Weft_Test_Legacy(json: [:]) }
    #expect(try Weft_Test_Legacy(serialized: [0x08, 0]).id == 0)
    let inner: [UInt8] = [0x23, 0x32, 0, 0x24]
    let error = #expect(throws: ProtobufError.self) { try Weft_Test_Legacy(serialized: [0x08, 1] + inner) }
    #expect(error?.message == "required field id of weft.test.Legacy is not set")
  }

  @Test("unknown numbers of closed enums stay among the unknown fields")
  func closedEnums() throws {
    let single = try Weft_Test_Legacy(serialized: [0x08, 1, 0x10, 9])
    #expect(single.color == nil)
    #expect(single.unknownFields.bytes == [0x10, 9])
    let packed = try Weft_Test_Legacy(serialized: [0x08, 1, 0x1A, 3, 0, 9, 2])
    #expect(packed.colors == [.red, .blue])
    #expect(packed.unknownFields.bytes == [0x18, 9])
    let entry: [UInt8] = [0x3A, 5, 0x0A, 1, 0x61, 0x10, 9]
    let map = try Weft_Test_Legacy(serialized: [0x08, 1] + entry)
    #expect(map.palette.isEmpty)
    #expect(map.unknownFields.bytes == entry)
  }

  @Test("groups survive the round trip")
  func groups() throws {
    var message = Weft_Test_Legacy()
    message.id = 1
    message.pair = .init()
    message.pair?.left = 5
    let bytes: [UInt8] = [0x08, 1, 0x23, 0x28, 5, 0x24]
    #expect(message.serialized() == bytes)
    #expect(try Weft_Test_Legacy(serialized: bytes) == message)
    for count in 3..<bytes.count {
      #expect(throws: ProtobufError.self) { try Weft_Test_Legacy(serialized: Array(bytes[..<count])) }
    }
  }
}
