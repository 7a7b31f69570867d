// What is asked of a compiled form must not copy it.
import Foundation
import Testing

@Suite("tables")
struct TableTests {
  /// Asked once a connection at most, of what was copied to be asked.
  static let cold: Set<String> = ["CompiledListenerFilter.isDisabled"]

  /// What a file's structs with references in them answer themselves. Another module that asks through a `ConfigRef` copies all of the struct
  /// first, and counts every reference in it; what an extension of the `ConfigRef` answers is given its address.
  static func copying(in text: String) -> [String] {
    let block = #/(?m)^(?:package )?(?:struct|extension) (?<name>Compiled\w+)(?<conforms>[^{\n]*)\{\n/#
    let blocks = text.matches(of: block)
    let plain = Set(blocks.filter { $0.conforms.contains("BitwiseCopyable") }.map { String($0.name) })
    return blocks.filter { !plain.contains(String($0.name)) }.flatMap { match -> [String] in
      let body = text[match.range.upperBound...].split(separator: "\n", omittingEmptySubsequences: false)
        .prefix { $0 != "}" }
      let question = #/^  (?:@[\w()]+ )*package (?:func (?<function>\w+)|var (?<property>\w+): [^={]+\{.*)/#
      return body.compactMap { line in
        line.firstMatch(of: question).map { "\(match.name).\($0.function ?? $0.property ?? "")" }
      }
    }
  }

  @Test("compiled forms with references in them are asked through their references")
  func nothingCopies() {
    var asked = 0
    for path in Repository.files(under: "Sources/DataPlane/WeftTables", suffix: ".swift") {
      let text = Repository.text(path)
      asked += text.matches(of: #/(?m)^extension ConfigRef<Compiled/#).count
      for name in Self.copying(in: text) where !Self.cold.contains(name) {
        Issue.record("\(path): \(name) copies what it is asked of: put it into an extension of ConfigRef")
      }
    }
    #expect(asked > 3, "the pattern finds nothing any more")
  }

  @Test("planted questions that copy are found; those of references and of plain bytes do not")
  func planted() {
    let text = """
      package struct CompiledRoute {
        package var config: Route
        package var name = ByteView.empty
        package var isOpen: Bool { config.isOpen }
        package func allows(_ head: MessageHead) -> Bool { true }
        func own() -> Bool { true }
      }
      extension CompiledRoute {
        @inlinable package func rewritten() -> ByteView? { nil }
      }
      extension ConfigRef<CompiledRoute> {
        package func location() -> ByteView { .empty }
      }
      package struct CompiledRange: BitwiseCopyable {
        package func contains(_ address: IPAddress) -> Bool { true }
      }
      """
    #expect(Self.copying(in: text) == ["CompiledRoute.isOpen", "CompiledRoute.allows", "CompiledRoute.rewritten"])
  }
}
