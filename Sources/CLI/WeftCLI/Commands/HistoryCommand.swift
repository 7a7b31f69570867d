import WeftBase

/// `weft history KIND NAME`.
enum HistoryCommand: Command {
  static let path = ["history"]
  static let summary = "show the former versions of an object: who changed what, when"
  static let operands = "KIND NAME"
  static let completes = Operands.objects(several: false)
  static let discussion = """
      weft history virtualservice reviews
      weft history vs/reviews -o yaml

    Newest first, also of an object that was deleted. 'weft rollback' brings a version back.
    """
  static let flags: [Flag] = [.namespace, .control, .output]
  /// Fields shown of one change; the others are counted.
  private static let fieldLimit = 3

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    let (kind, name) = try ObjectNames.one(arguments.positionals)
    let namespace = arguments.value(.namespace) ?? "default"
    return try await ControlClient.with(arguments, context) { control in
      let path = "/api/v1/namespaces/\(encoded(namespace))/\(encoded(kind))/\(encoded(name))/history"
      let history = try await control.get(path)
      context.terminal.show(history, as: arguments.value(.output)) { table(history["items"]?.arrayValue ?? []).text() }
      return .success
    }
  }

  static func table(_ items: [JSONValue]) -> Table {
    Table(
      ["GENERATION", "REVISION", "CHANGE", "TIME", "BY", "FIELDS"],
      rows: items.map { item in
        [
          item["generation"]?.numberText ?? "", item["revision"]?.stringValue ?? "",
          (item["type"]?.stringValue ?? "").lowercased(), item["time"]?.stringValue ?? "",
          item["actor"]?.stringValue ?? "", fields(item["changes"]?.arrayValue ?? []),
        ]
      })
  }

  private static func fields(_ changes: [JSONValue]) -> String {
    let paths = changes.compactMap(\.stringValue)
    let more = paths.count > fieldLimit ? " and \(paths.count - fieldLimit) more" : ""
    return paths.prefix(fieldLimit).joined(separator: ", ") + more
  }
}
