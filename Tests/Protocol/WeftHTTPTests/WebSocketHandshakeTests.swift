import Testing
import WeftBase

@testable import WeftHTTP

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

  @Test(
    "SHA-1 of messages of one block and more is the standard's",
    arguments: [
      ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"), ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
      ),
      (String(repeating: "a", count: 1000), "291e9a6c66994949b57ba5e650361e98fc36b1ba"),
    ])
  func sha1(message: String, expected: String) {
    let hex = SHA1.digest(Array(message.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    #expect(hex == expected)
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
