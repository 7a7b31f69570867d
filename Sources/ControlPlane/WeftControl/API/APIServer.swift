import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds
package import WeftService

/// The API over HTTP: limits, who asks, the watch stream.
package struct APIServer: Sendable {
  let api: ControlAPI
  private let pages: PageGuard

  /// *Parameter* `pages`: which web pages may ask.
  package init(_ api: ControlAPI, pages: PageGuard) {
    self.api = api
    self.pages = pages
  }

  /// The handler for `HTTPServer.run`.
  package func handle(_ request: HTTPServerRequest, _ responder: HTTPResponder) async throws {
    guard let call = Call(method: request.head.method, path: request.head.path, query: request.head.query) else {
      return try await send(.error(400, "the target is not a well-formed path and query"), request, responder)
    }
    if let refusal = refusal(of: request, call) { return try await send(refusal, request, responder) }
    if call.segments == ["api", "v1", "watch"] { return try await watch(call, responder) }

    // A wait holds the call for as long as it asks; everything else is quick.
    let patience = call.query["wait"].flatMap(ControlAPI.duration) ?? .zero
    responder.setDeadline(in: ControlAPI.callTimeout + min(patience, ControlAPI.waitLimit))
    let body: [UInt8]
    do {
      body = try await request.body.collect(upTo: ControlAPI.bodyLimit)
    } catch ServiceError.limitExceeded {
      api.counters.noteRefusedBody()
      return try await send(
        .error(413, "the body is larger than \(ControlAPI.bodyLimit >> 20) MiB"), request, responder)
    }
    let actor = Self.actor(request)
    try await send(await api.answer(call, body: body, actor: actor), request, responder)
  }

  private func send(_ answer: Answer, _ request: HTTPServerRequest, _ responder: HTTPResponder) async throws {
    api.counters.note(status: answer.status)
    var headers: HTTPHeaders = ["content-type": answer.contentType]
    for header in answer.headers { headers.add(header.name, header.value) }
    try await responder.send(
      HTTPResponse(status: answer.status, headers: headers), body: request.head.method == "HEAD" ? [] : answer.body)
  }

  /// Who changes something, for the history: what the client calls itself, and from where.
  private static func actor(_ request: HTTPServerRequest) -> String {
    let agent = request.head.headers["user-agent"] ?? ""
    return agent.isEmpty ? "\(request.peer.address)" : "\(agent.prefix(80)) \(request.peer.address)"
  }

  /// A web page must not read or change the mesh through its reader's browser.
  private func refusal(of request: HTTPServerRequest, _ call: Call) -> Answer? {
    let isRead = request.head.method == "GET" || request.head.method == "HEAD"
    // Whether we are ready is no secret, and probes ask by any name.
    if isRead, call.segments == ["healthz"] || call.segments == ["readyz"] { return nil }
    let host = request.head.authority
    let origin = request.head.headers["origin"]
    let refusal =
      isRead
      ? pages.refusal(ofHost: host, origin: origin)
      : pages.refusal(ofChangeBy: host, origin: origin, site: request.head.headers["sec-fetch-site"])
    switch refusal {
    case nil: return nil
    case .name:
      return .error(403, "ask by an IP address, as localhost or by a name of --api-host, not as \(host.prefix(80))")
    case .origin:
      return .error(403, "changes from pages of another origin (\((origin ?? "cross-site").prefix(80))) are refused")
    }
  }

  // MARK: Watch

  /// `GET /watch?kind=KIND&namespace=NS&from=42`: JSON lines, a bookmark when there was nothing for this watcher, until
  /// the client goes or the control plane stops.
  private func watch(_ call: Call, _ responder: HTTPResponder) async throws {
    var kind: String?
    if let text = call.query["kind"], !text.isEmpty {
      guard let name = api.kindName(text) else { return try await refuse(api.unknownKind(text), responder) }
      kind = name.rawValue
    }
    let namespace = call.query["namespace"]
    var position: UInt64?
    if let text = call.query["from"], !text.isEmpty {
      guard let from = UInt64(text) else {
        return try await refuse(.error(400, "must be a resourceVersion", path: "from"), responder)
      }
      position = from
    }
    var from = position ?? 0
    if position == nil { from = try await api.store.perform { $0.revision } }
    // The first read decides whether the watch can begin at all.
    var events: [StoreEvent]
    do {
      let start = from
      events = try await api.store.perform { try $0.events(after: start) }
    } catch let error as StoreError {
      return try await refuse(.failure(error), responder)
    }
    api.counters.note(status: 200)
    let writer = try responder.start(
      HTTPResponse(status: 200, headers: ["content-type": "application/x-ndjson", "cache-control": "no-store"]))
    defer { writer.finish() }
    for await newest in api.store.revisions() {
      while true {
        for event in events {
          from = event.revision
          guard kind == nil || event.object.kind.rawValue == kind,
            namespace == nil || event.object.metadata.namespace == namespace
          else { continue }
          try await writer.write(Self.line(event.change.rawValue, event.object.json))
        }
        let start = from
        if start >= newest { break }
        events = try await api.store.perform { try $0.events(after: start) }
        if events.isEmpty { break }
      }
      events = []
      let bookmark: JSONValue = .object(["metadata": .object(["resourceVersion": .string(String(from))])])
      try await writer.write(Self.line("BOOKMARK", bookmark))
    }
  }

  private func refuse(_ answer: Answer, _ responder: HTTPResponder) async throws {
    api.counters.note(status: answer.status)
    try await responder.send(
      HTTPResponse(status: answer.status, headers: ["content-type": answer.contentType]), body: answer.body)
  }

  private static func line(_ type: String, _ object: JSONValue) -> [UInt8] {
    var line = JSONValue.object(["type": .string(type), "object": object]).bytes()
    line.append(UInt8(ascii: "\n"))
    return line
  }
}
