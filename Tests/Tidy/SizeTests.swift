// How large the house is: lines per module against the budget, counts that are printed, files nobody uses.
import Foundation
import Testing

@Suite("sizes")
struct SizeTests {
  /// Hand-written lines a product module should have at most: past it an edit costs everybody a long compile.
  static let budget = 5000
  /// Modules over the budget. The list only shrinks: split the module, then take it off.
  static let over: Set<String> = ["WeftProxy", "WeftHTTP"]

  static func lines(_ folder: String) -> (written: Int, generated: Int) {
    var (written, generated) = (0, 0)
    for path in Repository.files(under: folder, suffix: ".swift") {
      let count = Repository.lines(path).count
      if path.contains("/Generated/") { generated += count } else { written += count }
    }
    return (written, generated)
  }

  @Test("modules keep to their budget")
  func budgets() {
    var table = ""
    for target in ArrowTests.targets.sorted(by: { $0.name < $1.name }) where target.room != "Programs" {
      let count = Self.lines(target.folder)
      table += "  \(target.name): \(count.written)\(count.generated > 0 ? " + \(count.generated) generated" : "")\n"
      let isOver = count.written > Self.budget
      #expect(!isOver || Self.over.contains(target.name), "\(target.name) has \(count.written) lines of \(Self.budget)")
      #expect(isOver || !Self.over.contains(target.name), "\(target.name) is under the budget: take it off the list")
    }
    print("lines per module\n\(table)", terminator: "")
  }

  /// Hand-written lines a test bundle should have at most, and the bundles over it. The list only shrinks.
  static let bundleBudget = 2500
  static let bundlesOver: Set<String> = ["Simulation", "WeftHTTPFiltersTests", "WeftProxyTests"]

  /// The folders of test bundles, by the bundle's name.
  static func bundles() -> [String: [String]] {
    var bundles: [String: [String]] = [:]
    for path in Repository.files(under: "Tests", suffix: ".swift") where !path.contains("/Generated/") {
      let parts = path.split(separator: "/").map(String.init)
      var name = parts[1]
      if let bundle = parts.dropFirst().dropLast().first(where: { $0.hasSuffix("Tests") }) { name = bundle }
      // WeftProxyTests is several bundles over one world.
      if name == "WeftProxyTests", let folder = parts.dropLast().last,
        ["World", "Attempts", "Router", "Listeners", "Streams", "Tunnels"].contains(folder)
      {
        name = "WeftProxy\(folder)"
      }
      bundles[name, default: []].append(path)
    }
    return bundles
  }

  @Test("test bundles keep to their budget")
  func bundleBudgets() {
    let bundles = Self.bundles()
    #expect(bundles.count > 20, "the folders are not found any more")
    var table = ""
    for (name, paths) in bundles.sorted(by: { $0.key < $1.key }) {
      let count = paths.reduce(0) { $0 + Repository.lines($1).count }
      table += "  \(name): \(count)\n"
      let isOver = count > Self.bundleBudget
      #expect(!isOver || Self.bundlesOver.contains(name), "\(name) has \(count) lines of \(Self.bundleBudget)")
      #expect(isOver || !Self.bundlesOver.contains(name), "\(name) is under the budget: take it off the list")
    }
    print("lines per test bundle\n\(table)", terminator: "")
  }

