// What is wrong with a piece of configuration, where exactly, and what would be right.

/// The path of a field inside a document: `spec.http[0].match[1].uri`.
package struct FieldPath: Hashable, Sendable, CustomStringConvertible {
  package enum Element: Hashable, Sendable {
    case field(String)
    case index(Int)
    case key(String)
  }

  package private(set) var elements: [Element]

  /// The document itself.
  package init() { elements = [] }

  package init(_ elements: [Element]) { self.elements = elements }

  package static var root: FieldPath { FieldPath() }

  package var isRoot: Bool { elements.isEmpty }

  /// This path, one field deeper.
  package func field(_ name: String) -> FieldPath { appending(.field(name)) }
  /// This path, one list element deeper.
  package func index(_ index: Int) -> FieldPath { appending(.index(index)) }
  /// This path, one map entry deeper.
  package func key(_ key: String) -> FieldPath { appending(.key(key)) }
  /// This path followed by `other`.
  package func appending(_ other: FieldPath) -> FieldPath { FieldPath(elements + other.elements) }

  package func appending(_ element: Element) -> FieldPath {
    var copy = self
    copy.elements.append(element)
    return copy
  }

  package var description: String {
    var text = ""
    for element in elements {
      switch element {
      case .field(let name): text += text.isEmpty ? name : ".\(name)"
      case .index(let index): text += "[\(index)]"
      case .key(let key): text += "[\"\(key)\"]"
      }
    }
    return text
  }
}

/// A refused piece of configuration: whose, where, and what is allowed there.
package struct ConfigError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Kind of the object, such as `VirtualService` or `envoy.config.cluster.v3.Cluster`; empty when not yet known.
  package var kind: String
  /// Name of the object (`namespace/name` where there is one); empty when not yet known.
  package var name: String
  package var path: FieldPath
  /// What was found and what is allowed, one sentence, no full stop: `"weight must be 0 to 100, is 120"`.
  package var message: String

  package init(kind: String = "", name: String = "", path: FieldPath = .root, _ message: String) {
    self.kind = kind
    self.name = name
    self.path = path
    self.message = message
  }

  /// The same error as seen from the outer object `outer`.
  package func inside(_ outer: FieldPath) -> ConfigError {
    var copy = self
    copy.path = outer.appending(path)
    return copy
  }

  /// The same error, told whose it is (values already known stay).
  package func of(kind: String, name: String) -> ConfigError {
    var copy = self
    if copy.kind.isEmpty { copy.kind = kind }
    if copy.name.isEmpty { copy.name = name }
    return copy
  }

  package var description: String {
    var text = kind
    if !name.isEmpty { text += text.isEmpty ? name : " \(name)" }
    if !path.isRoot { text += text.isEmpty ? "\(path)" : ": \(path)" }
    return text.isEmpty ? message : "\(text): \(message)"
  }
}
