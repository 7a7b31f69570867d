// docs/reference/coverage.md: what becomes of every field, as the walk has found it.
import Foundation
import Testing
import WeftBase
import WeftProtobuf
import WeftTestKit

/// The page, made of what walks found.
struct CoveragePage: Sendable {
  /// Where a reader of the messages may be.
  let rooms: [String]
  /// What stands above the list.
  let head: @Sendable (_ counts: String) -> String

  init(rooms: [String], head: @escaping @Sendable (_ counts: String) -> String) {
    self.rooms = rooms
    self.head = head
  }

  private struct Row: Sendable {
    var fates: [String: Fate] = [:]
  }

  /// Findings by message and field.
  private var messages: [String: [String: Row]] = [:]
  /// The fields that hold a message, by its name: whoever reads them reads it.
  private var holders: [String: Set<Holder>] = [:]
  private var known: Set<String> = []

  private struct Holder: Hashable {
    var message: String
    /// As Swift spells it.
    var field: String
  }

  /// Takes note of what a kind of document is made of.
  mutating func add(_ type: any Message.Type) {
    guard known.insert(type.schema.name).inserted else { return }
    for field in FieldShape.all(of: type) {
      guard case .message(let inner) = field.kind else { continue }
      holders[inner.schema.name, default: []].insert(
        Holder(message: type.schema.name, field: field.schema.jsonName))
      add(inner)
    }
  }

  mutating func add(_ finding: Finding, in root: CoverageRoot) {
    // One that was found inside a field of any type is reached by no field of another.
    if let type = ProbeTables.registry.type(forURL: "/\(finding.message)") { add(type) }
    messages[finding.message, default: [:]][finding.field, default: Row()].fates["\(root): \(finding.path)"] =
      finding.fate
  }

  private typealias Sources = [(path: String, text: String)]

  /// The converter's files that speak of a message: by its name, or that of the one around it; or else of the field that holds it, where its own
  /// name need not be said.
  private func places(_ message: String, _ sources: Sources, _ asked: Set<String> = []) -> [String] {
    let named = Self.named(message, sources)
    if !named.isEmpty || asked.contains(message) { return named }
    var found: Set<String> = []
    for holder in holders[message] ?? [] {
      let readers = places(holder.message, sources, asked.union([message]))
      let own = Self.speak(of: [".\(holder.field)"], readers, sources)
      found.formUnion(own.isEmpty ? readers : own)
    }
    return found.sorted()
  }

  /// Those of `paths` that say one of `words`, as a whole word.
  private static func speak(of words: [String], _ paths: [String], _ sources: Sources) -> [String] {
    sources.filter { source in
      paths.contains(source.path)
        && words.contains { word in
          source.text.ranges(of: word).contains { range in
            let next = source.text[range.upperBound...].unicodeScalars.first
            return next.map { !CharacterSet.alphanumerics.contains($0) && $0 != "_" } ?? true
          }
        }
    }.map(\.path)
  }

