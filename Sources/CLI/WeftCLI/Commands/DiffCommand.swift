import WeftBase
import WeftYAML

/// `weft diff -f FILE`.
enum DiffCommand: Command {
  static let path = ["diff"]
  static let summary = "show what apply would change"
  static let operands = "[FILE…]"
  static let completes = Operands.files
  static let discussion =
    "Exit code 0 when nothing would change, 4 when something would, 1 when something would be refused. Warnings go to standard error."
  static let flags: [Flag] = [ObjectFiles.file, .namespace, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    let inputs = try ObjectFiles.inputs(arguments)
    return try await ControlClient.with(arguments, context) { control in
      let results = try await ObjectFiles.post(inputs, to: "/api/v1/diff", arguments, control)
      ObjectFiles.warn(results, context.terminal)
      context.terminal.show(["results": .array(results)], as: arguments.value(.output)) {
        results.flatMap { lines($0, context.terminal) }.joined(separator: "\n")
      }
      if ObjectFiles.anyRefused(results) { return .failure }
      return results.contains { $0["action"]?.stringValue != "none" } ? .different : .success
    }
  }

  private static func lines(_ result: JSONValue, _ terminal: Terminal) -> [String] {
    var lines = ObjectFiles.lines(result, terminal)
    guard result["action"]?.stringValue != "refused" else { return lines }
    lines += difference(result["before"], result["after"], terminal)
    return lines
  }

  /// The lines of two objects' specs; nothing when they are the same.
  static func difference(_ before: JSONValue?, _ after: JSONValue?, _ terminal: Terminal) -> [String] {
    let old = specification(before)
    let new = specification(after)
    guard old != new else { return [] }
    return LineDifference.between(old, new).map { change in
      switch change {
      case .kept(let line): "    \(line)"
      case .removed(let line): terminal.bad("  - \(line)")
      case .added(let line): terminal.good("  + \(line)")
      }
    }
  }

  private static func specification(_ object: JSONValue?) -> [String] {
    guard let specification = object?["spec"] else { return [] }
    return YAML.text(specification).split(separator: "\n").map(String.init)
  }
}
