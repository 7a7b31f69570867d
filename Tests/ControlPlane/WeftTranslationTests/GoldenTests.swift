import Foundation
import Testing
import WeftBase

@testable import WeftTranslation

/// Run with WEFT_UPDATE_GOLDEN=1 to write the expected files anew, then read the difference.
@Suite("translation, golden cases")
struct GoldenTests {
  @Test("gives exactly the resources on file", arguments: TranslationCase.names)
  func golden(_ name: String) throws {
    let made = try TranslationCase(name).translate().golden()
    let file = TranslationCase.folder.appendingPathComponent(name + ".expected.json")
    let text = made.text(JSONStyle(pretty: true, sorted: false)) + "\n"
    if ProcessInfo.processInfo.environment["WEFT_UPDATE_GOLDEN"] == "1" {
      try Data(text.utf8).write(to: file)
    }
    let expected = try String(contentsOf: file, encoding: .utf8)
    #expect(text == expected, "\(name) differs; see WEFT_UPDATE_GOLDEN")
  }

  @Test("gives the same bytes every time", arguments: TranslationCase.names)
  func deterministic(_ name: String) throws {
    let first = try TranslationCase(name).translate()
    let second = try TranslationCase(name).translate()
    for type in ResourceType.allCases {
      #expect(first.all(type) == second.all(type))
      for name in first.names(type) { #expect(first[type, name]?.body == second[type, name]?.body) }
    }
  }

  @Test("there are golden cases")
  func present() { #expect(TranslationCase.names.count >= 10) }
}
