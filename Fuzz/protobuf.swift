// Any bytes as a message, binary or JSON: refused, or stable when written and read again.
internal import WeftBase
internal import WeftProtobuf

/// One field of every kind that reads bytes differently, and itself.
struct Probe: Message {
  indirect enum ChoiceOneOf: Sendable {
    case text(String)
    case nested(Probe)
  }

  var name = ""
  var count: UInt32?
  var deltas: [Int64] = []
  @Boxed var child: Probe? = nil
  var children: [Probe] = []
  var byName: [String: Probe] = [:]
  var flags: [Int32: Bool] = [:]
  var choice: ChoiceOneOf?
  @Boxed var group: Probe? = nil
  @Boxed var any: Google_Protobuf_Any? = nil
  @Boxed var value: Google_Protobuf_Value? = nil
  @Boxed var wait: Google_Protobuf_Duration? = nil
  @Boxed var time: Google_Protobuf_Timestamp? = nil
  @Boxed var mask: Google_Protobuf_FieldMask? = nil
  var payload: [UInt8] = []
  var ratio = 0.0
  var ratios: [Float] = []
  var null = Google_Protobuf_NullValue.nullValue
  var unknownFields = UnknownFields()
  init() {}
  static let schema = MessageSchema(
    "weft.fuzz.Probe",
    """
    1:name 2:count 3:deltas 4:child 5:children 6:by_name 7:flags 8:text@0 9:nested@0 10:group 11:any 12:value 13:wait \
    14:time 15:mask 16:payload 17:ratio 18:ratios 19:null
    """)

  mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.singular(StringField.self, &name)
    case 2: try decoder.optional(UInt32Field.self, &count)
    case 3: try decoder.repeated(SInt64Field.self, &deltas)
    case 4: try decoder.optional(MessageField<Probe>.self, &child)
    case 5: try decoder.repeated(MessageField<Probe>.self, &children)
    case 6: try decoder.map(StringField.self, MessageField<Probe>.self, &byName)
    case 7: try decoder.map(Int32Field.self, BoolField.self, &flags)
    case 8:
      var v: String?
      try decoder.optional(StringField.self, &v)
      if let v { choice = .text(v) }
    case 9:
      var v: Probe?
      if case .nested(let old)? = choice { v = old }
      try decoder.optional(MessageField<Probe>.self, &v)
      if let v { choice = .nested(v) }
    case 10: try decoder.optional(GroupField<Probe>.self, &group)
    case 11: try decoder.optional(MessageField<Google_Protobuf_Any>.self, &any)
    case 12: try decoder.optional(MessageField<Google_Protobuf_Value>.self, &value)
    case 13: try decoder.optional(MessageField<Google_Protobuf_Duration>.self, &wait)
    case 14: try decoder.optional(MessageField<Google_Protobuf_Timestamp>.self, &time)
    case 15: try decoder.optional(MessageField<Google_Protobuf_FieldMask>.self, &mask)
    case 16: try decoder.singular(BytesField.self, &payload)
    case 17: try decoder.singular(DoubleField.self, &ratio)
    case 18: try decoder.repeated(FloatField.self, &ratios)
    case 19: try decoder.singular(EnumField<Google_Protobuf_NullValue>.self, &null)
    default: decoder.unknown()
    }
  }

  func traverse(_ visitor: FieldVisitor) {
    visitor.singular(StringField.self, 1, name)
    visitor.optional(UInt32Field.self, 2, count)
    visitor.packed(SInt64Field.self, 3, deltas)
    visitor.optional(MessageField<Probe>.self, 4, child)
    visitor.repeated(MessageField<Probe>.self, 5, children)
    visitor.map(StringField.self, MessageField<Probe>.self, 6, byName)
    visitor.map(Int32Field.self, BoolField.self, 7, flags)
    if case .text(let v)? = choice { visitor.present(StringField.self, 8, v) }
    if case .nested(let v)? = choice { visitor.present(MessageField<Probe>.self, 9, v) }
    visitor.optional(GroupField<Probe>.self, 10, group)
    visitor.optional(MessageField<Google_Protobuf_Any>.self, 11, any)
    visitor.optional(MessageField<Google_Protobuf_Value>.self, 12, value)
    visitor.optional(MessageField<Google_Protobuf_Duration>.self, 13, wait)
    visitor.optional(MessageField<Google_Protobuf_Timestamp>.self, 14, time)
    visitor.optional(MessageField<Google_Protobuf_FieldMask>.self, 15, mask)
    visitor.singular(BytesField.self, 16, payload)
    visitor.singular(DoubleField.self, 17, ratio)
    visitor.packed(FloatField.self, 18, ratios)
    visitor.singular(EnumField<Google_Protobuf_NullValue>.self, 19, null)
    visitor.unknown(unknownFields)
  }
}

private let registry = TypeRegistry([Probe.self])

/// What has been accepted must be stable: bytes → message → bytes, and JSON → message → JSON.
private func check(_ message: Probe) {
  let bytes = message.serialized()
  // Merging may have joined fields of two occurrences: nesting never grows, so reading again must succeed.
  guard let again = try? Probe(serialized: bytes) else { fatalError("own bytes are refused") }
  guard again.serialized() == bytes else { fatalError("own bytes change") }
  // One pass may lose what JSON cannot say (unknown fields, odd numbers of NullValue); a second must lose nothing.
  guard let first = throughJSON(message) else { return }
  guard let second = throughJSON(first.message) else { fatalError("own JSON is not written again") }
  guard let third = throughJSON(second.message), third.text == second.text else { fatalError("own JSON changes") }
}

private func throughJSON(_ message: Probe) -> (message: Probe, text: [UInt8])? {
  guard let json = try? message.json(options: JSONEncodingOptions(registry: registry)) else { return nil }
  let text = json.bytes()
  guard let parsed = try? JSONValue(parsing: text, limits: JSONLimits(depth: 1000)), parsed == json else {
    fatalError("own JSON is refused")
  }
  let options = JSONDecodingOptions(registry: registry, depth: 1000)
  guard let back = try? Probe(json: parsed, options: options) else { fatalError("own JSON is no message") }
  return (back, text)
}

/// One input; traps when a promise is broken.
func checkProtobuf(_ bytes: [UInt8]) {
  if let message = try? Probe(serialized: bytes) { check(message) }
  guard let json = try? JSONValue(parsing: bytes) else { return }
  guard (try? JSONValue(parsing: json.bytes(.pretty))) == json else { fatalError("own text is refused") }
  for policy in [UnknownFieldPolicy.refuse, .ignore, .collect] {
    let options = JSONDecodingOptions(unknownFields: policy, registry: registry)
    if let message = try? Probe(json: json, options: options) { check(message) }
  }
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkProtobuf(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
