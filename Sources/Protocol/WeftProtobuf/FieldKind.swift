package import WeftBase

/// One encoding of one type, as a caseless enum: `SInt32Field` reads and writes Int32 as a zigzag varint.
package protocol FieldKind {
  associatedtype Value: Sendable

  static var zero: Value { get }
  static func isDefault(_ value: Value) -> Bool

  static var wireType: WireType { get }
  /// May stand many to a length-delimited record.
  static var isPackable: Bool { get }

  /// Reads one value at the decoder's position; false when it belongs among the unknown fields.
  static func read(_ decoder: BinaryDecoder, into value: inout Value) throws(ProtobufError) -> Bool
  /// Writes the value, without its tag.
  static func write(_ value: Value, to encoder: BinaryEncoder)

  /// JSON null is a value of this type, not an absent field.
  static var acceptsNull: Bool { get }
  /// False when the value is to be skipped (an unknown enum name, if unknown fields are).
  static func readJSON(
    _ json: JSONValue, _ decoder: JSONFieldDecoder, into value: inout Value
  ) throws(ProtobufError) -> Bool
  static func writeJSON(_ value: Value, _ encoder: JSONFieldEncoder) -> JSONValue

  /// Looks for unset required fields below this value.
  static func check(_ value: Value, _ visitor: RequiredFieldVisitor)
  /// Looks for what no schema knows, at and below this value.
  static func findUnknown(_ value: Value, _ finder: UnknownPartFinder)
}

extension FieldKind {
  package static var isPackable: Bool { true }
  package static var acceptsNull: Bool { false }
  package static func check(_ value: Value, _ visitor: RequiredFieldVisitor) {}
  package static func findUnknown(_ value: Value, _ finder: UnknownPartFinder) {}
}

extension FieldKind where Value: Equatable {
  @inlinable
  package static func isDefault(_ value: Value) -> Bool { value == zero }
}

/// Kinds that may be keys of a map.
package protocol MapKeyKind: FieldKind where Value: Hashable {
  static func precedes(_ a: Value, _ b: Value) -> Bool
  static func keyText(_ value: Value) -> String
  static func parseKey(_ text: String) -> Value?
}

extension MapKeyKind where Value: Comparable & LosslessStringConvertible {
  package static func precedes(_ a: Value, _ b: Value) -> Bool { a < b }
  package static func keyText(_ value: Value) -> String { String(value) }
  package static func parseKey(_ text: String) -> Value? { Value(text) }
}
