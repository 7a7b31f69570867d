import Testing
import WeftTestKit

@Suite("HTTP fuzz replay")
struct HTTPFuzzReplayTests {
  @Test("inputs that were interesting once stay harmless", arguments: ["http1", "http2", "hpack", "preamble"])
  func replay(_ target: String) throws {
    let inputs = try FuzzReplay.inputs(target)
    #expect(inputs.count >= 3)
    for input in inputs {
      switch target {
      case "http1": checkHTTP1(input)
      case "http2": checkHTTP2(input)
      case "preamble": checkPreamble(input)
      default: checkHPACK(input)
      }
    }
  }
}
