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

  /// Pages of docs/adding, and the tests that their examples are of, in order.
  static let examples: [String: [String]] = [
    "access-log": ["Extensions/WeftAccessLogsTests/ExampleSinkTests.swift"],
    "balancer": ["Extensions/WeftLoadBalancersTests/ExamplePolicyTests.swift"],
    "http-filter": ["Extensions/WeftHTTPFiltersTests/ExampleFilterTests.swift"],
    "listener-filter": ["Extensions/WeftListenerFiltersTests/ExampleFilterTests.swift"],
    "network-filter": [
      "Extensions/WeftNetworkFiltersTests/ExampleFilterTests.swift",
      "Extensions/WeftNetworkFiltersTests/TerminalFilterTests.swift",
    ],
    "protocol": ["Extensions/WeftProtocolsTests/Lines.swift"],
    "registry": ["ControlPlane/WeftControlTests/Registry/CatalogRegistry.swift"],
  ]

  @Test("a worked example is what is compiled, line for line", arguments: examples.sorted { $0.key < $1.key })
  func examplesAreCompiled(page: String, tests: [String]) {
    let blocks = Repository.text("docs/adding/\(page).md").split(separator: "```swift\n").dropFirst()
      .map { $0.prefix(upTo: $0.firstRange(of: "```")?.lowerBound ?? $0.endIndex) }
    #expect(blocks.count == tests.count)
    for (block, test) in zip(blocks, tests) {
      let shown = block.split(separator: "\n").map(String.init)
      #expect(shown.count > 5)
      if let line = Self.unlike(shown, Repository.text("Tests/\(test)").split(separator: "\n").map(String.init)) {
        Issue.record("docs/adding/\(page).md shows what Tests/\(test) does not have there: \(line)")
      }
    }
  }

  @Test("every page about adding has an example, and a line that is not compiled is seen")
  func examplesAreLookedAt() {
    let pages = Repository.files(under: "docs/adding", suffix: ".md").map { $0.dropFirst(12).dropLast(3) }
    // An index, and a page whose worked example is the family's own first member.
    #expect(pages.map(String.init) == (Self.examples.keys + ["README", "retry-priority"]).sorted())
    #expect(Self.unlike(["b", "c", "  …", "e"], ["a", "b", "c", "d", "e"]) == nil)
    #expect(Self.unlike(["b", "d"], ["a", "b", "c", "d"]) == "d")
    #expect(Self.unlike(["c", "…", "b"], ["a", "b", "c", "d"]) == "b")
  }

  @Test("every page of reference stands in its index")
  func referenceIsIndexed() {
    let index = Repository.text("docs/reference/README.md")
    let pages = Repository.files(under: "docs/reference", suffix: ".md").map { $0.dropFirst("docs/reference/".count) }
    #expect(pages.count > 20)
    for page in pages where page != "README.md" {
      #expect(index.contains("(\(page))"), "docs/reference/README.md lacks \(page)")
    }
  }

  /// The first line shown that does not stand where it should: shown lines follow each other as in `compiled`, from gap (`…`) to gap.
  static func unlike(_ shown: [String], _ compiled: [String]) -> String? {
    var at = 0
    var isFirst = true
    for line in shown {
      if line.trimmingCharacters(in: .whitespaces) == "…" {
        isFirst = true
        continue
      }
      if isFirst { at = compiled[at...].firstIndex(of: line) ?? compiled.count }
      guard at < compiled.count, compiled[at] == line else { return line }
      at += 1
      isFirst = false
    }
    return nil
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
    let setting = #/(?:[fF]lags\.insert\(|ResponseFlags\(|flag: |note\(|[?:] )\.(?<name>\w+)/#
    var settersByName: [Substring: Set<Substring>] = [:]
    for path in Self.setters {
      for match in Repository.text(path).matches(of: setting) {
        settersByName[match.name, default: []].insert(path.split(separator: "/").last ?? "")
      }
    }
    for flag in flags {
      let setters = settersByName[flag.name] ?? []
      let row = lines.first { $0.hasPrefix("| `\(flag.short)` |") }
      #expect((row != nil) != setters.isEmpty, "`\(flag.short)` (\(flag.name)) is set in \(setters.sorted())")
      #expect(!setters.isEmpty || unset.contains("`\(flag.short)`"), "\(Self.flagsPage) lacks `\(flag.short)`")
      #expect(Self.files(row) == setters, "`\(flag.short)` (\(flag.name)) is set in \(setters.sorted())")
    }
  }

  /// The files that a row of a table names.
  static func files(_ row: Substring?) -> Set<Substring> {
    Set((row ?? "").matches(of: #/`(?<file>\w+\.swift)`/#).map(\.file))
  }

  @Test("rows of details name the files that set them, and no table is cut by an empty line")
  func detailsNameTheirFiles() {
    let lines = Repository.lines(Self.flagsPage)
    for (above, below) in zip(lines.dropFirst(), lines.dropFirst(2)) where above.isEmpty && below.hasPrefix("|") {
      let begins = below.hasPrefix("| flag |") || below.hasPrefix("| details |")
      #expect(begins, "a table goes on behind an empty line: \(below)")
    }
    for row in lines where row.hasPrefix("| `") {
      let details = Set((row.split(separator: "|").first ?? "").matches(of: #/`(?<text>[a-z][^`]*)`/#).map(\.text))
      guard !details.isEmpty else { continue }
      let files = Self.files(row)
      #expect(!files.isEmpty, "\(Self.flagsPage) says of no file: \(row)")
      let texts = files.map { file in
        Repository.text(Self.everything.first { $0.hasSuffix("/" + file) } ?? "")
      }
      for text in details {
        #expect(texts.contains { $0.contains("\"\(text)\"") }, "`\(text)` is set in none of \(files.sorted())")
      }
    }
  }

  /// Sources that say something about a request.
  static let everything =
    setters + Repository.files(under: "Sources/Protocol", suffix: ".swift")

  @Test("every thread that is started stands on the pages about threads")
  func threadsAreExplained() {
    let pages = ["ARCHITECTURE.md", "docs/flows/control-loop.md"].map { Repository.text($0) }
    let named = #/(?:Worker(?:\.loop)?|ServiceRuntime(?:\.with)?|DispatchQueue)\((?:name|label): "(?<name>[a-z.-]+)/#
    var proxys: Set<String> = []
    var others: Set<String> = []
    for path in Repository.files(under: "Sources", suffix: ".swift") {
      let text = Repository.text(path)
      let isProxys = ["Sources/DataPlane/", "Sources/Programs/weft-proxy/"].contains { path.hasPrefix($0) }
      for match in text.matches(of: named) {
        let name = String(match.name).trimmingCharacters(in: CharacterSet(charactersIn: "-"))
        if isProxys { proxys.insert(name) } else { others.insert(name) }
      }
      // Whoever makes threads in another way is seen here.
      if text.contains("pthread_create(") {
        #expect(["Worker.swift", "DetachedThread.swift"].contains { path.hasSuffix("/" + $0) }, "\(path)")
      }
      if text.contains("DetachedThread.start") {
        let file = String(path.split(separator: "/").last ?? "")
        #expect(pages[0].contains("`\(file)`"), "ARCHITECTURE.md lacks the thread of \(path)")
      }
    }
    #expect(proxys.count >= 7 && others.count >= 5, "the pattern finds no threads any more")
    for name in proxys.union(others).sorted() {
      #expect(pages[0].contains("`\(name)"), "ARCHITECTURE.md lacks `\(name)`")
      #expect(!proxys.contains(name) || pages[1].contains("`\(name)"), "docs/flows/control-loop.md lacks `\(name)`")
    }
  }
}
