import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftService
package import WeftTelemetry

/// The admin interface as a pure function: a request and a status in, a page and perhaps an action out.
///
/// Pages are plain text or JSON, never HTML, and carry no key material. Whatever changes something must be a POST.
package struct AdminPages {
  private let status: AdminStatus
  private let metrics: MetricsRegistry
  private let log: LogOutput
  /// Compiles the pattern of `?filter=`; `nil` when it is invalid. Without an engine, text is searched for as it
  /// stands.
  private let pattern: (String) -> ((String) -> Bool)?

  package init(
    _ status: AdminStatus, metrics: MetricsRegistry, log: LogOutput,
    pattern: @escaping (String) -> ((String) -> Bool)? = AdminPages.regex
  ) {
    self.status = status
    self.metrics = metrics
    self.log = log
    self.pattern = pattern
  }

  private struct Page {
    let path: String
    let needsPost: Bool
    let help: String
  }

  private static let pages: [Page] = [
    Page(path: "/clusters", needsPost: false, help: "upstream cluster status (?format=json)"),
    Page(
      path: "/config_dump", needsPost: false,
      help: "configuration in force, secrets redacted (?resource=, ?name_regex=)"),
    Page(path: "/drain_listeners", needsPost: true, help: "drain listeners (?inboundonly, ?graceful)"),
    Page(path: "/help", needsPost: false, help: "this list"),
    Page(path: "/listeners", needsPost: false, help: "listener addresses (?format=json)"),
    Page(path: "/logging", needsPost: true, help: "query or change log levels (?level=LEVEL, ?COMPONENT=LEVEL)"),
    Page(path: "/quitquitquit", needsPost: true, help: "exit the server"),
    Page(path: "/ready", needsPost: false, help: "readiness: 200 when live, 503 otherwise"),
    Page(path: "/reopen_logs", needsPost: true, help: "open access logs again"),
    Page(path: "/runtime", needsPost: false, help: "values of runtime keys, by layer"),
    Page(
      path: "/runtime_modify", needsPost: true,
      help: "set runtime keys (?KEY=VALUE&KEY=VALUE; an empty value takes it away)"),
    Page(path: "/server_info", needsPost: false, help: "version, state, uptime"),
    Page(path: "/stats", needsPost: false, help: "statistics (?filter=REGEX, ?usedonly, ?format=json|prometheus)"),
    Page(path: "/stats/prometheus", needsPost: false, help: "statistics in Prometheus format"),
  ]

  /// Answers `method` on `target` (path and query), with the form that came with it, if any. `origin`, `site` and `host` are the request's `Origin`, `Sec-Fetch-Site` and `Host`: a browser tells on behalf of
  /// which page it asks, and a page from elsewhere must not change anything here. `isLocal`: the page is bound to a loopback address.
  ///
  /// Nor may one that came by a name of its own: `PageGuard`.
  package func respond(
    method: String, target: String, form: String = "", origin: String? = nil, site: String? = nil, host: String = "",
    isLocal: Bool = false
  ) -> AdminResponse {
    let query = AdminQuery(target)
    let path = query.path.count > 1 && query.path.hasSuffix("/") ? String(query.path.dropLast()) : query.path
    // Whether we are ready is no secret, and probes ask by any name.
    let guardian = PageGuard(isStrict: isLocal)
    if path != "/ready", guardian.refusal(ofHost: host, origin: origin) != nil {
      return AdminResponse(status: 403, body: "Ask by an IP address or as localhost, not as \(Self.printable(host)).\n")
    }
    if path == "/" { return help() }
    guard let page = Self.pages.first(where: { $0.path == path }) else {
      return AdminResponse(status: 404, body: "invalid path. admin commands are:\n" + help().body)
    }
    if page.needsPost, method != "POST" {
      return AdminResponse(status: 405, body: "Method \(Self.printable(method)) not allowed, POST required.\n")
    }
    if method == "POST", guardian.refusal(ofChangeBy: host, origin: origin, site: site) != nil {
      return AdminResponse(status: 403, body: "Cross-origin requests may not change anything.\n")
    }
    guard ["GET", "HEAD", "POST"].contains(method) else {
      return AdminResponse(status: 405, body: "Method \(Self.printable(method)) not allowed.\n")
    }
    switch path {
    case "/ready":
      return AdminResponse(status: status.state == .live ? 200 : 503, body: status.state.rawValue + "\n")
    case "/server_info": return serverInfo()
    case "/stats": return stats(query, query["format"])
    case "/stats/prometheus": return stats(query, "prometheus")
    case "/clusters":
      let page = ClustersPage(status.clusters)
      return query["format"] == "json" ? json(page.json) : AdminResponse(body: page.text)
    case "/listeners": return query["format"] == "json" ? listenersJSON() : listeners()
    case "/config_dump": return configDump(query)
    case "/drain_listeners":
      return AdminResponse(
        body: "OK\n",
        action: .drainListeners(inboundOnly: query["inboundonly"] != nil, graceful: query["graceful"] != nil))
    case "/quitquitquit": return AdminResponse(body: "OK\n", action: .quit)
    case "/reopen_logs": return AdminResponse(body: "OK\n", action: .reopenLogs)
    case "/logging": return logging(query)
    case "/runtime": return json(RuntimePage.json(status.runtime))
    case "/runtime_modify":
      let sent = query.parameters.isEmpty ? AdminQuery("?" + form).parameters : query.parameters
      return RuntimePage.modify(sent, status.runtime)
    default: return help()
    }
  }

  /// What the page at `target` shows of the status.
  package static func parts(of target: String) -> AdminStatus.Parts {
    switch target.prefix(while: { $0 != "?" }) {
    case "/clusters", "/clusters/": .clusters
    case "/listeners", "/listeners/", "/stats", "/stats/", "/stats/prometheus", "/stats/prometheus/": .listeners
    case "/config_dump", "/config_dump/": .configDump
    case "/runtime", "/runtime/", "/runtime_modify", "/runtime_modify/": .runtime
    default: []
    }
  }

  private func help() -> AdminResponse {
    let width = Self.pages.map(\.path.count).max() ?? 0
    let lines = Self.pages.map { page in
      let pad = String(repeating: " ", count: width - page.path.count)
      return "  \(page.path)\(pad)  \(page.help)\(page.needsPost ? " (POST)" : "")\n"
    }
    return AdminResponse(body: "admin commands are:\n" + lines.joined())
  }

  // MARK: Pages

  private func serverInfo() -> AdminResponse {
    let options = JSONObject([
      JSONMember("concurrency", .int(status.concurrency)), JSONMember("restart_epoch", .int(status.restartEpoch)),
    ])
    let locality = JSONObject([
      JSONMember("region", .string(status.node.locality.region)),
      JSONMember("zone", .string(status.node.locality.zone)),
      JSONMember("sub_zone", .string(status.node.locality.subZone)),
    ])
    let node = JSONObject([
      JSONMember("id", .string(status.node.id)), JSONMember("cluster", .string(status.node.cluster)),
      JSONMember("locality", .object(locality)),
    ])
    return json(
      .object(
        JSONObject([
          JSONMember("version", .string(status.version)), JSONMember("state", .string(status.state.rawValue)),
          JSONMember("uptime_current_epoch", .string("\(status.uptimeSeconds)s")),
          JSONMember("uptime_all_epochs", .string("\(status.uptimeSeconds)s")),
          JSONMember("hot_restart_version", .string("disabled")),
          JSONMember("command_line_options", .object(options)), JSONMember("node", .object(node)),
        ])))
  }

  private func stats(_ query: AdminQuery, _ format: String?) -> AdminResponse {
    var matching: (String) -> Bool = { _ in true }
    if let filter = query["filter"], !filter.isEmpty {
      guard let compiled = pattern(filter) else {
        return AdminResponse(status: 400, body: "Invalid re2 regex: \(Self.printable(filter))\n")
      }
      matching = compiled
    }
    let usedOnly = query["usedonly"] != nil
    publishServerLevels()
    let snapshot = StatSnapshot(metrics)
    switch format {
    case "json":
      return AdminResponse(
        contentType: "application/json", body: snapshot.json(usedOnly: usedOnly, matching: matching) + "\n")
    case "prometheus":
      return AdminResponse(
        contentType: "text/plain; version=0.0.4; charset=utf-8",
        body: snapshot.prometheus(usedOnly: usedOnly, matching: matching))
    case nil, "text": return AdminResponse(body: snapshot.text(usedOnly: usedOnly, matching: matching))
    default:
      return AdminResponse(status: 400, body: "usage: /stats?format=(text|json|prometheus)\n")
    }
  }

  /// The gauges that the status knows and no worker counts.
  private func publishServerLevels() {
    let server = metrics.scope(ScopeKey(.server))
    metrics.set(ServerMetric.uptime, server, UInt64(max(0, status.uptimeSeconds)))
    metrics.set(ServerMetric.concurrency, server, UInt64(max(0, status.concurrency)))
    metrics.set(ServerMetric.live, server, status.state == .live ? 1 : 0)
    let number: UInt64 =
      switch status.state {
      case .live: 0
      case .draining: 1
      case .preInitializing: 2
      case .initializing: 3
      }
    metrics.set(ServerMetric.state, server, number)
    metrics.set(
      ClusterManagerMetric.activeClusters, metrics.scope(ScopeKey(.clusterManager)), UInt64(status.clusterCount))
    let listeners = metrics.scope(ScopeKey(.listenerManager))
    metrics.set(ListenerManagerMetric.totalListenersActive, listeners, UInt64(status.listeners.count))
    metrics.set(
      ListenerManagerMetric.workersStarted, listeners, status.state == .live || status.state == .draining ? 1 : 0)
  }

  private func listeners() -> AdminResponse {
    AdminResponse(body: status.listeners.map { "\(Self.printable($0.name))::\($0.address)\n" }.joined())
  }

  private func listenersJSON() -> AdminResponse {
    let listeners = status.listeners.map { listener in
      JSONValue.object(
        JSONObject([
          JSONMember("name", .string(listener.name)), JSONMember("local_address", Self.json(of: listener.address)),
        ]))
    }
    return json(.object(JSONObject([JSONMember("listener_statuses", .array(listeners))])))
  }

  private func configDump(_ query: AdminQuery) -> AdminResponse {
    var configs = status.configDump.map(Redaction.redact)
    if let resource = query["resource"] {
      guard let found = configs.first(where: { $0[resource] != nil }), let list = found[resource]?.arrayValue else {
        return AdminResponse(status: 404, body: "\(Self.printable(resource)) not found in config dump\n")
      }
      configs = list
      if let name = query["name_regex"] {
        guard let matching = pattern(name) else {
          return AdminResponse(status: 400, body: "Error while parsing name_regex from \(Self.printable(name))\n")
        }
        configs = configs.filter { Redaction.name(of: $0).map(matching) ?? false }
      }
    }
    return json(.object(JSONObject([JSONMember("configs", .array(configs))])))
  }

  private func logging(_ query: AdminQuery) -> AdminResponse {
    var action: AdminAction?
    for (name, value) in query.parameters {
      guard LogLevel(value) != nil else {
        return AdminResponse(
          status: 400,
          body:
            "unknown level \(Self.printable(value)); levels are \(LogLevel.allCases.map(\.name.description).joined(separator: ", "))\n"
        )
      }
      if name == "level" {
        action = .setLogLevel(component: nil, level: value)
      } else if LogComponent.allCases.contains(where: { $0.name.description == name }) {
        action = .setLogLevel(component: name, level: value)
      } else {
        return AdminResponse(status: 400, body: "unknown logger \(Self.printable(name))\n")
      }
    }
    let levels = LogComponent.allCases.map { component in
      var level = log.level(of: component).name.description
      if case .setLogLevel(let name, let new)? = action, name == nil || name == component.name.description {
        level = new
      }
      return "  \(component.name): \(level)\n"
    }
    return AdminResponse(body: "active loggers:\n" + levels.joined(), action: action)
  }

  // MARK: Helpers

  private func json(_ value: JSONValue) -> AdminResponse {
    AdminResponse(contentType: "application/json", body: value.text(JSONStyle(pretty: true)) + "\n")
  }

  /// An `envoy.config.core.v3.Address`.
  static func json(of address: SocketAddress) -> JSONValue {
    if let path = address.unixPath { return ["pipe": ["path": .string(path)]] }
    return [
      "socket_address": ["address": .string(address.ip.description), "port_value": .int(address.port)]
    ]
  }

  /// Text from outside without control characters.
  static func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "?" : $0 }))
  }

  /// Searches for a regular expression anywhere in a name.
  package static func regex(_ pattern: String) -> ((String) -> Bool)? {
    guard let compiled = try? CompiledRegex("(?:.*)(?:\(pattern))(?:.*)") else { return nil }
    return { name in name.withByteView { compiled.ref.matchesAll($0) } }
  }
}

