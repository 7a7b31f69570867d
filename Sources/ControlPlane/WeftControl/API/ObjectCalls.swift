import WeftBase
import WeftConfig
import WeftControlAPI
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

  /// `GET /objects/KIND`
  func list(_ text: String, _ namespace: String?) async throws -> Answer {
    guard let kind = kindName(text) else { return unknownKind(text) }
    let (objects, revision) = try await store.perform { try $0.list(kind: kind, namespace: namespace) }
    return .json(
      .object(["items": .array(objects.map(\.json)), "resourceVersion": .string(String(revision))]))
  }

  /// `GET`, `PUT`, `POST`, `DELETE /namespaces/NS/KIND/NAME`
  func object(
    _ call: Call, _ namespace: String, _ text: String, _ name: String, _ body: [UInt8], _ actor: String
  ) async throws -> Answer {
    guard let kind = kindName(text) else { return unknownKind(text) }
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
    let candidates = reader.candidates(in: body)
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
    let dryRun = call.isOn("dryRun")
    struct Discarded: Error { var outcome: WriteOutcome }
    let outcome: WriteOutcome
    do {
      outcome = try await store.perform { store in
        let outcome = try store.put(envelope, if: precondition, context)
        if dryRun { throw Discarded(outcome: outcome) }
        return outcome
      }
    } catch let discarded as Discarded {
      outcome = discarded.outcome
    }
    var object = outcome.object.json
    if !candidate.warnings.isEmpty { object["warnings"] = .array(candidate.warnings.map(\.json)) }
    return .json(object, status: outcome.effect == .created ? 201 : 200)
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
      return .json(.object(["items": .array(versions.map(Self.version))]))
    case "rollback":
      guard call.method == "POST" else { return .notAllowed("POST") }
      guard let revision = call.query["revision"].flatMap({ UInt64($0) }) else {
        return .error(400, "revision must be given: one of the object's history", path: "revision")
      }
      let context = context(actor)
      return .json(try await store.perform { try $0.rollBack(key, to: revision, context) }.object.json)
    case "status":
      guard call.method == "GET" else { return .notAllowed("GET") }
      guard let object = try await store.perform({ try $0.object(key) }) else { throw StoreError.notFound(key) }
      let generation = object.metadata.generation
      var status = await proxies?.status(of: key, generation: generation) ?? .object(JSONObject())
      status["generation"] = .int(generation)
      return .json(status)
    default: return .error(404, "there is nothing here; an object has history, rollback and status")
    }
  }

  private static func version(_ event: StoreEvent) -> JSONValue {
    .object([
      "revision": .string(String(event.revision)), "type": .string(event.change.rawValue),
      "time": .string(event.time.description), "actor": .string(event.actor), "object": event.object.json,
    ])
  }
}