  private static func named(_ message: String, _ sources: Sources) -> [String] {
    let quoted = sources.filter { $0.text.contains("\"\(message)\"") }.map(\.path)
    let parts = message.split(separator: ".").map(String.init)
    let packages = parts.prefix { $0.first?.isUppercase != true }.map { part in
      part.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
    var types = Array(parts.dropFirst(packages.count))
    while !types.isEmpty {
      let name = (packages + [types.joined(separator: ".")]).joined(separator: "_")
      let found = speak(of: [name], sources.map(\.path), sources)
      if !found.isEmpty { return Set(found + quoted).sorted() }
      types.removeLast()
    }
    return quoted
  }

  /// Where a field is read or told of, among several readers of its message; empty where that is all of them.
  private static func places(of field: String, _ readers: [String], _ sources: Sources) -> String {
    if readers.count < 2 { return "" }
    let parts = field.split(separator: "_")
    let camel = parts.prefix(1).joined() + parts.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    let found = speak(of: [".\(camel)", "\"\(field)\""], readers, sources)
    if found.isEmpty || found.count == readers.count { return "" }
    return " (" + found.map { "`\($0)`" }.joined(separator: ", ") + ")"
  }

  func text() throws -> String {
    let sources = try rooms.flatMap { try SourceTree.files(below: $0) }.filter { $0.hasSuffix(".swift") }.map {
      (path: $0, text: try SourceTree.text($0))
    }
    var counts: [String: Int] = [:]
    var body = ""
    for (message, fields) in messages.sorted(by: { $0.key < $1.key }) {
      body += "\n## \(message)\n"
      let places = places(message, sources)
      if places.isEmpty { Issue.record("\(message) is read nowhere in \(rooms)") }
      body += "Read in \(places.map { "`\($0)`" }.joined(separator: ", ")).\n\n"
      body += "| field | what becomes of it |\n|---|---|\n"
      for (field, row) in fields.sorted(by: { $0.key < $1.key }) {
        let (kind, words) = Self.words(row.fates)
        guard !field.isEmpty else {
          body += "| (it has none) | \(words) |\n"
          continue
        }
        counts[kind, default: 0] += 1
        body += "| `\(field)` | \(words)\(Self.places(of: field, places, sources)) |\n"
      }
    }
    let order = ["carried out", "carried out in part", "warned", "refused", "nothing to do"]
    let sums = order.compactMap { kind in counts[kind].map { "\($0) \(kind)" } }
    return head("Of \(counts.values.reduce(0, +)) fields: \(sums.joined(separator: ", ")).") + "\n" + body
  }

  /// Where places differ, what is done at most of them stands first.
  private static func words(_ fates: [String: Fate]) -> (kind: String, words: String) {
    let all = fates.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
    guard let first = all.first else { return ("", "") }
    let kind = word(first.value)
    var words = kind + explanation(first.key, first.value)
    var said: Set<String> = [kind]
    for (place, fate) in all where said.insert(word(fate)).inserted {
      words += "; at `\(place.split(separator: ": ").last ?? "")` \(word(fate))\(explanation(place, fate))"
    }
    return (kind, words)
  }

  private static func word(_ fate: Fate) -> String {
    switch fate {
    case .carriedOut, .again: "carried out"
    case .partly: "carried out in part"
    case .warned: "warned"
    case .refused: "refused"
    case .excused: "nothing to do"
    case .silent, .unknown: "not told"
    }
  }

  private static func explanation(_ place: String, _ fate: Fate) -> String {
    switch fate {
    case .partly(let text), .warned(let text), .refused(let text), .excused(let text):
      ": \(text.replacing("|", with: "\\|"))"
    default: ""
    }
  }
}

extension CoveragePage {
  private static let legend = """
    Made by `make docs` from a test that sets one field after another in a good document and looks at what becomes of it (`Tests/Coverage`); `make test` fails when this page
    is out of date, and when a field changes nothing and nobody is told.
    """

  /// Of what a proxy takes.
  static let proxy = CoveragePage(rooms: ["Sources/Model/WeftXDS/Convert", "Sources/Extensions"]) { counts in
    """
    # What weft-proxy does with every field

    \(legend) Where several files read a message, those behind a field are the ones that read it. A field that is not here is not known: in a bootstrap or a file it is warned about by path, over
    discovery by path and number. What the control plane does with the fields of rules: [coverage-rules.md](coverage-rules.md).

    *Carried out*: what is made of the document changes. *Warned*: it has no effect and the log says so, by path. *Refused*: the resource is, by path. *Nothing to do*: nothing
    changes, for the reason given. \(counts)
    """
  }

  /// Of what people write.
  static let rules = CoveragePage(rooms: ["Sources/ControlPlane", "Sources/Model/WeftKinds/Kinds"]) { counts in
    """
    # What weft-control does with every field of a rule

    \(legend) Where several files read a message, those behind a field are the ones that read it. The rule stands in a small mesh with a proxy of every sort. A field that is not here is not
    known, and refused by path. What a proxy does with what it is sent: [coverage.md](coverage.md).

    *Carried out*: what some proxy is sent changes. *Carried out in part*: not by every sort of proxy; who applies the rule is told, by path. *Warned*: it has no effect, or not the one
    it seems to have, and who applies the rule is told, by path. *Refused*: the rule is, by path. *Nothing to do*: nothing changes, for the reason given. \(counts)
    """
  }
}
