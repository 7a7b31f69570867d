import Testing
import WeftTestKit

@Suite("protobuf fuzz replay")
struct ProtobufFuzzReplayTests {
  @Test("inputs that were interesting once stay harmless")
  func replay() throws {
    let inputs = try FuzzReplay.inputs("protobuf")
    #expect(inputs.count >= 12)
    for input in inputs { checkProtobuf(input) }
  }
}
