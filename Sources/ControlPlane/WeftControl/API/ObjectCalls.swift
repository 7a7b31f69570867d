import WeftBase
import WeftConfig
import WeftControlAPI
import WeftDiscovery
import WeftKinds

extension ControlAPI {
  /// `GET /kinds`
  func kinds() -> Answer {
    let items = KindRegistry.all.map { kind -> JSONValue in
      .object([
        "kind": .string(kind.name.rawValue), "plural": .string(kind.plural), "group": .string(kind.group),
        "versions": .array(kind.versions.map { .string($0) }), "short": .array(kind.shortNames.map { .string($0) }),
        "summary": .string(kind.documentation.summary),
        "fields": .array(
          kind.documentation.fields.map { .object(["name": .string($0.name), "text": .string($0.text)]) }),
      ])
    }
    return .json(.object(["items": .array(items)]))
  }

  /// `GET /objects/KIND`; with `?status` each object says how far it has come.
  func list(_ call: Call, _ text: String, _ namespace: String?) async throws -> Answer {
    guard let kind = kindName(text) else { return unknownKind(text) }
    // What registries report is no object of the store.
    if kind == .service { return await services(namespace) }
    if kind == .workload { return workloadList(namespace) }
    let (objects, revision) = try await store.perform { try $0.list(kind: kind, namespace: namespace) }
    var items = objects.map(\.json)
    if call.isOn("status"), KindRegistry.kind(kind) != nil {
      let reports = await reports(on: objects)
      for index in items.indices {
        items[index]["status"] = reports[objects[index].key].map { .object($0.json) } ?? .null
      }
    }
    return .json(.object(["items": .array(items), "resourceVersion": .string(String(revision))]))
  }

  /// How far objects have come, and what is odd about them.
  private func reports(on objects: [Envelope]) async -> [ObjectKey: RuleReport] {
    var targets: [ObjectKey: RuleTarget] = [:]
    for object in objects {
      targets[object.key] = RuleTarget(
        generation: object.metadata.generation, revision: object.metadata.resourceVersion)
    }
    let statuses = await proxies?.status(of: targets) ?? [:]
    let warnings = await warnings(about: objects)
    let problems = directories.flatMap { $0.report.problems }.filter { $0.severity == .error }
    var reports: [ObjectKey: RuleReport] = [:]
    for key in targets.keys {
      reports[key] = RuleReport(
        status: statuses[key] ?? RuleStatus(), warnings: warnings[key] ?? [],
        refused: problems.filter { $0.object == key })
    }
    return reports
  }

  /// `GET`, `PUT`, `POST`, `DELETE /namespaces/NS/KIND/NAME`
  func object(
    _ call: Call, _ namespace: String, _ text: String, _ name: String, _ body: [UInt8], _ actor: String
  ) async throws -> Answer {
    guard let kind = kindName(text) else { return unknownKind(text) }
    if kind == .workload { return try await workload(call, namespace: namespace, id: name) }
    let key = ObjectKey(kind: kind, namespace: namespace, name: name)
    switch call.method {
    case "GET", "HEAD":
      guard let object = try await store.perform({ try $0.object(key) }) else { throw StoreError.notFound(key) }
      return .json(object.json)
    case "PUT", "POST": return try await write(call, key, body, actor)
    case "DELETE":
      let context = context(actor)
      let outcome = try await store.perform { try $0.delete(key, context) }
      return .json(outcome.object.json)
    default: return .notAllowed("GET, HEAD, PUT, POST, DELETE")
    }
  }

  /// One object. `POST` insists that it is new.
  private func write(_ call: Call, _ key: ObjectKey, _ body: [UInt8], _ actor: String) async throws -> Answer {
    var reader = reader(call)
    reader.defaults.namespace = key.namespace
    let candidates = await work.run(bytes: body.count) { [reader] in reader.candidates(in: body) }
    guard candidates.count == 1, let candidate = candidates.first else {
      return .error(400, "the body must hold exactly one object; it holds \(candidates.count)")
    }
    guard let envelope = candidate.envelope else {
      return .json(.object(["errors": .array(candidate.errors.map(\.json))]), status: 422)
    }
    guard envelope.key == key else {
      return .error(400, "the body is \(envelope.key), the path says \(key)", path: "metadata")
    }
    let precondition: WritePrecondition =
      call.method == "POST" ? .absent : candidate.basedOn.map(WritePrecondition.resourceVersion) ?? .none
    let context = context(actor)
    let outcome = try await write(dryRun: call.isOn("dryRun")) { try $0.put(envelope, if: precondition, context) }
    var object = outcome.object.json
    let warnings = candidate.warnings + (await warnings(about: [outcome.object])[key] ?? [])
    if !warnings.isEmpty { object["warnings"] = .array(warnings.map(\.json)) }
    return .json(object, status: outcome.effect == .created ? 201 : 200)
  }

