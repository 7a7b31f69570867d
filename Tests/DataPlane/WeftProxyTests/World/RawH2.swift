// RawH2: HTTP/2 frames as bytes, for clients that no codec of ours would be.

enum RawH2 {
  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0)
  /// `GET http://a/`, `POST http://a/`.
  static let get: [UInt8] = [0x82, 0x86, 0x84] + literal(":authority", "a")
  static let post: [UInt8] = [0x83, 0x86, 0x84] + literal(":authority", "a")

  static func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8] = []) -> [UInt8] {
    let n = payload.count
    return [UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255), type, flags] + word(stream) + payload
  }

  static func word(_ n: UInt32) -> [UInt8] {
    [UInt8(n >> 24), UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255)]
  }

  static func literal(_ name: String, _ value: String) -> [UInt8] {
    [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
  }

  /// The code of the first GOAWAY with one in `bytes`, which begin with a frame.
  static func goAwayCode(_ bytes: [UInt8]) -> UInt8? {
    var at = 0
    while at + 9 <= bytes.count {
      let size = Int(bytes[at]) << 16 | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2])
      if bytes[at + 3] == 7, size >= 8, at + 17 <= bytes.count, bytes[at + 16] != 0 { return bytes[at + 16] }
      at += 9 + size
    }
    return nil
  }
}
