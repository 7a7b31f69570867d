import WeftBase
import WeftYAML

/// `weft diff -f FILE`.
enum DiffCommand: Command {
  static let path = ["diff"]
  static let summary = "show what apply would change"
  static let operands = ""
  static let discussion =
    "Exit code 0 when nothing would change, 4 when something would, 1 when something would be refused."
  static let flags: [Flag] = [ObjectFiles.file, .namespace, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    let inputs = try InputFile.read(arguments.all(ObjectFiles.file))
    return try await ControlClient.with(arguments, context) { control in
      let results = try await ObjectFiles.post(inputs, to: "/api/v1/diff", arguments, control)
      context.terminal.show(["results": .array(results)], as: arguments.value(.output)) {
        results.flatMap { lines($0, context.terminal) }.joined(separator: "\n")
      }
      if ObjectFiles.anyRefused(results) { return .failure }
      return results.contains { $0["action"]?.stringValue != "none" } ? .different : .success
    }
  }

  private static func lines(_ result: JSONValue, _ terminal: Terminal) -> [String] {
    var lines = ObjectFiles.lines(result, terminal)
    let before = specification(result["before"])
    let after = specification(result["after"])
    guard before != after, result["action"]?.stringValue != "refused" else { return lines }
    for change in LineDifference.between(before, after) {
      switch change {
      case .kept(let line): lines.append("    \(line)")
      case .removed(let line): lines.append(terminal.bad("  - \(line)"))
      case .added(let line): lines.append(terminal.good("  + \(line)"))
      }
    }
    return lines
  }

  private static func specification(_ object: JSONValue?) -> [String] {
    guard let specification = object?["spec"] else { return [] }
    return YAML.text(specification).split(separator: "\n").map(String.init)
  }
}
