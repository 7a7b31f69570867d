// bool, float, double, string, bytes, enums, messages and groups.
internal import Glibc  // links libm, which rounding calls
package import WeftBase

package enum BoolField: MapKeyKind {
  @inlinable
  package static var zero: Bool { false }
  package static var wireType: WireType { .varint }
  package static func read(_ decoder: BinaryDecoder, into value: inout Bool) throws(ProtobufError) -> Bool {
    value = try decoder.varint() != 0
    return true
  }
  package static func write(_ value: Bool, to encoder: BinaryEncoder) { encoder.varint(value ? 1 : 0) }
  package static func precedes(_ a: Bool, _ b: Bool) -> Bool { !a && b }
  package static func keyText(_ value: Bool) -> String { value ? "true" : "false" }
  package static func parseKey(_ text: String) -> Bool? { Bool(text) }

  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout Bool
  ) throws(ProtobufError) -> Bool {
    guard case .bool(let v) = json else { throw decoder.error("expected true or false, found \(json.kindName)") }
    value = v
    return true
  }
  package static func writeJSON(_ value: Bool, _ encoder: JSONFieldEncoder) -> JSONValue { .bool(value) }
}

package enum FloatField: FieldKind {
  @inlinable
  package static var zero: Float { 0 }
  @inlinable
  package static func isDefault(_ value: Float) -> Bool { value.bitPattern == 0 }
  package static var wireType: WireType { .fixed32 }
  package static func read(_ decoder: BinaryDecoder, into value: inout Float) throws(ProtobufError) -> Bool {
    value = Float(bitPattern: try decoder.fixed32())
    return true
  }
  package static func write(_ value: Float, to encoder: BinaryEncoder) { encoder.fixed32(value.bitPattern) }

  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout Float
  ) throws(ProtobufError) -> Bool {
    let wide = try floatingPoint(json, decoder)
    let narrow = Float(wide)
    guard narrow.isFinite || !wide.isFinite else { throw decoder.error("number out of range of a float") }
    value = narrow
    return true
  }
  package static func writeJSON(_ value: Float, _ encoder: JSONFieldEncoder) -> JSONValue {
    guard value.isFinite, value != value.rounded() || abs(value) >= 1e9 else { return .double(Double(value)) }
    return .number(value.description)
  }
}

package enum DoubleField: FieldKind {
  @inlinable
  package static var zero: Double { 0 }
  @inlinable
  package static func isDefault(_ value: Double) -> Bool { value.bitPattern == 0 }
  package static var wireType: WireType { .fixed64 }
  package static func read(_ decoder: BinaryDecoder, into value: inout Double) throws(ProtobufError) -> Bool {
    value = Double(bitPattern: try decoder.fixed64())
    return true
  }
  package static func write(_ value: Double, to encoder: BinaryEncoder) { encoder.fixed64(value.bitPattern) }

  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout Double
  ) throws(ProtobufError) -> Bool {
    value = try floatingPoint(json, decoder)
    return true
  }
  package static func writeJSON(_ value: Double, _ encoder: JSONFieldEncoder) -> JSONValue { .double(value) }
}

private func floatingPoint(_ json: JSONValue, _ decoder: JSONFieldDecoder) throws(ProtobufError) -> Double {
  let text: String
  switch json {
  case .number(let t): text = t
  case .string("NaN"): return .nan
  case .string("Infinity"): return .infinity
  case .string("-Infinity"): return -.infinity
  case .string(let t): text = t
  default: throw decoder.error("expected a number, found \(json.kindName)")
  }
  // A string must spell a number as JSON does: no "inf", no hexadecimal, no blanks.
  let isPlain = text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 || "+-.eE".utf8.contains($0) }
  guard isPlain, let value = Double(text) else {
    throw decoder.error("expected a number, found \"\(text.prefix(40))\"")
  }
  guard value.isFinite else { throw decoder.error("number out of range of a double") }
  return value
}

package enum StringField: MapKeyKind {
  @inlinable
  package static var zero: String { "" }
  @inlinable
  package static func isDefault(_ value: String) -> Bool { value.isEmpty }
  package static var wireType: WireType { .bytes }
  package static var isPackable: Bool { false }
  package static func read(_ decoder: BinaryDecoder, into value: inout String) throws(ProtobufError) -> Bool {
    value = try decoder.string()
    return true
  }
  package static func write(_ value: String, to encoder: BinaryEncoder) {
    encoder.varint(UInt64(value.utf8.count))
    encoder.out.append(contentsOf: value.utf8)
  }
  package static func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
  package static func keyText(_ value: String) -> String { value }
  package static func parseKey(_ text: String) -> String? { text }

  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout String
  ) throws(ProtobufError) -> Bool {
    guard case .string(let v) = json else { throw decoder.error("expected a string, found \(json.kindName)") }
    value = v
    return true
  }
  package static func writeJSON(_ value: String, _ encoder: JSONFieldEncoder) -> JSONValue { .string(value) }
}

