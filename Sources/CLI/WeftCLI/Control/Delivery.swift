// Waiting until the proxies that rules concern have taken them.
import WeftBase

extension Flag {
  static let wait = Flag(
    "wait", .optional("DURATION"), default: "30s",
    help: "wait until every proxy concerned has it or has refused it, for instance 500ms, 30s or 2m")
}

/// How far rules have come with the proxies.
enum Delivery {
  /// How long to wait; nil when nobody asked to.
  static func patience(_ arguments: Arguments) throws(UsageError) -> Duration? {
    guard arguments.has(.wait), let text = arguments.value(.wait) else { return nil }
    guard let duration = duration(text) else {
      throw UsageError("--wait takes a duration such as 500ms, 30s or 2m, not '\(text)'")
    }
    return duration
  }

  static func duration(_ text: String) -> Duration? {
    let digits = text.prefix { $0.isNumber }
    guard let value = Int64(digits), value > 0, value <= 86_400_000 else { return nil }
    return switch text.dropFirst(digits.count) {
    case "ms": .milliseconds(value)
    case "s": .seconds(value)
    case "m": .seconds(value * 60)
    default: nil
    }
  }

  /// Waits for each object in turn, printing each step to standard error (`3 of 6 proxies`), and adds its `delivery`.
  static func wait(
    for results: inout [JSONValue], _ patience: Duration, _ control: ControlClient, _ terminal: Terminal
  ) async throws -> ExitCode {
    let end = ContinuousClock.now + patience
    var code = ExitCode.success
    for index in results.indices where isApplied(results[index]) {
      let title = ObjectFiles.title(results[index])
      let path = statusPath(results[index])
      var told = ""
      var status: JSONValue
      var isLate = false
      repeat {
        isLate = ContinuousClock.now >= end
        // Short waits, so that progress shows.
        status = try await control.get("\(path)?wait=\(isLate ? "0ms" : "250ms")")
        let line = progress(status)
        if line != told { terminal.complain("\(title): \(line)") }
        told = line
      } while !isAnswered(status) && !isLate
      results[index]["delivery"] = status
      for refusal in refusals(status) { terminal.complain("\(title): \(terminal.bad(refusal))") }
      if (status["refused"]?.intValue ?? 0) > 0 {
        code = .failure
      } else if !isAnswered(status) {
        terminal.complain("\(title): time ran out; waiting for \(pending(status).joined(separator: ", "))")
        if code == .success { code = .timedOut }
      }
    }
    return code
  }

  private static func isApplied(_ result: JSONValue) -> Bool {
    ["created", "configured", "unchanged"].contains(result["action"]?.stringValue)
  }

  static func statusPath(_ object: JSONValue) -> String {
    let parts = ["namespace", "kind", "name"].map { encoded(object[$0]?.stringValue ?? "") }
    return "/api/v1/namespaces/\(parts.joined(separator: "/"))/status"
  }

  /// `3 of 6 proxies have it`.
  static func progress(_ status: JSONValue) -> String {
    let relevant = status["relevant"]?.intValue ?? 0
    let active = status["active"]?.intValue ?? 0
    let refused = status["refused"]?.intValue ?? 0
    if relevant == 0 {
      return status["complete"]?.boolValue == true ? "concerns no connected proxy" : "not compiled yet"
    }
    let words = relevant == 1 ? "proxy" : "proxies"
    return "\(active) of \(relevant) \(words) have it" + (refused > 0 ? ", \(refused) refused it" : "")
  }

  /// One line per refusal, with the proxy's words.
  static func refusals(_ status: JSONValue) -> [String] {
    (status["refusals"]?.arrayValue ?? []).map { refusal in
      let resource = refusal["resource"]?.stringValue ?? ""
      let what = (refusal["type"]?.stringValue ?? "") + (resource.isEmpty ? "" : " \(resource)")
      return "refused by \(refusal["proxy"]?.stringValue ?? ""): \(what): \(refusal["message"]?.stringValue ?? "")"
    }
  }

  private static func isAnswered(_ status: JSONValue) -> Bool {
    let answered = (status["active"]?.intValue ?? 0) + (status["refused"]?.intValue ?? 0)
    let isAhead = status["relevant"]?.intValue == 0 && status["complete"]?.boolValue != true
    return !isAhead && answered == status["relevant"]?.intValue ?? 0
  }

  private static func pending(_ status: JSONValue) -> [String] {
    (status["proxies"]?.objectValue?.members ?? []).filter { !["active", "refused"].contains($0.value.stringValue) }
      .map(\.name)
  }
}
