import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftHTTPFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

/// A `CheckResponse`, written by hand.
private struct Verdict {
  var code: UInt64 = 0
  /// Number of the part (2 refused, 3 admitted, 5 failed), and its fields.
  var part: UInt64 = 3
  var write: (inout ByteBuffer) -> Void = { _ in }

  static func ok(_ write: @escaping (inout ByteBuffer) -> Void = { _ in }) -> Verdict { Verdict(write: write) }
  static func denied(_ status: UInt64 = 0, _ body: String = "", code: UInt64 = 7, part: UInt64 = 2) -> Verdict {
    Verdict(code: code, part: part) { buffer in
      buffer.append(field: 1) { $0.append(field: 1, varint: status) }
      buffer.append(field: 2) { Verdict.option("x-why", "rules", to: &$0) }
      body.withByteView { buffer.append(field: 3, text: $0) }
    }
  }

  static func option(
    _ name: String, _ value: String, append: Bool? = nil, action: UInt64 = 0, to buffer: inout ByteBuffer
  ) {
    buffer.append(field: 1) { header in
      name.withByteView { header.append(field: 1, bytes: $0) }
      value.withByteView { header.append(field: 2, bytes: $0) }
    }
    if let append { buffer.append(field: 2) { $0.append(field: 1, varint: append ? 1 : 0) } }
    buffer.append(field: 3, varint: action)
  }

  var message: [UInt8] {
    var buffer = ByteBuffer()
    buffer.append(field: 1) { $0.append(field: 1, varint: code) }
    buffer.append(field: part, write)
    return buffer.view.array
  }

  var frame: [UInt8] {
    var buffer = ByteBuffer()
    buffer.append(UInt8(0))
    buffer.appendBigEndian(UInt32(message.count))
    buffer.append(message)
    return buffer.view.array
  }
}

/// A proxy that asks a service on port 9000, with its server on 8080.
private final class AuthzHouse {
  let world: ProxyWorld
  var asked: [Seen] = []
  var served: [Seen] = []
  /// By gRPC; nil: no answer at all.
  var verdict: (Seen) -> [UInt8]? = { _ in Verdict.ok().frame }
  var grpcStatus = "0"
  /// By HTTP/1.
  var answer: (Seen) -> String? = { _ in "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" }
  let isGRPC: Bool

  init(
    _ json: String, listens: Bool = true, limits: WorkerEngine.Limits = WorkerEngine.Limits(),
    behind: [ConfiguredFilter] = [],
    table change: (inout RouteConfiguration) throws -> Void = { _ in }
  ) throws {
    isGRPC = json.contains("grpc_service")
    let config = try FilterWorld.config(Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthz.self, json)
    let world = ProxyWorld(limits: limits, extensions: ProxyExtensions(httpFilters: HTTPFilters.registry))
    self.world = world
    var table = RouteConfiguration(name: "routes")
    var host = VirtualHost(name: "all", domains: ["*"])
    host.routes = [Route(match: RouteMatch(.prefix("/")), action: .forward(RouteAction(cluster: .cluster("backend"))))]
    table.virtualHosts = [host]
    try change(&table)
    world.simple(manager: {
      $0.routes = .inline(table)
      $0.filters =
        [ConfiguredFilter(name: "authz", .filter(config))] + behind
        + [ConfiguredFilter(name: "router", .router(RouterOptions()))]
    })
    world.config.clusters += [cluster("service", 9000), cluster("second", 9001), cluster("other", 8080)]
    if listens { world.server.listen(9000) }
    world.server.listen(9001)
    world.apply()
    world.server.onAccept = { [unowned self] peer in
      guard peer.port != 8080, isGRPC else { return }
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned self, unowned h2] id, message in
        var seen = Seen(method: message.method, path: message.path, fields: message.fields, body: message.body)
        seen.status = Int(peer.port)
        asked.append(seen)
        guard let frame = verdict(seen) else { return }
        h2.respond(
          id, 200, fields: [("content-type", "application/grpc")], body: frame, trailers: [("grpc-status", grpcStatus)])
      }
    }
    world.server.onBytes = { [unowned self] peer in
      if peer.port != 8080, isGRPC { return }
      while let message = HTTP1Text(peer.received) {
        peer.received.removeFirst(message.length)
        let words = message.start.split(separator: " ")
        let seen = Seen(method: String(words[0]), path: String(words[1]), fields: message.fields, body: message.body)
        if peer.port == 8080 {
          served.append(seen)
          peer.send("HTTP/1.1 200 OK\r\nx-both: server\r\ncontent-length: 2\r\n\r\nok")
        } else {
          asked.append(seen)
          if let text = answer(seen) { peer.send(text) }
        }
      }
    }
  }

  private func cluster(_ name: String, _ port: UInt16) -> Cluster {
    var cluster = Cluster(name: name)
    cluster.upstreamProtocol = isGRPC && port != 8080 ? .http2 : .http1
    var endpoints = LocalityEndpoints()
    endpoints.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: port))]
    cluster.loadAssignment.localities = [endpoints]
    return cluster
  }

  func send(_ method: String = "GET", _ path: String = "/", fields: String = "", body: String? = nil) -> HTTP1Text? {
    let client = world.connect()
    let content = body.map { "content-length: \($0.utf8.count)\r\n\r\n\($0)" } ?? "\r\n"
    client.send("\(method) \(path) HTTP/1.1\r\nHost: a.test\r\n\(fields)\(content)")
    world.run(for: .seconds(5)) { HTTP1Text(client.received) != nil || client.isOver }
    return HTTP1Text(client.received)
  }

  func value(_ metric: ExtAuthzMetric, _ prefix: String = "http.*.ext_authz.") -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.filter, "test", prefix)))
  }
  func valueAtBackend(_ metric: ExtAuthzClusterMetric) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.filter, "backend", "cluster.*.ext_authz.")))
  }

  func expectNothingLeft() {
    world.advance(by: .seconds(2))
    world.expectClean()
    #expect(world.engine.filterBlocks[].lent == 0 && world.engine.keptBytes[].isEmpty)
    #expect(
      world.registry.value(ClusterMetric.upstreamRqActive, world.registry.scope(ScopeKey(.cluster, "service"))) == 0)
  }
}

