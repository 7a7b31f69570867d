import WeftBase
import WeftControlAPI
import WeftKinds

/// Reads one document's value into a candidate: envelope first, then the spec by its kind. Reports everything wrong
/// that it can see, not just the first thing.
struct EnvelopeReader {
  let defaults: ConfigDefaults
  let locate: (FieldPath) -> SourceLocation?
  private var candidate = Candidate()
  private var problems: [Problem] = []
  /// Problems of the object that are not told one by one.
  private var untold: (errors: Int, warnings: Int) = (0, 0)
  /// Problems that one object is told: to find a place in a text costs its length, and nobody reads more.
  static let problemLimit = 100

  init(defaults: ConfigDefaults, locate: @escaping (FieldPath) -> SourceLocation?) {
    self.defaults = defaults
    self.locate = locate
  }

  /// *Parameter* `base`: where the object stands in its document (an item of a List).
  mutating func read(_ value: JSONValue, at base: FieldPath = .root) -> Candidate {
    candidate.location = locate(base)
    guard let object = value.objectValue else {
      error(base, "must be an object with apiVersion, kind, metadata and spec; it is a \(value.kindName)")
      return finish()
    }
    for member in object.members where !Self.known.contains(member.name) {
      let hint =
        Suggestion.nearest(to: member.name, among: Self.known.sorted()).map { "did you mean \"\($0)\"? " } ?? ""
      error(base.field(member.name), "unknown field; \(hint)allowed are apiVersion, kind, metadata and spec")
    }
    let kind = readKind(object, base)
    let metadata = readMetadata(object["metadata"], base.field("metadata"))
    let spec = readSpec(object["spec"], kind, base)
    if let kind, let metadata, let spec, !hasErrors {
      candidate.envelope = Envelope(
        apiVersion: object["apiVersion"]?.stringValue ?? "", kind: kind.name, metadata: metadata, spec: spec)
    }
    return finish()
  }

  private static let known: Set<String> = ["apiVersion", "kind", "metadata", "spec", "status"]
  private static let ignoredMetadata: Set<String> = [
    "uid", "generation", "managedFields", "ownerReferences", "finalizers", "selfLink", "deletionTimestamp",
    "deletionGracePeriodSeconds", "generateName",
  ]

  private mutating func finish() -> Candidate {
    candidate.problems = problems
    for (severity, count, word) in [
      (Finding.Severity.error, untold.errors, "errors"), (.warning, untold.warnings, "warnings"),
    ] where count > 0 {
      candidate.problems.append(
        Problem(severity, at: .root, "\(count) more \(word) are not shown", location: candidate.location))
    }
    return candidate
  }

  private mutating func error(_ path: FieldPath, _ message: String) { report(Finding(.error, at: path, message)) }

  private mutating func report(_ finding: Finding) {
    guard problems.count < Self.problemLimit else {
      if finding.severity == .error { untold.errors += 1 } else { untold.warnings += 1 }
      return
    }
    problems.append(Problem(finding, location: locate(finding.path)))
  }

  private var hasErrors: Bool { untold.errors > 0 || problems.contains { $0.severity == .error } }

  // MARK: Parts

  private mutating func readKind(_ object: JSONObject, _ base: FieldPath) -> KindDescription? {
    let path = base.field("kind")
    guard let name = object["kind"]?.stringValue, !name.isEmpty else {
      error(path, "must be set to one of \(Self.kindNames)")
      return nil
    }
    candidate.kind = name
    guard let kind = KindRegistry.kind(KindName(rawValue: name)) else {
      let hint = Suggestion.nearest(to: name, among: KindRegistry.all.map(\.name.rawValue))
      let question = hint.map { "did you mean \"\($0)\"? " } ?? ""
      error(path, "\"\(name)\" is not known; \(question)allowed are \(Self.kindNames)")
      return nil
    }
    let allowed = kind.apiVersions
    guard let version = object["apiVersion"]?.stringValue else {
      error(base.field("apiVersion"), "must be set; allowed are \(allowed.joined(separator: ", "))")
      return kind
    }
    if !allowed.contains(version) {
      error(
        base.field("apiVersion"),
        "\"\(version)\" is not a version of \(name); allowed are \(allowed.joined(separator: ", "))")
    }
    return kind
  }

  private static var kindNames: String { KindRegistry.all.map(\.name.rawValue).joined(separator: ", ") }

