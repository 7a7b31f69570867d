// Sets one field after another in a document that is good, and looks at what becomes of it.
import WeftBase
import WeftProtobuf

/// A kind of document: what it is read as, a good one, and what is made of it.
struct CoverageRoot: Sendable, CustomStringConvertible {
  /// What became of a document.
  enum Result: Sendable {
    case made(AnyHashableValue, Told)
    case refused(FieldPath, String)
  }

  /// What was said about a document that was taken.
  struct Told: Sendable {
    /// Without effect.
    var warnings: [FieldPath: String] = [:]
    /// Without effect for some.
    var partly: [FieldPath: String] = [:]
    /// Odd. It is an answer where nothing else comes of a field.
    var hints: [FieldPath: String] = [:]

    static func warnings(_ warnings: [FieldPath: String]) -> Told { Told(warnings: warnings) }
  }

  let type: any Message.Type
  let base: JSONValue
  /// Messages that are roots of their own.
  var stops: Set<String> = []
  /// Fields are spelled as JSON has them, not as protocol buffers do.
  var isCamelCase = false
  let convert: @Sendable (JSONValue) -> Result

  var description: String { type.schema.name }
}

/// Anything that can be compared, under one name.
struct AnyHashableValue: @unchecked Sendable, Equatable {  // values of Sendable types only
  let value: AnyHashable
  init(_ value: some Hashable & Sendable) { self.value = AnyHashable(value) }
}

/// What becomes of a field that is set.
enum Fate: Hashable, Comparable, Sendable {
  case carriedOut
  /// Carried out for some.
  case partly(String)
  case warned(String)
  case refused(String)
  /// A message inside one of its own kind, which is looked at there.
  case again
  /// Nothing changes, for a reason that is listed.
  case excused(String)
  /// Nothing changes and nobody is told.
  case silent
  /// No document with it or without it is good: the tables lack something.
  case unknown(String)

  /// Whether a value was taken and not forgotten.
  var hasEffect: Bool {
    switch self {
    case .carriedOut, .partly, .warned: true;
    case .refused, .again, .excused, .silent, .unknown: false
    }
  }
  var isTold: Bool {
    switch self {
    case .carriedOut, .partly, .warned, .refused: true;
    case .again, .excused, .silent, .unknown: false
    }
  }
}

/// One field at one place.
struct Finding: Sendable {
  var message: String
  var field: String
  var path: FieldPath
  var fate: Fate

  var name: String { field.isEmpty ? message : "\(message).\(field)" }
}

/// Walks every field below a root.
struct FieldWalk: Sendable {
  private let root: CoverageRoot
  private let exceptions: [String: String]
  private let unread: Unread
  private(set) var findings: [Finding] = []
  private(set) var conversions = 0
  /// Exceptions that were met.
  private(set) var used: Set<String> = []
  private var made: [JSONValue: CoverageRoot.Result] = [:]

  /// *Parameter* `exceptions`: why fields change nothing, by field, or by root and path.
  init(_ root: CoverageRoot, exceptions: [String: String], unread: Unread) {
    self.root = root
    self.exceptions = exceptions
    self.unread = unread
  }

  mutating func run() {
    if case .refused(let path, let message) = convert(root.base) {
      findings.append(
        Finding(
          message: root.type.schema.name, field: "", path: path, fate: .unknown("the base is refused: \(message)")))
      return
    }
    _ = visit(root.type, FieldPath(), root.base, [])
    if findings.isEmpty { withoutFields(root.type, FieldPath(), .carriedOut) }
  }

  /// An extension whose message says all by its name.
  private mutating func withoutFields(_ type: any Message.Type, _ path: FieldPath, _ fate: Fate) {
    findings.append(Finding(message: type.schema.name, field: "", path: path, fate: fate))
  }

  private mutating func convert(_ document: JSONValue) -> CoverageRoot.Result {
    if let known = made[document] { return known }
    conversions += 1
    let result = root.convert(document)
    made[document] = result
    return result
  }

