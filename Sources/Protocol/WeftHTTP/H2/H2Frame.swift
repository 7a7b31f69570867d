// Frame layout (RFC 9113 §4.1) and the numbers of the protocol.

import WeftBase

enum H2FrameType {
  static var data: UInt8 { 0 }
  static var headers: UInt8 { 1 }
  static var priority: UInt8 { 2 }
  static var resetStream: UInt8 { 3 }
  static var settings: UInt8 { 4 }
  static var pushPromise: UInt8 { 5 }
  static var ping: UInt8 { 6 }
  static var goAway: UInt8 { 7 }
  static var windowUpdate: UInt8 { 8 }
  static var continuation: UInt8 { 9 }
}

enum H2Flag {
  static var endStream: UInt8 { 1 }
  static var ack: UInt8 { 1 }
  static var endHeaders: UInt8 { 4 }
  static var padded: UInt8 { 8 }
  static var priority: UInt8 { 32 }
}

enum H2Setting {
  static var headerTableSize: UInt16 { 1 }
  static var enablePush: UInt16 { 2 }
  static var maxConcurrentStreams: UInt16 { 3 }
  static var initialWindowSize: UInt16 { 4 }
  static var maxFrameSize: UInt16 { 5 }
  static var maxHeaderListSize: UInt16 { 6 }
  static var enableConnectProtocol: UInt16 { 8 }
}

/// A frame's nine bytes.
struct H2FrameHeader {
  static var size: Int { 9 }
  static var maxWindow: Int64 { 0x7fff_ffff }

  let length: Int
  let type: UInt8
  let flags: UInt8
  let stream: H2StreamID

  /// Reads the first nine bytes of `input`, which has them.
  @inline(__always)
  init(_ input: ByteView) {
    let word = input.loadBigEndianUInt32(at: 0)
    length = Int(word >> 8)
    type = UInt8(truncatingIfNeeded: word)
    flags = input[4]
    stream = input.loadBigEndianUInt32(at: 5) & 0x7fff_ffff
  }

  func has(_ flag: UInt8) -> Bool { flags & flag != 0 }

  @inline(__always)
  static func write(length: Int, type: UInt8, flags: UInt8, stream: H2StreamID, to output: inout ByteBuffer) {
    output.reserve(9)
    output.appendBigEndian(UInt32(truncatingIfNeeded: length) << 8 | UInt32(type))
    output.append(flags)
    output.appendBigEndian(stream)
  }
}