  private mutating func readMetadata(_ value: JSONValue?, _ path: FieldPath) -> ObjectMetadata? {
    guard let value else {
      error(path, "must be set")
      return nil
    }
    guard let object = value.objectValue else {
      error(path, "must be an object; it is a \(value.kindName)")
      return nil
    }
    var metadata = ObjectMetadata(name: "", namespace: defaults.namespace)
    for member in object.members {
      let here = path.field(member.name)
      switch member.name {
      case "name":
        if let text = string(member.value, here) { metadata.name = text }
      case "namespace":
        if let text = string(member.value, here), !text.isEmpty {
          metadata.namespace = text
        }
      case "labels":
        metadata.labels = strings(member.value, here)
        for (key, value) in metadata.labels.sorted(by: { $0.key < $1.key }) {
          if !NameRules.isLabelKey(key) { error(here.key(key), "\"\(key)\" is not a valid label key") }
          if !NameRules.isLabelValue(value) { error(here.key(key), "\"\(value)\" is not a valid label value") }
        }
      case "annotations": metadata.annotations = strings(member.value, here)
      case "creationTimestamp": readCreation(member.value, here, &metadata)
      case "resourceVersion": readVersion(member.value, here)
      default:
        if !Self.ignoredMetadata.contains(member.name) {
          error(here, "unknown field; allowed are name, namespace, labels and annotations")
        }
      }
    }
    candidate.name = metadata.name
    candidate.namespace = metadata.namespace
    // One check for every way in: as written, by the address of a call, or by default.
    if !NameRules.isDNSLabel(metadata.namespace) {
      error(path.field("namespace"), "\"\(metadata.namespace)\" is not a namespace")
    }
    if metadata.name.isEmpty {
      error(path.field("name"), "must be set")
    } else if metadata.name.utf8.count > 253 || !Self.isObjectName(metadata.name) {
      error(
        path.field("name"),
        "\"\(metadata.name)\" is not an object name (lower-case letters, digits, \"-\" and \".\", at most 253)")
    }
    return metadata
  }

  /// A DNS sub-domain in lower case.
  private static func isObjectName(_ text: String) -> Bool {
    text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { NameRules.isDNSLabel(String($0)) }
  }

  private mutating func readCreation(_ value: JSONValue, _ path: FieldPath, _ metadata: inout ObjectMetadata) {
    if value.isNull { return }
    guard let text = value.stringValue, let time = WallTime(text) else {
      error(path, "must be a time like \"2026-11-21T07:00:00Z\"")
      return
    }
    metadata.creationTimestamp = time
  }

  private mutating func readVersion(_ value: JSONValue, _ path: FieldPath) {
    let text = value.stringValue ?? value.numberText ?? ""
    if text.isEmpty { return }
    guard let version = UInt64(text) else {
      error(path, "\"\(text)\" is not a resourceVersion; leave it out to write unconditionally")
      return
    }
    candidate.basedOn = version
  }

  private mutating func readSpec(
    _ value: JSONValue?, _ kind: KindDescription?, _ base: FieldPath
  ) -> JSONValue? {
    let path = base.field("spec")
    guard let value else {
      error(path, "must be set")
      return nil
    }
    guard value.objectValue != nil else {
      error(path, "must be an object; it is a \(value.kindName)")
      return nil
    }
    guard let kind else { return nil }
    let context = ValidationContext(
      namespace: candidate.namespace.isEmpty ? defaults.namespace : candidate.namespace, domain: defaults.domain,
      rootNamespace: defaults.rootNamespace, regexProblem: RegexCheck.problem, formatProblem: FormatCheck.problem)
    for finding in kind.findings(value, context) {
      report(Finding(finding.severity, at: base.appending(finding.path), finding.message, code: finding.code))
    }
    return value
  }

  // MARK: Values

  private mutating func string(_ value: JSONValue, _ path: FieldPath) -> String? {
    if let text = value.stringValue { return text }
    error(path, "must be a string; it is a \(value.kindName)")
    return nil
  }

  private mutating func strings(_ value: JSONValue, _ path: FieldPath) -> [String: String] {
    if value.isNull { return [:] }
    guard let object = value.objectValue else {
      error(path, "must be an object of strings; it is a \(value.kindName)")
      return [:]
    }
    var map: [String: String] = [:]
    for member in object.members {
      if let text = string(member.value, path.key(member.name)) { map[member.name] = text }
    }
    return map
  }
}
