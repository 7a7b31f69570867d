// The key and its answer in HTTP/1's WebSocket handshake (RFC 6455 §4), which HTTP/2's does without.

import WeftBase
import WeftHTTP
import WeftTLS

/// What a proxy must make up when the WebSocket handshake changes its HTTP version on the way.
///
/// The exchange proves only that the server meant to speak WebSocket; it protects nothing, so SHA-1 is as good as any.
enum WebSocketHandshake {
  /// Length of a well-formed key: 16 bytes in base64.
  static var keyLength: Int { 24 }

  /// A `Sec-WebSocket-Key` out of 128 random bits, in the arena of `head`. *Cost*: allocates; once per upgrade.
  static func key(_ high: UInt64, _ low: UInt64, scratch head: MessageHead) -> ByteView {
    var bytes: [UInt8] = []
    for word in [high, low] { for i in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * i))) } }
    return Base64.encode(bytes).withByteView { head.copy($0) }
  }

  /// The `Sec-WebSocket-Accept` that answers `key`, in the arena of `head`. *Cost*: allocates; once per upgrade.
  static func accept(_ key: ByteView, scratch head: MessageHead) -> ByteView {
    let text = key.array + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8
    return Base64.encode(MessageDigest.sha1(text)).withByteView { head.copy($0) }
  }
}
