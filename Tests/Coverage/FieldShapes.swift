// What fields a message has, asked of its own generated code.
import WeftBase

@testable import WeftProtobuf

/// One field as a probe sees it.
struct FieldShape {
  enum Kind {
    case bool, integer, real, text, bytes
    case enumeration(EnumSchema)
    case message(any Message.Type)
  }
  enum Form { case one, list, map }

  var schema: FieldSchema
  /// As documents spell it.
  var name: String
  var kind: Kind
  var form: Form

  /// Whether there are only a few values.
  var isChoice: Bool {
    switch kind {
    case .bool, .enumeration: true
    case .message(let type): type == Google_Protobuf_BoolValue.self
    default: false
    }
  }

  static func all(of type: any Message.Type, isCamelCase: Bool = false) -> [FieldShape] {
    type.schema.fields.map { read($0, type, isCamelCase) }
  }

  /// Names of the messages that are fields of `type`.
  static func messages(of type: any Message.Type) -> [String] {
    all(of: type).compactMap { if case .message(let inner) = $0.kind { inner.schema.name } else { nil } }
  }

  private static func read<M: Message>(_ field: FieldSchema, _ type: M.Type, _ isCamelCase: Bool) -> FieldShape {
    let reader = ShapeReader()
    var message = M()
    try? message.decodeField(field.number, from: reader)
    guard let kind = reader.kind else { preconditionFailure("\(M.schema.name) does not read its field \(field.name)") }
    return FieldShape(
      schema: field, name: isCamelCase ? field.jsonName : field.name, kind: kind, form: reader.form)
  }
}

/// Stands where a decoder stands and only looks at the kind of value that is wanted.
private final class ShapeReader: FieldDecoder {
  var kind: FieldShape.Kind?
  var form = FieldShape.Form.one

  override init() {}

  private func note<K: FieldKind>(_ type: K.Type, _ form: FieldShape.Form) {
    self.form = form
    switch K.zero as Any {
    case is Bool: kind = .bool
    case is String: kind = .text
    case is [UInt8]: kind = .bytes
    case is Double, is Float: kind = .real
    case let value as any ProtobufEnum: kind = .enumeration(Swift.type(of: value).schema)
    case let value as any Message: kind = .message(Swift.type(of: value))
    default: kind = .integer
    }
  }

  override func singular<K: FieldKind>(_ kind: K.Type, _ value: inout K.Value) throws(ProtobufError) {
    note(kind, .one)
  }
  override func optional<K: FieldKind>(_ kind: K.Type, _ value: inout K.Value?) throws(ProtobufError) {
    note(kind, .one)
  }
  override func repeated<K: FieldKind>(_ kind: K.Type, _ values: inout [K.Value]) throws(ProtobufError) {
    note(kind, .list)
  }
  override func map<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ map: inout [K.Value: V.Value]
  ) throws(ProtobufError) { note(value, .map) }
}
