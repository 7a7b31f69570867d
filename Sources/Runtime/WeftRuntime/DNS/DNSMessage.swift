// DNSMessage: the SRV records of a DNS answer. (c-ares reads them, too, but drops their time to live.)

import WeftBase

/// Reads DNS messages as far as SRV answers need it.
/// *Source*: RFC 1035 section 4, RFC 2782.
enum DNSMessage {
  /// The services of an answer; nil when the message is malformed.
  static func services(in message: ByteView) -> DNSAnswer? {
    guard message.count >= 12 else { return nil }
    var at = 12
    for _ in 0..<Int(message.loadBigEndianUInt16(at: 4)) {
      guard let (_, end) = name(in: message, at: at) else { return nil }
      at = end + 4
    }
    var answer = DNSAnswer(timeToLive: .zero)
    var smallest = UInt32.max
    for _ in 0..<Int(message.loadBigEndianUInt16(at: 6)) {
      guard let (_, end) = name(in: message, at: at), end + 10 <= message.count else { return nil }
      let type = message.loadBigEndianUInt16(at: end)
      let timeToLive = message.loadBigEndianUInt32(at: end + 4)
      let length = Int(message.loadBigEndianUInt16(at: end + 8))
      at = end + 10 + length
      guard at <= message.count else { return nil }
      guard type == 33 else { continue }
      guard length >= 7, let (target, _) = name(in: message, at: end + 16) else { return nil }
      // RFC 2181: a set high bit counts as zero.
      smallest = min(smallest, timeToLive >> 31 == 1 ? 0 : timeToLive)
      answer.services.append(
        DNSService(
          priority: message.loadBigEndianUInt16(at: end + 10),
          weight: message.loadBigEndianUInt16(at: end + 12),
          port: message.loadBigEndianUInt16(at: end + 14), target: target))
    }
    if smallest != .max { answer.timeToLive = .seconds(Int64(smallest)) }
    return answer
  }

  /// The name at `start` without final dot, and where reading goes on. Nil when it is malformed or its pointers run in circles.
  static func name(in message: ByteView, at start: Int) -> (String, Int)? {
    var text: [UInt8] = []
    var at = start
    var end: Int?
    var jumps = 0
    while true {
      guard at >= 0, at < message.count else { return nil }
      let length = Int(message[at])
      if length == 0 { return (String(decoding: text, as: UTF8.self), end ?? at + 1) }
      if length & 0xc0 == 0xc0 {
        guard at + 1 < message.count, jumps < 64 else { return nil }
        if end == nil { end = at + 2 }
        at = (length & 0x3f) << 8 | Int(message[at + 1])
        jumps += 1
        continue
      }
      guard length < 64, at + 1 + length <= message.count, text.count + length < 256 else {
        return nil
      }
      if !text.isEmpty { text.append(UInt8(ascii: ".")) }
      text += message[at + 1..<at + 1 + length].array
      at += 1 + length
    }
  }
}
