import WeftBase

/// `weft version`.
enum VersionCommand: Command {
  static let path = ["version"]
  static let summary = "print the version of this program"
  static let operands = ""
  static let discussion = ""
  static let flags: [Flag] = [.output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    switch arguments.value(.output) {
    case "json": context.terminal.print("{\"version\":\"\(WeftVersion.text)\"}")
    case "yaml": context.terminal.print("version: \"\(WeftVersion.text)\"")
    default: context.terminal.print("weft \(WeftVersion.text)")
    }
    return .success
  }
}
