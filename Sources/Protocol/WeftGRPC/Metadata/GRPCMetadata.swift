/// Call metadata: an ordered multi-map of lower-case names to ASCII or binary values.
///
/// A name ending in `-bin` carries bytes, base64 on the wire; every other name carries printable ASCII.
package struct GRPCMetadata: Hashable, Sendable {
  /// One entry. `value` of a `-bin` name holds the decoded bytes; of any other name, the ASCII text.
  package struct Entry: Hashable, Sendable {
    package var name: String
    package var value: [UInt8]

    package var isBinary: Bool { name.hasSuffix("-bin") }
    package var text: String { String(decoding: value, as: UTF8.self) }
  }

  package private(set) var entries: [Entry]

  package init() { entries = [] }

  package init(_ pairs: [(String, String)]) {
    self.init()
    for (name, value) in pairs { add(name, value) }
  }

  package var isEmpty: Bool { entries.isEmpty }

  /// Adds a text entry. Names are lower-cased. An entry gRPC forbids (see `isAllowed`) is refused.
  @discardableResult
  package mutating func add(_ name: String, _ value: String) -> Bool {
    add(name, bytes: Array(value.utf8))
  }

  /// Adds an entry by bytes; for a `-bin` name these are the raw bytes, encoded on the wire by us.
  @discardableResult
  package mutating func add(_ name: String, bytes: [UInt8]) -> Bool {
    let lowered = name.lowercased()
    guard Self.isAllowed(name: lowered), lowered.hasSuffix("-bin") || Self.isAllowed(text: bytes) else { return false }
    entries.append(Entry(name: lowered, value: bytes))
    return true
  }

  /// Adds what a peer sent, past the rules for what we may send.
  mutating func append(received name: String, _ bytes: [UInt8]) {
    entries.append(Entry(name: name, value: bytes))
  }

  package mutating func remove(_ name: String) {
    let lowered = name.lowercased()
    entries.removeAll { $0.name == lowered }
  }

  /// The first value of a text name.
  package subscript(name: String) -> String? {
    let lowered = name.lowercased()
    return entries.first { $0.name == lowered }?.text
  }

  /// The first value of a binary name, decoded.
  package func bytes(_ name: String) -> [UInt8]? {
    let lowered = name.lowercased()
    return entries.first { $0.name == lowered }?.value
  }

  package func all(_ name: String) -> [String] {
    let lowered = name.lowercased()
    return entries.filter { $0.name == lowered }.map(\.text)
  }
}
