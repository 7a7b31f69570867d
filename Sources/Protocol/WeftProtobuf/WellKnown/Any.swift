// google/protobuf/any.proto. In JSON the packed message itself, with "@type" beside its fields.
package import WeftBase

package struct Google_Protobuf_Any: Message {
  package var typeUrl: String = ""
  package var value: [UInt8] = []
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.Any", "1:type_url 2:value")

  package init(typeUrl: String, value: [UInt8]) {
    self.typeUrl = typeUrl
    self.value = value
  }

  /// Packs `message` under its own type URL.
  package init(packing message: some Message) {
    self.init(typeUrl: type(of: message).typeURL, value: message.serialized())
  }

  /// Full name of the packed type: what stands after the last slash.
  package var typeName: Substring {
    typeUrl[(typeUrl.lastIndex(of: "/").map { typeUrl.index(after: $0) } ?? typeUrl.startIndex)...]
  }

  package func holds<M: Message>(_ type: M.Type) -> Bool { typeName == M.schema.name }

  /// The packed message; nil when it is of another type.
  package func unpack<M: Message>(
    as type: M.Type = M.self, limits: DecodingLimits = DecodingLimits()
  ) throws(ProtobufError) -> M? {
    holds(type) ? try M(serialized: value, limits: limits) : nil
  }

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.singular(StringField.self, &typeUrl)
    case 2: try decoder.singular(BytesField.self, &value)
    default: decoder.unknown()
    }
  }

  package func traverse(_ visitor: FieldVisitor) {
    visitor.singular(StringField.self, 1, typeUrl)
    visitor.singular(BytesField.self, 2, value)
    visitor.unknown(unknownFields)
  }

  package static var hasCustomJSON: Bool { true }

  package mutating func mergeJSON(_ json: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    guard case .object(let object) = json else {
      throw decoder.error("expected an object with \"@type\", found \(json.kindName)")
    }
    if object.isEmpty { return }
    guard let url = object["@type"]?.stringValue else { throw decoder.error("expected a string in \"@type\"") }
    guard url.contains("/") else { throw decoder.error("\"@type\" must hold a type URL, found \"\(url.prefix(200))\"") }
    guard let type = decoder.options.registry.type(forURL: url) else {
      throw decoder.error("unknown type \"\(url.prefix(200))\"")
    }
    typeUrl = url
    value = try pack(type, object, decoder)
  }

  private func pack<M: Message>(
    _ type: M.Type, _ object: JSONObject, _ decoder: JSONFieldDecoder
  ) throws(ProtobufError) -> [UInt8] {
    var message = M()
    try decoder.enter()
    if M.hasCustomJSON {
      guard let inner = object["value"] else { throw decoder.error("expected \"value\" beside \"@type\"") }
      guard object.count == 2 else { throw decoder.error("only \"value\" may stand beside \"@type\" here") }
      _ = try decoder.read(MessageField<M>.self, inner, at: .field("value"), into: &message)
    } else {
      try decoder.mergeFields(object.members.filter { $0.name != "@type" }, into: &message)
    }
    decoder.leave()
    return message.serialized()
  }

  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue {
    if typeUrl.isEmpty, value.isEmpty { return .object([:]) }
    guard let type = encoder.options.registry.type(forURL: typeUrl) else {
      encoder.fail("unknown type \"\(typeUrl.prefix(200))\"")
      return .null
    }
    return unpackJSON(type, encoder)
  }

  private func unpackJSON<M: Message>(_ type: M.Type, _ encoder: JSONFieldEncoder) -> JSONValue {
    let message: M
    do {
      message = try M(serialized: value)
    } catch {
      encoder.fail("the packed \(M.schema.name) is invalid: \(error.message)")
      return .null
    }
    let name = JSONMember("@type", .string(typeUrl))
    let json = message.makeJSON(encoder)
    if !M.hasCustomJSON, case .object(let fields) = json { return .object(JSONObject([name] + fields.members)) }
    return .object(JSONObject([name, JSONMember("value", json)]))
  }
}
