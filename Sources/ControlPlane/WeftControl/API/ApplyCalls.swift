import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds

extension ControlAPI {
  /// `POST /apply`: several documents, each for itself (or `?atomic`: all or none), `?dryRun`, `?wait=30s`.
  func apply(_ call: Call, _ body: [UInt8], _ actor: String) async throws -> Answer {
    let candidates = reader(call).candidates(in: body)
    if candidates.isEmpty { return .error(400, "the body holds no object") }
    let context = context(actor)
    let dryRun = call.isOn("dryRun")
    let unit: Admission.Unit = call.isOn("atomic") ? .allOrNothing : .eachObject
    let results = try await store.perform { store in
      try Admission.apply(candidates, to: store, unit: unit, dryRun: dryRun, context)
    }
    let refused = results.contains { $0.action == .refused }
    var answer: JSONObject = ["results": .array(results.map(\.json))]
    if !dryRun, let text = call.query["wait"] {
      let newest = results.compactMap { $0.object?.metadata.resourceVersion }.max() ?? 0
      guard let timeout = Self.duration(text) else { return .error(400, "\"\(text)\" is not a duration like 30s") }
      answer["settled"] = .bool(await settle(newest, timeout))
    }
    return .json(.object(answer), status: refused ? 422 : 200)
  }

  /// Waits until the proxies concerned have taken everything up to `revision`.
  private func settle(_ revision: UInt64, _ timeout: Duration) async -> Bool {
    await aggregate.wait(for: revision)
    guard let proxies else { return true }
    return await proxies.wait(for: revision, timeout: min(timeout, Self.waitLimit))
  }

  /// `30s`, `500ms`, `2m`; empty means 30 s.
  static func duration(_ text: String) -> Duration? {
    if text.isEmpty || text == "true" { return .seconds(30) }
    let digits = text.prefix { $0.isNumber }
    guard let value = Int64(digits), value <= 86_400_000 else { return nil }
    switch text.dropFirst(digits.count) {
    case "ms": return .milliseconds(value)
    case "s", "": return .seconds(value)
    case "m": return .seconds(value * 60)
    default: return nil
    }
  }

  /// `POST /diff`: what an apply of the same body would change.
  func diff(_ call: Call, _ body: [UInt8]) async throws -> Answer {
    let candidates = reader(call).candidates(in: body)
    let context = context("diff")
    let results = try await store.perform { store -> [JSONValue] in
      let before = try candidates.map { candidate in try candidate.envelope.flatMap { try store.object($0.key) } }
      let results = try Admission.apply(candidates, to: store, dryRun: true, context)
      return zip(results, before).map(Self.difference)
    }
    return .json(.object(["results": .array(results)]))
  }

  private static func difference(_ result: AdmissionResult, _ before: Envelope?) -> JSONValue {
    let action =
      switch result.action {
      case .created: "create"
      case .configured: "change"
      case .refused: "refused"
      case .unchanged, .deleted, .absent: "none"
      }
    var object: JSONObject = [
      "kind": .string(result.kind), "namespace": .string(result.namespace), "name": .string(result.name),
      "action": .string(action), "before": before.map(ObjectDiff.written) ?? .null,
      "after": result.object.map(ObjectDiff.written) ?? .null,
    ]
    if result.action == .created || result.action == .configured {
      object["changes"] = .array(ObjectDiff.changes(from: before, to: result.object).map(\.json))
    }
    if !result.errors.isEmpty { object["errors"] = .array(result.errors.map(\.json)) }
    let warnings = result.problems.filter { $0.severity == .warning }
    if !warnings.isEmpty { object["warnings"] = .array(warnings.map(\.json)) }
    return .object(object)
  }

  /// `POST /remove`: takes out what the documents name.
  func remove(_ call: Call, _ body: [UInt8], _ actor: String) async throws -> Answer {
    let candidates = reader(call).candidates(in: body)
    if candidates.isEmpty { return .error(400, "the body holds no object") }
    let context = context(actor)
    let results = try await store.perform { try Admission.remove(candidates, from: $0, context) }
    let refused = results.contains { $0.action == .refused }
    return .json(.object(["results": .array(results.map(\.json))]), status: refused ? 422 : 200)
  }
}
