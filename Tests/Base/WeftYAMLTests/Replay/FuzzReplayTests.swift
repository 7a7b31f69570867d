import Testing
import WeftTestKit

@Suite("YAML fuzz replay")
struct YAMLFuzzReplayTests {
  @Test("inputs that were interesting once stay harmless")
  func replay() throws {
    let inputs = try FuzzReplay.inputs("yaml")
    #expect(inputs.count >= 4)
    for input in inputs { checkYAML(input) }
  }
}
