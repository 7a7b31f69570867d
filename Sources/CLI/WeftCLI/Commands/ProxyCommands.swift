import WeftBase

/// `weft proxy status`.
enum ProxyStatusCommand: Command {
  static let path = ["proxy", "status"]
  static let summary = "show which proxies are connected and what they have taken"
  static let operands = "[NODE…]"
  static let completes = Operands.proxies(several: true)
  static let discussion = """
    NODE is a node id or a part of it. Exit code 1 when no connected proxy has it, or when one refused what was sent to it;
    the reason is printed. For proxies that are named, also what rules ask for and they cannot be given.
    """
  static let flags: [Flag] = [.control, .output]
  static let types = ["CDS", "LDS", "EDS", "RDS"]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    try await ControlClient.with(arguments, context) { control in
      var items = try await control.get("/api/v1/proxies")["items"]?.arrayValue ?? []
      let wanted = arguments.positionals
      let ids = items.compactMap { $0["id"]?.stringValue }
      let missing = wanted.filter { name in !ids.contains { $0.contains(name) } }
      if !wanted.isEmpty {
        items = items.filter { item in wanted.contains { item["id"]?.stringValue?.contains($0) == true } }
      }
      for name in missing { context.terminal.complain(ProxyNames.missing(name, ids)) }
      if items.isEmpty, !missing.isEmpty { return .failure }
      let refusals = items.flatMap(refusals)
      let issues = arguments.positionals.isEmpty ? [] : items.flatMap(issues)
      context.terminal.show(["items": .array(items)], as: arguments.value(.output)) {
        let rows = items.map { item in
          [item["id"]?.stringValue ?? ""]
            + types.map { item["types"]?[$0]?["status"]?.stringValue ?? "-" }
            + [item["form"]?.stringValue ?? ""]
        }
        return ([Table(["PROXY"] + types + ["FORM"], rows: rows).text()] + refusals.map(context.terminal.bad) + issues)
          .joined(separator: "\n")
      }
      return refusals.isEmpty && missing.isEmpty ? .success : .failure
    }
  }

  private static func issues(_ item: JSONValue) -> [String] {
    (item["issues"]?.arrayValue ?? []).map { issue in
      "\(item["id"]?.stringValue ?? ""): warning: \(ObjectFiles.title(issue)): \(errorLine(issue))"
    }
  }

  private static func refusals(_ item: JSONValue) -> [String] {
    types.compactMap { type in
      guard let error = item["types"]?[type]?["error"]?.stringValue, !error.isEmpty else { return nil }
      return "\(item["id"]?.stringValue ?? ""): refused \(type): \(error)"
    }
  }
}

enum ProxyNames {
  /// No connected proxy has the name; the ids that there are tell which one was meant.
  static func missing(_ name: String, _ ids: [String]) -> String {
    // The readable part of an id: `sidecar~127.0.0.1~reviews-v1.default~default.svc.cluster.local`.
    let short = ids.map { id in
      let parts = id.split(separator: "~", omittingEmptySubsequences: false)
      return parts.count == 4 ? String(parts[2]) : id
    }
    let nearest = Suggestion.question(name, among: short + short.map { String($0.prefix { $0 != "." }) })
    return "no connected proxy has '\(name)' in its id\(nearest.isEmpty ? "; 'weft proxy status' lists them" : nearest)"
  }
}

/// `weft proxy config NODE`.
enum ProxyConfigCommand: Command {
  static let path = ["proxy", "config"]
  static let summary = "show the resources the control plane sends a proxy"
  static let operands = "NODE"
  static let completes = Operands.proxies(several: false)
  static let discussion = """
      weft proxy config reviews-v1 --type CDS

    NODE is a node id or any part of it that only one proxy has.
    """
  static let type = Flag(
    "type", short: "t", .choice(["CDS", "EDS", "LDS", "RDS"]), help: "only resources of this type")
  static let flags: [Flag] = [type, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    guard let wanted = arguments.positionals.first, arguments.positionals.count == 1 else {
      throw UsageError("name one proxy; 'weft proxy status' lists them")
    }
    return try await ControlClient.with(arguments, context) { control in
      let items = try await control.get("/api/v1/proxies")["items"]?.arrayValue ?? []
      let ids = items.compactMap { $0["id"]?.stringValue }
      let matches = ids.contains(wanted) ? [wanted] : ids.filter { $0.contains(wanted) }
      guard let id = matches.first, matches.count == 1 else {
        throw UsageError(
          matches.isEmpty
            ? ProxyNames.missing(wanted, ids)
            : "'\(wanted)' names \(matches.count) proxies: \(matches.joined(separator: ", "))")
      }
      let query = arguments.value(type).map { "?type=\($0)" } ?? ""
      let config = try await control.get("/api/v1/proxies/\(encoded(id))/config\(query)")
      context.terminal.show(config, as: arguments.value(.output)) {
        let rows = (config["items"]?.arrayValue ?? []).map { item in
          [
            shortType(item["@type"]?.stringValue ?? ""),
            item["name"]?.stringValue ?? item["clusterName"]?.stringValue ?? "",
          ]
        }
        return Table(["TYPE", "NAME"], rows: rows).text()
      }
      return .success
    }
  }

  private static func shortType(_ url: String) -> String {
    url.split(separator: ".").last.map(String.init) ?? url
  }
}