  /// *Returns*: whether anything below is told of.
  private mutating func visit(
    _ type: any Message.Type, _ path: FieldPath, _ document: JSONValue, _ outer: Set<String>
  ) -> Bool {
    var isTold = false
    let shapes = FieldShape.all(of: type, isCamelCase: root.isCamelCase)
    for shape in shapes {
      let name = "\(type.schema.name).\(shape.name)"
      var document = document
      let at = path.field(shape.name)
      if let patch = ProbeTables.companions[name] ?? ProbeTables.ruleCompanions["\(root): \(at)"]
        ?? ProbeTables.ruleCompanions[name]
      {
        document =
          patch.isForRoot
          ? document.merging(patch.members)
          : document.setting(path.elements, to: (document.at(path.elements) ?? [:]).merging(patch.members))
      }
      for other in shapes
      where other.schema.oneof != nil && other.schema.oneof == shape.schema.oneof && other.name != shape.name {
        document = document.setting(path.elements + [.field(other.name)], to: nil)
      }
      let inner: FieldPath
      switch shape.form {
      case .one: inner = at
      case .list: inner = at.index(0)
      case .map: inner = at.key(ProbeTables.mapKeys[name] ?? "1")
      }
      var fate: Fate
      if case .message(let sub) = shape.kind, !sub.hasCustomJSON || sub == Google_Protobuf_Any.self {
        fate = message(name, sub, at, inner, document, outer.union([type.schema.name]))
      } else {
        fate = scalar(name, shape, at, inner, document)
      }
      if root.isCamelCase, case .refused(let text) = fate, !Self.isMeant(text) {
        fate = .unknown("refused, with everything that was tried: \(text)")
      }
      if let key = [name, "\(root): \(name)", "\(root): \(at)"].first(where: { exceptions[$0] != nil }),
        let reason = exceptions[key]
      {
        used.insert(key)
        fate = fate == .silent ? .excused(reason) : .unknown("it is told now: take it off the exceptions")
      }
      if fate.isTold { isTold = true }
      if fate == .again { continue }
      findings.append(Finding(message: type.schema.name, field: shape.name, path: at, fate: fate))
    }
    return isTold
  }

  /// Whether a refusal is about the field, not about the probe.
  private static func isMeant(_ refusal: String) -> Bool {
    refusal.contains("is not supported") || refusal.contains("is only for")
  }

  // MARK: Values

  private mutating func scalar(
    _ name: String, _ shape: FieldShape, _ at: FieldPath, _ inner: FieldPath, _ document: JSONValue
  ) -> Fate {
    // A member of a oneof is compared with none of them, every other field with what the base has.
    let present = shape.schema.oneof == nil ? document.at(inner.elements) : nil
    let before = convert(shape.schema.oneof == nil ? document : document.setting(at.elements, to: nil))
    var fates: [Fate] = []
    for value in ProbeTables.values(for: name, shape) where value != present {
      let fate = compare(before, convert(document.setting(inner.elements, to: value)), at)
      fates.append(fate)
      if fate == .carriedOut { break }
    }
    // Refusing what is out of range says nothing about what is taken.
    if fates.contains(.silent), !fates.contains(where: \.hasEffect), shape.form != .one || !shape.isChoice {
      return .silent
    }
    return fates.min() ?? .unknown("no value to try")
  }

  // MARK: Messages

  private mutating func message(
    _ name: String, _ type: any Message.Type, _ at: FieldPath, _ inner: FieldPath, _ document: JSONValue,
    _ outer: Set<String>
  ) -> Fate {
    let before = convert(document.setting(at.elements, to: nil))
    guard type != Google_Protobuf_Any.self else { return extensions(name, at, inner, document, before, outer) }
    let seed =
      document.at(inner.elements) ?? ProbeTables.seeds[name] ?? ProbeTables.ruleSeeds[name]
      ?? ProbeTables.seeds[type.schema.name] ?? ProbeTables.ruleSeeds[type.schema.name] ?? [:]
    let with = document.setting(inner.elements, to: seed)
    return descend(type, at, inner, with, before, outer)
  }

