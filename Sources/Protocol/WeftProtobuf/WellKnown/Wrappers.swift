// google/protobuf/wrappers.proto. In JSON a wrapper is the value it wraps.
package import WeftBase

/// What the nine wrappers share: one value, whose JSON is theirs.
package protocol WrapperMessage: Message {
  associatedtype Kind: FieldKind
  var value: Kind.Value { get set }
}

extension WrapperMessage {
  package init(_ value: Kind.Value) {
    self.init()
    self.value = value
  }

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.singular(Kind.self, &value)
    default: decoder.unknown()
    }
  }
  package func traverse(_ visitor: FieldVisitor) {
    visitor.singular(Kind.self, 1, value)
    visitor.unknown(unknownFields)
  }

  package static var hasCustomJSON: Bool { true }
  package mutating func mergeJSON(_ json: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    _ = try Kind.readJSON(json, decoder, into: &value)
  }
  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue { Kind.writeJSON(value, encoder) }
}

package struct Google_Protobuf_DoubleValue: WrapperMessage {
  package typealias Kind = DoubleField
  package var value: Double = 0
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.DoubleValue", "1:value")
}

package struct Google_Protobuf_FloatValue: WrapperMessage {
  package typealias Kind = FloatField
  package var value: Float = 0
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.FloatValue", "1:value")
}

package struct Google_Protobuf_Int64Value: WrapperMessage {
  package typealias Kind = Int64Field
  package var value: Int64 = 0
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.Int64Value", "1:value")
}

package struct Google_Protobuf_UInt64Value: WrapperMessage {
  package typealias Kind = UInt64Field
  package var value: UInt64 = 0
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.UInt64Value", "1:value")
}

package struct Google_Protobuf_Int32Value: WrapperMessage {
  package typealias Kind = Int32Field
  package var value: Int32 = 0
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.Int32Value", "1:value")
}

package struct Google_Protobuf_UInt32Value: WrapperMessage {
  package typealias Kind = UInt32Field
  package var value: UInt32 = 0
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.UInt32Value", "1:value")
}

package struct Google_Protobuf_BoolValue: WrapperMessage {
  package typealias Kind = BoolField
  package var value: Bool = false
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.BoolValue", "1:value")
}

package struct Google_Protobuf_StringValue: WrapperMessage {
  package typealias Kind = StringField
  package var value: String = ""
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.StringValue", "1:value")
}

package struct Google_Protobuf_BytesValue: WrapperMessage {
  package typealias Kind = BytesField
  package var value: [UInt8] = []
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.BytesValue", "1:value")
}
