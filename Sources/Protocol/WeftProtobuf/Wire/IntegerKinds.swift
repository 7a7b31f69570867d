// The integer kinds: ten encodings of four types. In JSON the 32-bit ones are numbers, the 64-bit ones strings; both
// are accepted for all.
package import WeftBase

/// What every integer kind shares: JSON in both spellings.
package protocol IntegerKind: MapKeyKind where Value: FixedWidthInteger {}

extension IntegerKind {
  @inlinable
  package static var zero: Value { 0 }

  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout Value
  ) throws(ProtobufError) -> Bool {
    let text: String
    switch json {
    case .number(let t): text = t
    case .string(let t): text = t
    default: throw decoder.error("expected a whole number, found \(json.kindName)")
    }
    guard let number = wholeNumber(text, as: Value.self) else {
      throw decoder.error("expected a whole number from \(Value.min) to \(Value.max), found \(text.prefix(40))")
    }
    value = number
    return true
  }

  package static func writeJSON(_ value: Value, _ encoder: JSONFieldEncoder) -> JSONValue {
    Value.bitWidth == 64 ? .string(String(value)) : .number(String(value))
  }
}

/// Exact integers in any RFC 8259 spelling (`1`, `1.0`, `1e3`); nil when out of range or not whole.
private func wholeNumber<T: FixedWidthInteger>(_ text: String, as type: T.Type) -> T? {
  let bytes = Array(text.utf8)
  if let first = bytes.first, first != UInt8(ascii: "+"), let value = T(text) { return value }
  // A fraction or an exponent: mantissa digits times a power of ten, kept exact.
  var at = 0
  var digits: [UInt8] = []
  var exponent = 0
  let negative = bytes.first == UInt8(ascii: "-")
  if negative { at += 1 }
  func digitRun(_ isFraction: Bool) -> Bool {
    let start = at
    while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39 {
      digits.append(bytes[at])
      if isFraction { exponent -= 1 }
      at += 1
    }
    return at > start
  }
  guard bytes.count <= 400, digitRun(false) else { return nil }
  if at < bytes.count, bytes[at] == UInt8(ascii: ".") {
    at += 1
    guard digitRun(true) else { return nil }
  }
  if at < bytes.count, bytes[at] | 0x20 == UInt8(ascii: "e") {
    var rest = bytes[(at + 1)...]
    if rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
    guard let e = Int32(String(decoding: rest, as: UTF8.self)), rest.first != UInt8(ascii: "+") else { return nil }
    exponent += Int(e)
    at = bytes.count
  }
  guard at == bytes.count else { return nil }
  while digits.last == 0x30 {
    digits.removeLast()
    exponent += 1
  }
  guard !digits.isEmpty else { return 0 }
  guard exponent >= 0, exponent < 25 else { return nil }
  digits += repeatElement(0x30, count: exponent)
  return T((negative ? "-" : "") + String(decoding: digits, as: UTF8.self))
}

private func zigzagEncode(_ value: Int32) -> UInt32 { UInt32(bitPattern: value << 1 ^ value >> 31) }
private func zigzagEncode(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }
private func zigzagDecode32(_ value: UInt32) -> Int32 { Int32(bitPattern: value >> 1) ^ -Int32(bitPattern: value & 1) }
private func zigzagDecode(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }

package enum Int32Field: IntegerKind {
  package static var wireType: WireType { .varint }
  package static func read(_ decoder: BinaryDecoder, into value: inout Int32) throws(ProtobufError) -> Bool {
    value = Int32(truncatingIfNeeded: try decoder.varint())
    return true
  }
  package static func write(_ value: Int32, to encoder: BinaryEncoder) {
    encoder.varint(UInt64(bitPattern: Int64(value)))
  }
}

package enum SInt32Field: IntegerKind {
  package static var wireType: WireType { .varint }
  package static func read(_ decoder: BinaryDecoder, into value: inout Int32) throws(ProtobufError) -> Bool {
    value = zigzagDecode32(UInt32(truncatingIfNeeded: try decoder.varint()))
    return true
  }
  package static func write(_ value: Int32, to encoder: BinaryEncoder) { encoder.varint(UInt64(zigzagEncode(value))) }
}

package enum SFixed32Field: IntegerKind {
  package static var wireType: WireType { .fixed32 }
  package static func read(_ decoder: BinaryDecoder, into value: inout Int32) throws(ProtobufError) -> Bool {
    value = Int32(bitPattern: try decoder.fixed32())
    return true
  }
  package static func write(_ value: Int32, to encoder: BinaryEncoder) { encoder.fixed32(UInt32(bitPattern: value)) }
}

package enum UInt32Field: IntegerKind {
  package static var wireType: WireType { .varint }
  package static func read(_ decoder: BinaryDecoder, into value: inout UInt32) throws(ProtobufError) -> Bool {
    value = UInt32(truncatingIfNeeded: try decoder.varint())
    return true
  }
  package static func write(_ value: UInt32, to encoder: BinaryEncoder) { encoder.varint(UInt64(value)) }
}

package enum Fixed32Field: IntegerKind {
  package static var wireType: WireType { .fixed32 }
  package static func read(_ decoder: BinaryDecoder, into value: inout UInt32) throws(ProtobufError) -> Bool {
    value = try decoder.fixed32()
    return true
  }
  package static func write(_ value: UInt32, to encoder: BinaryEncoder) { encoder.fixed32(value) }
}

package enum Int64Field: IntegerKind {
  package static var wireType: WireType { .varint }
  package static func read(_ decoder: BinaryDecoder, into value: inout Int64) throws(ProtobufError) -> Bool {
    value = Int64(bitPattern: try decoder.varint())
    return true
  }
  package static func write(_ value: Int64, to encoder: BinaryEncoder) { encoder.varint(UInt64(bitPattern: value)) }
}

package enum SInt64Field: IntegerKind {
  package static var wireType: WireType { .varint }
  package static func read(_ decoder: BinaryDecoder, into value: inout Int64) throws(ProtobufError) -> Bool {
    value = zigzagDecode(try decoder.varint())
    return true
  }
  package static func write(_ value: Int64, to encoder: BinaryEncoder) { encoder.varint(zigzagEncode(value)) }
}

package enum SFixed64Field: IntegerKind {
  package static var wireType: WireType { .fixed64 }
  package static func read(_ decoder: BinaryDecoder, into value: inout Int64) throws(ProtobufError) -> Bool {
    value = Int64(bitPattern: try decoder.fixed64())
    return true
  }
  package static func write(_ value: Int64, to encoder: BinaryEncoder) { encoder.fixed64(UInt64(bitPattern: value)) }
}

package enum UInt64Field: IntegerKind {
  package static var wireType: WireType { .varint }
  package static func read(_ decoder: BinaryDecoder, into value: inout UInt64) throws(ProtobufError) -> Bool {
    value = try decoder.varint()
    return true
  }
  package static func write(_ value: UInt64, to encoder: BinaryEncoder) { encoder.varint(value) }
}

package enum Fixed64Field: IntegerKind {
  package static var wireType: WireType { .fixed64 }
  package static func read(_ decoder: BinaryDecoder, into value: inout UInt64) throws(ProtobufError) -> Bool {
    value = try decoder.fixed64()
    return true
  }
  package static func write(_ value: UInt64, to encoder: BinaryEncoder) { encoder.fixed64(value) }
}
