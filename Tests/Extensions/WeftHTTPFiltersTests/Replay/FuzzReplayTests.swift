import Testing
import WeftBase
import WeftTestKit

@testable import WeftHTTPFilters

@Suite("authorization answers, fuzz replay")
struct AuthorizationFuzzReplayTests {
  @Test("inputs that were interesting once stay harmless, whole, cut anywhere, and with any byte another")
  func replay() throws {
    let inputs = try FuzzReplay.inputs("authz")
    #expect(inputs.count >= 6)
    for input in inputs {
      for count in 0...input.count { checkAuthz(Array(input.prefix(count))) }
      for i in input.indices {
        for byte: UInt8 in [0, 0x7f, 0x80, 0xff, input[i] ^ 1, input[i] ^ 8] {
          var other = input
          other[i] = byte
          checkAuthz(other)
        }
      }
    }
  }

  @Test("an answer is taken whole or not at all: what is cut short of its last part is malformed")
  func cut() throws {
    let whole = try SourceTree.bytes("\(SourceTree.root)/Fuzz/Corpus/authz/denied")
    func reads(_ bytes: [UInt8]) -> UInt16? { bytes.withByteView { CheckAnswer($0)?.denial?.status } }
    #expect(reads(whole) == 403)
    // It begins with the status; between that and the end there is no place to stop.
    for count in 5..<whole.count { #expect(reads(Array(whole.prefix(count))) == nil, "\(count)") }
  }
}
