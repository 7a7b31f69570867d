import Testing
import WeftTestKit

@testable import WeftHTTP

@Suite("sides of an HTTP/2 stream")
struct H2SideTests {
  @Test("a side sends its head once and ends once, and a reset is the end of both")
  func transitions() {
    let table: [Transition<H2Side>] = [
      Transition("head", { $0.head() }, [.open, .open, .closed, .reset]),
      Transition("end", { $0.end() }, [.closed, .closed, .closed, .reset]),
      Transition("reset", { $0.reset() }, [.reset, .reset, .reset, .reset]),
    ]
    #expect(violations(of: H2Side.allCases, table) == [])
    #expect(reachable(from: .awaitingHead, table) == Set(H2Side.allCases))
    #expect(H2Side.allCases.map(\.isClosed) == [false, false, true, true])
    var stream = H2Stream()
    stream.reset()
    #expect(stream.isDead && stream.isClosed && stream.isDone)
    #expect(MemoryLayout<H2Stream>.size == 56, "what the table counts with")
  }
}
