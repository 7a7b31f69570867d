// What a message holds that its schema does not know.
package import WeftBase

/// A field without a name here, or a value of an enum without one.
package struct UnknownPart: Hashable, Sendable {
  /// Of the message that holds it, or of the enum field.
  package var path: FieldPath
  /// One sentence, no full stop.
  package var message: String
  /// Full name of the field whose value has no name, such as `envoy.config.cluster.v3.Cluster.type`; nil for a field without one.
  package var enumField: String?
}

extension Message {
  /// What came over the wire and means nothing here: fields of a newer schema by number, values of enums without a name. Not what an `Any` holds.
  /// At most `UnknownPartFinder.most`. *Cost*: one walk over what is set.
  package func unknownParts() -> [UnknownPart] {
    let finder = UnknownPartFinder()
    finder.look(into: self)
    return finder.found
  }
}

/// Walks a message for `unknownParts`. The path is made only where there is something to tell.
package final class UnknownPartFinder: FieldVisitor {
  /// Parts of one message that are told.
  package static var most: Int { 100 }

  private enum Step {
    case field(MessageSchema, Int32)
    case index(Int)
    case key(String)
  }

  fileprivate private(set) var found: [UnknownPart] = []
  private var schema: MessageSchema?
  private var steps: [Step] = []

  fileprivate override init() {}

  func look<M: Message>(into message: M) {
    // The well-known types are what every schema has.
    guard !M.hasCustomJSON, found.count < Self.most else { return }
    let outer = schema
    schema = M.schema
    message.traverse(self)
    schema = outer
  }

  func look(at number: Int32, of schema: EnumSchema) {
    if schema.name(of: number) == nil { tell("has the value \(number), which is not known here", ofEnum: true) }
  }

  private func tell(_ message: String, ofEnum: Bool = false) {
    guard found.count < Self.most else { return }
    var path = FieldPath()
    var field = ""
    for step in steps {
      switch step {
      case .field(let schema, let number):
        let name = schema.field(numbered: number)?.name ?? "\(number)"
        path = path.field(name)
        field = "\(schema.name).\(name)"
      case .index(let index): path = path.index(index)
      case .key(let key): path = path.key(key)
      }
    }
    found.append(UnknownPart(path: path, message: message, enumField: ofEnum ? field : nil))
  }

  private func step(_ number: Int32, _ body: () -> Void) {
    guard let schema else { return }
    steps.append(.field(schema, number))
    body()
    steps.removeLast()
  }

  package override func present<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {
    step(number) { K.findUnknown(value, self) }
  }

  package override func presentList<K: FieldKind>(
    _ kind: K.Type, _ number: Int32, _ values: [K.Value], isPacked: Bool
  ) {
    step(number) {
      for (i, value) in values.enumerated() {
        steps.append(.index(i))
        K.findUnknown(value, self)
        steps.removeLast()
      }
    }
  }

  package override func presentMap<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ number: Int32, _ map: [K.Value: V.Value]
  ) {
    step(number) {
      for (key, value) in map.sorted(by: { K.precedes($0.key, $1.key) }) {
        steps.append(.key(K.keyText(key)))
        V.findUnknown(value, self)
        steps.removeLast()
      }
    }
  }

  package override func presentUnknown(_ fields: UnknownFields) {
    guard let schema else { return }
    for number in BinaryDecoder(fields.bytes, limits: DecodingLimits()).fieldNumbers() {
      tell("holds field \(number) of \(schema.name), which is not known here")
    }
  }
}
