// Tests/found.md: what was found from outside is a test of the project.
import Foundation
import Testing

@Suite("what was found")
struct FoundTests {
  private static let page = "Tests/found.md"

  /// The rows of the page: the input, and what stands in backticks of its last column.
  static func rows(_ page: String) -> [(input: String, names: [String])] {
    page.split(separator: "\n").filter { $0.hasPrefix("| ") && !$0.hasPrefix("| input |") }.map { row in
      let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      return (cells[0], (cells.last ?? "").matches(of: #/`([^`]+)`/#).map { String($0.output.1) })
    }
  }

  /// What of `names` is not there. `tests` are the texts of the project's tests.
  static func missing(_ names: [String], tests: [String]) -> [String] {
    var file = ""
    return names.filter { name in
      if name.wholeMatch(of: #/[A-Z]\w+\.\w+/#) != nil {
        let parts = name.split(separator: ".")
        return !tests.contains { text in
          ["struct", "extension", "class"].contains { text.contains("\($0) \(parts[0]) ") }
            && text.contains("func \(parts[1])(")
        }
      }
      if name.contains("/") {
        file = name
        return !Repository.exists(name)
      }
      return file.isEmpty || !Repository.text(file).contains(name)
    }
  }

  @Test("every input has a test, and each test named is there")
  func inputsHaveTests() {
    let rows = Self.rows(Repository.text(Self.page))
    #expect(rows.count >= 34 && Set(rows.map(\.input)).count == rows.count)
    let tests = Repository.files(under: "Tests", suffix: ".swift").map { Repository.text($0) }
    for row in rows where row.names != ["IST0128"] {
      #expect(!row.names.isEmpty, "\(row.input) has no test")
      for name in Self.missing(row.names, tests: tests) { Issue.record("\(row.input): there is no \(name)") }
    }
    for path in Repository.files(under: "Sources", suffix: ".swift") {
      #expect(!Repository.text(path).contains("IST0128"), "\(path): the warning was false")
    }
  }

  @Test("the check itself sees what is not there")
  func checkBites() {
    let tests = ["struct ATests {\n  func a() {}", "struct BTests {\n  func b() {}"]
    let names = ["ATests.a", "ATests.b", "Tests/found.md", "Faults that were found", "no such word", "Tests/lost.md"]
    #expect(Self.missing(names, tests: tests) == ["ATests.b", "no " + "such word", "Tests/lost.md"])
    #expect(Self.rows("| input | test |\n|---|---|\n| a | `b` and `c` |").map(\.names) == [["b", "c"]])
  }
}
