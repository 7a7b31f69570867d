import Testing
import WeftTestKit

@Suite("TLS fuzz replay")
struct TLSFuzzReplayTests {
  @Test("inputs that were interesting once stay harmless")
  func replay() throws {
    let inputs = try FuzzReplay.inputs("hello")
    #expect(inputs.count >= 3)
    for input in inputs { checkHello(input) }
  }
}
