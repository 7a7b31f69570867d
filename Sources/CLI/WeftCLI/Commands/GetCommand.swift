import WeftBase

/// `weft get [KIND [NAME…]]`.
enum GetCommand: Command {
  static let path = ["get"]
  static let summary = "show objects, services or workloads"
  static let operands = "KIND [NAME…]"
  static let discussion = """
      weft get virtualservices
      weft get vs reviews -o yaml
      weft get vs/reviews

    STATUS tells how many of the proxies that an object concerns have it: active 3/3, waiting 1/3, refused 1/3 (the reason
    is printed), unused when it concerns none that is connected, invalid when a newer text of it was refused.

      weft get services
      weft get workloads
    """
  static let everywhere = Flag("all-namespaces", short: "A", help: "in all namespaces")
  static let flags: [Flag] = [.namespace, everywhere, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    guard !arguments.positionals.isEmpty else {
      throw UsageError("name a kind, for instance virtualservices, services or workloads")
    }
    let objects = try ObjectNames(arguments.positionals)
    let kind = objects.kind
    let names = objects.names
    let namespace = arguments.value(.namespace) ?? "default"
    return try await ControlClient.with(arguments, context) { control in
      let query = arguments.has(everywhere) ? "" : "?namespace=\(encoded(namespace))"
      switch kind.lowercased() {
      case "services", "service", "svc":
        return show(try await control.get("/api/v1/services\(query)"), names, arguments, context, services)
      case "workloads", "workload", "wl":
        return show(try await control.get("/api/v1/workloads\(query)"), names, arguments, context, workloads)
      default:
        let separator = query.isEmpty ? "?" : "&"
        let list = try await control.get("/api/v1/objects/\(encoded(kind))\(query)\(separator)status")
        return show(list, names, arguments, context, table) { items in
          // Of a few objects that were named, everything; of a list, what is wrong.
          items.flatMap { details($0, all: !names.isEmpty, context.terminal) }
        }
      }
    }
  }

  private static func show(
    _ list: JSONValue, _ names: [String], _ arguments: Arguments, _ context: CommandContext,
    _ table: ([JSONValue]) -> Table, below: ([JSONValue]) -> [String] = { _ in [] }
  ) -> ExitCode {
    var items = list["items"]?.arrayValue ?? []
    if !names.isEmpty { items = items.filter { item in names.contains { isNamed(item, $0) } } }
    let missing = names.filter { name in !items.contains { isNamed($0, name) } }
    let shown: JSONValue = names.count == 1 && items.count == 1 ? items[0] : ["items": .array(items)]
    if !items.isEmpty || names.isEmpty {
      context.terminal.show(shown, as: arguments.value(.output)) {
        ([table(items).text()] + below(items)).joined(separator: "\n")
      }
    }
    for name in missing { context.terminal.complain("there is no \(name) here; -A looks in all namespaces") }
    return missing.isEmpty ? .success : .failure
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

  private static func table(_ items: [JSONValue]) -> Table {
    Table(
      ["KIND", "NAMESPACE", "NAME", "GENERATION", "STATUS", "WARNINGS", "CREATED"],
      rows: items.map { item in
        let metadata = item["metadata"]
        return [
          item["kind"]?.stringValue ?? "", metadata?["namespace"]?.stringValue ?? "",
          metadata?["name"]?.stringValue ?? "", metadata?["generation"]?.numberText ?? "", status(item["status"]),
          String(item["status"]?["warnings"]?.arrayValue?.count ?? 0),
          metadata?["creationTimestamp"]?.stringValue ?? "",
        ]
      })
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

  private static func workloads(_ items: [JSONValue]) -> Table {
    Table(
      ["ID", "NAMESPACE", "SERVICE", "VERSION", "ADDRESS", "HEALTH"],
      rows: items.map { item in
        let port = item["ports"]?[0]?["inboundPort"]?.numberText ?? ""
        return [
          item["id"]?.stringValue ?? "", item["namespace"]?.stringValue ?? "", item["service"]?.stringValue ?? "",
          item["labels"]?["version"]?.stringValue ?? "", "\(item["inboundAddress"]?.stringValue ?? ""):\(port)",
          item["health"]?.stringValue ?? "",
        ]
      })
  }
}
