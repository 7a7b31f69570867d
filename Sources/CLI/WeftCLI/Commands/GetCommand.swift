import WeftBase

/// `weft get [KIND [NAME…]]`.
enum GetCommand: Command {
  static let path = ["get"]
  static let summary = "show objects, services or workloads"
  static let operands = "KIND [NAME…]"
  static let discussion = """
      weft get virtualservices
      weft get vs reviews -o yaml
      weft get services
      weft get workloads
    """
  static let everywhere = Flag("all-namespaces", short: "A", help: "in all namespaces")
  static let flags: [Flag] = [.namespace, everywhere, .control, .output]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    guard let kind = arguments.positionals.first else {
      throw UsageError("name a kind, for instance virtualservices, services or workloads")
    }
    let names = Array(arguments.positionals.dropFirst())
    let namespace = arguments.value(.namespace) ?? "default"
    return try await ControlClient.with(arguments, context) { control in
      let query = arguments.has(everywhere) ? "" : "?namespace=\(encoded(namespace))"
      switch kind.lowercased() {
      case "services", "service", "svc":
        return show(try await control.get("/api/v1/services\(query)"), names, arguments, context, services)
      case "workloads", "workload", "wl":
        return show(try await control.get("/api/v1/workloads\(query)"), names, arguments, context, workloads)
      default:
        let list = try await control.get("/api/v1/objects/\(encoded(kind))\(query)")
        return show(list, names, arguments, context, objects)
      }
    }
  }

  private static func show(
    _ list: JSONValue, _ names: [String], _ arguments: Arguments, _ context: CommandContext,
    _ table: ([JSONValue]) -> Table
  ) -> ExitCode {
    var items = list["items"]?.arrayValue ?? []
    if !names.isEmpty { items = items.filter { names.contains(nameOf($0)) } }
    let missing = names.filter { name in !items.contains { nameOf($0) == name } }
    let shown: JSONValue = names.count == 1 && items.count == 1 ? items[0] : ["items": .array(items)]
    if !items.isEmpty || names.isEmpty {
      context.terminal.show(shown, as: arguments.value(.output)) { table(items).text() }
    }
    for name in missing { context.terminal.complain("there is no \(name) here; -A looks in all namespaces") }
    return missing.isEmpty ? .success : .failure
  }

  private static func nameOf(_ item: JSONValue) -> String {
    item["metadata"]?["name"]?.stringValue ?? item["id"]?.stringValue ?? item["host"]?.stringValue ?? ""
  }

  private static func objects(_ items: [JSONValue]) -> Table {
    Table(
      ["KIND", "NAMESPACE", "NAME", "GENERATION", "CREATED"],
      rows: items.map { item in
        let metadata = item["metadata"]
        return [
          item["kind"]?.stringValue ?? "", metadata?["namespace"]?.stringValue ?? "",
          metadata?["name"]?.stringValue ?? "", metadata?["generation"]?.numberText ?? "",
          metadata?["creationTimestamp"]?.stringValue ?? "",
        ]
      })
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
