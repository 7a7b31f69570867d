// docs/reference/coverage.md: what becomes of every field, as the walk has found it.
import WeftBase
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

  mutating func add(_ finding: Finding, in root: CoverageRoot) {
    messages[finding.message, default: [:]][finding.field, default: Row()].fates["\(root): \(finding.path)"] =
      finding.fate
  }

  /// The converter's files that speak of a message: by its Swift name, or that of the one around it.
  private static func places(_ message: String, _ sources: [(path: String, text: String)]) -> [String] {
    let parts = message.split(separator: ".").map(String.init)
    let packages = parts.prefix { $0.first?.isUppercase != true }.map { part in
      part.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
    var types = Array(parts.dropFirst(packages.count))
    while !types.isEmpty {
      let name = (packages + [types.joined(separator: ".")]).joined(separator: "_")
      let found = sources.filter { $0.text.contains(name) }.map(\.path)
      if !found.isEmpty { return found }
      types.removeLast()
    }
    return []
  }

  func text() throws -> String {
    let sources = try rooms.flatMap { try SourceTree.files(below: $0) }.filter { $0.hasSuffix(".swift") }.map {
      (path: $0, text: try SourceTree.text($0))
    }
    var counts: [String: Int] = [:]
    var body = ""
    for (message, fields) in messages.sorted(by: { $0.key < $1.key }) {
      body += "\n## \(message)\n"
      let places = Self.places(message, sources)
      if !places.isEmpty {
        body += "Read in \(places.map { "`\($0)`" }.joined(separator: ", ")).\n\n"
      } else {
        body += "\n"
      }
      body += "| field | what becomes of it |\n|---|---|\n"
      for (field, row) in fields.sorted(by: { $0.key < $1.key }) {
        let (kind, words) = Self.words(row.fates)
        guard !field.isEmpty else {
          body += "| (it has none) | \(words) |\n"
          continue
        }
        counts[kind, default: 0] += 1
        body += "| `\(field)` | \(words) |\n"
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

    \(legend) A field that is not here is not known: in a bootstrap or a file it is warned about by path, over
    discovery by path and number. What the control plane does with the fields of rules: [coverage-rules.md](coverage-rules.md).

    *Carried out*: what is made of the document changes. *Warned*: it has no effect and the log says so, by path. *Refused*: the resource is, by path. *Nothing to do*: nothing
    changes, for the reason given. \(counts)
    """
  }

  /// Of what people write.
  static let rules = CoveragePage(rooms: ["Sources/ControlPlane", "Sources/Model/WeftKinds/Kinds"]) { counts in
    """
    # What weft-control does with every field of a rule

    \(legend) The rule stands in a small mesh with a proxy of every sort. A field that is not here is not
    known, and refused by path. What a proxy does with what it is sent: [coverage.md](coverage.md).

    *Carried out*: what some proxy is sent changes. *Carried out in part*: not by every sort of proxy; who applies the rule is told, by path. *Warned*: it has no effect, or not the one
    it seems to have, and who applies the rule is told, by path. *Refused*: the rule is, by path. *Nothing to do*: nothing changes, for the reason given. \(counts)
    """
  }
}
