package import WeftBase

/// A place in a text; both count from 1, columns in characters.
package struct YAMLPosition: Sendable, Hashable, CustomStringConvertible {
  package var line: Int
  package var column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  package var description: String { "line \(line), column \(column)" }
}

/// Why a text is not the YAML we accept.
package struct YAMLError: Error, Sendable, Hashable, CustomStringConvertible {
  package var message: String
  package var position: YAMLPosition
  package var description: String { "\(position): \(message)" }
}

/// Limits of the reader. Reaching one is an error that names it.
package struct YAMLLimits: Sendable {
  package var bytes: Int
  package var depth: Int
  package var documents: Int
  /// Scalars, lists and maps, counted again for each alias that repeats them.
  package var nodes: Int

  package init(bytes: Int = 16 << 20, depth: Int = 100, documents: Int = 10_000, nodes: Int = 1 << 20) {
    self.bytes = bytes
    self.depth = depth
    self.documents = documents
    self.nodes = nodes
  }
}

/// One document of a YAML stream.
package struct YAMLDocument: Sendable {
  package let value: JSONValue
  let mark: YAMLMark

  /// Where the document's content begins.
  package var position: YAMLPosition { mark.position }

  /// Where the value at `path` stands, or the nearest value around it that exists.
  package func position(of path: FieldPath) -> YAMLPosition {
    var value = self.value
    var mark = self.mark
    for element in path.elements {
      let index: Int?
      switch (element, value) {
      case (.index(let i), .array(let items)): index = items.indices.contains(i) ? i : nil
      case (.field(let name), .object(let object)), (.key(let name), .object(let object)):
        index = object.members.firstIndex { $0.name == name }
      default: index = nil
      }
      guard let index, index < mark.children.count else { break }
      switch value {
      case .array(let items): value = items[index]
      case .object(let object): value = object.members[index].value
      default: break
      }
      mark = mark.children[index]
    }
    return mark.position
  }
}

/// The position of a value and of what it contains, in the same order. A member's position is that of its key.
struct YAMLMark: Sendable {
  var position: YAMLPosition
  var children: [YAMLMark] = []
}
