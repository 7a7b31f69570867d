// What generated `decodeField` functions talk to. Two subclasses: BinaryDecoder and JSONFieldDecoder.

/// Fills properties from the field that the decoder stands at.
package class FieldDecoder {
  init() {}

  /// The message has no field of this number.
  package func unknown() {}

  /// A field without presence: absent means the type's zero.
  package func singular<K: FieldKind>(_ kind: K.Type, _ value: inout K.Value) throws(ProtobufError) {}

  /// A field with presence, and the members of a oneof. A message is merged into what is there.
  package func optional<K: FieldKind>(_ kind: K.Type, _ value: inout K.Value?) throws(ProtobufError) {}

  package func repeated<K: FieldKind>(_ kind: K.Type, _ values: inout [K.Value]) throws(ProtobufError) {}

  package func map<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ map: inout [K.Value: V.Value]
  ) throws(ProtobufError) {}
}

/// What generated `traverse` functions talk to. Subclasses: BinaryEncoder, JSONFieldEncoder, RequiredFieldVisitor.
package class FieldVisitor {
  init() {}

  /// A field that is set.
  package func present<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {}

  package func repeated<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ values: [K.Value]) {}

  /// Like `repeated`, in the packed encoding.
  package func packed<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ values: [K.Value]) {}

  package func map<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ number: Int32, _ map: [K.Value: V.Value]
  ) {}

  /// A field without presence: shown unless it is the type's zero.
  package final func singular<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {
    if !K.isDefault(value) { present(kind, number, value) }
  }

  package final func optional<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value?) {
    if let value { present(kind, number, value) }
  }

  /// A proto2 `required` field.
  package func required<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value?) {
    optional(kind, number, value)
  }

  /// The message's unknown fields, always last.
  package func unknown(_ fields: UnknownFields) {}
}
