package import WeftBase
package import WeftControlAPI
package import WeftKinds

/// A finding with its place in the text it came from.
package struct Problem: Sendable, Hashable, CustomStringConvertible {
  package var severity: Finding.Severity
  package var path: FieldPath
  package var message: String
  package var code: String?
  package var location: SourceLocation?
  /// The object it is about, where that is not said otherwise.
  package var object: ObjectKey?

  package init(
    _ severity: Finding.Severity, at path: FieldPath, _ message: String, code: String? = nil,
    location: SourceLocation? = nil
  ) {
    self.severity = severity
    self.path = path
    self.message = message
    self.code = code
    self.location = location
  }

  package init(_ finding: Finding, location: SourceLocation? = nil) {
    self.init(finding.severity, at: finding.path, finding.message, code: finding.code, location: location)
  }

  /// The same, with the name of the object it is about.
  package func of(_ key: ObjectKey?) -> Problem {
    var problem = self
    problem.object = key
    return problem
  }

  /// As the API shows it.
  package var json: JSONValue {
    var object = JSONObject()
    if let key = self.object {
      object["kind"] = .string(key.kind.rawValue)
      object["namespace"] = .string(key.namespace)
      object["name"] = .string(key.name)
    }
    if !path.isRoot { object["path"] = .string(path.description) }
    object["message"] = .string(message)
    if let code { object["code"] = .string(code) }
    if let location {
      if !location.file.isEmpty { object["file"] = .string(location.file) }
      object["line"] = .int(location.line)
      object["column"] = .int(location.column)
    }
    return .object(object)
  }

  package var description: String {
    let place = (location.map { "\($0): " } ?? "") + (object.map { "\($0): " } ?? "")
    return "\(place)\(path.isRoot ? "" : "\(path): ")\(message)\(code.map { " (\($0))" } ?? "")"
  }
}

/// A place in a text; lines and columns count from 1.
package struct SourceLocation: Sendable, Hashable, CustomStringConvertible {
  /// Empty for a request body.
  package var file: String
  package var line: Int
  package var column: Int

  package init(file: String = "", line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }

  package var description: String { "\(file.isEmpty ? "" : "\(file):")\(line):\(column)" }
}
