// What documents say about the code is so: names exist, flags and details are explained.
import Foundation
import Testing

/// Names written in backticks in documents, and what the sources know.
enum Vocabulary {
  /// Words that stand in backticks and are no names of ours: commands, other people's products and formats.
  static let allowed: Set<String> = [
    "curl", "nginx", "h2load", "openssl", "iptables", "systemd", "git", "kubectl", "istioctl", "istiod", "grpcurl",
    "protoc", "swift", "make", "HTTPS_PROXY", "response_code_details",
    // A planned room that the first design note names.
    "WeftIdentity",
  ]

  /// A single name: letters, digits, underscores, dots between.
  static func isName(_ text: String) -> Bool {
    text.wholeMatch(of: #/[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*/#) != nil
  }

  /// The names in backticks of a document, code blocks left out.
  static func names(in document: String) -> [String] {
    var names: [String] = []
    var isCode = false
    for line in Repository.lines(document) {
      if line.hasPrefix("```") { isCode.toggle() }
      if isCode { continue }
      for match in line.matches(of: #/`([^`]+)`/#) {
        let text = String(match.output.1)
        if isName(text) { names.append(text) }
      }
    }
    return names
  }

  /// Every word of the sources, of what they are made from, and of what runs them.
  static let words: Set<String> = {
    var words: Set<String> = []
    func add(_ text: String) { words.formUnion(Repository.words(text)) }
    for (folder, suffixes) in [
      ("Sources", [".swift", ".h", ".c", ".cpp"]), ("Tests", [".swift", ".py", ".sh", ".json", ".yaml"]),
      ("Protos", [".proto"]),
      ("Tools", [".swift", ".sh", ".py", ".txt"]), ("Benchmarks", [".py", ".sh"]), ("Fuzz", [".swift", ".sh"]),
      ("Examples", [".swift", ".sh", ".yaml"]),
    ] {
      for suffix in suffixes {
        for path in Repository.files(under: folder, suffix: suffix) {
          add(path)
          add(Repository.text(path))
        }
      }
    }
    for file in ["Package.swift", "Makefile", ".swift-format"] { add(Repository.text(file)) }
    return words
  }()

  static func knows(_ name: String) -> Bool {
    allowed.contains(name) || name.split(separator: ".").allSatisfy { words.contains(String($0)) }
  }
}

@Suite("documents")
struct DocumentTests {
  static let documents =
    Repository.files(under: "docs", suffix: ".md") + ["README.md", "ARCHITECTURE.md", "GLOSSARY.md", "STYLE.md"]

  @Test("every name in backticks exists in the sources", arguments: documents)
  func namesExist(document: String) {
    for name in Set(Vocabulary.names(in: document)).sorted() {
      #expect(Vocabulary.knows(name), "\(document) names `\(name)`, which is nowhere in the sources")
    }
  }

  @Test("the check itself sees a name that is gone, and only names")
  func checkBites() {
    #expect(!Vocabulary.knows("Cluster" + "RuntimeThatWas") && Vocabulary.knows("WorkerEngine"))
    #expect(Vocabulary.isName("RouteTable.match") && !Vocabulary.isName("make test") && !Vocabulary.isName("--flag"))
  }

  static let flagsPage = "docs/reference/response-flags.md"

  /// What answers requests: the engine and its extensions.
  static let setters = ["Sources/DataPlane", "Sources/Extensions"].flatMap {
    Repository.files(under: $0, suffix: ".swift")
  }

  /// Texts that end up in `%RESPONSE_CODE_DETAILS%`.
  static func details() -> Set<String> {
    var found: Set<String> = []
    let given = #/(?:details|detailsMidway)(?:: StaticString)?(?: =|:)\s*(?:ByteView\()?"(?<text>[^"]+)"/#
    let fault = #/return "(?<text>[a-z_]+_(?:mismatch|without_request))"/#
    let codec = #/case \.\w+: "(?<text>http[12]\.[a-z0-9_]+|low_version|missing_host_header)"/#
    for path in Self.setters {
      let text = Repository.text(path)
      for match in text.matches(of: given) { found.insert(String(match.text)) }
      for match in text.matches(of: fault) { found.insert(String(match.text)) }
    }
    for path in Repository.files(under: "Sources/Protocol/WeftHTTP", suffix: ".swift") {
      for match in Repository.text(path).matches(of: codec) { found.insert(String(match.text)) }
    }
    return found
  }

  @Test(
    "a worked example is what is compiled, line for line",
    arguments: [("http-filter", "Tests/Extensions/WeftHTTPFiltersTests/ExampleFilterTests.swift")])
  func examplesAreCompiled(page: String, test: String) throws {
    func bare(_ line: String) -> String { line.replacing("package ", with: "").trimmingCharacters(in: .whitespaces) }
    let text = Repository.text("docs/adding/\(page).md")
    let start = try #require(text.range(of: "```swift\n"))
    let end = try #require(text.range(of: "```", range: start.upperBound..<text.endIndex))
    let shown = text[start.upperBound..<end.lowerBound].split(separator: "\n").map { bare(String($0)) }
    let compiled = Set(Repository.text(test).split(separator: "\n").map { bare(String($0)) })
    #expect(shown.count > 5)
    for line in shown where !compiled.contains(line) { Issue.record("docs/adding/\(page).md: \(line)") }
  }

  @Test("every text of response code details is explained")
  func detailsAreExplained() {
    let details = Self.details()
    #expect(details.count > 80, "the pattern finds no details any more")
    let page = Repository.text(Self.flagsPage)
    for text in details.sorted() { #expect(page.contains("`\(text)`"), "\(Self.flagsPage) lacks `\(text)`") }
  }

  @Test("every response flag is explained, and said to be set where it is")
  func flagsAreExplained() throws {
    let source = Repository.text("Sources/Base/WeftTelemetry/AccessLog/ResponseFlag.swift")
    let flags = source.matches(of: #/case \.(?<name>\w+): "(?<short>[A-Z]+)"/#)
    #expect(flags.count >= 30)
    let lines = Repository.lines(Self.flagsPage)
    let unset = try #require(lines.first { $0.hasPrefix("Known to filters") })
    let engine = Self.setters.map { Repository.text($0) }.joined()
    for flag in flags {
      let setting = "(?:[fF]lags\\.insert\\(|ResponseFlags\\(|flag: |note\\(|[?:] )\\.\(flag.name)\\b"
      let isSet = engine.contains(try Regex(setting))
      let row = lines.first { $0.hasPrefix("| `\(flag.short)` |") }
      #expect((row != nil) == isSet, "`\(flag.short)` (\(flag.name)) is \(isSet ? "set" : "set nowhere")")
      #expect(isSet || unset.contains("`\(flag.short)`"), "\(Self.flagsPage) lacks `\(flag.short)`")
    }
  }
}