  @Test("counts of what needs a reason")
  func counts() {
    var (unsafe, unchecked) = (0, 0)
    for path in Repository.files(under: "Sources", suffix: ".swift") where !path.contains("/Generated/") {
      for line in Repository.lines(path) where !line.drop(while: { $0 == " " }).hasPrefix("//") {
        if line.contains("unsafe"), line.contains(#/\bunsafe\b/#) { unsafe += 1 }
        if line.contains("@unchecked Sendable") { unchecked += 1 }
      }
    }
    print("lines with unsafe: \(unsafe), unchecked Sendable: \(unchecked)")
    #expect(unsafe > 0 && unchecked > 0, "the patterns find nothing any more")
  }

  /// The types and functions at the top level of a file that other files may use.
  static func declared(_ text: String) -> [String] {
    let pattern =
      #/(?m)^(?:package |public |final |indirect |nonisolated |@\w+(?:\([^)]*\))? )*(?:struct|class|enum|actor|protocol|func|typealias|let|var) (?<name>\w+)/#
    return text.matches(of: pattern).map { String($0.name) }
  }

  /// What stands ready: certificates are issued by tests today and by the control plane with zero trust.
  static let ready: Set<String> = ["Sources/Runtime/WeftTLS/Certificates/CertificateAuthority.swift"]

  @Test("every file declares something that another file uses, or extends what one declares")
  func nothingIsDead() {
    let paths = Repository.files(under: "Sources", suffix: ".swift").filter {
      !$0.contains("/Generated/") && !$0.hasPrefix("Sources/TestKit/")
    }
    var uses: [String: Set<String>] = [:]
    for path in paths + Repository.files(under: "Tools", suffix: ".swift") {
      // What only comments speak of is used by nobody.
      let code = Repository.lines(path).filter { !$0.drop { $0 == " " }.hasPrefix("//") }.joined(separator: "\n")
      for word in Repository.words(code) { uses[word, default: []].insert(path) }
    }
    for path in paths where !path.hasSuffix("/main.swift") && !Self.ready.contains(path) {
      let text = Repository.text(path)
      let names = Self.declared(text)
      if names.isEmpty || text.contains(#/(?m)^(?:package |private |fileprivate )?extension /#) { continue }
      #expect(
        names.contains { uses[$0, default: []].count > 1 }, "\(path): nobody uses \(names.joined(separator: ", "))")
    }
  }
}

@Suite("life cycles")
struct LifeCycleTests {
  /// Bits that end like a stage and say what a thing is, or that come and go.
  static let properties: Set<String> = [
    "Stream.requestChunked", "Stream.responseChunked", "HeaderField.removed", "HeaderField.neverIndexed",
    "Connection.paused", "Connection.owesDrained", "RetryPolicy.envoyRatelimited", "RetryPolicy.cancelled",
    "RetryPolicy.deadlineExceeded", "RetryPolicy.resourceExhausted", "FilterCall.noted", "Host.isRecentlyUsed",
    "NameSchedule.isAsking",
  ]

  /// Names of stages: something that has begun, has ended, or is under way.
  static func isStage(_ name: String) -> Bool {
    name.contains(
      #/(?:ed|ing|Gone|Sent|Begun|Done|Final|Idle|Outstanding|ByUs|Free|tunnel|dead)$|^(?:last|holds|keeps|ends)[A-Z]/#)
  }

  /// The bits of the option sets that `text` declares.
  static func bits(of text: String) -> [String] {
    guard text.contains("OptionSet") else { return [] }
    return text.matches(of: #/static (?:let|var) (?<name>\w+)[^=\n]*[={] *[A-Z]\w*\(rawValue: (?:1 << )?\d/#)
      .map { String($0.name) }
  }

  static func bits() -> [(type: String, name: String)] {
    Repository.files(under: "Sources", suffix: ".swift").filter { !$0.contains("/Generated/") }.flatMap { path in
      let type = path.split(separator: "/").last!.dropLast(".swift".count)
      return bits(of: Repository.text(path)).map { (String(type), $0) }
    }
  }

  @Test("no bit of an option set describes a stage")
  func stagesAreEnums() {
    let bits = Self.bits()
    #expect(bits.contains { $0 == ("Stream", "isHEAD") }, "the pattern finds no bits any more")
    for bit in bits where Self.isStage(bit.name) && !Self.properties.contains("\(bit.type).\(bit.name)") {
      Issue.record("\(bit.type).\(bit.name) says how far something has come: make it a case of a state")
    }
  }

  @Test("a planted stage is found, in either way of writing a bit; what is a property in one type is none in another")
  func planted() {
    let bits = Self.bits(
      of: """
        struct Flags: OptionSet {
          package static let responseStarted = Flags(rawValue: 1 << 3)
          @inlinable package static var draining: Flags { Flags(rawValue: 1 << 3) }
          package static let clientGone = Self(rawValue: 1 << 20)
          package static let isHEAD = Flags(rawValue: 1 << 6)
          package static let requestChunked = Flags(rawValue: 1 << 27)
          static var dead: Facts { Facts(rawValue: 64) }
          static var localClosed: Facts { Facts(rawValue: 2) }
        """)
    #expect(
      bits == ["responseStarted", "draining", "clientGone", "isHEAD", "requestChunked", "dead", "localClosed"])
    #expect(
      bits.filter(Self.isStage)
        == ["responseStarted", "draining", "clientGone", "requestChunked", "dead", "localClosed"])
  }

