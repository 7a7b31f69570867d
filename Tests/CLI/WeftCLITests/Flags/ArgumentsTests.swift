import Testing

@testable import WeftCLI

@Suite("arguments of a command")
struct ArgumentsTests {
  static let file = Flag("file", short: "f", .many("FILE"), help: "")
  static let output = Flag.output
  static let dry = Flag("dry-run", help: "")
  static let flags = [file, output, dry]

  static let understood: [([String], [String], [String], String?, Bool)] = [
    (["-f", "a"], [], ["a"], "table", false),
    (["-fa", "--file=b"], [], ["a", "b"], "table", false),
    (["--file", "a,b", "x"], ["x"], ["a", "b"], "table", false),
    (["x", "-o", "json", "y"], ["x", "y"], [], "json", false),
    (["--output=yaml", "--dry-run"], [], [], "yaml", true),
    (["-f", "-"], [], ["-"], "table", false),
  ]

  @Test("understands long, short, attached and repeated flags", arguments: understood)
  func understands(words: [String], positionals: [String], files: [String], output: String?, dry: Bool) throws {
    let arguments = try Arguments(words, flags: Self.flags)
    #expect(arguments.positionals == positionals)
    #expect(arguments.all(Self.file) == files)
    #expect(arguments.value(Self.output) == output)
    #expect(arguments.has(Self.dry) == dry)
  }

  static let refused: [([String], String)] = [
    (["--fil", "a"], "unknown flag --fil; did you mean --file?"),
    (["--nothing-like-it"], "unknown flag --nothing-like-it"),
    (["-z"], "unknown flag -z"),
    (["--file"], "--file needs a value"),
    (["--dry-run=yes"], "--dry-run takes no value"),
    (["-o", "xml"], "-o is one of table, json, yaml, not 'xml'"),
    (["-o", "json", "-o", "yaml"], "-o is given twice"),
  ]

  @Test("refuses what it does not understand and says what it expected", arguments: refused)
  func refuses(words: [String], message: String) {
    #expect(throws: UsageError(message)) { try Arguments(words, flags: Self.flags) }
  }

  @Test("a flag with an optional value takes it only after an equals sign")
  func optionalValue() throws {
    let wait = Flag("wait", .optional("DURATION"), default: "30s", help: "")
    let bare = try Arguments(["--wait", "5s"], flags: [wait])
    #expect(bare.has(wait))
    #expect(bare.value(wait) == "30s")
    #expect(bare.positionals == ["5s"])
    #expect(try Arguments(["--wait=5s"], flags: [wait]).value(wait) == "5s")
    #expect(try !Arguments([], flags: [wait]).has(wait))
    #expect(wait.usage == "    --wait[=DURATION]")
  }

  @Test("keeps everything after -- apart, flags included")
  func keepsRest() throws {
    let arguments = try Arguments(["--dry-run", "--", "./app", "--file", "x", "--"], flags: Self.flags)
    #expect(arguments.rest == ["./app", "--file", "x", "--"])
    #expect(arguments.positionals.isEmpty)
    #expect(try Arguments(["--dry-run"], flags: Self.flags).rest == nil)
  }

  @Test("checks numbers against their range")
  func checksNumbers() throws {
    let port = Flag("port", .one("PORT"), help: "")
    #expect(try Arguments(["--port", "80"], flags: [port]).number(port, in: 1...65535) == 80)
    #expect(try Arguments([], flags: [port]).number(port, in: 1...65535) == nil)
    for text in ["0", "65536", "eighty", ""] {
      #expect(throws: UsageError.self) { try Arguments(["--port", text], flags: [port]).number(port, in: 1...65535) }
    }
  }
}
