// Canonical JSON, read. One decoder per call; it keeps the path it is at for errors and for unknown fields.
package import WeftBase

package final class JSONFieldDecoder: FieldDecoder {
  package let options: JSONDecodingOptions
  package private(set) var unknownPaths: [FieldPath] = []
  private var path: [FieldPath.Element] = []
  private var value = JSONValue.null
  private var depth = 0

  init(options: JSONDecodingOptions) { self.options = options }

  /// An error at the field being decoded.
  package func error(_ message: String) -> ProtobufError { ProtobufError(message, at: FieldPath(path)) }

  /// Reads `json` as one `K`, one step further down.
  func read<K: FieldKind>(
    _ kind: K.Type, _ json: JSONValue, at step: FieldPath.Element, into value: inout K.Value
  ) throws(ProtobufError) -> Bool {
    path.append(step)
    let known = try K.readJSON(json, self, into: &value)
    path.removeLast()
    return known
  }

  /// Runs once per nested message, custom JSON included: bounds the recursion.
  func enter() throws(ProtobufError) {
    depth += 1
    guard depth <= options.depth else { throw error("nested deeper than the limit of \(options.depth)") }
  }
  func leave() { depth -= 1 }

  /// The default JSON of messages: an object of fields.
  package func mergeObject<M: Message>(_ json: JSONValue, into message: inout M) throws(ProtobufError) {
    guard case .object(let object) = json else {
      throw error("expected an object (\(M.schema.name)), found \(json.kindName)")
    }
    try mergeFields(object.members, into: &message)
  }

  func mergeFields<M: Message>(_ members: [JSONMember], into message: inout M) throws(ProtobufError) {
    try enter()
    let schema = M.schema
    var seen: Set<Int32> = []
    var oneofs: [Int: String] = [:]
    for member in members {
      path.append(.field(member.name))
      if let field = schema.field(named: member.name) {
        // The parser has refused equal names; here it is the two spellings of one field.
        guard seen.insert(field.number).inserted else { throw error("the field is given twice") }
        if let oneof = field.oneof, !member.value.isNull {
          if let other = oneofs.updateValue(member.name, forKey: oneof) {
            throw error("only one of \(other) and \(member.name) may be given")
          }
        }
        value = member.value
        try message.decodeField(field.number, from: self)
      } else {
        switch options.unknownFields {
        case .refuse:
          let names = schema.fields.lazy.map(\.jsonName)
          throw error("unknown field of \(schema.name)\(Suggestion.question(member.name, among: names))")
        case .ignore: break
        case .collect: unknownPaths.append(FieldPath(path))
        }
      }
      path.removeLast()
    }
    leave()
  }

  // MARK: FieldDecoder

  package override func singular<K: FieldKind>(_ kind: K.Type, _ value: inout K.Value) throws(ProtobufError) {
    let json = self.value
    if json.isNull, !K.acceptsNull {
      value = K.zero
      return
    }
    _ = try K.readJSON(json, self, into: &value)
  }

  package override func optional<K: FieldKind>(_ kind: K.Type, _ value: inout K.Value?) throws(ProtobufError) {
    let json = self.value
    if json.isNull, !K.acceptsNull {
      value = nil
      return
    }
    var new = K.zero
    if try K.readJSON(json, self, into: &new) { value = new }
  }

  package override func repeated<K: FieldKind>(_ kind: K.Type, _ values: inout [K.Value]) throws(ProtobufError) {
    values = []
    let items: [JSONValue]
    switch value {
    case .null: return
    case .array(let v): items = v
    default: throw error("expected an array, found \(value.kindName)")
    }
    values.reserveCapacity(items.count)
    for (i, item) in items.enumerated() {
      var element = K.zero
      if item.isNull, !K.acceptsNull { throw error("null inside an array") }
      if try read(kind, item, at: .index(i), into: &element) { values.append(element) }
    }
  }

  package override func map<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ kind: V.Type, _ map: inout [K.Value: V.Value]
  ) throws(ProtobufError) {
    map = [:]
    let object: JSONObject
    switch value {
    case .null: return
    case .object(let v): object = v
    default: throw error("expected an object of keys and values, found \(value.kindName)")
    }
    for member in object.members {
      guard let k = K.parseKey(member.name) else {
        throw error("invalid key \"\(member.name.prefix(80))\"")
      }
      guard map[k] == nil else { throw error("duplicate key \"\(member.name.prefix(80))\"") }
      if member.value.isNull, !V.acceptsNull { throw error("null as the value of key \"\(member.name.prefix(80))\"") }
      var element = V.zero
      if try read(kind, member.value, at: .key(member.name), into: &element) { map[k] = element }
    }
  }
}