package enum BytesField: FieldKind {
  @inlinable
  package static var zero: [UInt8] { [] }
  @inlinable
  package static func isDefault(_ value: [UInt8]) -> Bool { value.isEmpty }
  package static var wireType: WireType { .bytes }
  package static var isPackable: Bool { false }
  package static func read(_ decoder: BinaryDecoder, into value: inout [UInt8]) throws(ProtobufError) -> Bool {
    value = try decoder.byteString()
    return true
  }
  package static func write(_ value: [UInt8], to encoder: BinaryEncoder) {
    encoder.varint(UInt64(value.count))
    encoder.out.append(contentsOf: value)
  }

  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout [UInt8]
  ) throws(ProtobufError) -> Bool {
    guard case .string(let text) = json else {
      throw decoder.error("expected base64 in a string, found \(json.kindName)")
    }
    guard let bytes = Base64.decode(text.utf8) else { throw decoder.error("invalid base64") }
    value = bytes
    return true
  }
  package static func writeJSON(_ value: [UInt8], _ encoder: JSONFieldEncoder) -> JSONValue {
    .string(Base64.encode(value))
  }
}

package enum EnumField<E: ProtobufEnum>: FieldKind {
  @inlinable
  package static var zero: E { E() }
  @inlinable
  package static func isDefault(_ value: E) -> Bool { value.rawValue == 0 }
  package static var wireType: WireType { .varint }
  package static func read(_ decoder: BinaryDecoder, into value: inout E) throws(ProtobufError) -> Bool {
    let number = Int32(truncatingIfNeeded: try decoder.varint())
    if E.isClosed, E.schema.name(of: number) == nil { return false }
    value = E(rawValue: number)
    return true
  }
  package static func write(_ value: E, to encoder: BinaryEncoder) {
    encoder.varint(UInt64(bitPattern: Int64(value.rawValue)))
  }

  package static var acceptsNull: Bool { E.isNullValue }
  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout E
  ) throws(ProtobufError) -> Bool {
    switch json {
    case .null where E.isNullValue:
      value = E(rawValue: 0)
      return true
    case .string(let name):
      guard
        let number = E.schema.number(of: name)
          ?? (decoder.options.ignoresEnumCase ? E.schema.number(ofAnyCase: name) : nil)
      else {
        if decoder.options.unknownFields == .ignore { return false }
        let names = E.schema.names
        let allowed = names.prefix(12).joined(separator: ", ") + (names.count > 12 ? ", …" : "")
        throw decoder.error("unknown value \"\(name.prefix(80))\" of \(E.schema.name); allowed: \(allowed)")
      }
      value = E(rawValue: number)
      return true
    case .number:
      var number: Int32 = 0
      _ = try Int32Field.readJSON(json, decoder, into: &number)
      value = E(rawValue: number)
      return true
    default:
      throw decoder.error("expected a name or number of \(E.schema.name), found \(json.kindName)")
    }
  }
  package static func writeJSON(_ value: E, _ encoder: JSONFieldEncoder) -> JSONValue {
    if E.isNullValue { return .null }
    return E.schema.name(of: value.rawValue).map { .string($0) } ?? .number(String(value.rawValue))
  }
  package static func findUnknown(_ value: E, _ finder: UnknownPartFinder) {
    finder.look(at: value.rawValue, of: E.schema)
  }
}

package enum MessageField<M: Message>: FieldKind {
  @inlinable
  package static var zero: M { M() }
  @inlinable
  package static func isDefault(_ value: M) -> Bool { false }
  package static var wireType: WireType { .bytes }
  package static var isPackable: Bool { false }
  package static func read(_ decoder: BinaryDecoder, into value: inout M) throws(ProtobufError) -> Bool {
    try decoder.message(into: &value)
    return true
  }
  package static func write(_ value: M, to encoder: BinaryEncoder) {
    encoder.delimited { encoder.message(value) }
  }

  package static var acceptsNull: Bool { M.self == Google_Protobuf_Value.self }
  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout M
  ) throws(ProtobufError) -> Bool {
    try value.mergeJSON(json, from: decoder)
    return true
  }
  package static func writeJSON(_ value: M, _ encoder: JSONFieldEncoder) -> JSONValue { value.makeJSON(encoder) }
  package static func check(_ value: M, _ visitor: RequiredFieldVisitor) { visitor.check(value) }
  package static func findUnknown(_ value: M, _ finder: UnknownPartFinder) { finder.look(into: value) }
}

/// A message between a start and an end tag: proto2 groups, editions' delimited encoding.
package enum GroupField<M: Message>: FieldKind {
  @inlinable
  package static var zero: M { M() }
  @inlinable
  package static func isDefault(_ value: M) -> Bool { false }
  package static var wireType: WireType { .startGroup }
  package static var isPackable: Bool { false }
  package static func read(_ decoder: BinaryDecoder, into value: inout M) throws(ProtobufError) -> Bool {
    try decoder.group(into: &value)
    return true
  }
  package static func write(_ value: M, to encoder: BinaryEncoder) { encoder.message(value) }
  package static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout M
  ) throws(ProtobufError) -> Bool {
    try value.mergeJSON(json, from: decoder)
    return true
  }
  package static func writeJSON(_ value: M, _ encoder: JSONFieldEncoder) -> JSONValue { value.makeJSON(encoder) }
  package static func check(_ value: M, _ visitor: RequiredFieldVisitor) { visitor.check(value) }
  package static func findUnknown(_ value: M, _ finder: UnknownPartFinder) { finder.look(into: value) }
}
