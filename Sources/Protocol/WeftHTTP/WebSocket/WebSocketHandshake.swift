// The key and its answer in HTTP/1's WebSocket handshake (RFC 6455 §4), which HTTP/2's does without.

package import WeftBase

/// What a proxy must make up when the WebSocket handshake changes its HTTP version on the way.
///
/// The exchange proves only that the server meant to speak WebSocket; it protects nothing, so SHA-1 is as good as any.
package enum WebSocketHandshake {
  /// Length of a well-formed key: 16 bytes in base64.
  package static var keyLength: Int { 24 }

  /// A `Sec-WebSocket-Key` out of 128 random bits, in the arena of `head`.
  package static func key(_ high: UInt64, _ low: UInt64, scratch head: MessageHead) -> ByteView {
    var bytes: [UInt8] = []
    for word in [high, low] { for i in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * i))) } }
    return base64(bytes, head)
  }

  /// The `Sec-WebSocket-Accept` that answers `key`, in the arena of `head`. *Cost*: allocates; once per upgrade.
  package static func accept(_ key: ByteView, scratch head: MessageHead) -> ByteView {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(key.count + 36)
    for i in 0..<key.count { bytes.append(key[i]) }
    bytes += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8
    return base64(SHA1.digest(bytes), head)
  }

  private static func base64(_ bytes: [UInt8], _ head: MessageHead) -> ByteView {
    let alphabet = ByteView("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" as StaticString)
    return unsafe head.build((bytes.count + 2) / 3 * 4) { room in
      var out = 0
      var i = 0
      while i < bytes.count {
        let left = bytes.count - i
        let word =
          UInt32(bytes[i]) << 16 | (left > 1 ? UInt32(bytes[i + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[i + 2]) : 0)
        for k in 0..<4 {
          unsafe room[out] = k <= left ? alphabet[Int(word >> UInt32(18 - 6 * k) & 63)] : UInt8(ascii: "=")
          out += 1
        }
        i += 3
      }
      return out
    }
  }
}

/// SHA-1 (FIPS 180-4), for the handshake alone.
enum SHA1 {
  static func digest(_ message: [UInt8]) -> [UInt8] {
    var state: [5 of UInt32] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
    var padded = message
    padded.append(0x80)
    while padded.count % 64 != 56 { padded.append(0) }
    let bits = UInt64(message.count) * 8
    for i in 0..<8 { padded.append(UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * i))) }
    for block in stride(from: 0, to: padded.count, by: 64) { compress(&state, padded, block) }
    var out: [UInt8] = []
    for i in 0..<5 { for k in 0..<4 { out.append(UInt8(truncatingIfNeeded: state[i] >> UInt32(24 - 8 * k))) } }
    return out
  }

  private static func compress(_ state: inout [5 of UInt32], _ bytes: [UInt8], _ at: Int) {
    var words = InlineArray<80, UInt32>(repeating: 0)
    for i in 0..<16 {
      var word: UInt32 = 0
      for k in 0..<4 { word = word << 8 | UInt32(bytes[at + 4 * i + k]) }
      words[i] = word
    }
    for i in 16..<80 { words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1) }
    var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
    for i in 0..<80 {
      let (f, k): (UInt32, UInt32) =
        switch i {
        case ..<20: (b & c | ~b & d, 0x5a82_7999)
        case ..<40: (b ^ c ^ d, 0x6ed9_eba1)
        case ..<60: (b & c | b & d | c & d, 0x8f1b_bcdc)
        default: (b ^ c ^ d, 0xca62_c1d6)
        }
      let next = rotate(a, 5) &+ f &+ e &+ k &+ words[i]
      (e, d, c, b, a) = (d, c, rotate(b, 30), a, next)
    }
    state[0] &+= a
    state[1] &+= b
    state[2] &+= c
    state[3] &+= d
    state[4] &+= e
  }

  private static func rotate(_ word: UInt32, _ n: UInt32) -> UInt32 { word << n | word >> (32 - n) }
}