@Suite("external authorization")
struct ExtAuthzTests {
  static func grpc(_ more: String = "") -> String {
    #"{"grpc_service": {"envoy_grpc": {"cluster_name": "service"}, "timeout": "0.5s"}\#(more.isEmpty ? "" : ", " + more)}"#
  }
  static func http(_ service: String = "", _ more: String = "") -> String {
    let uri = #""server_uri": {"uri": "http://service/", "cluster": "service", "timeout": "0.5s"}"#
    return #"{"http_service": {\#(uri)\#(service.isEmpty ? "" : ", " + service)}\#(more.isEmpty ? "" : ", " + more)}"#
  }
  static func perRoute(_ json: String) throws -> FilterOverride {
    FilterOverride(
      config: try FilterWorld.config(Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthzPerRoute.self, json))
  }

  // MARK: By gRPC

  @Test("an admitted request goes on with the changes that the service asks for")
  func admits() throws {
    let house = try AuthzHouse(Self.grpc())
    house.verdict = { _ in
      Verdict.ok { ok in
        ok.append(field: 2) { Verdict.option("x-user", "ann", to: &$0) }
        ok.append(field: 2) { Verdict.option("x-there", "more", append: true, to: &$0) }
        ok.append(field: 2) { Verdict.option("x-absent", "more", append: true, to: &$0) }
        ok.append(field: 5, text: ByteView("x-secret"))
        ok.append(field: 5, text: ByteView("host"))
        ok.append(field: 6) { Verdict.option("x-both", "service", to: &$0) }
        ok.append(field: 6) { Verdict.option("x-new", "1", action: 1, to: &$0) }
        ok.append(field: 6) { Verdict.option("x-none", "1", action: 3, to: &$0) }
        ok.append(field: 7) {
          $0.append(field: 1, text: ByteView("a"))
          $0.append(field: 2, text: ByteView("9"))
        }
        ok.append(field: 8, text: ByteView("b"))
      }.frame
    }
    let answer = house.send("GET", "/p?a=1&b=2&c=3", fields: "X-Secret: s\r\nX-There: one\r\n")
    let served = try #require(house.served.first)
    #expect(served.path == "/p?c=3&a=9" && served.first("x-user") == "ann" && served.first("x-there") == "one,more")
    #expect(served.first("x-secret") == nil && served.first("x-absent") == nil && served.first("host") == "a.test")
    #expect(answer?.fields.filter { $0.name == "x-both" }.map(\.value) == ["server", "service"])
    #expect(answer?.first("x-new") == "1" && answer?.first("x-none") == nil)
    let asked = try #require(house.asked.first)
    #expect(asked.method == "POST" && asked.path == "/envoy.service.auth.v3.Authorization/Check")
    #expect(asked.first("te") == "trailers" && asked.first("grpc-timeout") == "500m")
    #expect(house.value(.ok) == 1 && house.valueAtBackend(.ok) == 1 && house.value(.denied) == 0)
    house.expectNothingLeft()
  }

