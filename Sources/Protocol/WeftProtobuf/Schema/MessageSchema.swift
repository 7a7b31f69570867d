// Names of a message's fields, kept in one compact string per message and parsed when first needed.

internal import Synchronization

/// One field as JSON and error messages see it.
package struct FieldSchema: Sendable {
  package let number: Int32
  package let name: String
  package let jsonName: String
  /// Index of the oneof that the field belongs to.
  package let oneof: Int?
}

/// Static description of a message type. The text is parsed when JSON or an error first needs it.
package final class MessageSchema: Sendable {
  /// Full name, such as `envoy.config.cluster.v3.Cluster`.
  package let name: String
  /// True when this message or one below it has `required` fields.
  package let requiresCheck: Bool
  private let text: StaticString
  private let parsed = AtomicLazyReference<Fields>()

  /// - Parameter fields: `number:name[=jsonName][@oneof]` in the order of numbers, separated by spaces. The JSON name is
  ///   derived unless given.
  package init(_ name: StaticString, _ fields: StaticString = "", requiresCheck: Bool = false) {
    self.name = name.description
    self.requiresCheck = requiresCheck
    text = fields
  }

  private final class Fields: Sendable {
    let all: [FieldSchema]
    let byName: [String: Int]

    init(_ text: StaticString) {
      all = text.description.utf8.split(separator: UInt8(ascii: " ")).map { FieldSchema(Substring($0)) }
      var byName: [String: Int] = [:]
      for (i, field) in all.enumerated() {
        byName[field.name] = i
        byName[field.jsonName] = i
      }
      self.byName = byName
    }
  }

  private var table: Fields { parsed.load() ?? parsed.storeIfNil(Fields(text)) }

  /// Sorted by number.
  package var fields: [FieldSchema] { table.all }

  /// The field of that original or JSON name.
  package func field(named name: String) -> FieldSchema? {
    let table = self.table
    return table.byName[name].map { table.all[$0] }
  }

  package func field(numbered number: Int32) -> FieldSchema? {
    let fields = table.all
    var low = 0
    var high = fields.count
    while low < high {
      let middle = (low + high) / 2
      if fields[middle].number < number { low = middle + 1 } else { high = middle }
    }
    return low < fields.count && fields[low].number == number ? fields[low] : nil
  }
}

extension FieldSchema {
  /// Our own generator wrote the text: anything else than `number:name[=jsonName][@oneof]` is a bug.
  fileprivate init(_ entry: Substring) {
    guard let colon = entry.firstIndex(of: ":"), let number = Int32(entry[..<colon]) else {
      preconditionFailure("malformed schema entry \(entry)")
    }
    var rest = entry[entry.index(after: colon)...]
    var oneof: Int?
    if let at = rest.lastIndex(of: "@") {
      oneof = Int(rest[rest.index(after: at)...])
      rest = rest[..<at]
    }
    var json: Substring?
    if let equals = rest.firstIndex(of: "=") {
      json = rest[rest.index(after: equals)...]
      rest = rest[..<equals]
    }
    let name = String(rest)
    self.init(
      number: number, name: name, jsonName: json.map(String.init) ?? WeftProtobuf.jsonName(of: name), oneof: oneof)
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
  private let text: StaticString
  private let parsed = AtomicLazyReference<Values>()

  /// - Parameter values: `number:NAME`, separated by spaces, in the order of declaration.
  package init(_ name: StaticString, _ values: StaticString) {
    self.name = name.description
    text = values
  }

  private final class Values: Sendable {
    let first: Int32
    let byName: [String: Int32]
    let byNumber: [Int32: String]

    init(_ text: StaticString) {
      var byName: [String: Int32] = [:]
      var byNumber: [Int32: String] = [:]
      var first: Int32?
      for entry in text.description.utf8.split(separator: UInt8(ascii: " ")) {
        let entry = Substring(entry)
        guard let colon = entry.firstIndex(of: ":"), let number = Int32(entry[..<colon]) else {
          preconditionFailure("malformed schema entry \(entry)")
        }
        let name = String(entry[entry.index(after: colon)...])
        byName[name] = number
        if byNumber[number] == nil { byNumber[number] = name }
        if first == nil { first = number }
      }
      self.first = first ?? 0
      self.byName = byName
      self.byNumber = byNumber
    }
  }

  private var table: Values { parsed.load() ?? parsed.storeIfNil(Values(text)) }

  /// The number of the first value: the default.
  package var defaultNumber: Int32 { table.first }
  package func number(of name: String) -> Int32? { table.byName[name] }
  /// The number of a name in any case, dashes standing for underscores. *Cost*: a look at every name.
  package func number(ofAnyCase name: String) -> Int32? {
    let folded = name.map { $0 == "-" ? "_" : $0.lowercased() }.joined()
    return table.byName.first { $0.key.lowercased() == folded }?.value
  }
  /// The first name given to that number.
  package func name(of number: Int32) -> String? { table.byNumber[number] }
  /// All names, sorted, for messages that say what is allowed.
  package var names: [String] { table.byName.keys.sorted() }
}
