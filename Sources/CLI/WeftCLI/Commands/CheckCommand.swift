import WeftBase

/// `weft check`.
enum CheckCommand: Command {
  static let path = ["check"]
  static let summary = "check that the mesh is well: programs, control plane, workloads, proxies"
  static let operands = ""
  static let discussion =
    "Prints one line a check; exit code 1 when one fails. Start here when something does not work."
  static let flags: [Flag] = [.control, .output]

  private struct Finding {
    var name: String
    var good: Bool
    var detail: String

    var json: JSONValue { ["check": .string(name), "ok": .bool(good), "detail": .string(detail)] }
  }

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    var findings = ["weft-proxy", "weft-control"].map { name in
      let path = Siblings.find(name, context)
      return Finding(name: "program \(name)", good: path != nil, detail: path ?? "not beside weft, nor on PATH")
    }
    do {
      findings += try await ControlClient.with(arguments, context) { try await remote($0) }
    } catch let unavailable as Unavailable {
      findings.append(Finding(name: "control plane", good: false, detail: unavailable.description))
    }
    context.terminal.show(["checks": .array(findings.map(\.json))], as: arguments.value(.output)) {
      findings.map { finding in
        let mark = finding.good ? context.terminal.good("ok  ") : context.terminal.bad("FAIL")
        return "\(mark) \(finding.name): \(finding.detail)"
      }.joined(separator: "\n")
    }
    return findings.allSatisfy(\.good) ? .success : .failure
  }

  /// A directory of files: what it holds, or what is wrong with it.
  private static func check(_ source: JSONValue) -> Finding {
    let errors = (source["problems"]?.arrayValue ?? []).filter { $0["severity"]?.stringValue == "error" }
    var detail = "\(source["objects"]?.intValue ?? 0) objects in \(source["files"]?.intValue ?? 0) files"
    if let reason = source["reason"]?.stringValue { detail += ", looked at in intervals (\(reason))" }
    if !errors.isEmpty {
      detail += "; refused, the last good state stays: " + errors.map(fileError).joined(separator: "; ")
    }
    return Finding(
      name: "directory \(source["path"]?.stringValue ?? "")", good: errors.isEmpty, detail: detail)
  }

  /// Whether what is written reaches the disk, and whether something of it is gone.
  private static func store(_ control: ControlClient) async throws -> [Finding] {
    let (status, state) = try await control.call("GET", "/api/v1/store")
    // A control plane of another release may not tell.
    guard status < 400 else { return [] }
    if let failure = state["failure"]?.stringValue {
      return [Finding(name: "store", good: false, detail: "cannot be written: \(failure)")]
    }
    if let loss = state["loss"]?["message"]?.stringValue { return [Finding(name: "store", good: false, detail: loss)] }
    return [Finding(name: "store", good: true, detail: "at revision \(state["resourceVersion"]?.stringValue ?? "?")")]
  }

  private static func fileError(_ error: JSONValue) -> String {
    let place = error["file"]?.stringValue.map { "\($0): " } ?? ""
    let object = error["kind"]?.stringValue.map {
      "\($0)/\(error["namespace"]?.stringValue ?? "")/\(error["name"]?.stringValue ?? ""): "
    }
    return place + (object ?? "") + errorLine(error)
  }

  private static func remote(_ control: ControlClient) async throws -> [Finding] {
    let version = try await control.get("/version")["version"]?.stringValue ?? "unknown"
    var findings = [
      Finding(
        name: "control plane", good: version == WeftVersion.text,
        detail: version == WeftVersion.text
          ? "version \(version)" : "version \(version), but this weft is \(WeftVersion.text); use the same release")
    ]
    findings += try await store(control)
    let workloads = try await control.get("/api/v1/workloads")["items"]?.arrayValue ?? []
    let unhealthy = workloads.filter { $0["health"]?.stringValue == "UNHEALTHY" }.compactMap { $0["id"]?.stringValue }
    findings.append(
      Finding(
        name: "workloads", good: unhealthy.isEmpty,
        detail: unhealthy.isEmpty
          ? "\(workloads.count) registered" : "not answering: \(unhealthy.joined(separator: ", "))"))
    for source in try await control.get("/api/v1/sources")["items"]?.arrayValue ?? [] { findings.append(check(source)) }
    let proxies = try await control.get("/api/v1/proxies")["items"]?.arrayValue ?? []
    let refusing = proxies.filter { proxy in
      ProxyStatusCommand.types.contains { proxy["types"]?[$0]?["status"]?.stringValue == "ERROR" }
    }.compactMap { $0["id"]?.stringValue }
    findings.append(
      Finding(
        name: "proxies", good: refusing.isEmpty,
        detail: refusing.isEmpty
          ? "\(proxies.count) connected"
          : "refused configuration: \(refusing.joined(separator: ", ")); see 'weft proxy status'"))
    return findings
  }
}
