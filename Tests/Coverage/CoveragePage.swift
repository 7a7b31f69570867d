// docs/reference/coverage.md: what becomes of every field, as the walk has found it.
import WeftBase
import WeftTestKit

/// The page, made of what walks found.
struct CoveragePage {
  private struct Row {
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
    let sources = try ["Sources/Model/WeftXDS/Convert", "Sources/Extensions"].flatMap {
      try SourceTree.files(below: $0)
    }
    .filter { $0.hasSuffix(".swift") }.map { (path: $0, text: try SourceTree.text($0)) }
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
        counts[kind, default: 0] += 1
        body += "| `\(field)` | \(words) |\n"
      }
    }
    let total = counts.values.reduce(0, +)
    return """
      # What weft-proxy does with every field

      Made by `make docs` from a test that sets one field after another in a good document and looks at what becomes of it (`Tests/Coverage`); `make test` fails when this page
      is out of date, and when a field changes nothing and nobody is told. A field that is not here is not known: in a bootstrap or a file it is warned about by path, over
      discovery by path and number.

      *Carried out*: what is made of the document changes. *Warned*: it has no effect and the log says so, by path. *Refused*: the resource is, by path. *Nothing to do*: nothing
      changes, for the reason given. Of \(total) fields \(counts["carried out"] ?? 0) are carried out, \(counts["warned"] ?? 0) warned about, \(counts["refused"] ?? 0) refused; \(counts["nothing to do"] ?? 0) ask for nothing.
      \(body)
      """
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
    case .warned: "warned"
    case .refused: "refused"
    case .excused: "nothing to do"
    case .silent, .unknown: "not told"
    }
  }

  private static func explanation(_ place: String, _ fate: Fate) -> String {
    switch fate {
    case .warned(let text), .refused(let text), .excused(let text): ": \(text.replacing("|", with: "\\|"))"
    default: ""
    }
  }
}
