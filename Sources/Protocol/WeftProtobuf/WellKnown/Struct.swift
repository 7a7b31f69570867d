// google/protobuf/struct.proto: any JSON value as a message.
package import WeftBase

/// The JSON null.
package struct Google_Protobuf_NullValue: ProtobufEnum {
  package let rawValue: Int32
  package init(rawValue: Int32) { self.rawValue = rawValue }
  package static let nullValue = Self(rawValue: 0)
  package static let schema = EnumSchema("google.protobuf.NullValue", "0:NULL_VALUE")
  package static var isNullValue: Bool { true }
}

package struct Google_Protobuf_Struct: Message {
  package var fields: [String: Google_Protobuf_Value] = [:]
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.Struct", "1:fields")

  package init(_ object: JSONObject) {
    for member in object.members { fields[member.name] = Google_Protobuf_Value(member.value) }
  }

  /// Members sorted by name. A value of no kind becomes null.
  package var jsonObject: JSONObject {
    JSONObject(fields.map { JSONMember($0.key, $0.value.jsonValue) }).sorted()
  }

  package subscript(name: String) -> Google_Protobuf_Value? {
    get { fields[name] }
    set { fields[name] = newValue }
  }

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.map(StringField.self, MessageField<Google_Protobuf_Value>.self, &fields)
    default: decoder.unknown()
    }
  }
  package func traverse(_ visitor: FieldVisitor) {
    visitor.map(StringField.self, MessageField<Google_Protobuf_Value>.self, 1, fields)
    visitor.unknown(unknownFields)
  }

  package static var hasCustomJSON: Bool { true }
  package mutating func mergeJSON(_ json: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    guard case .object(let object) = json else { throw decoder.error("expected an object, found \(json.kindName)") }
    try decoder.enter()
    for member in object.members {
      var value = Google_Protobuf_Value()
      _ = try decoder.read(
        MessageField<Google_Protobuf_Value>.self, member.value, at: .field(member.name), into: &value)
      fields[member.name] = value
    }
    decoder.leave()
  }
  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue {
    .object(JSONObject(fields.map { JSONMember($0.key, $0.value.makeJSON(encoder)) }).sorted())
  }
}

package struct Google_Protobuf_ListValue: Message {
  package var values: [Google_Protobuf_Value] = []
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.ListValue", "1:values")

  package init(_ values: [Google_Protobuf_Value]) { self.values = values }

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.repeated(MessageField<Google_Protobuf_Value>.self, &values)
    default: decoder.unknown()
    }
  }
  package func traverse(_ visitor: FieldVisitor) {
    visitor.repeated(MessageField<Google_Protobuf_Value>.self, 1, values)
    visitor.unknown(unknownFields)
  }

  package static var hasCustomJSON: Bool { true }
  package mutating func mergeJSON(_ json: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    guard case .array(let items) = json else { throw decoder.error("expected an array, found \(json.kindName)") }
    try decoder.enter()
    for (i, item) in items.enumerated() {
      var value = Google_Protobuf_Value()
      _ = try decoder.read(MessageField<Google_Protobuf_Value>.self, item, at: .index(i), into: &value)
      values.append(value)
    }
    decoder.leave()
  }
  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue { .array(values.map { $0.makeJSON(encoder) }) }
}

