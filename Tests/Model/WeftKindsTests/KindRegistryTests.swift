import Testing
import WeftBase
import WeftKinds

@Suite("registry of kinds")
struct KindRegistryTests {
  @Test("kinds are sorted, and no two share a name, a plural or a short name")
  func namesAreUnique() {
    let kinds = KindRegistry.all
    #expect(kinds.map { "\($0.name)" } == kinds.map { "\($0.name)" }.sorted())
    let words = kinds.flatMap { [$0.plural] + $0.shortNames }
    #expect(Set(words).count == words.count, "\(words)")
    #expect(words.allSatisfy { $0 == $0.lowercased() })
  }

  @Test("a kind is found by exactly its name", arguments: KindRegistry.all.map(\.name))
  func lookUp(name: KindName) {
    #expect(KindRegistry.kind(name)?.name == name)
  }

  @Test("a kind is documented, and has a version")
  func documented() {
    for kind in KindRegistry.all { #expect(!kind.versions.isEmpty && !kind.group.isEmpty, "\(kind.name)") }
  }

  @Test("an empty spec and one with an unknown field are looked at without a trap")
  func checksTakeAnything() throws {
    for kind in KindRegistry.all {
      let unknown = try JSONValue(parsing: #"{"noSuchField": 1}"#)
      #expect(!kind.findings(unknown, ValidationContext()).isEmpty, "\(kind.name) takes a field that nobody knows")
    }
  }
}
