import WeftBase

/// `weft get KIND[,KIND…] [NAME…]`.
enum GetCommand: Command {
  static let path = ["get"]
  static let summary = "show objects, services or workloads"
  static let operands = "KIND[,KIND…] [NAME…]"
  static let completes = Operands.objects(several: true)
  static let discussion = """
      weft get virtualservices
      weft get vs reviews -o yaml
      weft get vs/reviews dr/reviews
      weft get vs,dr
      weft get all

    STATUS tells how many of the proxies that an object concerns have it: active 3/3, waiting 1/3, refused 1/3 (the reason
    is printed), unused when it concerns none that is connected, invalid when a newer text of it was refused.

      weft get services
      weft get workloads
    """
  static let everywhere = Flag("all-namespaces", short: "A", help: "in all namespaces")
  static let flags: [Flag] = [.namespace, everywhere, .control, .output]

  /// Which table shows a kind.
  private enum Shape {
    case objects, services, workloads

    init(_ kind: String) {
      switch kind.lowercased() {
      case "services", "service", "svc": self = .services
      case "workloads", "workload", "wl": self = .workloads
      default: self = .objects
      }
    }
  }

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    guard !arguments.positionals.isEmpty else {
      throw UsageError("name a kind, for instance virtualservices, services or workloads; or all")
    }
    let wanted = try ObjectNames.groups(arguments.positionals)
    let namespace = arguments.has(everywhere) ? nil : arguments.value(.namespace) ?? "default"
    return try await ControlClient.with(arguments, context) { control in
      var groups: [ObjectNames] = []
      for group in wanted {
        guard group.kind == "all" else {
          groups.append(group)
          continue
        }
        let kinds = try await control.get("/api/v1/kinds")["items"]?.arrayValue ?? []
        groups += (kinds.compactMap { $0["plural"]?.stringValue } + ["services", "workloads"]).map {
          ObjectNames(kind: $0, names: group.names)
        }
      }
      var found: [(shape: Shape, items: [JSONValue])] = []
      for group in groups {
        let shape = Shape(group.kind)
        let items = try await list(group.kind, shape, namespace, control)["items"]?.arrayValue ?? []
        let named = items.filter { item in group.names.isEmpty || group.names.contains { isNamed(item, $0) } }
        // Objects of all kinds share one table.
        if let last = found.indices.last, found[last].shape == shape {
          found[last].items += named
        } else {
          found.append((shape, named))
        }
      }
      return show(found, names: wanted.flatMap(\.names), arguments, context)
    }
  }

  private static func list(
    _ kind: String, _ shape: Shape, _ namespace: String?, _ control: ControlClient
  ) async throws -> JSONValue {
    let query = namespace.map { "?namespace=\(encoded($0))" } ?? ""
    switch shape {
    case .services: return try await control.get("/api/v1/services\(query)")
    case .workloads: return try await control.get("/api/v1/workloads\(query)")
    case .objects:
      return try await control.get("/api/v1/objects/\(encoded(kind))\(query)\(query.isEmpty ? "?" : "&")status")
    }
  }

  private static func show(
    _ found: [(shape: Shape, items: [JSONValue])], names: [String], _ arguments: Arguments, _ context: CommandContext
  ) -> ExitCode {
    let items = found.flatMap(\.items)
    let missing = names.filter { name in !items.contains { isNamed($0, name) } }
    let shown: JSONValue = names.count == 1 && items.count == 1 ? items[0] : ["items": .array(items)]
    if !items.isEmpty || names.isEmpty {
      context.terminal.show(shown, as: arguments.value(.output)) {
        // Of several tables those that are empty say nothing.
        let full = found.filter { found.count == 1 || !$0.items.isEmpty }
        if full.isEmpty { return "there is nothing here; -A looks in all namespaces" }
        return full.map { text($0.shape, $0.items, all: !names.isEmpty, context) }.joined(separator: "\n\n")
      }
    }
    for name in missing { context.terminal.complain("there is no \(name) here; -A looks in all namespaces") }
    return missing.isEmpty ? .success : .failure
  }

  private static func text(_ shape: Shape, _ items: [JSONValue], all: Bool, _ context: CommandContext) -> String {
    switch shape {
    case .services: return services(items).text()
    case .workloads: return workloads(items, context.now).text()
    case .objects:
      // Of a few objects that were named, everything; of a list, what is wrong.
      let below = items.flatMap { details($0, all: all, context.terminal) }
      return ([table(items, context.now).text()] + below).joined(separator: "\n")
    }
  }

  private static func nameOf(_ item: JSONValue) -> String {
    item["metadata"]?["name"]?.stringValue ?? item["id"]?.stringValue ?? item["host"]?.stringValue ?? ""
  }

  /// Services also answer to the shorter forms of their host: `reviews`, `reviews.default`.
  static func isNamed(_ item: JSONValue, _ name: String) -> Bool {
    if nameOf(item) == name { return true }
    guard let host = item["host"]?.stringValue, item["metadata"] == nil, item["id"] == nil else { return false }
    return host.contains(".svc.") && host.hasPrefix(name + ".")
  }

  private static func table(_ items: [JSONValue], _ now: Int64) -> Table {
    Table(
      ["KIND", "NAMESPACE", "NAME", "GENERATION", "STATUS", "WARNINGS", "AGE"],
      rows: items.map { item in
        let metadata = item["metadata"]
        return [
          item["kind"]?.stringValue ?? "", metadata?["namespace"]?.stringValue ?? "",
          metadata?["name"]?.stringValue ?? "", metadata?["generation"]?.numberText ?? "", status(item["status"]),
          String(item["status"]?["warnings"]?.arrayValue?.count ?? 0),
          age(metadata?["creationTimestamp"], now),
        ]
      })
  }

  /// `5s`, `12m`, `3h20m`, `4d6h`, `120d`: the largest unit, and the next one while it tells something.
  static func age(_ created: JSONValue?, _ now: Int64) -> String {
    guard let time = created?.stringValue.flatMap(CivilTime.parse) else { return "" }
    let seconds = max(0, now - time.seconds)
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400)
    func and(_ rest: Int64, _ unit: String) -> String { rest == 0 ? "" : "\(rest)\(unit)" }
    if seconds < 120 { return "\(seconds)s" }
    if hours < 3 { return "\(minutes)m" }
    if days < 2 { return "\(hours)h" + (hours < 8 ? and(minutes % 60, "m") : "") }
    return "\(days)d" + (days < 8 ? and(hours % 24, "h") : "")
  }

  /// `active 3/3`.
  private static func status(_ status: JSONValue?) -> String {
    guard let status, let phase = status["phase"]?.stringValue else { return "-" }
    let count = phase == "refused" ? status["refused"]?.intValue : status["active"]?.intValue
    let relevant = status["relevant"]?.intValue ?? 0
    return relevant == 0 ? phase : "\(phase) \(count ?? 0)/\(relevant)"
  }

  /// Refusals and refused texts of an object; its warnings, too, when `all`.
  private static func details(_ item: JSONValue, all: Bool, _ terminal: Terminal) -> [String] {
    guard let status = item["status"] else { return [] }
    let metadata = item["metadata"]
    let title = ObjectFiles.title([
      "kind": item["kind"] ?? "", "name": metadata?["name"] ?? "", "namespace": metadata?["namespace"] ?? "",
    ])
    var lines = Delivery.refusals(status).map { terminal.bad("\(title): \($0)") }
    for problem in status["problems"]?.arrayValue ?? [] {
      let place = problem["file"]?.stringValue.map { "\($0): " } ?? ""
      lines.append(terminal.bad("\(title): not taken: \(place)\(errorLine(problem))"))
    }
    if all {
      lines += (status["warnings"]?.arrayValue ?? []).map { "\(title): warning: \(errorLine($0))" }
    }
    return lines
  }

  private static func services(_ items: [JSONValue]) -> Table {
    Table(
      ["HOST", "NAMESPACE", "PORTS", "INSTANCES", "HEALTHY"],
      rows: items.map { item in
        let ports = (item["ports"]?.arrayValue ?? []).map {
          "\($0["number"]?.numberText ?? "")/\($0["protocol"]?.stringValue ?? "")"
        }
        let instances = item["instances"]?.arrayValue ?? []
        let healthy = instances.filter { $0["health"]?.stringValue == "HEALTHY" }
        return [
          item["host"]?.stringValue ?? "", item["namespace"]?.stringValue ?? "", ports.joined(separator: ","),
          String(instances.count), String(healthy.count),
        ]
      })
  }

  private static func workloads(_ items: [JSONValue], _ now: Int64) -> Table {
    Table(
      ["ID", "NAMESPACE", "SERVICE", "VERSION", "ADDRESS", "HEALTH", "AGE"],
      rows: items.map { item in
        let port = item["ports"]?[0]?["inboundPort"]?.numberText ?? ""
        return [
          item["id"]?.stringValue ?? "", item["namespace"]?.stringValue ?? "", item["service"]?.stringValue ?? "",
          item["labels"]?["version"]?.stringValue ?? "", "\(item["inboundAddress"]?.stringValue ?? ""):\(port)",
          item["health"]?.stringValue ?? "", age(item["creationTimestamp"], now),
        ]
      })
  }
}