package struct Google_Protobuf_Value: Message {
  package indirect enum KindOneOf: Sendable {
    case nullValue(Google_Protobuf_NullValue)
    case numberValue(Double)
    case stringValue(String)
    case boolValue(Bool)
    case structValue(Google_Protobuf_Struct)
    case listValue(Google_Protobuf_ListValue)
  }

  package var kind: KindOneOf?
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema(
    "google.protobuf.Value",
    "1:null_value@0 2:number_value@0 3:string_value@0 4:bool_value@0 5:struct_value@0 6:list_value@0")

  /// Numbers become doubles: that is all this type can hold.
  package init(_ json: JSONValue) {
    switch json {
    case .null: kind = .nullValue(.nullValue)
    case .bool(let v): kind = .boolValue(v)
    case .number(let text): kind = .numberValue(Double(text) ?? .nan)
    case .string(let v): kind = .stringValue(v)
    case .array(let items): kind = .listValue(Google_Protobuf_ListValue(items.map { Google_Protobuf_Value($0) }))
    case .object(let object): kind = .structValue(Google_Protobuf_Struct(object))
    }
  }

  package var jsonValue: JSONValue {
    switch kind {
    case .nullValue, nil: .null
    case .numberValue(let v): .double(v)
    case .stringValue(let v): .string(v)
    case .boolValue(let v): .bool(v)
    case .structValue(let v): .object(v.jsonObject)
    case .listValue(let v): .array(v.values.map(\.jsonValue))
    }
  }

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1:
      var v: Google_Protobuf_NullValue?
      try decoder.optional(EnumField<Google_Protobuf_NullValue>.self, &v)
      if let v { kind = .nullValue(v) }
    case 2:
      var v: Double?
      try decoder.optional(DoubleField.self, &v)
      if let v { kind = .numberValue(v) }
    case 3:
      var v: String?
      try decoder.optional(StringField.self, &v)
      if let v { kind = .stringValue(v) }
    case 4:
      var v: Bool?
      try decoder.optional(BoolField.self, &v)
      if let v { kind = .boolValue(v) }
    case 5:
      var v: Google_Protobuf_Struct?
      if case .structValue(let old) = kind { v = old }
      try decoder.optional(MessageField<Google_Protobuf_Struct>.self, &v)
      if let v { kind = .structValue(v) }
    case 6:
      var v: Google_Protobuf_ListValue?
      if case .listValue(let old) = kind { v = old }
      try decoder.optional(MessageField<Google_Protobuf_ListValue>.self, &v)
      if let v { kind = .listValue(v) }
    default: decoder.unknown()
    }
  }

  package func traverse(_ visitor: FieldVisitor) {
    switch kind {
    case .nullValue(let v): visitor.present(EnumField<Google_Protobuf_NullValue>.self, 1, v)
    case .numberValue(let v): visitor.present(DoubleField.self, 2, v)
    case .stringValue(let v): visitor.present(StringField.self, 3, v)
    case .boolValue(let v): visitor.present(BoolField.self, 4, v)
    case .structValue(let v): visitor.present(MessageField<Google_Protobuf_Struct>.self, 5, v)
    case .listValue(let v): visitor.present(MessageField<Google_Protobuf_ListValue>.self, 6, v)
    case nil: break
    }
    visitor.unknown(unknownFields)
  }

  package static var hasCustomJSON: Bool { true }

  package mutating func mergeJSON(_ json: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    switch json {
    case .null: kind = .nullValue(.nullValue)
    case .bool(let v): kind = .boolValue(v)
    case .string(let v): kind = .stringValue(v)
    case .number:
      var v = 0.0
      _ = try DoubleField.readJSON(json, decoder, into: &v)
      kind = .numberValue(v)
    case .array:
      var v = Google_Protobuf_ListValue()
      try v.mergeJSON(json, from: decoder)
      kind = .listValue(v)
    case .object:
      var v = Google_Protobuf_Struct()
      try v.mergeJSON(json, from: decoder)
      kind = .structValue(v)
    }
  }

  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue {
    switch kind {
    case .nullValue: return .null
    case .numberValue(let v):
      if !v.isFinite { encoder.fail("a Value must not hold NaN or an infinity") }
      return .double(v)
    case .stringValue(let v): return .string(v)
    case .boolValue(let v): return .bool(v)
    case .structValue(let v): return v.makeJSON(encoder)
    case .listValue(let v): return v.makeJSON(encoder)
    case nil:
      encoder.fail("a Value of no kind")
      return .null
    }
  }
}
