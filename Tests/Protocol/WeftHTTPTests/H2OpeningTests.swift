import Testing
import WeftBase

@testable import WeftHTTP

@Suite("HTTP/2 before the server's SETTINGS")
struct H2OpeningTests {
  /// A client that has got a SETTINGS frame with this payload.
  private func settle(_ client: inout H2Connection, _ payload: [UInt8]) {
    let scratch = HeadScratch()
    let bytes: [UInt8] = [0, 0, UInt8(payload.count), 4, 0, 0, 0, 0, 0] + payload
    bytes.withByteView { view in
      var input = view
      while true {
        if case .needMore = client.next(&input, head: scratch.head, now: MonotonicInstant(nanoseconds: 1)) { break }
      }
    }
  }

  @Test("a client opens a hundred streams until the server says how many it takes; one that names no limit has none")
  func streams() {
    var client = H2Connection(role: .client, limits: HTTPLimits())
    #expect(client.availableStreams == 100)
    settle(&client, [0, 3, 0, 0, 0, 7])
    #expect(client.availableStreams == 7)
    settle(&client, [])
    #expect(client.availableStreams == 7)
    var unlimited = H2Connection(role: .client, limits: HTTPLimits())
    settle(&unlimited, [])
    #expect(unlimited.availableStreams == Int(UInt32.max))
  }
}
