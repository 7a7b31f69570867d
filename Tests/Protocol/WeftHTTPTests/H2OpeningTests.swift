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

  @Test("a client opens a hundred streams until the server says how many it takes, and never more than its own limit")
  func streams() {
    var client = H2Connection(role: .client, limits: HTTPLimits())
    #expect(client.availableStreams == 100)
    settle(&client, [0, 3, 0, 0, 0, 7])
    #expect(client.availableStreams == 7)
    settle(&client, [])
    #expect(client.availableStreams == 7)
    var unlimited = H2Connection(role: .client, limits: HTTPLimits())
    settle(&unlimited, [])
    #expect(unlimited.availableStreams == 1024)
    var limits = HTTPLimits()
    limits.http2.maxConcurrentStreams = 2
    var bounded = H2Connection(role: .client, limits: limits)
    #expect(bounded.availableStreams == 2)
    settle(&bounded, [0, 3, 0, 0, 0, 7])
    #expect(bounded.availableStreams == 2)
    settle(&bounded, [0, 3, 0, 0, 0, 1])
    #expect(bounded.availableStreams == 1)
  }
}
