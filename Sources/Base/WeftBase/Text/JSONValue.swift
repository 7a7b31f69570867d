// A JSON document as a value. Numbers keep their text, so 64-bit integers and unusual exponents survive;
// objects keep the order of their members. Parser: JSONParser.swift. Writer: JSONWriter.swift.
internal import Glibc  // links libm, which whole-number checks of Double call

/// One member of a JSON object.
package struct JSONMember: Sendable, Hashable {
  package var name: String
  package var value: JSONValue

  package init(_ name: String, _ value: JSONValue) {
    self.name = name
    self.value = value
  }
}

/// An ordered list of members; equality includes the order. Look-up is linear: config objects are small.
package struct JSONObject: Sendable, Hashable, ExpressibleByDictionaryLiteral {
  package var members: [JSONMember]

  package init(_ members: [JSONMember] = []) { self.members = members }
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    members = elements.map { JSONMember($0.0, $0.1) }
  }

  package var count: Int { members.count }
  package var isEmpty: Bool { members.isEmpty }

  /// Reads, replaces (in place), appends, or with nil removes the member of that name.
  package subscript(name: String) -> JSONValue? {
    get { members.first { $0.name == name }?.value }
    set {
      let at = members.firstIndex { $0.name == name }
      switch (at, newValue) {
      case (let i?, let v?): members[i].value = v
      case (let i?, nil): members.remove(at: i)
      case (nil, let v?): members.append(JSONMember(name, v))
      case (nil, nil): break
      }
    }
  }

  /// The same members, sorted by name as UTF-8 at this level only.
  package func sorted() -> JSONObject {
    JSONObject(members.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) })
  }
}

/// A JSON document or part of one.
package enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  /// The number's own text: an RFC 8259 number.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  package static func int(_ value: some BinaryInteger) -> JSONValue { .number(String(value)) }

  /// A finite double in its shortest round-trip form; JSON has no other doubles, so those become strings.
  package static func double(_ value: Double) -> JSONValue {
    if value.isNaN { return .string("NaN") }
    if value.isInfinite { return .string(value < 0 ? "-Infinity" : "Infinity") }
    if value == value.rounded(), abs(value) < 1e15, !(value == 0 && value.sign == .minus) {
      return .number(String(Int64(value)))
    }
    return .number(value.description)
  }

  package var isNull: Bool { self == .null }
  package var boolValue: Bool? { if case .bool(let v) = self { v } else { nil } }
  package var stringValue: String? { if case .string(let v) = self { v } else { nil } }
  package var arrayValue: [JSONValue]? { if case .array(let v) = self { v } else { nil } }
  package var objectValue: JSONObject? { if case .object(let v) = self { v } else { nil } }
  /// The number's text, if this is a number.
  package var numberText: String? { if case .number(let v) = self { v } else { nil } }
  /// The number as an integer; nil when it is not a number, not whole, or out of range.
  package var intValue: Int64? {
    guard case .number(let text) = self else { return nil }
    return Int64(text) ?? Double(text).flatMap { Int64(exactly: $0) }
  }
  package var doubleValue: Double? { if case .number(let v) = self { Double(v) } else { nil } }

  /// What kind of value it is, for messages: "object", "array", "string", "number", "boolean", "null".
  package var kindName: String {
    switch self {
    case .null: "null"
    case .bool: "boolean"
    case .number: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  /// A member of an object; nil for anything else. Setting it on null makes an object.
  package subscript(name: String) -> JSONValue? {
    get { objectValue?[name] }
    set {
      var object = objectValue ?? JSONObject()
      object[name] = newValue
      self = .object(object)
    }
  }

  /// An element of an array; nil out of range and for anything else.
  package subscript(index: Int) -> JSONValue? {
    guard case .array(let items) = self, items.indices.contains(index) else { return nil }
    return items[index]
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(integerLiteral value: Int64) { self = .number(String(value)) }
  package init(floatLiteral value: Double) { self = .double(value) }
  package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(elements.map { JSONMember($0.0, $0.1) }))
  }
  package init(nilLiteral: ()) { self = .null }
}
