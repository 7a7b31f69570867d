import WeftBase

/// `weft delete -f FILE`, `weft delete KIND NAME…`.
enum DeleteCommand: Command {
  static let path = ["delete"]
  static let summary = "delete objects"
  static let operands = "[KIND NAME… | FILE…]"
  static let completes = Operands.objects(several: true)
  static let discussion = """
      weft delete virtualservice reviews
      weft delete -f rules/

    What is not there already counts as deleted when it is named by a file, and as an error when it is named by hand.
    """
  static let flags: [Flag] = [ObjectFiles.file, .namespace, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    if !arguments.all(ObjectFiles.file).isEmpty {
      let inputs = try ObjectFiles.inputs(arguments)
      return try await ControlClient.with(arguments, context) { control in
        let results = try await ObjectFiles.post(inputs, to: "/api/v1/remove", arguments, control)
        context.terminal.show(["results": .array(results)], as: arguments.value(.output)) {
          results.flatMap { ObjectFiles.lines($0, context.terminal) }.joined(separator: "\n")
        }
        return ObjectFiles.anyRefused(results) ? .failure : .success
      }
    }
    guard !arguments.positionals.isEmpty else {
      throw UsageError("name a kind and at least one name, or a file with -f")
    }
    let objects = try ObjectNames(arguments.positionals)
    let kind = objects.kind
    guard !objects.names.isEmpty else { throw UsageError("name a kind and at least one name, or a file with -f") }
    let namespace = arguments.value(.namespace) ?? "default"
    return try await ControlClient.with(arguments, context) { control in
      let isTable = arguments.value(.output) == "table"
      var results: [JSONValue] = []
      for name in objects.names {
        let path = "/api/v1/namespaces/\(encoded(namespace))/\(encoded(kind))/\(encoded(name))"
        let (status, body) = try await control.call("DELETE", path)
        var result: JSONObject = [
          "kind": .string(kind), "namespace": .string(namespace), "name": .string(name),
          "action": status < 300 ? "deleted" : "refused",
        ]
        if status >= 300 {
          result["errors"] =
            body["errors"] ?? [["message": .string(CallRefused(status: status, body: body).description)]]
        }
        results.append(.object(result))
        guard isTable else { continue }
        let lines = ObjectFiles.lines(.object(result), context.terminal).joined(separator: "\n")
        if status < 300 { context.terminal.print(lines) } else { context.terminal.complain(lines) }
      }
      if !isTable { context.terminal.show(["results": .array(results)], as: arguments.value(.output)) { "" } }
      return ObjectFiles.anyRefused(results) ? .failure : .success
    }
  }
}
