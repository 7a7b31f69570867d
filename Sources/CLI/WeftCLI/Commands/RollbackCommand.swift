import WeftBase

/// `weft rollback KIND NAME --to GENERATION`.
enum RollbackCommand: Command {
  static let path = ["rollback"]
  static let summary = "bring a former version of an object back"
  static let operands = "KIND NAME"
  static let completes = Operands.objects(several: false)
  static let discussion = """
      weft rollback virtualservice reviews --to 3 --wait
      weft rollback vs/reviews --dry-run

    The former version becomes a new one: nothing of the history is lost, and a roll-back can be rolled back. Without
    --to, the version before the present one. Exit code 1 when there is no such version, or a proxy refused it; 5 when
    --wait ran out of time.
    """
  static let to = Flag("to", .one("GENERATION"), help: "the version to bring back, as 'weft history' counts")
  static let dryRun = Flag("dry-run", help: "show what would change; change nothing")
  static let flags: [Flag] = [to, dryRun, .namespace, .wait, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    let (kind, name) = try ObjectNames.one(arguments.positionals)
    let wanted = try arguments.number(to, in: 1...Int.max)
    let patience = try Delivery.patience(arguments)
    let namespace = arguments.value(.namespace) ?? "default"
    return try await ControlClient.with(arguments, context) { control in
      let path = "/api/v1/namespaces/\(encoded(namespace))/\(encoded(kind))/\(encoded(name))"
      let versions = try await control.get(path + "/history")["items"]?.arrayValue ?? []
      guard let target = target(wanted, versions) else {
        context.terminal.complain(refusal(wanted, versions, kind, name))
        return .failure
      }
      let dry = arguments.has(dryRun) ? "&dryRun" : ""
      let (status, body) = try await control.call("POST", "\(path)/rollback?revision=\(target.revision)\(dry)")
      guard status < 400 else { throw CallRefused(status: status, body: body) }
      let result = result(body, action: arguments.has(dryRun) ? "would be rolled back" : "rolled back")
      ObjectFiles.warn([result], context.terminal)
      let isTable = arguments.value(.output) == "table"
      if isTable {
        let present = versions.first.flatMap { $0["type"]?.stringValue == "DELETED" ? nil : $0["object"] }
        let effect =
          body["effect"]?.stringValue == "unchanged" ? "is as it was then" : result["action"]?.stringValue ?? ""
        let lines =
          ["\(ObjectFiles.title(result)) \(context.terminal.good(effect)) (generation \(target.generation))"]
          + DiffCommand.difference(present, body, context.terminal)
        context.terminal.print(lines.joined(separator: "\n"))
      }
      var results = [result]
      var code = ExitCode.success
      if let patience, !arguments.has(dryRun) {
        results[0]["action"] = "configured"
        code = try await Delivery.wait(for: &results, patience, control, context.terminal)
      }
      if !isTable { context.terminal.show(body, as: arguments.value(.output)) { "" } }
      return code
    }
  }

  private static func result(_ object: JSONValue, action: String) -> JSONValue {
    var result: JSONObject = [
      "kind": object["kind"] ?? "", "namespace": object["metadata"]?["namespace"] ?? "",
      "name": object["metadata"]?["name"] ?? "", "action": .string(action),
    ]
    if let warnings = object["warnings"] { result["warnings"] = warnings }
    return .object(result)
  }

  /// The newest version of the generation asked for, or the one before the present.
  static func target(_ wanted: Int?, _ versions: [JSONValue]) -> (revision: String, generation: Int64)? {
    let kept = versions.filter { $0["type"]?.stringValue != "DELETED" }
    var found: JSONValue?
    if let wanted {
      found = kept.first { $0["generation"]?.intValue == Int64(wanted) }
    } else if versions.first?["type"]?.stringValue == "DELETED" {
      found = kept.first
    } else {
      let present = kept.first?["generation"]?.intValue
      found = kept.first { $0["generation"]?.intValue != present }
    }
    guard let revision = found?["revision"]?.stringValue, let generation = found?["generation"]?.intValue else {
      return nil
    }
    return (revision, generation)
  }

  private static func refusal(_ wanted: Int?, _ versions: [JSONValue], _ kind: String, _ name: String) -> String {
    let title = "\(kind.lowercased())/\(name)"
    guard let wanted else { return "\(title) has no former version" }
    var numbers: [String] = []
    for version in versions where version["type"]?.stringValue != "DELETED" {
      if let number = version["generation"]?.numberText, !numbers.contains(number) { numbers.append(number) }
    }
    return "\(title) has no generation \(wanted) in its history; there are \(numbers.joined(separator: ", "))"
  }
}
