package import WeftBase

/// A protocol buffer message: a value type that generated code conforms.
///
/// Equality and hashing compare the deterministic binary form, unknown fields included, so NaN equals itself.
/// *Cost* of `==` and `hash`: one encoding of each side.
package protocol Message: Sendable, Hashable {
  init()

  /// Full name, field names and what else JSON and errors need.
  static var schema: MessageSchema { get }

  /// Fields that the schema does not know, kept in order of arrival and written back after the known ones.
  var unknownFields: UnknownFields { get set }

  /// Fills the property of field `number` from what `decoder` stands at; calls `decoder.unknown()` for other numbers.
  mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError)

  /// Shows every field to `visitor`, in the order of their numbers.
  func traverse(_ visitor: FieldVisitor)

  /// True for well-known types whose JSON is not an object of their fields.
  static var hasCustomJSON: Bool { get }

  /// Merges a JSON value into this message. Generated messages use the default.
  mutating func mergeJSON(_ value: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError)

  /// This message as JSON; problems are recorded on the encoder. Generated messages use the default.
  func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue
}

/// An enum of a schema: an open set of numbers, some of them named.
package protocol ProtobufEnum: Sendable, Hashable, RawRepresentable where RawValue == Int32 {
  init(rawValue: Int32)
  static var schema: EnumSchema { get }
  /// Closed enums (proto2) keep unknown numbers among the message's unknown fields.
  static var isClosed: Bool { get }
  /// google.protobuf.NullValue alone: its JSON is null.
  static var isNullValue: Bool { get }
}

extension ProtobufEnum {
  package static var isClosed: Bool { false }
  package static var isNullValue: Bool { false }
  /// The first value; that of an open enum is always 0.
  package init() { self.init(rawValue: Self.isClosed ? Self.schema.defaultNumber : 0) }
  /// The schema's name of this value, or its number as text.
  package var name: String { Self.schema.name(of: rawValue) ?? String(rawValue) }
}

extension Message {
  package static func == (a: Self, b: Self) -> Bool { a.serialized() == b.serialized() }
  package func hash(into hasher: inout Hasher) { hasher.combine(serialized()) }

  /// `type.googleapis.com/` and the full name: what `Any` calls this type.
  package static var typeURL: String { "type.googleapis.com/" + schema.name }

  package static var hasCustomJSON: Bool { false }

  package mutating func mergeJSON(_ value: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    try decoder.mergeObject(value, into: &self)
  }

  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue { encoder.object(self) }
}

// MARK: Binary

extension Message {
  /// Decodes one message that fills `bytes`.
  package init(serialized bytes: [UInt8], limits: DecodingLimits = DecodingLimits()) throws(ProtobufError) {
    self.init()
    try merge(serialized: bytes, limits: limits)
  }

  /// Decodes `bytes` on top of this value: scalars are replaced, lists appended, messages merged.
  package mutating func merge(
    serialized bytes: [UInt8], limits: DecodingLimits = DecodingLimits()
  ) throws(ProtobufError) {
    guard bytes.count <= limits.bytes else {
      throw ProtobufError("message of \(bytes.count) bytes exceeds the limit of \(limits.bytes)")
    }
    let decoder = BinaryDecoder(bytes, limits: limits)
    try decoder.merge(into: &self, group: nil)
    if Self.schema.requiresCheck { try checkRequired() }
  }

  /// The deterministic binary form: fields by number, maps by key, unknown fields last.
  package func serialized() -> [UInt8] {
    let encoder = BinaryEncoder()
    encoder.message(self)
    return encoder.out
  }

  /// Fails with the path of the first `required` field (proto2) that is not set, here or below.
  package func checkRequired() throws(ProtobufError) {
    let visitor = RequiredFieldVisitor()
    visitor.check(self)
    if let error = visitor.error { throw error }
  }
}

// MARK: JSON

extension Message {
  /// Decodes canonical JSON. Errors carry the path of the field as the document spells it.
  package init(json: JSONValue, options: JSONDecodingOptions = JSONDecodingOptions()) throws(ProtobufError) {
    var unknown: [FieldPath] = []
    try self.init(json: json, options: options, unknown: &unknown)
  }

  /// The same; with `options.unknownFields == .collect` the paths of unknown fields are appended to `unknown`.
  package init(
    json: JSONValue, options: JSONDecodingOptions, unknown: inout [FieldPath]
  ) throws(ProtobufError) {
    self.init()
    let decoder = JSONFieldDecoder(options: options)
    try mergeJSON(json, from: decoder)
    if Self.schema.requiresCheck { try checkRequired() }
    unknown += decoder.unknownPaths
  }

  /// This message as canonical JSON. Fails where JSON has no form for it: an `Any` of a type that is not in the
  /// registry, a Duration out of range, a FieldMask path that does not survive the change of case.
  package func json(options: JSONEncodingOptions = JSONEncodingOptions()) throws(ProtobufError) -> JSONValue {
    let encoder = JSONFieldEncoder(options: options)
    let value = makeJSON(encoder)
    if let error = encoder.error { throw error }
    return value
  }
}
