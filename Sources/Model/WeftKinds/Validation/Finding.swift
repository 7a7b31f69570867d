package import WeftBase

/// Something that validation has to say about an object.
package struct Finding: Sendable, Hashable, CustomStringConvertible {
  package enum Severity: String, Sendable {
    /// The object is refused.
    case error
    /// The object is taken; a part of it does not do what it seems to.
    case warning
  }

  package var severity: Severity
  package var path: FieldPath
  /// What is wrong and what is allowed.
  package var message: String
  /// The analyzer code that users know, where there is one (`IST0130`).
  package var code: String?

  package init(_ severity: Severity, at path: FieldPath, _ message: String, code: String? = nil) {
    self.severity = severity
    self.path = path
    self.message = message
    self.code = code
  }

  package var description: String {
    "\(severity) \(path.isRoot ? "" : "\(path): ")\(message)\(code.map { " (\($0))" } ?? "")"
  }
}

/// Collects findings while a check walks down a spec; knows the path it stands at.
package struct FindingCollector {
  package private(set) var findings: [Finding] = []
  private var path: FieldPath
  package let context: ValidationContext

  package init(_ context: ValidationContext, at path: FieldPath = FieldPath([.field("spec")])) {
    self.context = context
    self.path = path
  }

  package var hasErrors: Bool { findings.contains { $0.severity == .error } }

  package mutating func error(_ message: String) { findings.append(Finding(.error, at: path, message)) }

  package mutating func warning(_ message: String, code: String? = nil) {
    findings.append(Finding(.warning, at: path, message, code: code))
  }

  /// Reports at a field below.
  package mutating func error(_ field: String, _ message: String) { at(field) { $0.error(message) } }

  package mutating func warning(_ field: String, _ message: String, code: String? = nil) {
    at(field) { $0.warning(message, code: code) }
  }

  package mutating func at(_ field: String, _ body: (inout FindingCollector) -> Void) {
    descend(.field(field), body)
  }

  package mutating func at(key: String, _ body: (inout FindingCollector) -> Void) { descend(.key(key), body) }

  /// Runs `body` for every element of a list field.
  package mutating func each<Element>(
    _ field: String, _ items: [Element], _ body: (inout FindingCollector, Element, Int) -> Void
  ) {
    at(field) { list in
      for (index, item) in items.enumerated() { list.descend(.index(index)) { body(&$0, item, index) } }
    }
  }

  /// Runs `body` for every entry of a map field, in the order of the keys.
  package mutating func entries<Value>(
    _ field: String, _ map: [String: Value], _ body: (inout FindingCollector, String, Value) -> Void
  ) {
    at(field) { list in
      for (key, value) in map.sorted(by: { $0.key < $1.key }) { list.at(key: key) { body(&$0, key, value) } }
    }
  }

  private mutating func descend(_ step: FieldPath.Element, _ body: (inout FindingCollector) -> Void) {
    let outer = path
    path = outer.appending(step)
    body(&self)
    path = outer
  }
}

/// What validation needs from outside the spec.
package struct ValidationContext: Sendable {
  package var namespace: String
  package var domain: String
  package var rootNamespace: String
  /// Why a pattern is not a valid RE2 expression; nil when it is.
  package var regexProblem: @Sendable (String) -> String?
  /// Why a text is not a value of a header operation; nil when it is.
  package var formatProblem: @Sendable (String) -> String?

  package init(
    namespace: String = "default", domain: String = "cluster.local", rootNamespace: String = "istio-system",
    regexProblem: @escaping @Sendable (String) -> String? = { _ in nil },
    formatProblem: @escaping @Sendable (String) -> String? = { _ in nil }
  ) {
    self.namespace = namespace
    self.domain = domain
    self.rootNamespace = rootNamespace
    self.regexProblem = regexProblem
    self.formatProblem = formatProblem
  }
}
