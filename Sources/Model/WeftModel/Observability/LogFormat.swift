/// What a line of an access log looks like.
package struct LogFormat: Hashable, Sendable {
  package indirect enum JSONShape: Hashable, Sendable {
    /// Text with operators; typed (number, boolean, null) when it is a single operator.
    case format(String)
    case number(Double)
    case bool(Bool)
    case null
    case object([Field])
    case array([JSONShape])
    package struct Field: Hashable, Sendable {
      package var name: String
      package var value: JSONShape
      package init(name: String, value: JSONShape) {
        self.name = name
        self.value = value
      }
    }
  }
  package enum Shape: Hashable, Sendable {
    /// Envoy's default line.
    case standard
    case text(String)
    case json(JSONShape)
  }

  package var shape = Shape.standard
  package var omitsEmptyValues = false
  package init() {}
}

/// What an access log that goes into a file is configured with.
package struct FileAccessLogSettings: Hashable, Sendable {
  package var path: String
  package var format = LogFormat()
  package init(path: String) { self.path = path }
}
