// What a command is, and the tool that runs one.
import Glibc
import WeftAgent
import WeftBase
import WeftService

/// How a command ended; the process's exit code.
package enum ExitCode: Sendable, Equatable {
  case success
  /// The command ran and the answer is "no": something was refused, not found, or not healthy.
  case failure
  /// The command line could not be understood.
  case usage
  /// The control plane or a proxy could not be reached.
  case unavailable
  /// `weft diff` found differences.
  case different
  /// `--wait` ran out of time.
  case timedOut
  /// The code of the program that was run.
  case program(Int32)

  package var rawValue: Int32 {
    switch self {
    case .success: 0
    case .failure: 1
    case .usage: 2
    case .unavailable: 3
    case .different: 4
    case .timedOut: 5
    case .program(let code): code
    }
  }
}

/// What a command works with.
package struct CommandContext: Sendable {
  package var terminal: Terminal
  package var environment: [String: String]
  /// The path this program was started by: its siblings are looked for beside it.
  package var program: String
  /// The time of day. *Units*: seconds since 1970.
  package var now: Int64

  package init(terminal: Terminal, environment: [String: String], program: String, now: Int64 = 0) {
    self.terminal = terminal
    self.environment = environment
    self.program = program
    self.now = now
  }
}

extension CommandContext {
  /// The context of this process: its terminal, environment and name.
  package static func process() -> CommandContext {
    var environment: [String: String] = [:]
    var entry = unsafe environ
    while let line = unsafe entry.pointee {
      let text = unsafe String(cString: line)
      if let equals = text.firstIndex(of: "=") {
        environment[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      unsafe entry += 1
    }
    return CommandContext(
      terminal: .standard(), environment: environment, program: CommandLine.arguments.first ?? "weft",
      now: Int64(time(nil)))
  }
}

/// One command of `weft`.
package protocol Command: Sendable {
  /// The words that call it: `["proxy", "status"]`.
  static var path: [String] { get }
  /// One line for the list of commands.
  static var summary: String { get }
  /// What stands after the flags: `[KIND [NAME]]`, or empty.
  static var operands: String { get }
  /// A paragraph and examples for `--help`.
  static var discussion: String { get }
  static var flags: [Flag] { get }
  /// What its operands are, for completions.
  static var completes: Operands { get }
  /// Whether it acts on signals itself, instead of ending of them.
  static var supervises: Bool { get }

  /// Does the work. *Errors*: `UsageError` prints with a hint at `--help`; others print as they are.
  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode
}

/// What the words after a command's flags name.
package enum Operands: Sendable, Equatable {
  case nothing
  case words([String])
  /// A kind, then names of its objects; with `several`, of any number of them.
  case objects(several: Bool)
  case proxies(several: Bool)
  case files
}

extension Command {
  package static var supervises: Bool { false }
  package static var completes: Operands { .nothing }

  static var name: String { path.joined(separator: " ") }

  static var allFlags: [Flag] { flags + [.help] }

  /// The text of `--help`.
  package static func help() -> String {
    var text =
      "\(summary)\n\nusage: weft \(name)\(flags.isEmpty ? "" : " [flags]")\(operands.isEmpty ? "" : " \(operands)")\n"
    if !discussion.isEmpty { text += "\n\(discussion)\n" }
    let width = allFlags.map(\.usage.count).max() ?? 0
    text += "\nflags:\n"
    for flag in allFlags {
      let gap = String(repeating: " ", count: width - flag.usage.count + 2)
      text += "  \(flag.usage)\(gap)\(flag.help)\(flag.defaultValue.map { " (default \($0))" } ?? "")\n"
    }
    return text
  }
}

/// The tool: finds the command, parses, runs, and turns errors into words and exit codes.
package enum CommandLineTool {
  /// Runs the command and ends the process with its exit code. Call it first thing in `main.swift`.
  package static func start(_ words: [String], _ context: CommandContext) -> Never {
    let supervises = find(words)?.command.supervises == true
    ServiceProgram.run(taking: supervises ? Agent.signals : []) { await main(words, context) }
  }

  package static func main(_ words: [String], _ context: CommandContext) async -> Int32 {
    let code = await answer(words, context)
    guard let failure = context.terminal.failure() else { return code }
    // A reader that had enough knows so itself.
    if failure != EPIPE {
      context.terminal.complain("weft: the output could not be written: \(unsafe String(cString: strerror(failure)))")
    }
    return code == ExitCode.success.rawValue ? ExitCode.failure.rawValue : code
  }

  private static func answer(_ words: [String], _ context: CommandContext) async -> Int32 {
    let terminal = context.terminal
    guard let first = words.first else {
      terminal.print(overview())
      return ExitCode.success.rawValue
    }
    if first == "--version" || first == "-V" {
      terminal.print("weft \(WeftVersion.text)")
      return ExitCode.success.rawValue
    }
    if first == "help" || first == "--help" || first == "-h" {
      let wanted = Array(words.dropFirst())
      if wanted == ["--markdown"] {
        terminal.print(reference())
      } else if let command = find(wanted)?.command {
        terminal.print(command.help())
      } else {
        terminal.print(overview())
      }
      return ExitCode.success.rawValue
    }
    guard let (command, rest) = find(words) else {
      if first.hasPrefix("-") {
        terminal.complain("weft: flags such as \(first) stand behind the command; see 'weft help'")
        return ExitCode.usage.rawValue
      }
      let name = words.prefix { !$0.hasPrefix("-") }.joined(separator: " ")
      let near = Commands.all.filter { $0.name.hasPrefix(first) || Suggestion.distance($0.name, name) <= 2 }.map {
        $0.name
      }
      let hint =
        near.isEmpty ? "see 'weft help'" : "did you mean \(near.map { "'weft \($0)'" }.joined(separator: " or "))?"
      terminal.complain("weft: there is no command '\(name)'; \(hint)")
      return ExitCode.usage.rawValue
    }
    do {
      let arguments = try Arguments(rest, flags: command.allFlags)
      if arguments.has(.help) {
        terminal.print(command.help())
        return ExitCode.success.rawValue
      }
      return try await command.run(arguments, context).rawValue
    } catch let error as UsageError {
      terminal.complain("weft \(command.name): \(error). See 'weft \(command.name) --help'.")
      return ExitCode.usage.rawValue
    } catch let error as Unavailable {
      terminal.complain("weft \(command.name): \(error)")
      return ExitCode.unavailable.rawValue
    } catch {
      terminal.complain("weft \(command.name): \(error)")
      return ExitCode.failure.rawValue
    }
  }

  /// The longest command path that `words` start with, and what follows it.
  static func find(_ words: [String]) -> (command: any Command.Type, rest: [String])? {
    Commands.all.filter { words.starts(with: $0.path) }.max { $0.path.count < $1.path.count }
      .map { ($0, Array(words.dropFirst($0.path.count))) }
  }

  /// The reference page of all commands, in Markdown.
  package static func reference() -> String {
    var text = "<!-- Written by `make docs` from Sources/CLI/WeftCLI/Commands; never edited. -->\n# Command line\n"
    for command in Commands.all { text += "\n## weft \(command.name)\n```text\n\(command.help())```\n" }
    return text.trimmingTrailingNewline()
  }

  /// The list of commands.
  package static func overview() -> String {
    let width = Commands.all.map { $0.name.count }.max() ?? 0
    var text = "weft: the service mesh's command line\n\nusage: weft COMMAND [flags]\n\n"
    for command in Commands.all {
      text += "  \(command.name)\(String(repeating: " ", count: width - command.name.count + 2))\(command.summary)\n"
    }
    return text + "\n'weft COMMAND --help' tells more."
  }
}

/// The control plane or a proxy cannot be reached: what was tried, and what to do.
package struct Unavailable: Error, CustomStringConvertible {
  package var description: String

  package init(_ description: String) {
    self.description = description
  }
}
