import Testing
import WeftBase

@testable import WeftProtobuf

@Suite("unknown parts of messages")
struct UnknownPartTests {
  /// Field 1007, one byte.
  static let stranger = UnknownFields([0xFA, 0x3E, 0x01, 0x78])

  @Test("are told by path: in messages, lists and maps; values of enums without a name, too")
  func paths() {
    var inner = Weft_Test_Sample()
    inner.unknownFields = Self.stranger
    var sample = Weft_Test_Sample()
    sample.unknownFields = UnknownFields(Self.stranger.bytes + Self.stranger.bytes)
    sample.child = inner
    sample.children = [Weft_Test_Sample(), inner]
    sample.byName = ["x": inner]
    sample.type = .init(rawValue: 9)
    #expect(
      sample.unknownParts().map { "\($0.path): \($0.message)" } == [
        "child: holds field 1007 of weft.test.Sample, which is not known here",
        "children[1]: holds field 1007 of weft.test.Sample, which is not known here",
        "by_name[\"x\"]: holds field 1007 of weft.test.Sample, which is not known here",
        "type: has the value 9, which is not known here",
        ": holds field 1007 of weft.test.Sample, which is not known here",
      ])
    #expect(sample.unknownParts().map(\.enumField) == [nil, nil, nil, "weft.test.Sample.type", nil])
  }

  @Test("are told up to a limit, and a message without any has none")
  func limit() {
    var inner = Weft_Test_Sample()
    inner.unknownFields = Self.stranger
    var sample = Weft_Test_Sample()
    #expect(sample.unknownParts().isEmpty)
    sample.children = Array(repeating: inner, count: UnknownPartFinder.most + 1)
    #expect(sample.unknownParts().count == UnknownPartFinder.most)
  }
}
