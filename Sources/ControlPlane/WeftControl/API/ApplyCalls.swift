import WeftBase
import WeftConfig
import WeftControlAPI
import WeftDiscovery
import WeftKinds

extension ControlAPI {
  /// `POST /apply`: several documents, each for itself (or `?atomic`: all or none), `?dryRun`, `?wait=30s`.
  func apply(_ call: Call, _ body: [UInt8], _ actor: String) async throws -> Answer {
    let candidates = await candidates(call, in: body)
    if candidates.isEmpty { return .error(400, "the body holds no object") }
    let context = context(actor)
    let dryRun = call.isOn("dryRun")
    // Everything the call says is read before anything is stored.
    var timeout: Duration?
    if let text = call.query["wait"] {
      guard let duration = Self.duration(text) else { return .error(400, "\"\(text)\" is not a duration like 30s") }
      timeout = duration
    }
    let unit: Admission.Unit = call.isOn("atomic") ? .allOrNothing : .eachObject
    let results = try await store.perform { store in
      try Admission.apply(candidates, to: store, unit: unit, dryRun: dryRun, context)
    }
    let refused = results.contains { $0.action == .refused }
    let warnings = await warnings(about: results)
    var shown = results.map { result -> JSONValue in Self.json(result, warnings) }
    var answer = JSONObject()
    if !dryRun, let timeout {
      let statuses = await settle(results, timeout)
      for (index, result) in results.enumerated() {
        guard let status = result.key.flatMap({ statuses[$0] }) else { continue }
        shown[index]["delivery"] = .object(RuleReport.delivery(status))
      }
      answer["settled"] = .bool(statuses.values.allSatisfy(\.isComplete))
    }
    answer["results"] = .array(shown)
    return .json(.object(answer), status: refused ? 422 : 200)
  }

  /// Waits until the proxies that the changes concern have taken or refused them.
  private func settle(_ results: [AdmissionResult], _ timeout: Duration) async -> [ObjectKey: RuleStatus] {
    var targets: [ObjectKey: RuleTarget] = [:]
    for result in results where result.action != .refused {
      guard let key = result.key, let metadata = result.object?.metadata else { continue }
      targets[key] = RuleTarget(generation: metadata.generation, revision: metadata.resourceVersion)
    }
    guard let proxies, !targets.isEmpty else { return [:] }
    return await proxies.wait(for: targets, timeout: min(timeout, Self.waitLimit))
  }

  private static func json(_ result: AdmissionResult, _ warnings: [ObjectKey: [Problem]]) -> JSONValue {
    var result = result
    if result.action != .refused, let key = result.key { result.problems += warnings[key] ?? [] }
    return result.json
  }

  /// What is odd about the objects once they are in force; never a reason to refuse.
  func warnings(about results: [AdmissionResult]) async -> [ObjectKey: [Problem]] {
    let objects = results.compactMap { $0.action == .refused ? nil : $0.object }
    return await warnings(about: objects)
  }

  /// The same, of objects that are in force or may come to be.
  func warnings(about objects: [Envelope]) async -> [ObjectKey: [Problem]] {
    let basis = await aggregate.basis()
    // What is small costs little to look at; a long list may cost much.
    return await work.run(bytes: objects.count << 10) {
      let analysis = RuleAnalysis(basis.snapshot(with: objects))
      var warnings: [ObjectKey: [Problem]] = [:]
      for object in objects { warnings[object.key] = analysis.warnings(about: object.key) }
      return warnings
    }
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
    let candidates = await candidates(call, in: body)
    let context = context("diff")
    let (results, before) = try await store.perform { store in
      let before = try candidates.map { candidate in try candidate.envelope.flatMap { try store.object($0.key) } }
      return (try Admission.apply(candidates, to: store, dryRun: true, context), before)
    }
    let warnings = await warnings(about: results)
    let shown = zip(results, before).map { result, before -> JSONValue in
      var result = result
      if result.action != .refused, let key = result.key { result.problems += warnings[key] ?? [] }
      return Self.difference(result, before)
    }
    return .json(.object(["results": .array(shown)]))
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
    let candidates = await candidates(call, in: body)
    if candidates.isEmpty { return .error(400, "the body holds no object") }
    let context = context(actor)
    let results = try await store.perform { try Admission.remove(candidates, from: $0, context) }
    let refused = results.contains { $0.action == .refused }
    return .json(.object(["results": .array(results.map(\.json))]), status: refused ? 422 : 200)
  }
}