  /// Names of stages among stored Bools that follow each other, where there are two or more; comments between them do not part them.
  static func groups(of text: String, in type: String = "") -> [[String]] {
    var groups: [[String]] = [[]]
    for line in text.split(separator: "\n") where !line.drop(while: { $0 == " " }).hasPrefix("//") {
      if let match = line.firstMatch(
        of: #/^ +(?:[a-z()]+ )*var (?<name>\w+)(?:: Bool(?: = (?:true|false))?| = (?:true|false))$/#)
      {
        groups[groups.count - 1].append(String(match.name))
      } else {
        groups.append([])
      }
    }
    return groups.map { $0.filter { isStage($0) && !properties.contains("\(type).\($0)") } }.filter { $0.count > 1 }
  }

  @Test("no stored Bools side by side say how far one thing has come")
  func groupsAreEnums() {
    let planted = Self.groups(
      of: """
        struct Entry {
          var maximum: Int
          /// No new connection.
          var isDraining = false
          /// Its clients are told.
          package private(set) var endsConnections: Bool
          var isFree = false
        }
        var isHead = false
        var isOpened: Bool { true }
        var isClosed = false
        """)
    #expect(planted == [["isDraining", "endsConnections", "isFree"]])
    for room in ["WeftProxy", "WeftProxyAPI", "WeftUpstream"] {
      for path in Repository.files(under: "Sources/DataPlane/\(room)", suffix: ".swift") {
        let type = String(path.split(separator: "/").last!.dropLast(".swift".count))
        for group in Self.groups(of: Repository.text(path), in: type) {
          Issue.record("\(path): \(group) are one life cycle: make them an enum with transitions under States/")
        }
      }
    }
  }

  /// Enums named as life cycles are that a text declares, with what they are inside: `H1Decoder.State`.
  static func lifeCycles(of text: String) -> [String] {
    var outer = ""
    var found: [String] = []
    // Patterns are dear in a debug build, and few lines declare anything.
    for line in text.split(separator: "\n") where line.contains("enum ") || !" /}".contains(line.first ?? " ") {
      if let match = line.firstMatch(
        of: #/^(?:@\w+ )*(?:package |public )?(?:final )?(?:struct|class|enum|extension|actor) (?<name>\w+)/#)
      {
        outer = String(match.name)
      }
      guard
        let match = line.firstMatch(
          of: #/^(?<indent> *)(?:@\w+ )*(?:private |package |public )?enum (?<name>\w*(?:Phase|State|Stage))\b/#)
      else { continue }
      found.append(match.indent.isEmpty ? String(match.name) : "\(outer).\(match.name)")
    }
    return found
  }

  /// What is named so and is no life cycle of a slot.
  static let otherStates = [
    // A parser: bytes are its events, and its tests split them everywhere.
    "H1Decoder.State",
    // When a socket option is set, as the configuration says.
    "RawSocketOption.Stage",
    // What a page says, found out anew each time.
    "AdminStatus.State",
  ]

  @Test("what is called a phase, state or stage has its transitions in a file of States/")
  func lifeCyclesHaveTables() {
    let planted = Self.lifeCycles(
      of: """
        struct Block {
          enum Phase: UInt8, BitwiseCopyable {
        package enum PumpState { case idle }
        enum Kind { case a }
        """)
    #expect(planted == ["Block.Phase", "PumpState"])
    let rooms = ["Runtime", "Protocol", "DataPlane", "Extensions"].flatMap {
      Repository.files(under: "Sources/\($0)", suffix: ".swift")
    }
    let found = rooms.flatMap { path in Self.lifeCycles(of: Repository.text(path)).map { (path, $0) } }
    #expect(found.count > 8, "the pattern finds no life cycles any more")
    for (path, name) in found where !path.contains("/States/") {
      #expect(Self.otherStates.contains(name), "\(path): \(name) has no file of transitions under States/")
    }
  }

  /// Names of stored properties in a slot whose type is declared in a file of transitions, and assignments to one of them elsewhere.
  static func assignments(of properties: Set<String>, in text: String) -> [String] {
    text.matches(of: #/\]\.(?:frame\.)?(?<name>\w+) = \./#).map { String($0.name) }.filter(properties.contains)
  }

  @Test("a life cycle moves by its events, not by being assigned")
  func lifeCyclesMoveByEvents() {
    #expect(
      Self.assignments(of: ["kind"], in: "slot[].kind = .http\nslot[].other = .x\nslot[].kind.http()") == ["kind"])
    let types = Repository.files(under: "Sources", suffix: ".swift").filter { $0.contains("/States/") }
      .flatMap { Repository.text($0).matches(of: #/enum (?<name>\w+)/#).map { String($0.name) } }
    let engine = Repository.files(under: "Sources/DataPlane/WeftProxy", suffix: ".swift")
    let slots =
      engine + Repository.files(under: "Sources/DataPlane/WeftUpstream", suffix: ".swift")
      + Repository.files(under: "Sources/DataPlane/WeftProxyAPI", suffix: ".swift")
    var properties: Set<String> = []
    for text in slots.map(Repository.text) {
      for match in text.matches(of: #/var (?<name>\w+)(?:: | = )(?<type>\w+)/#) where types.contains(String(match.type))
      {
        properties.insert(String(match.name))
      }
    }
    #expect(properties.isSuperset(of: ["kind", "phase", "life"]), "the pattern finds no properties any more")
    for path in engine {
      let found = Self.assignments(of: properties, in: Repository.text(path))
      #expect(found.isEmpty, "\(path) assigns \(found)")
    }
  }

  /// The events of the life cycles that a file of transitions declares.
  static func events(of text: String) -> [String] {
    text.matches(of: #/mutating func (?<name>\w+)/#).map { String($0.name) }
  }

  @Test("every transition of a state stands in a table of its tests")
  func everyTransitionIsTested() {
    let files = Repository.files(under: "Sources", suffix: ".swift").filter { $0.contains("/States/") }
    let tables = Repository.files(under: "Tests", suffix: ".swift").filter { $0.contains("/States/") }
      .map(Repository.text).joined()
    let events = files.flatMap { path in Self.events(of: Repository.text(path)).map { (path, $0) } }
    #expect(events.count > 20, "the pattern finds no transitions any more")
    // As many rows as types that have an event of the name.
    for (name, places) in Dictionary(grouping: events, by: \.1) {
      let rows = tables.ranges(of: "\"\(name)\", { $0.\(name)(").count
      #expect(rows >= places.count, "\(name): \(rows) tables of transitions, and \(places.map(\.0).sorted()) have it")
    }
  }
}

@Suite("unread fields")
struct UnreadFieldTests {
  @Test("every fact of a log line is set by the engine")
  func logFactsAreSet() {
    let record = Repository.text("Sources/Base/WeftTelemetry/AccessLog/AccessLogRecord.swift")
    let fields = record.prefix(upTo: record.range(of: "package init() {}")!.lowerBound)
      .matches(of: #/(?m)^  package var (?<name>\w+)/#).map { String($0.name) }
    let engine = Repository.files(under: "Sources/DataPlane", suffix: ".swift").map(Repository.text).joined()
    #expect(fields.count > 20, "the pattern finds no fields any more")
    for name in fields { #expect(engine.contains("record.\(name) ="), "nobody sets \(name)") }
  }

  static let list = "Tests/Golden/coverage/unread.txt"

  /// Whether this build claims to have an index of everything: one at the desk, of some bundles only, does not.
  static let hasIndex = ProcessInfo.processInfo.environment["WEFT_TESTS"] == nil

  /// What `Tools/unread-fields.py` prints, of this build or of another index; nil when there is no index, or one of too little.
  static func unread(store: [String] = [], build: String? = nil) throws -> [String]? {
    let (status, output) = try run(
      ["python3", Repository.root.appendingPathComponent("Tools/unread-fields.py").path]
        + (build.map { ["--build", $0] } ?? []) + store)
    if status == 3 { return nil }
    try #require(status == 0)
    return output.split(separator: "\n").map(String.init)
  }

  private static func run(_ words: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }

  /// What is unread of a text that stands in a file of `room`, as a module of the room's name.
  private static func planted(in room: String, _ text: String) throws -> [String]? {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weft-unread-\(UUID().uuidString)")
    let place = folder.appendingPathComponent(room)
    try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let source = place.appendingPathComponent("Planted.swift")
    try text.write(to: source, atomically: true, encoding: .utf8)
    let store = folder.appendingPathComponent("index").path
    let compiled = try Self.run([
      "swiftc", "-c", "-parse-as-library", "-module-name", place.lastPathComponent, "-index-store-path", store,
      source.path, "-o", folder.appendingPathComponent("Planted.o").path,
    ])
    try #require(compiled.status == 0)
    return try Self.unread(store: [store])
  }

  @Test("what an extension's message is compiled to counts as unread where nothing reads it")
  func extensionConfig() throws {
    let unread = try Self.planted(
      in: "Sources/Extensions/WeftHTTPFilters",
      """
      protocol Filter { var limit: Int { get } }
      func largest(_ filter: any Filter) -> Int { filter.limit }
      struct Planted: Filter {
        struct Config { var isRead = 1, isSet = 2, isForgotten = 3 }
        var config = Config()
        var limit: Int { config.isRead }
        static func compile() -> Config {
          var out = Config()
          out.isSet = 4
          return out
        }
      }
      """)
    #expect(unread == ["Planted.Config.isForgotten", "Planted.Config.isSet"])
  }

  @Test("an index of too little is none")
  func emptyIndex() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weft-unread-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let unread = try Self.unread(build: folder.path)
    #expect(unread == nil)
  }

  @Test("a property that is only hashed or compared counts as unread")
  func hashedOnly() throws {
    let unread = try Self.planted(
      in: "Sources/Model/WeftModel",
      """
      struct Planted: Hashable {
        var isRead = 1, isHashed = 2, isCompared = 3, isFed = 4, isForgotten = 5
        static func == (a: Planted, b: Planted) -> Bool { a.isCompared == b.isCompared }
        func hash(into hasher: inout Hasher) { hasher.combine(isHashed) }
        var identity: Int {
          var hasher = Hasher()
          hasher.combine(isFed)
          return hasher.finalize() + isRead
        }
      }
      """)?.filter { $0.hasPrefix("Planted.") && $0 != "Planted.identity" }
    #expect(unread == ["isCompared", "isFed", "isForgotten", "isHashed"].map { "Planted.\($0)" })
  }

  @Test(
    "no property of the model or of an extension and no field of a rule is read by nobody but those listed",
    .enabled(if: hasIndex, "some bundles were built alone (WEFT_TESTS): the index has not all of the readers"))
  func modelIsRead() throws {
    let unread = try #require(
      try Self.unread(), "the compiler's index is not there: build without -disable-index-store, in .build/debug")
    let listed = Repository.lines(Self.list).filter { !$0.isEmpty }.map(String.init)
    #expect(unread.count < 200, "the index names too much")
    for name in Set(unread).subtracting(listed).sorted() {
      Issue.record(
        "\(name) is read by nobody: read it, warn about it (`UnsupportedFeatures` for rules), or take it out")
    }
    for name in Set(listed).subtracting(unread).sorted() {
      Issue.record("\(name) is read now, or gone: take it off \(Self.list)")
    }
  }
}
