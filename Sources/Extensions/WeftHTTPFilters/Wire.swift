// Wire: protobuf as filters exchange it with services, once per request: written into a buffer and read in place, without message objects.

import WeftBase

extension ByteBuffer {
  mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  /// A number; proto3's default is left out.
  mutating func append(field: UInt64, varint value: UInt64) {
    if value == 0 { return }
    append(varint: field << 3)
    append(varint: value)
  }

  /// Bytes; an empty field is left out.
  mutating func append(field: UInt64, bytes: ByteView) {
    if bytes.isEmpty { return }
    append(varint: field << 3 | 2)
    append(varint: UInt64(bytes.count))
    append(bytes)
  }

  /// A string, which has to be UTF-8: as Envoy, `!` stands for every byte that is none.
  mutating func append(field: UInt64, text: ByteView) {
    if text.isEmpty { return }
    append(varint: field << 3 | 2)
    append(varint: UInt64(text.count))
    appendUTF8(text)
  }

  mutating func appendUTF8(_ text: ByteView) {
    var rest = text
    while true {
      let good = UTF8Text.validPrefix(rest)
      append(rest.prefix(good))
      if good == rest.count { return }
      append(UInt8(ascii: "!"))
      rest = rest.dropFirst(good + 1)
    }
  }

  /// A message inside: `write` appends its fields. *Shape*: its length takes four bytes whatever it is, so that nothing has to move.
  mutating func append(field: UInt64, _ write: (inout ByteBuffer) -> Void) {
    append(varint: field << 3 | 2)
    let at = count
    append(repeating: 0, count: 4)
    write(&self)
    let length = UInt32(truncatingIfNeeded: count - at - 4)
    var bytes = (length & 0x7f | 0x80) | ((length >> 7 & 0x7f | 0x80) << 8)
    bytes |= ((length >> 14 & 0x7f | 0x80) << 16) | ((length >> 21 & 0x7f) << 24)
    var word = bytes.littleEndian
    unsafe withUnsafeBytes(of: &word) { unsafe replace(at: at, with: ByteView($0)) }
  }
}

/// One field of a message.
struct WireField {
  let number: UInt64
  /// Of numbers of any width.
  var value: UInt64 = 0
  /// Of strings, bytes and messages.
  var bytes = ByteView.empty
  /// Whether it has bytes at all: a field of the wrong kind is not taken for another.
  var isBytes = false
}

/// The fields of a message in memory, one after the other. Groups, and whatever is cut short, are malformed.
struct WireReader {
  private var rest: ByteView
  private(set) var isMalformed = false

  init(_ message: ByteView) { rest = message }

  /// Nil at the end, and where the message is malformed.
  mutating func next() -> WireField? {
    if rest.isEmpty || isMalformed { return nil }
    guard let tag = varint(), tag >> 3 != 0, tag >> 3 < 1 << 29 else { return fail() }
    var field = WireField(number: tag >> 3)
    switch tag & 7 {
    case 0:
      guard let value = varint() else { return fail() }
      field.value = value
    case 2:
      guard let count = varint(), count <= UInt64(rest.count) else { return fail() }
      field.bytes = rest.prefix(Int(count))
      field.isBytes = true
      rest = rest.dropFirst(Int(count))
    case 1, 5:
      let width = tag & 7 == 1 ? 8 : 4
      guard rest.count >= width else { return fail() }
      rest = rest.dropFirst(width)
    default: return fail()
    }
    return field
  }

  private mutating func fail() -> WireField? {
    isMalformed = true
    return nil
  }

  private mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    var i = 0
    while i < rest.count, i < 10 {
      let byte = rest[i]
      value |= UInt64(byte & 0x7f) << shift
      shift += 7
      i += 1
      if byte < 0x80 {
        rest = rest.dropFirst(i)
        return value
      }
    }
    return nil
  }
}

/// The message in a unary gRPC answer; nil when it is not exactly one, or compressed.
func grpcMessage(_ body: ByteView) -> ByteView? {
  guard body.count >= 5, body[0] == 0, Int(body.loadBigEndianUInt32(at: 1)) == body.count - 5 else { return nil }
  return body.dropFirst(5)
}

enum UTF8Text {
  /// How many bytes from the front are whole characters. *Source*: Unicode 15, table 3-7.
  static func validPrefix(_ text: ByteView) -> Int {
    var i = 0
    while i < text.count {
      if i + 8 <= text.count, text.loadUInt64(at: i) & 0x8080_8080_8080_8080 == 0 {
        i += 8
        continue
      }
      let length = characterLength(text, i)
      if length == 0 { return i }
      i += length
    }
    return i
  }

  /// Bytes of the character at `i`; 0 when none begins there.
  private static func characterLength(_ text: ByteView, _ i: Int) -> Int {
    let first = text[i]
    if first < 0x80 { return 1 }
    let length: Int
    var (low, high) = (UInt8(0x80), UInt8(0xbf))
    switch first {
    case 0xc2...0xdf: length = 2
    case 0xe0...0xef:
      length = 3
      if first == 0xe0 { low = 0xa0 }
      if first == 0xed { high = 0x9f }
    case 0xf0...0xf4:
      length = 4
      if first == 0xf0 { low = 0x90 }
      if first == 0xf4 { high = 0x8f }
    default: return 0
    }
    guard i + length <= text.count, text[i + 1] >= low, text[i + 1] <= high else { return 0 }
    for k in 2..<max(2, length) where text[i + k] & 0xc0 != 0x80 { return 0 }
    return length
  }
}