  private mutating func extensions(
    _ name: String, _ at: FieldPath, _ inner: FieldPath, _ document: JSONValue, _ before: CoverageRoot.Result,
    _ outer: Set<String>
  ) -> Fate {
    var fates: [Fate] = []
    for seed in ProbeTables.extensions[name] ?? ProbeTables.anyExtension {
      let url = seed["@type"]?.stringValue ?? ""
      guard let type = ProbeTables.registry.type(forURL: url) else {
        return .unknown("the tables name an unknown type \(url)")
      }
      let with = document.setting(inner.elements, to: seed)
      fates.append(
        type.hasCustomJSON ? compare(before, convert(with), at) : descend(type, at, inner, with, before, outer))
      if let fate = fates.last, fate != .again, fate != .silent, type.schema.fields.isEmpty {
        withoutFields(type, at, fate)
      }
    }
    return fates.min() ?? .unknown("no extension to try")
  }

  private mutating func descend(
    _ type: any Message.Type, _ at: FieldPath, _ inner: FieldPath, _ with: JSONValue, _ before: CoverageRoot.Result,
    _ outer: Set<String>
  ) -> Fate {
    let after = convert(with)
    let fate = compare(before, after, at)
    switch fate {
    case .warned, .refused: return fate
    case .again, .excused, .unknown: return fate
    case .carriedOut, .partly, .silent: break
    }
    if case .refused(_, let text) = after { return .unknown("with it the document is refused: \(text)") }
    // What contains itself is looked at once.
    if outer.contains(type.schema.name) { return .again }
    guard !root.stops.contains(type.schema.name) else { return fate }
    let known = findings.count
    if visit(type, inner, with, outer) { return fate == .silent ? .carriedOut : fate }
    // Nothing in it tells anything: it is named once, not with each of its fields.
    if fate == .silent { findings.removeSubrange(known...) }
    return fate
  }

  // MARK: Comparing

  /// What is said about a place: first what was not said before.
  private static func told(_ at: FieldPath, _ known: [FieldPath: String], _ new: [FieldPath: String]) -> String? {
    let fresh = new.filter { known[$0.key] == nil }.sorted { "\($0.key)" < "\($1.key)" }
    if let told = fresh.first(where: { $0.key.covers(at) || $0.key.isElement(of: at) }) { return told.value }
    return known.first { $0.key.covers(at) }?.value
  }

  private func compare(_ before: CoverageRoot.Result, _ after: CoverageRoot.Result, _ at: FieldPath) -> Fate {
    switch (before, after) {
    case (.made(let old, let known), .made(let new, let told)):
      if let text = Self.told(at, known.warnings, told.warnings) { return .warned(text) }
      // What was odd before about more than this place is no answer.
      let same = known.hints.filter { $0.key == at || told.hints[$0.key] == nil }
      let hints = told.hints.filter { known.hints[$0.key] == nil || $0.key == at }
      if !unread.hears(old, new) { return Self.told(at, same, hints).map(Fate.warned) ?? .silent }
      return Self.told(at, known.partly, told.partly).map(Fate.partly) ?? .carriedOut
    case (.refused, .made(_, let told)):
      // What is required may be without effect, as all that it may be one of: without it there is nothing. What is told of more than this place may
      // be its effect: what is optional is left out.
      let here = root.isCamelCase ? told.warnings : told.warnings.filter { $0.key == at }
      return Self.told(at, [:], here).map(Fate.warned) ?? .carriedOut
    case (.made, .refused(_, let message)): return .refused(message)
    case (.refused(let oldPath, let old), .refused(let path, let message)):
      if path == oldPath, old == message { return .unknown("refused with it and without it: \(path): \(message)") }
      return path.covers(at) || at.covers(path) ? .refused(message) : .unknown("\(path): \(message)")
    }
  }
}

extension FieldPath {
  /// Whether `other` is this place or one below it.
  func covers(_ other: FieldPath) -> Bool { other.elements.starts(with: elements) }

  /// Whether this is an element of the list or map at `other`.
  func isElement(of other: FieldPath) -> Bool {
    guard elements.count == other.elements.count + 1, other.covers(self), let last = elements.last else { return false }
    if case .field = last { return false }
    return true
  }
}
