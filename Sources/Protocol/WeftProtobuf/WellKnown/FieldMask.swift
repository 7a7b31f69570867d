// google/protobuf/field_mask.proto and empty.proto, google/rpc/status.proto, and the list of all well-known types.
package import WeftBase

package struct Google_Protobuf_Empty: Message {
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.Empty")
  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    decoder.unknown()
  }
  package func traverse(_ visitor: FieldVisitor) { visitor.unknown(unknownFields) }
}

package struct Google_Protobuf_FieldMask: Message {
  package var paths: [String] = []
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.FieldMask", "1:paths")

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.repeated(StringField.self, &paths)
    default: decoder.unknown()
    }
  }
  package func traverse(_ visitor: FieldVisitor) {
    visitor.repeated(StringField.self, 1, paths)
    visitor.unknown(unknownFields)
  }

  package static var hasCustomJSON: Bool { true }

  package mutating func mergeJSON(_ json: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    guard case .string(let text) = json else {
      throw decoder.error("expected field paths in a string, found \(json.kindName)")
    }
    for path in text.split(separator: ",") {
      guard !path.contains("_") else { throw decoder.error("a field path in JSON has no '_': \"\(path.prefix(80))\"") }
      paths.append(Self.snakeCase(path))
    }
  }

  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue {
    let texts = paths.map { path in
      let text = jsonName(of: path)
      if path.isEmpty || path.contains(",") || Self.snakeCase(text[...]) != path {
        encoder.fail("field path \"\(path.prefix(80))\" does not survive JSON")
      }
      return text
    }
    return .string(texts.joined(separator: ","))
  }

  private static func snakeCase(_ path: Substring) -> String {
    var out: [UInt8] = []
    for c in path.utf8 {
      if c >= 0x41, c <= 0x5A {
        out.append(UInt8(ascii: "_"))
        out.append(c + 32)
      } else {
        out.append(c)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}

/// google.rpc.Status: a gRPC status code, a text, and details.
package struct Google_Rpc_Status: Message {
  package var code: Int32 = 0
  package var message: String = ""
  package var details: [Google_Protobuf_Any] = []
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.rpc.Status", "1:code 2:message 3:details")

  package init(code: Int32, message: String) {
    self.code = code
    self.message = message
  }

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.singular(Int32Field.self, &code)
    case 2: try decoder.singular(StringField.self, &message)
    case 3: try decoder.repeated(MessageField<Google_Protobuf_Any>.self, &details)
    default: decoder.unknown()
    }
  }
  package func traverse(_ visitor: FieldVisitor) {
    visitor.singular(Int32Field.self, 1, code)
    visitor.singular(StringField.self, 2, message)
    visitor.repeated(MessageField<Google_Protobuf_Any>.self, 3, details)
    visitor.unknown(unknownFields)
  }
}

/// Every message type that this module itself brings.
package enum WellKnownTypes {
  package static let all: [any Message.Type] = [
    Google_Protobuf_Any.self, Google_Protobuf_BoolValue.self, Google_Protobuf_BytesValue.self,
    Google_Protobuf_DoubleValue.self, Google_Protobuf_Duration.self, Google_Protobuf_Empty.self,
    Google_Protobuf_FieldMask.self, Google_Protobuf_FloatValue.self, Google_Protobuf_Int32Value.self,
    Google_Protobuf_Int64Value.self, Google_Protobuf_ListValue.self, Google_Protobuf_StringValue.self,
    Google_Protobuf_Struct.self, Google_Protobuf_Timestamp.self, Google_Protobuf_UInt32Value.self,
    Google_Protobuf_UInt64Value.self, Google_Protobuf_Value.self, Google_Rpc_Status.self,
  ]
}