/// Path and parameters of a request to the admin interface.
struct AdminQuery {
  let path: String
  let parameters: [(name: String, value: String)]

  init(_ target: String) {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    path = parts.first.map(String.init) ?? "/"
    parameters = (parts.count > 1 ? parts[1] : "").split(separator: "&").map { pair in
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (Self.decoded(sides[0]), sides.count > 1 ? Self.decoded(sides[1]) : "")
    }
  }

  subscript(name: String) -> String? { parameters.first { $0.name == name }?.value }

  /// Undoes percent-encoding; a broken escape stays as it is.
  static func decoded(_ text: Substring) -> String {
    String(decoding: PercentEncoding.decode(text, plusIsSpace: true, brokenEscape: .kept) ?? [], as: UTF8.self)
  }
}

/// Takes key material out of what is shown.
enum Redaction {
  /// Fields whose whole content is secret, in both spellings.
  private static let secret: Set<String> = [
    "private_key", "privateKey", "password", "session_ticket_keys", "sessionTicketKeys", "generic_secret",
    "genericSecret",
    "pkcs12", "private_key_provider", "privateKeyProvider",
  ]
  /// Headers that carry credentials.
  private static let credentials: Set<String> = ["authorization", "proxy-authorization", "cookie", "x-api-key"]

  static func redact(_ value: JSONValue) -> JSONValue {
    switch value {
    case .object(let object):
      let isCredential = object["key"]?.stringValue.map { credentials.contains($0.lowercased()) } ?? false
      return .object(
        JSONObject(
          object.members.map { member in
            if secret.contains(member.name) { return JSONMember(member.name, blank(member.value)) }
            if isCredential, member.name == "value" || member.name == "raw_value" {
              return JSONMember(member.name, .string("[redacted]"))
            }
            return JSONMember(member.name, redact(member.value))
          }))
    case .array(let items): return .array(items.map(redact))
    default: return value
    }
  }

  /// Keeps the shape, and file names, which are no secret.
  private static func blank(_ value: JSONValue) -> JSONValue {
    switch value {
    case .object(let object):
      .object(
        JSONObject(
          object.members.map { $0.name == "filename" ? $0 : JSONMember($0.name, blank($0.value)) }))
    case .array(let items): .array(items.map(blank))
    case .null: .null
    default: .string("[redacted]")
    }
  }

  /// The name of a dumped resource, wherever the dump's message keeps it.
  package static func name(of value: JSONValue) -> String? {
    if let name = value["name"]?.stringValue { return name }
    for field in ["cluster", "listener", "route_config", "endpoint_config", "active_state"] {
      if let inner = value[field], let found = name(of: inner) { return found }
    }
    return value["cluster_name"]?.stringValue
  }
}
