package import WeftBase
import WeftKinds
import WeftYAML

/// Reads a text of YAML (or JSON, which is YAML) with any number of documents into candidates.
package struct DocumentReader: Sendable {
  package var defaults: ConfigDefaults
  package var limits: TextLimits

  package init(defaults: ConfigDefaults = ConfigDefaults(), limits: TextLimits = TextLimits()) {
    self.defaults = defaults
    self.limits = limits
  }

  /// One candidate per object, in the order of the text; a `List` counts as its items, empty documents as nothing.
  /// A text that is not YAML is one candidate with one error.
  package func candidates(in bytes: [UInt8], file: String = "") -> [Candidate] {
    let documents: [YAMLDocument]
    do throws(YAMLError) {
      documents = try YAML.documents(
        bytes, limits: YAMLLimits(bytes: limits.bytes, documents: limits.documents))
    } catch {
      let location = SourceLocation(file: file, line: error.position.line, column: error.position.column)
      return [
        Candidate(
          problems: [Problem(.error, at: .root, "not valid YAML: \(error.message)", location: location)],
          location: location)
      ]
    }
    var candidates: [Candidate] = []
    for document in documents {
      let locate: (FieldPath) -> SourceLocation? = { path in
        let position = document.position(of: path)
        return SourceLocation(file: file, line: position.line, column: position.column)
      }
      if document.value.isNull { continue }
      if let kind = document.value["kind"]?.stringValue, kind == "List" || kind.hasSuffix("List"),
        let items = document.value["items"]?.arrayValue
      {
        for (index, item) in items.enumerated() {
          var reader = EnvelopeReader(defaults: defaults, locate: locate)
          candidates.append(reader.read(item, at: FieldPath.root.field("items").index(index)))
        }
      } else {
        var reader = EnvelopeReader(defaults: defaults, locate: locate)
        candidates.append(reader.read(document.value))
      }
    }
    return candidates
  }

  /// One object that is already JSON.
  package func candidate(from value: JSONValue) -> Candidate {
    var reader = EnvelopeReader(defaults: defaults, locate: { _ in nil })
    return reader.read(value)
  }
}

/// Bounds of a text of configuration.
package struct TextLimits: Sendable {
  package var bytes = 16 << 20
  package var documents = 10_000

  package init() {}
}
