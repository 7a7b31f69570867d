// The wire format, written. One pass: a nested message is written behind one byte kept free for its length and moved
// up when the length turns out to need more.

package final class BinaryEncoder: FieldVisitor {
  var out: [UInt8] = []

  override init() {}

  func message<M: Message>(_ message: M) {
    message.traverse(self)
  }

  func tag(_ number: Int32, _ type: WireType) {
    varint(UInt64(UInt32(bitPattern: number)) << 3 | UInt64(type.rawValue))
  }

  func varint(_ value: UInt64) {
    var value = value
    while value >= 0x80 {
      out.append(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    out.append(UInt8(value))
  }

  func fixed32(_ value: UInt32) {
    for i in 0..<4 { out.append(UInt8(truncatingIfNeeded: value >> UInt32(8 * i))) }
  }

  func fixed64(_ value: UInt64) {
    for i in 0..<8 { out.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * i))) }
  }

  /// Runs `body` and puts the length of what it wrote before it.
  func delimited(_ body: () -> Void) {
    let start = out.count
    out.append(0)
    body()
    var length = out.count - start - 1
    if length < 0x80 {
      out[start] = UInt8(length)
      return
    }
    var prefix: [UInt8] = []
    while length >= 0x80 {
      prefix.append(UInt8(truncatingIfNeeded: length) | 0x80)
      length >>= 7
    }
    prefix.append(UInt8(length))
    out.replaceSubrange(start...start, with: prefix)
  }

  private func entry<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {
    tag(number, K.wireType)
    K.write(value, to: self)
    if K.wireType == .startGroup { tag(number, .endGroup) }
  }

  // MARK: FieldVisitor

  package override func present<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {
    entry(kind, number, value)
  }

  package override func presentList<K: FieldKind>(
    _ kind: K.Type, _ number: Int32, _ values: [K.Value], isPacked: Bool
  ) {
    if isPacked {
      tag(number, .bytes)
      delimited { for value in values { K.write(value, to: self) } }
    } else {
      for value in values { entry(kind, number, value) }
    }
  }

  package override func presentMap<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ number: Int32, _ map: [K.Value: V.Value]
  ) {
    for (k, v) in map.sorted(by: { K.precedes($0.key, $1.key) }) {
      tag(number, .bytes)
      delimited {
        entry(key, 1, k)
        entry(value, 2, v)
      }
    }
  }

  package override func presentUnknown(_ fields: UnknownFields) { out += fields.bytes }
}

/// Finds proto2 `required` fields that are not set.
package final class RequiredFieldVisitor: FieldVisitor {
  var error: ProtobufError?
  private var path: [MessageSchema] = []

  override init() {}

  func check<M: Message>(_ message: M) {
    guard error == nil, M.schema.requiresCheck else { return }
    path.append(M.schema)
    message.traverse(self)
    path.removeLast()
  }

  package override func present<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value) {
    K.check(value, self)
  }

  package override func presentList<K: FieldKind>(
    _ kind: K.Type, _ number: Int32, _ values: [K.Value], isPacked: Bool
  ) {
    for value in values { K.check(value, self) }
  }

  package override func presentMap<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ number: Int32, _ map: [K.Value: V.Value]
  ) {
    for value in map.values { V.check(value, self) }
  }

  package override func required<K: FieldKind>(_ kind: K.Type, _ number: Int32, _ value: K.Value?) {
    if let value { return K.check(value, self) }
    if error == nil, let schema = path.last {
      error = ProtobufError(
        "required field \(schema.field(numbered: number)?.name ?? "?") of \(schema.name) is not set")
    }
  }
}
