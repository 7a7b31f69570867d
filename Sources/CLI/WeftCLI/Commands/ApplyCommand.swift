import WeftBase

/// Flags and work that apply, diff and delete share: objects from files, one line an object.
enum ObjectFiles {
  static let file = Flag("filename", short: "f", .many("FILE"), help: "file, directory, or - for standard input")

  /// Every file that a command line names, behind the flag or by itself: a shell makes `-f a.yaml b.yaml` of `-f *.yaml`.
  static func inputs(_ arguments: Arguments) throws(UsageError) -> [InputFile] {
    try InputFile.read(arguments.all(file) + arguments.positionals)
  }

  /// Posts every input to `path` and returns the results in order, with the input's name added to each.
  static func post(
    _ inputs: [InputFile], to path: String, _ arguments: Arguments, _ control: ControlClient
  ) async throws -> [JSONValue] {
    var results: [JSONValue] = []
    let separator = path.contains("?") ? "&" : "?"
    let namespace = encoded(arguments.value(.namespace) ?? "default")
    for input in inputs {
      let (status, body) = try await control.call(
        "POST", "\(path)\(separator)namespace=\(namespace)", body: input.bytes, contentType: "application/yaml")
      guard let items = body["results"]?.arrayValue else {
        let reason = CallRefused(status: status, body: body).description
        results.append([
          "kind": "", "name": .string(input.name), "action": "refused", "errors": [["message": .string(reason)]],
        ])
        continue
      }
      // Lines are counted from the beginning of their file.
      results += items.map { named($0, input.name) }
    }
    return results
  }

  private static func named(_ result: JSONValue, _ file: String) -> JSONValue {
    var result = result
    result["file"] = .string(file)
    return result
  }

  /// `rules/reviews.yaml: `.
  private static func place(_ result: JSONValue) -> String { result["file"]?.stringValue.map { "\($0): " } ?? "" }

  /// `virtualservice/reviews.default`.
  static func title(_ result: JSONValue) -> String {
    let kind = (result["kind"]?.stringValue ?? "").lowercased()
    let name = result["name"]?.stringValue ?? ""
    let namespace = result["namespace"]?.stringValue ?? ""
    return (kind.isEmpty ? name : "\(kind)/\(name)") + (namespace.isEmpty ? "" : ".\(namespace)")
  }

  /// What is odd about the objects, on standard error, so that it is seen in a pipe, too.
  static func warn(_ results: [JSONValue], _ terminal: Terminal) {
    for result in results {
      for warning in result["warnings"]?.arrayValue ?? [] {
        terminal.complain("Warning: \(place(result))\(title(result)): \(errorLine(warning))")
      }
    }
  }

  /// `virtualservice/reviews.default configured`, followed by its errors.
  /// With `isDryRun` the words say that nothing of it was done.
  static func lines(_ result: JSONValue, isDryRun: Bool = false, _ terminal: Terminal) -> [String] {
    let action = result["action"]?.stringValue ?? "unknown"
    let refused = action == "refused"
    let shown = isDryRun && !refused ? "\(action) (dry run)" : action
    var lines = ["\(title(result)) \(refused ? terminal.bad(shown) : terminal.good(shown))"]
    for error in result["errors"]?.arrayValue ?? [] { lines.append("  error: \(place(result))\(errorLine(error))") }
    return lines
  }

  static func anyRefused(_ results: [JSONValue]) -> Bool {
    results.contains { $0["action"]?.stringValue == "refused" }
  }
}

/// `weft apply -f FILE`.
enum ApplyCommand: Command {
  static let path = ["apply"]
  static let summary = "create or change objects from YAML or JSON"
  static let operands = "[FILE…]"
  static let completes = Operands.files
  static let discussion = """
    Each object is taken or refused by itself; a refused one leaves the last good one in force. Warnings go to standard
    error and refuse nothing. Exit code 1 when an object was refused, by the control plane or (with --wait) by a proxy;
    5 when --wait ran out of time.

      weft apply -f rules/
      weft apply -f rules/ --wait=1m
      weft apply -f *.yaml
      kubectl get vs reviews -o yaml | weft apply -f -
    """
  static let dryRun = Flag("dry-run", help: "validate only; change nothing")
  static let flags: [Flag] = [ObjectFiles.file, dryRun, .namespace, .wait, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    let inputs = try ObjectFiles.inputs(arguments)
    let patience = try Delivery.patience(arguments)
    return try await ControlClient.with(arguments, context) { control in
      let path = "/api/v1/apply" + (arguments.has(dryRun) ? "?dryRun=true" : "")
      var results = try await ObjectFiles.post(inputs, to: path, arguments, control)
      ObjectFiles.warn(results, context.terminal)
      let isTable = arguments.value(.output) == "table"
      if isTable {
        let isDryRun = arguments.has(dryRun)
        let lines = results.flatMap { ObjectFiles.lines($0, isDryRun: isDryRun, context.terminal) }
        context.terminal.print(lines.joined(separator: "\n"))
      }
      var code = ObjectFiles.anyRefused(results) ? ExitCode.failure : .success
      if let patience, !arguments.has(dryRun) {
        let delivered = try await Delivery.wait(for: &results, patience, control, context.terminal)
        if code == .success { code = delivered }
      }
      if !isTable { context.terminal.show(["results": .array(results)], as: arguments.value(.output)) { "" } }
      return code
    }
  }
}
