import Glibc
import Synchronization
import Testing
import WeftAgent
import WeftBase
import WeftTestKit

@testable import WeftCLI

/// Collects what a command prints.
final class Transcript: Sendable {
  private let lines = Mutex<(out: String, errors: String)>(("", ""))

  var terminal: Terminal {
    Terminal(colours: false) { text, isError in
      self.lines.withLock { if isError { $0.errors += text } else { $0.out += text } }
    }
  }

  var out: String { lines.withLock { $0.out } }
  var errors: String { lines.withLock { $0.errors } }

  func run(_ words: String..., environment: [String: String] = [:]) async -> Int32 {
    await CommandLineTool.main(words, CommandContext(terminal: terminal, environment: environment, program: "weft"))
  }
}

@Suite("commands")
struct CommandTests {
  @Test("the registry is sorted and unique")
  func registryIsSorted() {
    let names = Commands.all.map { $0.name }
    #expect(names == Array(Set(names)).sorted())
  }

  @Test("every command explains itself: summary, usage, every flag", arguments: Commands.all.map { $0.name })
  func helps(name: String) async throws {
    let command = try #require(Commands.all.first { $0.name == name })
    let text = command.help()
    #expect(text.contains("usage: weft \(name)"))
    for flag in command.allFlags {
      #expect(text.contains("--\(flag.name)"))
      #expect(!flag.help.isEmpty && !flag.help.hasSuffix("."), "--\(flag.name)")
    }
    #expect(Set(command.allFlags.map { $0.name }).count == command.allFlags.count)
    #expect(Set(command.allFlags.compactMap { $0.short }).count == command.allFlags.compactMap { $0.short }.count)
  }

  @Test("an unknown command ends with 2 and a hint")
  func unknownCommand() async {
    let transcript = Transcript()
    #expect(await transcript.run("aply", "-f", "x") == 2)
    #expect(transcript.errors == "weft: there is no command 'aply'; did you mean 'weft apply'?\n")
  }

  @Test("a flag in front of its command ends with 2 and says where it belongs")
  func flagFirst() async {
    let transcript = Transcript()
    #expect(await transcript.run("-o", "json", "get", "vs") == 2)
    #expect(transcript.errors == "weft: flags such as -o stand behind the command; see 'weft help'\n")
  }

