// Names of a message's fields, kept in one compact string per message and parsed when first needed.

/// One field as JSON and error messages see it.
package struct FieldSchema: Sendable {
  package let number: Int32
  package let name: String
  package let jsonName: String
  /// Index of the oneof that the field belongs to.
  package let oneof: Int?
}

/// Static description of a message type.
package final class MessageSchema: Sendable {
  /// Full name, such as `envoy.config.cluster.v3.Cluster`.
  package let name: String
  /// True when this message or one below it has `required` fields.
  package let requiresCheck: Bool
  /// Sorted by number.
  package let fields: [FieldSchema]
  private let byName: [String: Int]

  /// - Parameter fields: `number:name[=jsonName][@oneof]`, separated by spaces. The JSON name is derived unless given.
  package init(_ name: StaticString, _ fields: StaticString = "", requiresCheck: Bool = false) {
    self.name = name.description
    self.requiresCheck = requiresCheck
    var parsed: [FieldSchema] = []
    for entry in fields.description.utf8.split(separator: UInt8(ascii: " ")) {
      let text = Substring(entry)
      let colon = text.firstIndex(of: ":")!
      var rest = text[text.index(after: colon)...]
      var oneof: Int?
      if let at = rest.firstIndex(of: "@") {
        oneof = Int(rest[rest.index(after: at)...])
        rest = rest[..<at]
      }
      var json: String?
      if let equals = rest.firstIndex(of: "=") {
        json = String(rest[rest.index(after: equals)...])
        rest = rest[..<equals]
      }
      let field = String(rest)
      parsed.append(
        FieldSchema(
          number: Int32(text[..<colon])!, name: field, jsonName: json ?? jsonName(of: field), oneof: oneof))
    }
    self.fields = parsed
    var byName: [String: Int] = [:]
    for (i, field) in parsed.enumerated() {
      byName[field.name] = i
      byName[field.jsonName] = i
    }
    self.byName = byName
  }

  /// The field of that original or JSON name.
  package func field(named name: String) -> FieldSchema? { byName[name].map { fields[$0] } }

  package func field(numbered number: Int32) -> FieldSchema? {
    var low = 0
    var high = fields.count
    while low < high {
      let middle = (low + high) / 2
      if fields[middle].number < number { low = middle + 1 } else { high = middle }
    }
    return low < fields.count && fields[low].number == number ? fields[low] : nil
  }
}

/// The JSON name protoc derives from a field name: underscores go, the letter after each becomes a capital.
package func jsonName(of name: String) -> String {
  var out: [UInt8] = []
  var capital = false
  for c in name.utf8 {
    if c == UInt8(ascii: "_") {
      capital = true
    } else {
      out.append(capital && c >= 0x61 && c <= 0x7A ? c - 32 : c)
      capital = false
    }
  }
  return String(decoding: out, as: UTF8.self)
}

/// Static description of an enum type.
package final class EnumSchema: Sendable {
  package let name: String
  /// The number of the first value: the default.
  package let defaultNumber: Int32
  private let byName: [String: Int32]
  private let byNumber: [Int32: String]

  /// - Parameter values: `number:NAME`, separated by spaces, in the order of declaration.
  package init(_ name: StaticString, _ values: StaticString) {
    self.name = name.description
    var byName: [String: Int32] = [:]
    var byNumber: [Int32: String] = [:]
    var first: Int32?
    for entry in values.description.utf8.split(separator: UInt8(ascii: " ")) {
      let text = Substring(entry)
      let colon = text.firstIndex(of: ":")!
      let number = Int32(text[..<colon])!
      let value = String(text[text.index(after: colon)...])
      byName[value] = number
      if byNumber[number] == nil { byNumber[number] = value }
      if first == nil { first = number }
    }
    self.byName = byName
    self.byNumber = byNumber
    self.defaultNumber = first ?? 0
  }

  package func number(of name: String) -> Int32? { byName[name] }
  /// The first name given to that number.
  package func name(of number: Int32) -> String? { byNumber[number] }
  /// All names, sorted, for messages that say what is allowed.
  package var names: [String] { byName.keys.sorted() }
}