  @Test("a refused request is answered with the service's words, and counted where it would have gone")
  func refuses() throws {
    let house = try AuthzHouse(Self.grpc(#""max_denied_response_body_bytes": 5"#))
    house.verdict = { _ in Verdict.denied(401, "go away").frame }
    let answer = try #require(house.send())
    #expect(answer.status == 401 && answer.body == Array("go aw".utf8) && answer.first("x-why") == "rules")
    #expect(house.served.isEmpty && house.value(.denied) == 1 && house.valueAtBackend(.denied) == 1)
    #expect(house.world.value(ClusterMetric.upstreamRq4xx) == 1)
    house.verdict = { _ in Verdict(code: 16, part: 9).frame }
    #expect(house.send()?.status == 403)
    house.verdict = { _ in Verdict.denied(7).frame }
    #expect(house.send()?.status == 403)
    house.expectNothingLeft()
  }

  @Test(
    "whatever goes wrong with the service, the declared mode holds",
    arguments: ["away", "silent", "status", "malformed", "compressed", "cut", "error", "gone"], [false, true])
  func fails(how: String, open: Bool) throws {
    let house = try AuthzHouse(
      Self.grpc(
        #""failure_mode_allow": \#(open), "failure_mode_allow_header_add": true, "status_on_error": {"code": 503}"#),
      listens: how != "away")
    let good = Verdict.ok().frame
    switch how {
    case "silent": house.verdict = { _ in nil }
    case "status": house.grpcStatus = "14"
    case "malformed": house.verdict = { _ in [0, 0, 0, 0, 2, 0x0a, 0x7f] }
    case "compressed": house.verdict = { _ in [1] + good.dropFirst() }
    case "cut": house.verdict = { _ in good.dropLast() }
    case "error": house.verdict = { _ in Verdict.denied(418, "teapot", code: 13, part: 5).frame }
    case "gone":
      house.world.config.clusters.removeAll { $0.name == "service" }
      house.world.apply()
    default: break
    }
    let answer = try #require(house.send())
    #expect(answer.status == (open ? 200 : how == "error" ? 418 : 503))
    #expect(open ? house.served.first?.first("x-envoy-auth-failure-mode-allowed") == "true" : house.served.isEmpty)
    #expect(house.value(.error) == 1 && house.value(.failureModeAllowed) == (open ? 1 : 0))
    house.expectNothingLeft()
  }

  /// A byte longer than the codecs take one.
  private static let longName = String(repeating: "n", count: MessageHead.longestName + 1)

  @Test("an answer asks for so many changes and no more", arguments: [256, 257])
  func changes(count: Int) throws {
    let house = try AuthzHouse(Self.grpc())
    house.verdict = { _ in
      Verdict.ok { ok in
        for i in 0..<count { ok.append(field: 2) { Verdict.option("x-\(i % 50)", "1", append: i >= 50, to: &$0) } }
      }.frame
    }
    #expect(house.send()?.status == (count > 256 ? 500 : 200))
    #expect(house.served.count == (count > 256 ? 0 : 1))
    house.expectNothingLeft()
  }

  @Test("a refusal with a name that no codec takes is none", arguments: [Self.longName, "x bad"])
  func unsoundRefusal(name: String) throws {
    let house = try AuthzHouse(Self.grpc())
    house.verdict = { _ in
      Verdict(code: 7, part: 2) { refusal in refusal.append(field: 2) { Verdict.option(name, "1", to: &$0) } }.frame
    }
    #expect(house.send()?.status == 500 && house.value(.invalid) == 1)
    house.expectNothingLeft()
  }

  @Test(
    "fields by which messages are told apart are nobody's to change",
    arguments: ["content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive"])
  func framing(name: String) throws {
    let house = try AuthzHouse(Self.grpc())
    house.verdict = { _ in
      Verdict.ok { ok in
        ok.append(field: 2) { Verdict.option(name, "7", to: &$0) }
        ok.append(field: 6) { Verdict.option(name, "7", action: 2, to: &$0) }
        ok.append(field: 2) { Verdict.option("x-user", "ann", to: &$0) }
      }.frame
    }
    let answer = try #require(house.send())
    let served = try #require(house.served.first)
    #expect(served.first("x-user") == "ann" && served.first(name) != "7")
    #expect(answer.status == 200 && answer.first(name) != "7")
    house.verdict = { _ in
      Verdict(code: 7, part: 2) { refusal in refusal.append(field: 2) { Verdict.option(name, "7", to: &$0) } }.frame
    }
    let refusal = try #require(house.send())
    #expect(refusal.status == 403 && refusal.first(name) != "7")
    house.expectNothingLeft()
  }

  @Test("what a request that asks for an upgrade brings along is shown, too")
  func upgradeWithContent() throws {
    let house = try AuthzHouse(Self.grpc(#""with_request_body": {"max_request_bytes": 100}"#)) { table in
      var action = RouteAction(cluster: .cluster("backend"))
      action.upgrades = [UpgradeConfiguration(type: "websocket")]
      table.virtualHosts[0].routes[0].action = .forward(action)
    }
    _ = house.send("POST", "/", fields: "Connection: upgrade\r\nUpgrade: websocket\r\n", body: "hidden words")
    let shown = String(decoding: house.asked.first?.body ?? [], as: UTF8.self)
    #expect(shown.contains("hidden words"))
  }

  @Test(
    "an answer that asks for what no message can hold admits nobody",
    arguments: [
      (2, "x bad", "1"), (2, "x-bad", "a\nb"), (2, ":path", "/a b"), (2, ":path", "relative"),
      (2, ":method", "CONNECT"),
      (2, ":method", "HEAD"), (2, ":status", "200"), (2, "host", "a b"), (2, "", "1"), (6, "x bad", "1"),
      (6, ":status", "200"), (7, "", ""), (2, longName, "1"), (6, longName, "1"),
    ] as [(UInt64, String, String)])
  func unsound(field: UInt64, name: String, value: String) throws {
    let house = try AuthzHouse(Self.grpc(#""failure_mode_allow": true"#))
    house.verdict = { _ in Verdict.ok { $0.append(field: field) { Verdict.option(name, value, to: &$0) } }.frame }
    #expect(house.send()?.status == 500 && house.served.isEmpty)
    #expect(house.value(.invalid) == 1)
    house.expectNothingLeft()
  }

  @Test("a changed path leads elsewhere only where the route is found anew", arguments: [false, true])
  func clearsRoute(clears: Bool) throws {
    let behind = try FaultTests.chain("{}")
    let house = try AuthzHouse(Self.grpc(#""clear_route_cache": \#(clears)"#), behind: [behind]) { table in
      var other = RouteAction(cluster: .cluster("other"))
      other.prefixRewrite = "/other"
      var route = Route(match: RouteMatch(.prefix("/elsewhere")), action: .forward(other))
      // The filter behind is configured by the route that is the request's then.
      route.filters["fault"] = FilterOverride(
        config: try FaultTests.config(#"{"abort": {"http_status": 418, "percentage": {"numerator": 100}}}"#))
      table.virtualHosts[0].routes.insert(route, at: 0)
    }
    house.verdict = { _ in Verdict.ok { $0.append(field: 2) { Verdict.option(":path", "/elsewhere/x", to: &$0) } }.frame
    }
    #expect(house.send()?.status == (clears ? 418 : 200))
    #expect(house.served.map(\.path) == (clears ? [] : ["/elsewhere/x"]))
    house.expectNothingLeft()
  }

  @Test(
    "content is shown up to the limit; what is larger is refused, or shown in part", arguments: [0, 3, 4, 5, 90_000])
  func content(count: Int) throws {
    let body = String(repeating: "b", count: count)
    let whole = try AuthzHouse(Self.grpc(#""with_request_body": {"max_request_bytes": 4}"#))
    #expect(whole.send("POST", body: body)?.status == (count > 4 ? 413 : 200))
    #expect(whole.asked.count == (count > 4 ? 0 : 1))
    if count <= 4 { #expect(whole.served.first?.body == Array(body.utf8)) }
    #expect(whole.world.value(HTTPMetric.downstreamRqTooLarge) == (count > 4 ? 1 : 0))
    whole.expectNothingLeft()
    let part = try AuthzHouse(
      Self.grpc(#""with_request_body": {"max_request_bytes": 4, "allow_partial_message": true, "pack_as_bytes": true}"#)
    )
    #expect(part.send("POST", body: body)?.status == 200)
    #expect(same(part.served.first?.body, Array(body.utf8)))
    let shown = String(decoding: part.asked.first?.body ?? [], as: UTF8.self)
    #expect(shown.contains(String(repeating: "b", count: min(4, count))) && !shown.contains("bbbbb"))
    #expect(shown.contains("x-envoy-auth-partial-body") == (count > 0))
    part.expectNothingLeft()
  }

  @Test("a client that goes while the service thinks takes the question with it", arguments: [false, true])
  func clientGone(inContent: Bool) throws {
    let house = try AuthzHouse(Self.grpc(#""with_request_body": {"max_request_bytes": 100}"#))
    house.verdict = { _ in nil }
    let client = house.world.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 10\r\n\r\n" + (inContent ? "01234" : "0123456789"))
    if inContent { house.world.settle() } else { #expect(house.world.run { house.asked.count == 1 }) }
    client.loop.close(client.id, .reset)
    house.expectNothingLeft()
    #expect(house.world.engine.streams.count == 0)
  }

  @Test("routes switch it off, add to what the service is told, and ask another service")
  func perRoute() throws {
    let house = try AuthzHouse(Self.grpc()) { table in
      table.virtualHosts[0].filters["authz"] = try Self.perRoute(
        #"{"check_settings": {"context_extensions": {"where": "of-host", "both": "of-host-too"}}}"#)
      func add(_ path: String, _ json: String) throws {
        var route = table.virtualHosts[0].routes[0]
        route.match = RouteMatch(.prefix(path))
        route.filters["authz"] = try Self.perRoute(json)
        table.virtualHosts[0].routes.insert(route, at: 0)
      }
      try add("/off", #"{"disabled": true}"#)
      try add("/more", #"{"check_settings": {"context_extensions": {"both": "of-route"}}}"#)
      try add("/second", #"{"check_settings": {"grpc_service": {"envoy_grpc": {"cluster_name": "second"}}}}"#)
    }
    func shown() -> String { String(decoding: house.asked.last?.body ?? [], as: UTF8.self) }
    #expect(house.send("GET", "/off")?.status == 200 && house.asked.isEmpty)
    #expect(house.send("GET", "/")?.status == 200 && shown().contains("of-host-too"))
    #expect(house.send("GET", "/more")?.status == 200)
    #expect(shown().contains("of-host") && shown().contains("of-route") && !shown().contains("of-host-too"))
    #expect(house.send("GET", "/second")?.status == 200 && house.asked.last?.status == 9001)
    // The service of a route goes and comes back; whatever takes its place meanwhile is not asked.
    let second = house.world.config.clusters.remove(
      at: try #require(house.world.config.clusters.firstIndex { $0.name == "second" }))
    house.world.apply()
    #expect(house.send("GET", "/second")?.status == 403)
    var stranger = second
    stranger.name = "stranger"
    house.world.config.clusters.append(stranger)
    house.world.apply()
    #expect(house.send("GET", "/second")?.status == 403)
    house.world.config.clusters.append(second)
    house.world.apply()
    #expect(house.send("GET", "/second")?.status == 200 && house.asked.last?.status == 9001)
    house.expectNothingLeft()
  }

  @Test("by share it asks nobody, and admits or refuses then")
  func disabled() throws {
    let share = #""filter_enabled": {"default_value": {"numerator": 0}}"#
    let open = try AuthzHouse(Self.grpc(share))
    #expect(open.send()?.status == 200 && open.asked.isEmpty && open.value(.disabled) == 1)
    let shut = try AuthzHouse(Self.grpc(share + #", "deny_at_disable": {"default_value": true, "runtime_key": "a"}"#))
    #expect(shut.send()?.status == 403 && shut.asked.isEmpty && shut.served.isEmpty)
  }

  @Test("the service sees the headers that it may see")
  func headers() throws {
    let house = try AuthzHouse(
      Self.grpc(
        #""allowed_headers": {"patterns": [{"prefix": "x-"}]}, "disallowed_headers": {"patterns": [{"exact": "x-no"}]}"#
      ))
    _ = house.send("GET", "/", fields: "X-Yes: first\r\nX-Yes: second\r\nX-No: hidden\r\nOther: hidden\r\n")
    let shown = String(decoding: house.asked.first?.body ?? [], as: UTF8.self)
    #expect(shown.contains("x-yes") && shown.contains("first,second") && !shown.contains("hidden"))
  }

  // MARK: By HTTP

  @Test("by HTTP the service sees the request's line and the headers that are allowed")
  func askedByHTTP() throws {
    let house = try AuthzHouse(
      Self.http(
        #""path_prefix": "/auth", "authorization_request": {"headers_to_add": [{"key": "x-added", "value": "1"}]}"#,
        #""allowed_headers": {"patterns": [{"exact": "x-yes"}]}, "with_request_body": {"max_request_bytes": 100}"#))
    let answer = house.send(
      "POST", "/p?q=1", fields: "Authorization: token\r\nX-Yes: 1\r\nX-No: 1\r\nCookie: a=b\r\n", body: "hello")
    #expect(answer?.status == 200)
    let asked = try #require(house.asked.first)
    #expect(asked.method == "POST" && asked.path == "/auth/p?q=1" && asked.body == Array("hello".utf8))
    #expect(asked.first("host") == "a.test" && asked.first("authorization") == "token" && asked.first("x-yes") == "1")
    #expect(asked.first("x-added") == "1" && asked.first("x-no") == nil && asked.first("cookie") == nil)
    #expect(asked.first("x-envoy-auth-partial-body") == "false" && house.served.first?.body == Array("hello".utf8))
    house.expectNothingLeft()
  }

  @Test("what is told beside the question tells of the client's request", arguments: [false, true])
  func formattedQuestion(byHTTP: Bool) throws {
    let added = #"[{"key": "x-told", "value": "%REQ(x-u)% %REQ(:path)%"}, {"key": "x-part", "value": "100%%"}]"#
    let house = try AuthzHouse(
      byHTTP
        ? Self.http(#""path_prefix": "/auth", "authorization_request": {"headers_to_add": \#(added)}"#)
        : #"{"grpc_service": {"envoy_grpc": {"cluster_name": "service"}, "initial_metadata": \#(added)}}"#)
    #expect(house.send("GET", "/p", fields: "X-U: me\r\n")?.status == 200)
    let asked = try #require(house.asked.first)
    #expect(asked.first("x-told") == "me /p" && asked.first("x-part") == "100%")
    house.expectNothingLeft()
  }

  @Test("by HTTP the list of headers to remove stays with us, whatever is allowed", arguments: ["x-envoy-auth", "x-"])
  func listStays(prefix: String) throws {
    let allowed = #"{"patterns": [{"prefix": "\#(prefix)"}]}"#
    let house = try AuthzHouse(
      Self.http(
        #""authorization_response": {"allowed_upstream_headers": \#(allowed), "allowed_upstream_headers_to_append": \#(allowed)}"#
      ))
    house.answer = { _ in
      "HTTP/1.1 200 OK\r\nX-Envoy-Auth-Headers-To-Remove: x-gone\r\nX-Envoy-Auth-User: me\r\ncontent-length: 0\r\n\r\n"
    }
    #expect(house.send(fields: "x-gone: 1\r\n")?.status == 200)
    let served = try #require(house.served.first)
    #expect(served.first("x-envoy-auth-headers-to-remove") == nil && served.first("x-gone") == nil)
    #expect(served.first("x-envoy-auth-user") == "me")
  }

  @Test(
    "by HTTP the service names another host where that is allowed",
    arguments: [
      ("allowed_upstream_headers", "b.test", "b.test"), ("allowed_upstream_headers", "b c", nil),
      ("allowed_upstream_headers_to_append", "b.test", "a.test"),
    ] as [(String, String, String?)])
  func hostByHTTP(list: String, said: String, served: String?) throws {
    let house = try AuthzHouse(Self.http(#""authorization_response": {"\#(list)": {"patterns": [{"exact": "host"}]}}"#))
    house.answer = { _ in "HTTP/1.1 200 OK\r\nHost: \(said)\r\ncontent-length: 0\r\n\r\n" }
    #expect(house.send()?.status == (served == nil ? 500 : 200))
    #expect(
      house.served.flatMap { $0.fields.filter { $0.name.lowercased() == "host" } }.map(\.value)
        == (served.map { [$0] } ?? []))
    #expect(house.value(.invalid) == (served == nil ? 1 : 0))
    house.expectNothingLeft()
  }

  @Test("what the proxy asks by itself takes no client's place")
  func placesOfClients() throws {
    var limits = WorkerEngine.Limits()
    limits.acceptedConnections = 2
    let house = try AuthzHouse(Self.grpc(), limits: limits)
    house.verdict = { _ in nil }
    let world = house.world
    let first = world.connect()
    first.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    #expect(world.run { house.asked.count == 1 })
    #expect(world.engine.downstreams.count == 2 && world.engine.clientConnections == 1)
    let second = world.connect()
    let third = world.connect()
    #expect(world.run(for: .milliseconds(50)) { third.isClosed })
    #expect(!second.isOver && !first.isOver)
    for client in [first, second] { client.reset() }
    house.expectNothingLeft()
    #expect(world.engine.clientConnections == 0)
  }

  @Test("by HTTP 200 admits, and the headers that are allowed go on")
  func admitsByHTTP() throws {
    let lists = [
      "upstream_headers": "x-set", "upstream_headers_to_append": "x-add", "client_headers_on_success": "x-tell",
    ]
    let response = lists.map { #""allowed_\#($0.key)": {"patterns": [{"exact": "\#($0.value)"}]}"# }.joined(
      separator: ", ")
    let house = try AuthzHouse(Self.http(#""authorization_response": {\#(response)}"#))
    house.answer = { _ in
      "HTTP/1.1 200 OK\r\nX-Set: new\r\nX-Add: two\r\nX-Tell: told\r\nX-Envoy-Auth-Headers-To-Remove: x-gone, host\r\n"
        + "content-length: 3\r\n\r\nyes"
    }
    let answer = house.send("GET", "/", fields: "x-set: old\r\nx-add: one\r\nx-gone: 1\r\n")
    let served = try #require(house.served.first)
    #expect(served.first("x-set") == "new" && served.first("x-gone") == nil && served.first("host") == "a.test")
    #expect(served.fields.filter { $0.name.lowercased() == "x-add" }.map(\.value) == ["one", "two"])
    #expect(answer?.status == 200 && answer?.first("x-tell") == "told" && answer?.first("x-set") == nil)
    house.expectNothingLeft()
  }

  @Test(
    "by HTTP a server's error is a failure and anything else a refusal with its words",
    arguments: [(401, 401), (302, 302), (204, 204), (201, 201), (500, 403), (503, 403)])
  func refusesByHTTP(said: Int, told: Int) throws {
    let house = try AuthzHouse(Self.http())
    let body = said == 204 ? "" : "no"
    house.answer = { _ in
      "HTTP/1.1 \(said) X\r\nlocation: /login\r\nx-why: rules\r\n"
        + (said == 204 ? "\r\n" : "content-length: 2\r\n\r\n\(body)")
    }
    let answer = try #require(house.send())
    #expect(answer.status == told && house.served.isEmpty)
    if said < 500 {
      #expect(
        answer.first("x-why") == "rules" && answer.first("location") == "/login" && answer.body == Array(body.utf8))
    }
    #expect(house.value(said < 500 ? .denied : .error) == 1)
    house.expectNothingLeft()
  }

  @Test("by HTTP only the client headers that are allowed go with a refusal")
  func clientHeaders() throws {
    let house = try AuthzHouse(
      Self.http(#""authorization_response": {"allowed_client_headers": {"patterns": [{"exact": "x-yes"}]}}"#))
    house.answer = { _ in
      "HTTP/1.1 401 X\r\nx-yes: 1\r\nx-no: 1\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\n\r\n"
    }
    let answer = try #require(house.send("HEAD"))
    #expect(answer.first("x-yes") == "1" && answer.first("x-no") == nil && answer.first("www-authenticate") == "Basic")
  }

  // MARK: Its cluster

  @Test(
    "no request passes before the service's cluster is there, be it that failures would be allowed",
    arguments: [
      (Self.grpc(#""failure_mode_allow": true"#), ""), (Self.http("", #""failure_mode_allow": true"#), ""),
      (
        Self.grpc(#""failure_mode_allow": true"#),
        #"{"check_settings": {"grpc_service": {"envoy_grpc": {"cluster_name": "late"}}}}"#
      ),
    ])
  func awaitsItsCluster(json: String, route: String) throws {
    let config = try FilterWorld.config(Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthz.self, json)
    let world = ProxyWorld(extensions: ProxyExtensions(httpFilters: HTTPFilters.registry))
    var override: FilterOverride?
    if !route.isEmpty {
      override = FilterOverride(
        config: try FilterWorld.config(Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthzPerRoute.self, route))
    }
    world.simple(manager: {
      $0.filters = [
        ConfiguredFilter(name: "authz", .filter(config)), ConfiguredFilter(name: "router", .router(RouterOptions())),
      ]
      guard let override, case .inline(var table) = $0.routes else { return }
      table.virtualHosts[0].routes[0].filters["authz"] = override
      $0.routes = .inline(table)
    })
    let late = route.isEmpty ? "service" : "late"
    if !route.isEmpty { world.config.clusters.append(Cluster(name: "service")) }
    let compiler = SnapshotCompiler(
      metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1, opensFiles: false),
      random: RandomSource(seed: 1), extensions: ProxyExtensions(httpFilters: HTTPFilters.registry).withBasics)
    world.config.awaitedClusters = [late]
    #expect(compiler.compile(world.config).warming.count == 1)
    // Who never comes is waited for as long as its source says: then the filter's own mode has the say.
    world.config.awaitedClusters = []
    #expect(compiler.compile(world.config).warming == [])
    world.config.clusters.append(Cluster(name: late))
    #expect(compiler.compile(world.config).usedClusters.contains(late))
  }

  // MARK: Configuration

  @Test(
    "what cannot be is refused by its field",
    arguments: [
      ("{}", ": needs one of grpc_service, http_service"),
      (#"{"grpc_service": {}}"#, "grpc_service: needs envoy_grpc"),
      (Self.grpc(#""include_peer_certificate": true"#), "include_peer_certificate: is not supported"),
      (Self.grpc(#""with_request_body": {}"#), "with_request_body.max_request_bytes: must be more than 0"),
      (
        Self.grpc(#""with_request_body": {"max_request_bytes": 134217729}"#),
        "with_request_body.max_request_bytes: must be at most 134217728"
      ),
      (Self.grpc(#""metadata_context_namespaces": ["a"]"#), "metadata_context_namespaces: is not supported"),
      (Self.grpc(#""transport_api_version": "V2""#), "transport_api_version: must be V3"),
      (Self.grpc(#""allowed_headers": {}"#), "allowed_headers.patterns: needs at least one"),
      (Self.http(#""path_prefix": "auth""#), "http_service.path_prefix: must begin with /, is \"auth\""),
      (
        #"{"http_service": {"server_uri": {"uri": "a", "cluster": "b"}}}"#,
        "http_service.server_uri.timeout: is required"
      ),
      (Self.http(#""retry_policy": {}"#), "http_service.retry_policy: is not supported"),
      (
        Self.http(#""authorization_request": {"headers_to_add": [{"key": "a b"}]}"#),
        "http_service.authorization_request.headers_to_add[0]: must be a header name, is \"a b\""
      ),
    ])
  func refused(json: String, words: String) throws {
    let config = try FilterWorld.config(Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthz.self, json)
    #expect(FilterWorld.refusal(ExtAuthz.self, config) == words)
  }

  @Test(
    "what a route cannot say is refused by its field",
    arguments: [
      ("{}", ": needs one of disabled, check_settings"),
      (#"{"disabled": false}"#, "disabled: must be true where it is set"),
      (
        #"{"check_settings": {"http_service": {}}}"#, "check_settings.http_service: the filter asks by gRPC"
      ),
      (
        #"{"check_settings": {"disable_request_body_buffering": true, "with_request_body": {"max_request_bytes": 1}}}"#,
        "check_settings.with_request_body: excludes disable_request_body_buffering; both are set"
      ),
    ])
  func refusedInRoute(json: String, words: String) throws {
    let config = try FilterWorld.config(Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthz.self, Self.grpc())
    let override = try FilterWorld.config(Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthzPerRoute.self, json)
    #expect(FilterWorld.refusal(ExtAuthz.self, config, [override]) == words)
  }
}
