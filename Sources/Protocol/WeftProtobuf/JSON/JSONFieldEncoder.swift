// Canonical JSON, written. The first problem is kept; the caller throws it at the end.
package import WeftBase

package final class JSONFieldEncoder: FieldVisitor {
  package let options: JSONEncodingOptions
  package private(set) var error: ProtobufError?
  private var members: [JSONMember] = []
  private var schema: MessageSchema?
  private var path: [FieldPath.Element] = []

  init(options: JSONEncodingOptions) { self.options = options }

  /// Records that the value has no JSON form.
  package func fail(_ message: String) {
    if error == nil { error = ProtobufError(message, at: FieldPath(path)) }
  }

  /// The default JSON of messages: an object of the fields that are set, in the order of their numbers.
  package func object<M: Message>(_ message: M) -> JSONValue {
    let outer = (members, schema)
    members = []
    schema = M.schema
    message.traverse(self)
    defer { (members, schema) = outer }
    return .object(JSONObject(members))
  }

  private func member(_ number: Int32, _ make: () -> JSONValue) {
    guard let field = schema?.field(numbered: number) else { return }
    let name = options.protoNames ? field.name : field.jsonName
    path.append(.field(name))
    let value = make()
    path.removeLast()
    members.append(JSONMember(name, value))
  }

  // MARK: FieldVisitor

  package override func present<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {
    member(number) { K.writeJSON(value, self) }
  }

  package override func presentList<K: FieldKind>(
    _ kind: K.Type, _ number: Int32, _ values: [K.Value], isPacked: Bool
  ) {
    member(number) { .array(values.map { K.writeJSON($0, self) }) }
  }

  package override func presentMap<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ number: Int32, _ map: [K.Value: V.Value]
  ) {
    member(number) {
      .object(
        JSONObject(
          map.sorted { K.precedes($0.key, $1.key) }
            .map { JSONMember(K.keyText($0.key), V.writeJSON($0.value, self)) }))
    }
  }
}
