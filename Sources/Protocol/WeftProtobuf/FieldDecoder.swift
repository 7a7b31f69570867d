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

/// What generated `traverse` functions talk to. Subclasses: BinaryEncoder, JSONFieldEncoder, RequiredFieldVisitor, UnknownPartFinder.
///
/// Most fields of most messages are absent: that test is inlined into generated code, the rest is a virtual call.
package class FieldVisitor {
  init() {}

  /// A field that is set.
  package func present<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {}

  /// A list that is not empty.
  package func presentList<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ values: [K.Value], isPacked: Bool) {}

  /// A map that is not empty.
  package func presentMap<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ number: Int32, _ map: [K.Value: V.Value]
  ) {}

  /// A proto2 `required` field.
  package func required<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value?) {
    optional(kind, number, value)
  }

  /// Unknown fields of the message; there are some.
  package func presentUnknown(_ fields: UnknownFields) {}

  /// A field without presence: shown unless it is the type's zero.
  @inlinable
  package final func singular<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {
    if !K.isDefault(value) { present(kind, number, value) }
  }

  @inlinable
  package final func optional<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value?) {
    if let value { present(kind, number, value) }
  }

  @inlinable
  package final func repeated<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ values: [K.Value]) {
    if !values.isEmpty { presentList(kind, number, values, isPacked: false) }
  }

  /// Like `repeated`, in the packed encoding.
  @inlinable
  package final func packed<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ values: [K.Value]) {
    if !values.isEmpty { presentList(kind, number, values, isPacked: true) }
  }

  @inlinable
  package final func map<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ number: Int32, _ map: [K.Value: V.Value]
  ) {
    if !map.isEmpty { presentMap(key, value, number, map) }
  }

  /// The message's unknown fields, always last.
  @inlinable
  package final func unknown(_ fields: UnknownFields) {
    if !fields.isEmpty { presentUnknown(fields) }
  }
}