  @Test("a level that no log has is told before anything starts", arguments: ["run", "up"])
  func level(command: String) async {
    let transcript = Transcript()
    #expect(await transcript.run(command, "--log-level", "loud", "--", "true") == 2)
    #expect(
      transcript.errors
        == "weft \(command): --log-level is one of trace, debug, info, warning, error, critical, off, not 'loud'. "
        + "See 'weft \(command) --help'.\n")
  }

  @Test("a bad flag ends with 2 and points at help")
  func badFlag() async {
    let transcript = Transcript()
    #expect(await transcript.run("apply", "--nope") == 2)
    #expect(transcript.errors.hasSuffix("See 'weft apply --help'.\n"))
  }

  @Test("a control plane that is not there ends with 3 and says how to start one")
  func unavailable() async {
    let transcript = Transcript()
    #expect(await transcript.run("get", "vs", "--control", "http://127.0.0.1:1") == 3)
    #expect(transcript.errors.contains("weft up"), "\(transcript.errors)")
  }

  @Test("the version prints in every form")
  func version() async {
    for (form, text) in [
      ("table", "weft \(WeftVersion.text)\n"), ("json", "{\"version\":\"\(WeftVersion.text)\"}\n"),
      ("yaml", "version: \"\(WeftVersion.text)\"\n"),
    ] {
      let transcript = Transcript()
      #expect(await transcript.run("version", "-o", form) == 0)
      #expect(transcript.out == text)
    }
    let short = Transcript()
    #expect(await short.run("--version") == 0)
    #expect(short.out == "weft \(WeftVersion.text)\n")
  }

  @Test("output that cannot be written is a failure, told unless the reader has gone", arguments: [ENOSPC, EPIPE])
  func fullDisk(number: Int32) async {
    let transcript = Transcript()
    let terminal = Terminal(colours: false, failure: { number }) { text, isError in
      if isError { transcript.terminal.complain(text) }
    }
    let context = CommandContext(terminal: terminal, environment: [:], program: "weft")
    #expect(await CommandLineTool.main(["version"], context) == 1)
    #expect(transcript.errors.contains("No space left on device") == (number == ENOSPC))
  }

  static let places: [([String], [String: String], String)] = [
    ([], [:], "127.0.0.1:15010"),
    ([], ["WEFT_CONTROL": "http://control.example:25080/"], "control.example:15010"),
    ([], ["WEFT_CONTROL": "[2001:db8::1]:15080"], "[2001:db8::1]:15010"),
    (["--control", "10.0.0.1"], ["WEFT_CONTROL": "http://elsewhere:1"], "10.0.0.1:15010"),
    (["--control", "10.0.0.1"], ["WEFT_XDS": "xds.example"], "xds.example:15010"),
    (["--xds", "10.0.0.2:1"], ["WEFT_XDS": "xds.example", "WEFT_CONTROL": "a:1"], "10.0.0.2:1"),
  ]

  @Test("the xDS address is where the control plane is, unless something says otherwise", arguments: places)
  func discovery(words: [String], environment: [String: String], expected: String) throws {
    var environment = environment
    environment["PATH"] = "/bin:/usr/bin"
    let directory = TemporaryDirectory()
    directory.write("weft-proxy", "")
    #expect(unsafe chmod(directory.file("weft-proxy"), 0o755) == 0)
    let context = CommandContext(
      terminal: Transcript().terminal, environment: environment, program: directory.file("weft"))
    let arguments = try Arguments(["--service", "a"] + words + ["--", "x"], flags: RunCommand.flags)
    #expect(try RunCommand.configuration(arguments, context).discovery == expected)
  }

  @Test("a directory's files are named without a second slash", arguments: ["", "/", "//"])
  func slashes(end: String) throws {
    let directory = TemporaryDirectory()
    directory.write("b.yaml", "")
    #expect(try InputFile.read([directory.path + end]).map(\.name) == [directory.file("b.yaml")])
  }

  static let groups: [([String], [ObjectNames])] = [
    (["vs"], [ObjectNames(kind: "vs", names: [])]),
    (["vs,dr", "a"], [ObjectNames(kind: "vs", names: ["a"]), ObjectNames(kind: "dr", names: ["a"])]),
    (["vs/a", "dr/b", "vs/c"], [ObjectNames(kind: "vs", names: ["a", "c"]), ObjectNames(kind: "dr", names: ["b"])]),
    (["all"], [ObjectNames(kind: "all", names: [])]),
  ]

  @Test("objects of several kinds are named in one go", arguments: groups)
  func severalKinds(words: [String], expected: [ObjectNames]) throws {
    #expect(try ObjectNames.groups(words) == expected)
  }

  static let ages: [(Int64, String)] = [
    (-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (10_799, "179m"), (10_800, "3h"), (12_060, "3h21m"),
    (30_000, "8h"), (172_799, "47h"), (172_800, "2d"), (180_000, "2d2h"), (8 * 86_400 + 7_200, "8d"),
  ]

  @Test("ages are short: the largest unit, and the next one while it tells something", arguments: ages)
  func age(seconds: Int64, text: String) {
    let created: JSONValue = "2026-11-21T10:00:00.123456789Z"
    #expect(GetCommand.age(created, 1_795_255_200 + seconds) == text)
    #expect(GetCommand.age("", 5) == "")
  }

  static let runRefusals: [([String], String)] = [
    ([], "--service NAME is required"),
    (["--service", "a"], "name the program to run after --"),
    (["--service", "A_b", "--", "x"], "'A_b' is not a name"),
    (["--service", "a", "--port", "x", "--", "x"], "--port is a whole number"),
    (["--service", "a", "--upstreams", "reviews", "--", "x"], "--upstreams takes HOST:PORT"),
    (["--service", "a", "--labels", "b", "--", "x"], "--labels takes NAME=VALUE"),
    (["--service", "a", "./app"], "put the program after --"),
    (["--gateway", "g", "--", "x"], "a gateway runs no program"),
  ]

  @Test("run refuses what it cannot do, before it starts anything", arguments: runRefusals)
  func runRefuses(words: [String], message: String) {
    let context = CommandContext(terminal: Transcript().terminal, environment: [:], program: "weft")
    #expect {
      _ = try RunCommand.configuration(try Arguments(words, flags: RunCommand.flags), context)
    } throws: { error in
      (error as? UsageError)?.description.hasPrefix(message) == true
    }
  }

  @Test(
    "a service is found by every form of its name",
    arguments: ["reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"])
  func serviceNames(name: String) {
    let service: JSONValue = ["host": "reviews.default.svc.cluster.local", "namespace": "default"]
    #expect(GetCommand.isNamed(service, name))
    #expect(!GetCommand.isNamed(["host": "reviews-v2.default.svc.cluster.local"], name))
    #expect(!GetCommand.isNamed(["host": "reviews.example.com"], name))
  }

  @Test("an error in one of several files says in which")
  func fileNames() {
    let result: JSONValue = [
      "kind": "VirtualService", "name": "a", "namespace": "default", "action": "refused", "file": "rules/a.yaml",
      "errors": [["line": 7, "path": "spec.hosts", "message": "must be set"]],
      "warnings": [["message": "is odd"]],
    ]
    let transcript = Transcript()
    let lines = ObjectFiles.lines(result, transcript.terminal)
    #expect(lines.last == "  error: rules/a.yaml: line 7: spec.hosts: must be set")
    ObjectFiles.warn([result], transcript.terminal)
    #expect(transcript.errors.contains("rules/a.yaml: virtualservice/a.default: is odd"))
  }

  @Test("an IPv6 address of the control plane needs its brackets, and is told so")
  func brackets() async {
    let transcript = Transcript()
    let code = await transcript.run(
      "run", "--service", "a", "--xds", "::1:15010", "--", "true", environment: ["PATH": "/usr/bin"])
    #expect(code == ExitCode.usage.rawValue)
    #expect(transcript.errors.contains("brackets"))
  }
}