  /// Runs one write. With `dryRun` nothing of it is kept, but its outcome is the same.
  private func write(
    dryRun: Bool, _ change: @escaping @Sendable (ConfigStore) throws -> WriteOutcome
  ) async throws -> WriteOutcome {
    try await store.perform { store in
      try store.trial { (try change(store), keeps: !dryRun) }
    }
  }

  /// `GET …/NAME/history`, `GET …/NAME/status` (which proxies have taken it), `POST …/NAME/rollback?revision=N`
  func objectPart(
    _ call: Call, _ namespace: String, _ text: String, _ name: String, _ part: String, _ actor: String
  ) async throws -> Answer {
    guard let kind = kindName(text) else { return unknownKind(text) }
    let key = ObjectKey(kind: kind, namespace: namespace, name: name)
    switch part {
    case "history":
      guard call.method == "GET" else { return .notAllowed("GET") }
      let versions = try await store.perform { try $0.history(key) }
      if versions.isEmpty { throw StoreError.notFound(key) }
      let items = versions.enumerated().map { index, version in
        Self.version(version, before: index + 1 < versions.count ? versions[index + 1] : nil)
      }
      return .json(.object(["items": .array(items)]))
    case "rollback":
      guard call.method == "POST" else { return .notAllowed("POST") }
      return try await rollBack(call, key, actor)
    case "status":
      guard call.method == "GET" else { return .notAllowed("GET") }
      return try await objectStatus(call, key)
    default: return .error(404, "there is nothing here; an object has history, rollback and status")
    }
  }

  /// With `?wait=10s` answers when every proxy concerned has the object or has refused it, or that time has passed.
  private func objectStatus(_ call: Call, _ key: ObjectKey) async throws -> Answer {
    guard let object = try await store.perform({ try $0.object(key) }) else { throw StoreError.notFound(key) }
    if let text = call.query["wait"] {
      guard let timeout = Self.duration(text) else { return .error(400, "\"\(text)\" is not a duration like 30s") }
      let target = RuleTarget(generation: object.metadata.generation, revision: object.metadata.resourceVersion)
      _ = await proxies?.wait(for: [key: target], timeout: min(timeout, Self.waitLimit))
    }
    var status = await reports(on: [object])[key]?.json ?? JSONObject()
    status["generation"] = .int(object.metadata.generation)
    return .json(.object(status))
  }

  /// `POST …/rollback?revision=N`, or `?generation=N`; `?dryRun` only says what it would make of the object.
  private func rollBack(_ call: Call, _ key: ObjectKey, _ actor: String) async throws -> Answer {
    let wanted: VersionName
    if let revision = call.query["revision"].flatMap({ UInt64($0) }) {
      wanted = .revision(revision)
    } else if let generation = call.query["generation"].flatMap({ Int64($0) }) {
      wanted = .generation(generation)
    } else {
      return .error(400, "revision or generation must be given: one of the object's history", path: "revision")
    }
    let context = context(actor)
    let outcome = try await write(dryRun: call.isOn("dryRun")) { try $0.rollBack(key, to: wanted, context) }
    var object = outcome.object.json
    object["effect"] = .string(outcome.effect.rawValue)
    let warnings = await warnings(about: [outcome.object])[key] ?? []
    if !warnings.isEmpty { object["warnings"] = .array(warnings.map(\.json)) }
    return .json(object)
  }

  private static func version(_ event: StoreEvent, before: StoreEvent?) -> JSONValue {
    var object: JSONObject = [
      "revision": .string(String(event.revision)), "generation": .int(event.object.metadata.generation),
      "type": .string(event.change.rawValue), "time": .string(event.time.description), "actor": .string(event.actor),
    ]
    if event.change == .modified, let before, before.change != .deleted {
      object["changes"] = .array(
        ObjectDiff.changes(from: before.object, to: event.object).map { .string($0.path.description) })
    }
    object["object"] = event.object.json
    return .object(object)
  }
}
