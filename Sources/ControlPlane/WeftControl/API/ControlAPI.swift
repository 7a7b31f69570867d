import WeftBase
package import WeftConfig
package import WeftControlAPI
import WeftKinds

/// The calls of the API (docs/design/0003), apart from HTTP itself: a call and a body in, an answer out.
package struct ControlAPI: Sendable {
  package let store: StoreService
  package let aggregate: Aggregate
  package let registry: AgentRegistry
  package let clock: ControlClock
  package let defaults: ConfigDefaults
  package let version: String
  /// Set once discovery runs.
  package let proxies: (any ProxyStatusSource)?
  package let counters: APICounters
  /// Directories that are mirrored into the store, for `/readyz` and `/metrics`.
  package let directories: [DirectorySource]
  /// Not ready before everything is served and after stopping has begun.
  package let readiness: Readiness
  /// Where bodies are read and rules are looked at.
  let work = HeavyWork()

  package init(
    store: StoreService, aggregate: Aggregate, registry: AgentRegistry, clock: ControlClock,
    defaults: ConfigDefaults = ConfigDefaults(), version: String = "dev", proxies: (any ProxyStatusSource)? = nil,
    directories: [DirectorySource] = [], readiness: Readiness = Readiness()
  ) {
    self.store = store
    self.aggregate = aggregate
    self.registry = registry
    self.clock = clock
    self.defaults = defaults
    self.version = version
    self.proxies = proxies
    self.directories = directories
    self.readiness = readiness
    counters = APICounters()
  }

  /// Bytes of a request body.
  package static let bodyLimit = 16 << 20
  package static let callTimeout: Duration = .seconds(30)
  package static let waitLimit: Duration = .seconds(300)

  /// Answers every call but the watch, which streams. *Parameter* `actor`: who asks, for the history.
  package func answer(_ call: Call, body: [UInt8], actor: String) async -> Answer {
    do {
      return try await route(call, body, actor)
    } catch {
      return .failure(error)
    }
  }

  private func route(_ call: Call, _ body: [UInt8], _ actor: String) async throws -> Answer {
    let path = call.segments
    if path.count == 1 { return await status(call) }
    guard path.count >= 3, path[0] == "api", path[1] == "v1" else { return .error(404, "there is nothing here") }
    let rest = Array(path[2...])
    // The ways out (DELETE, remove) reach whatever is stored; the body of a write is checked by its reader.
    if let namespace = call.query["namespace"], !namespace.isEmpty, !NameRules.isDNSLabel(namespace),
      call.method != "DELETE", rest[0] != "remove"
    {
      return .error(400, "\"\(namespace)\" is not a namespace", path: "namespace")
    }
    switch (rest[0], rest.count) {
    case ("apply", 1): return try await post(call) { try await apply(call, body, actor) }
    case ("diff", 1): return try await post(call) { try await diff(call, body) }
    case ("remove", 1): return try await post(call) { try await remove(call, body, actor) }
    case ("kinds", 1): return get(call) { kinds() }
    case ("objects", 2): return try await getAsync(call) { try await list(call, rest[1], call.query["namespace"]) }
    case ("namespaces", 4): return try await object(call, rest[1], rest[2], rest[3], body, actor)
    case ("namespaces", 5): return try await objectPart(call, rest[1], rest[2], rest[3], rest[4], actor)
    case ("services", 1): return try await getAsync(call) { await services(call.query["namespace"]) }
    case ("sources", 1): return get(call) { sources() }
    case ("store", 1): return try await getAsync(call) { try await storeState() }
    case ("snapshot", 1): return try await getAsync(call) { await snapshot() }
    case ("workloads", 1): return try await workloads(call, body)
    case ("workloads", 3): return try await workload(call, namespace: rest[1], id: rest[2])
    case ("proxies", 1): return try await getAsync(call) { await proxyList() }
    case ("proxies", 3) where rest[2] == "config":
      return try await getAsync(call) { await proxyConfig(rest[1], call.query["type"] ?? "") }
    default: return .error(404, "there is nothing here")
    }
  }

  private func post(_ call: Call, _ body: () async throws -> Answer) async throws -> Answer {
    call.method == "POST" ? try await body() : .notAllowed("POST")
  }

  private func get(_ call: Call, _ body: () -> Answer) -> Answer {
    call.method == "GET" || call.method == "HEAD" ? body() : .notAllowed("GET, HEAD")
  }

  private func getAsync(_ call: Call, _ body: () async throws -> Answer) async throws -> Answer {
    call.method == "GET" || call.method == "HEAD" ? try await body() : .notAllowed("GET, HEAD")
  }

  // MARK: Shared by the calls

  func reader(_ call: Call) -> DocumentReader {
    var defaults = self.defaults
    if let namespace = call.query["namespace"], !namespace.isEmpty { defaults.namespace = namespace }
    return DocumentReader(defaults: defaults)
  }

  /// The objects that a body holds, read away from the threads that answer calls.
  func candidates(_ call: Call, in body: [UInt8]) async -> [Candidate] {
    let reader = reader(call)
    return await work.run(bytes: body.count) { reader.candidates(in: body) }
  }

  func context(_ actor: String) -> WriteContext { WriteContext(actor: actor, now: clock.wall()) }

  /// The kind that a path means: a configuration kind, or one of the registry's own.
  func kindName(_ text: String) -> KindName? {
    if let kind = KindRegistry.kind(called: text) { return kind.name }
    switch text.lowercased() {
    case "service", "services", "svc": return .service
    case "workload", "workloads", "wl": return .workload
    default: return nil
    }
  }

  func unknownKind(_ text: String) -> Answer {
    let names = KindRegistry.all.map(\.plural).joined(separator: ", ")
    let known = KindRegistry.all.flatMap { [$0.plural] + $0.shortNames } + ["services", "svc", "workloads", "wl"]
    let hint = Suggestion.nearest(to: text, among: known).map { "did you mean \"\($0)\"? " } ?? ""
    return .error(404, "\"\(text)\" is not a kind; \(hint)known are \(names), services, workloads")
  }
}
