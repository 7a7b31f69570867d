import WeftBase

/// Flags and work that apply, diff and delete share: objects from files, one line an object.
enum ObjectFiles {
  static let file = Flag("filename", short: "f", .many("FILE"), help: "file, directory, or - for standard input")

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
      // Lines are counted from the beginning of their file: of several, which one it is must be said.
      results += inputs.count == 1 ? items : items.map { named($0, input.name) }
    }
    return results
  }

  private static func named(_ result: JSONValue, _ file: String) -> JSONValue {
    var result = result
    result["file"] = .string(file)
    return result
  }

  /// `rules/reviews.yaml: `; empty when there is only one input.
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
  static func lines(_ result: JSONValue, _ terminal: Terminal) -> [String] {
    let action = result["action"]?.stringValue ?? "unknown"
    let refused = action == "refused"
    var lines = ["\(title(result)) \(refused ? terminal.bad(action) : terminal.good(action))"]
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
  static let operands = ""
  static let discussion = """
    Each object is taken or refused by itself; a refused one leaves the last good one in force. Warnings go to standard
    error and refuse nothing. Exit code 1 when an object was refused, by the control plane or (with --wait) by a proxy;
    5 when --wait ran out of time.

      weft apply -f rules/
      weft apply -f rules/ --wait=1m
      kubectl get vs reviews -o yaml | weft apply -f -
    """
  static let dryRun = Flag("dry-run", help: "validate only; change nothing")
  static let flags: [Flag] = [ObjectFiles.file, dryRun, .namespace, .wait, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    let inputs = try InputFile.read(arguments.all(ObjectFiles.file))
    let patience = try Delivery.patience(arguments)
    return try await ControlClient.with(arguments, context) { control in
      let path = "/api/v1/apply" + (arguments.has(dryRun) ? "?dryRun=true" : "")
      var results = try await ObjectFiles.post(inputs, to: path, arguments, control)
      ObjectFiles.warn(results, context.terminal)
      let isTable = arguments.value(.output) == "table"
      if isTable {
        context.terminal.print(results.flatMap { ObjectFiles.lines($0, context.terminal) }.joined(separator: "\n"))
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
