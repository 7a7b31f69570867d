// Documents with one place changed.
import WeftBase

extension JSONValue {
  /// The value at `path`; nil when there is none.
  func at(_ path: some Collection<FieldPath.Element>) -> JSONValue? {
    guard let first = path.first else { return self }
    switch first {
    case .field(let name), .key(let name): return objectValue?[name]?.at(path.dropFirst())
    case .index(let index):
      guard let items = arrayValue, index < items.count else { return nil }
      return items[index].at(path.dropFirst())
    }
  }

  /// The document with `value` at `path` (nil: with nothing there); objects and lists on the way are made.
  func setting(_ path: some Collection<FieldPath.Element>, to value: JSONValue?) -> JSONValue {
    guard let first = path.first else { return value ?? .null }
    let rest = path.dropFirst()
    switch first {
    case .field(let name), .key(let name):
      var members = objectValue?.members ?? []
      let old = members.first { $0.name == name }?.value
      members.removeAll { $0.name == name }
      if rest.isEmpty, value == nil { return .object(JSONObject(members)) }
      members.append(JSONMember(name, (old ?? .null).setting(rest, to: value)))
      return .object(JSONObject(members))
    case .index(let index):
      var items = arrayValue ?? []
      if index < items.count {
        items[index] = items[index].setting(rest, to: value)
      } else {
        items.append(JSONValue.null.setting(rest, to: value))
      }
      return .array(items)
    }
  }

  /// The members of `other` over those of this object; null takes a member away.
  func merging(_ other: JSONValue) -> JSONValue {
    var out = self
    for member in other.objectValue?.members ?? [] {
      out = out.setting([FieldPath.Element.field(member.name)], to: member.value.isNull ? nil : member.value)
    }
    return out
  }
}
