import Glibc
import Testing
import WeftBase
import WeftTestKit

@testable import WeftCLI

@Suite("completions")
struct CompletionTests {
  private static let mesh = Completion.Mesh(
    kinds: { ["virtualservices", "gateways", "services"] },
    names: { kind, namespace in kind == "vs" ? ["reviews.\(namespace)", "ratings.\(namespace)"] : [] },
    proxies: { ["sidecar~1~reviews-1", "router~1~ingress-1"] })

  private static func words(_ line: [String]) async -> [String]? {
    guard case .words(let words) = await Completion(mesh: mesh).answer(line) else { return nil }
    return words.map(\.word)
  }

  static let lines: [([String], [String]?)] = [
    (["ap"], ["apply"]),
    (["p"], ["proxy"]),
    (["proxy", ""], ["config", "status"]),
    (["proxy", "status", ""], ["sidecar~1~reviews-1", "router~1~ingress-1"]),
    (["proxy", "config", "router", ""], []),
    (["proxy", "config", "--type", "C"], ["CDS"]),
    (["get", ""], ["virtualservices", "gateways", "services"]),
    (["get", "virtualservices,g"], ["virtualservices,gateways"]),
    (["get", "vs", "ra"], ["ratings.default"]),
    (["get", "-n", "shop", "vs", "re"], ["reviews.shop"]),
    (["get", "vs", "reviews.default", ""], ["ratings.default"]),
    (["get", "vs/re"], ["vs/reviews.default"]),
    (["history", "vs", "reviews.default", ""], []),
    (["get", "-o", ""], ["table", "json", "yaml"]),
    (["get", "--output=y"], ["--output=yaml"]),
    (["get", "--output", "=", "y"], ["--output=yaml"]),
    (["get", "--output="], ["--output=table", "--output=json", "--output=yaml"]),
    (["get", "--ou"], ["--output"]),
    (["get", "--output=json", "--out"], []),
    (["apply", "-f", "rul"], nil),
    (["apply", ""], nil),
    (["delete", "-f", "a.yaml", "b"], nil),
    (["run", "--service", "a", "--", ""], nil),
    (["completion", "z"], ["zsh"]),
    (["nothing", ""], []),
    ([], []),
  ]

  @Test("what may follow is told: commands, flags, values, kinds, names, proxies, files", arguments: lines)
  func candidates(line: [String], expected: [String]?) async {
    #expect(await Self.words(line) == expected)
  }

  @Test("every flag of every command is completed", arguments: Commands.all.map { $0.name })
  func flags(name: String) async throws {
    let command = try #require(Commands.all.first { $0.name == name })
    #expect(await Self.words(command.path + ["--"]) == command.allFlags.map { "--\($0.name)" })
  }

  // MARK: Shells

  static let shells: [String] = ["bash", "zsh", "fish"].filter { shell in
    ["/bin", "/usr/bin", "/usr/local/bin"].contains { unsafe access("\($0)/\(shell)", X_OK) == 0 }
  }

  /// Runs a script with a stand-in for `weft` on PATH that answers with `found` and writes down what it was asked.
  private func complete(_ shell: String, _ found: String, _ body: String) async throws -> (out: String, asked: String) {
    let directory = TemporaryDirectory()
    let transcript = Transcript()
    #expect(await transcript.run("completion", shell) == 0)
    directory.write("script", transcript.out)
    directory.write("found", found)
    directory.write(
      "weft", "#!/bin/sh\nprintf '<%s>' \"$@\" >'\(directory.path)/asked'\ncat '\(directory.path)/found'\n")
    #expect(unsafe chmod(directory.file("weft"), 0o755) == 0)
    directory.write("body", "source '\(directory.path)/script'\n\(body)\n")
    let options = shell == "zsh" ? "-f" : shell == "fish" ? "--no-config" : "--norc"
    let pipe = unsafe popen(
      "HOME='\(directory.path)' PATH='\(directory.path)':\"$PATH\" \(shell) \(options) '\(directory.path)/body' 2>&1",
      "r")
    let file = try unsafe #require(pipe)
    var out: [UInt8] = []
    while case let byte = unsafe fgetc(file), byte != EOF { out.append(UInt8(truncatingIfNeeded: byte)) }
    #expect(unsafe pclose(file) == 0)
    var asked: [UInt8] = []
    if let file = unsafe fopen(directory.file("asked"), "r") {
      while case let byte = unsafe fgetc(file), byte != EOF { asked.append(UInt8(truncatingIfNeeded: byte)) }
      unsafe fclose(file)
    }
    return (String(decoding: out, as: UTF8.self), String(decoding: asked, as: UTF8.self))
  }

  @Test("the shell's script asks with the words up to the cursor and offers the answer", arguments: shells)
  func scripts(shell: String) async throws {
    let body =
      switch shell {
      case "bash": "COMP_WORDS=(weft get vs ra); COMP_CWORD=3; _weft; printf '%s\\n' \"${COMPREPLY[@]}\""
      case "zsh":
        "compadd() { shift; print -l -- $@ }; words=(weft get vs ra); CURRENT=4; _weft"
      default: "complete -C 'weft get vs ra'"
      }
    let result = try await complete(shell, "ratings\twhat it is\nrabbits", body)
    // fish shows what a word means beside it.
    #expect(
      result.out.split(separator: "\n").map { String($0.prefix { $0 != "\t" }) }.sorted() == ["rabbits", "ratings"])
    #expect(result.asked == "<completion><candidates><--><get><vs><ra>")
  }
}
