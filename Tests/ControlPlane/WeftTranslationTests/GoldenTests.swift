import Testing
import WeftBase
import WeftTestKit

@testable import WeftTranslation

/// `make golden-update` writes the expected files anew: read the difference.
@Suite("translation, golden cases")
struct GoldenTests {
  @Test("gives exactly the resources on file", arguments: TranslationCase.names)
  func golden(_ name: String) throws {
    let made = try TranslationCase(name).translate().golden()
    let text = made.text(JSONStyle(pretty: true, sorted: false)) + "\n"
    #expect(try Golden.expected("translation/\(name).expected.json", for: text) == text)
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
