import Testing
import WeftBase
import WeftHTTP

@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("WebSocket handshake")
struct WebSocketHandshakeTests {
  private let scratch = HeadScratch()

  @Test(
    "the answer to a key is RFC 6455's",
    arguments: [
      ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
      ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
    ])
  func accept(key: String, expected: String) {
    #expect(key.withByteView { WebSocketHandshake.accept($0, scratch: scratch.head).string } == expected)
  }

  @Test("a key is 16 bytes in base64, another for other bits")
  func key() {
    let one = WebSocketHandshake.key(1, 2, scratch: scratch.head).string
    let other = WebSocketHandshake.key(1, 3, scratch: scratch.head).string
    #expect(one == "AQAAAAAAAAACAAAAAAAAAA==")
    #expect(other.count == WebSocketHandshake.keyLength)
    #expect(one != other)
  }
}
