import Glibc
import Synchronization
import Testing
import WeftBase

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

  @Test("completions name every command and flag", arguments: ["bash", "zsh", "fish"])
  func completions(shell: String) async {
    let transcript = Transcript()
    #expect(await transcript.run("completion", shell) == 0)
    for command in Commands.all {
      for word in command.path { #expect(transcript.out.contains(word)) }
      for flag in command.allFlags { #expect(transcript.out.contains(flag.name)) }
    }
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
