// The catalogue of statistics: nothing is listed that nobody counts.
import Foundation
import Testing

@Suite("catalogue of statistics")
struct CatalogTests {
  static let folder = "Sources/Base/WeftTelemetry/Catalog"

  /// The entries of each metric type.
  static func entries() -> [(type: String, name: String)] {
    let declaration = #/enum (?<type>\w+): Int, Metric \{(?<cases>.*?)package static var scopeKind/#
      .dotMatchesNewlines()
    return Repository.files(under: folder, suffix: ".swift").flatMap { path in
      Repository.text(path).matches(of: declaration).flatMap { match in
        let lists = match.cases.replacing(#/\/\/[^\n]*/#, with: "").replacing("case ", with: ",")
        return lists.split(whereSeparator: { ",\n ".contains($0) }).map { (String(match.type), String($0)) }
      }
    }
  }

  /// Every `.name` in the sources, but for the catalogue's own definitions.
  static func uses() -> Set<String> {
    var uses: Set<String> = []
    for path in Repository.files(under: "Sources", suffix: ".swift") where !path.contains("/Generated/") {
      let isCatalog = path.hasPrefix(folder)
      for line in Repository.lines(path) {
        guard line.utf8.contains(0x2E) else { continue }
        let code = line.prefix(upTo: line.firstRange(of: "//")?.lowerBound ?? line.endIndex)
        if isCatalog, code.contains(#/^ *case \.\w+:/#) { continue }
        for match in code.matches(of: #/\.(?<name>[a-z]\w*)/#) { uses.insert(String(match.name)) }
      }
    }
    return uses
  }

  @Test("every entry is counted somewhere")
  func everyEntryIsCounted() {
    let entries = Self.entries()
    #expect(entries.count > 150 && Set(entries.map(\.type)).count >= 8, "the pattern finds no entries any more")
    let uses = Self.uses()
    for entry in entries { #expect(uses.contains(entry.name), "\(entry.type).\(entry.name) is never written") }
  }
}
