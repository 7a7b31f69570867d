/// Header fields of the cold path: an ordered multi-map; names keep their case and compare without it.
package struct HTTPHeaders: Hashable, Sendable {
  package struct Field: Hashable, Sendable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  package var fields: [Field]

  package init() { fields = [] }

  package init(_ pairs: [(String, String)]) { fields = pairs.map { Field($0.0, $0.1) } }

  package var isEmpty: Bool { fields.isEmpty }

  package mutating func add(_ name: String, _ value: String) { fields.append(Field(name, value)) }

  package mutating func remove(_ name: String) { fields.removeAll { Self.same($0.name, name) } }

  package func contains(_ name: String) -> Bool { fields.contains { Self.same($0.name, name) } }

  /// The first value; setting replaces all of the name (nil removes).
  package subscript(name: String) -> String? {
    get { fields.first { Self.same($0.name, name) }?.value }
    set {
      remove(name)
      if let newValue { add(name, newValue) }
    }
  }

  package func all(_ name: String) -> [String] { fields.filter { Self.same($0.name, name) }.map(\.value) }

  /// Compares two field names without ASCII case.
  package static func same(_ one: String, _ other: String) -> Bool {
    one.utf8.count == other.utf8.count
      && zip(one.utf8, other.utf8).allSatisfy { $0 == $1 || (lower($0) == lower($1)) }
  }

  private static func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
}

extension HTTPHeaders: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, String)...) { self.init(elements) }
}
