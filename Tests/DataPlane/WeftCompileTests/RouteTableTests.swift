import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftTables

@Suite("route table")
struct RouteTableTests {
  let storage = SnapshotStorage()
  let scratch = HeadScratch()

  func table(_ configuration: RouteConfiguration, clusters: [String] = ["a", "b"]) throws -> RouteTable {
    try RouteCompiler(
      storage: storage, clusterPosition: { name in clusters.firstIndex(of: name).map { Int32($0) } ?? -1 },
      load: { (source) throws(ConfigError) in try source.load() }
    ).compile(configuration)
  }

  /// One virtual host for everything.
  func table(_ routes: [Route]) throws -> RouteTable {
    var host = VirtualHost(name: "all", domains: ["*"])
    host.routes = routes
    var configuration = RouteConfiguration(name: "test")
    configuration.virtualHosts = [host]
    return try table(configuration)
  }

  func route(_ path: RouteMatch.Path, cluster: String = "a", _ change: (inout RouteMatch) -> Void = { _ in }) -> Route {
    var match = RouteMatch(path)
    change(&match)
    return Route(match: match, action: .forward(RouteAction(cluster: .cluster(cluster))))
  }

  func head(
    _ path: String = "/", host: String = "shop", method: HTTPMethod = .get, _ headers: [(String, String)] = []
  ) -> MessageHead {
    let head = scratch.head
    head.startRequest(method, authority: storage.text(host), path: storage.text(path))
    head.scheme = ByteView("http")
    for (name, value) in headers { head.append(named: storage.text(name), storage.text(value)) }
    return head
  }

  let input = RouteInput(random: 0, isSecure: true)

  @Test(
    "hosts: exact, then the longest suffix, then the longest prefix, then the star",
    arguments: [
      ("a.example.org", 0), ("A.EXAMPLE.org", 0), ("x.example.org", 1), ("y.x.example.org", 2), ("example.com", 3),
      ("example.internal.net", 4), ("else", 5), ("", 5), (".example.org", 5), ("a.example.org:80", 5),
    ])
  func hosts(host: String, expected: Int32) throws {
    var configuration = RouteConfiguration(name: "hosts")
    for (i, domain) in ["a.example.org", "*.example.org", "*.x.example.org", "example.*", "example.internal.*", "*"]
      .enumerated()
    {
      var virtual = VirtualHost(name: "\(i)", domains: [domain])
      virtual.routes = [route(.prefix("/"))]
      configuration.virtualHosts.append(virtual)
    }
    #expect(try table(configuration).match(head(host: host), input) == expected)
  }

  @Test("the port is ignored only where that was asked for")
  func port() throws {
    var configuration = RouteConfiguration(name: "port")
    var virtual = VirtualHost(name: "v", domains: ["shop", "[::1]"])
    virtual.routes = [route(.prefix("/"))]
    configuration.virtualHosts = [virtual]
    #expect(try table(configuration).match(head(host: "shop:80"), input) == -1)
    configuration.ignorePortInHostMatching = true
    let table = try table(configuration)
    #expect(table.match(head(host: "shop:80"), input) == 0)
    #expect(table.match(head(host: "[::1]:80"), input) == 0 && table.match(head(host: "[::1]"), input) == 0)
  }

  @Test("a duplicate domain is refused with its path, whatever its case")
  func duplicate() {
    var configuration = RouteConfiguration(name: "dup")
    configuration.virtualHosts = [
      VirtualHost(name: "one", domains: ["x", "shop"]), VirtualHost(name: "two", domains: ["SHOP"]),
    ]
    let error = #expect(throws: ConfigError.self) { try table(configuration) }
    #expect(error?.path.description == "virtual_hosts[1].domains[0]")
  }

  @Test("a hundred thousand hosts are found, and none that is not there")
  func manyHosts() throws {
    var configuration = RouteConfiguration(name: "many")
    for i in 0..<20_000 { configuration.virtualHosts.append(VirtualHost(name: "\(i)", domains: ["host-\(i).mesh"])) }
    let table = try HostTable(configuration.virtualHosts.map(\.domains), arena: storage.arena)
    for i in stride(from: 0, to: 20_000, by: 97) { #expect(table.find(storage.text("HOST-\(i).mesh")) == Int32(i)) }
    #expect(table.find(storage.text("host-20000.mesh")) == -1)
  }

  @Test(
    "paths",
    arguments: [
      (RouteMatch.Path.prefix("/api"), "/apidev", true), (.prefix("/api"), "/ap", false),
      (.separatedPrefix("/api"), "/api", true), (.separatedPrefix("/api"), "/api/x", true),
      (.separatedPrefix("/api"), "/api?x", true), (.separatedPrefix("/api"), "/apidev", false),
      (.exact("/api"), "/api?x=1", true), (.exact("/api"), "/api/", false), (.exact("/api"), "/API", false),
      (.regex("/item/[0-9]+"), "/item/42?q", true), (.regex("/item/[0-9]+"), "/item/42/x", false),
      (.regex("/a.b"), "/a\nb", true), (.connect, "/", false),
    ])
  func paths(path: RouteMatch.Path, request: String, expected: Bool) throws {
    #expect((try table([route(path)]).match(head(request), input) == 0) == expected)
  }

  @Test("case can be ignored, CONNECT has a matcher of its own")
  func caseAndConnect() throws {
    let table = try table([route(.exact("/Api")) { $0.caseSensitive = false }, route(.connect)])
    #expect(table.match(head("/aPI"), input) == 0)
    #expect(table.match(head("", host: "a:443", method: .connect), input) == 1)
  }

  @Test(
    "headers",
    arguments: [
      (HeaderMatcher(name: "X-A", .present(true)), true), (HeaderMatcher(name: "x-b", .present(true)), false),
      (HeaderMatcher(name: "x-b", .present(false)), true),
      (HeaderMatcher(name: "x-b", .present(true), invert: true), true),
      // A field that comes twice: either value may fit, never both as one.
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.exact("one")))), true),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.exact("two")))), true),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.exact("one,two")))), false),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.exact("two"))), invert: true), false),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.exact("three"))), invert: true), true),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.contains("E,T"), ignoreCase: true))), false),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.suffix("two")))), true),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.prefix("two")))), true),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.regex("o.*o")))), false),
      (HeaderMatcher(name: "x-a", .string(StringMatcher(.regex("one")))), true),
      (HeaderMatcher(name: "x-p", .range(start: 0, end: 9)), true),
      (HeaderMatcher(name: "x-b", .string(StringMatcher(.exact("x"))), invert: true), false),
      (HeaderMatcher(name: "x-b", .string(StringMatcher(.exact("x"))), invert: true, treatMissingAsEmpty: true), true),
      (HeaderMatcher(name: "x-n", .range(start: -5, end: 1)), true),
      (HeaderMatcher(name: "x-n", .range(start: 0, end: 9)), false),
      (HeaderMatcher(name: "x-a", .range(start: 0, end: 9)), false),
      (HeaderMatcher(name: ":method", .string(StringMatcher(.exact("GET")))), true),
      (HeaderMatcher(name: "host", .string(StringMatcher(.exact("shop")))), true),
    ])
  func headers(matcher: HeaderMatcher, expected: Bool) throws {
    let table = try table([route(.prefix("/")) { $0.headers = [matcher] }])
    let head = head("/", [("X-a", "one"), ("x-A", "two"), ("x-n", "-3"), ("x-p", "+3")])
    #expect((table.match(head, input) == 0) == expected)
  }

  @Test("parameters of segments count for the match, unless the table leaves them out")
  func parameters() throws {
    var host = VirtualHost(name: "all", domains: ["*"])
    var action = RouteAction(cluster: .cluster("a"))
    action.prefixRewrite = "/new/"
    host.routes = [Route(match: RouteMatch(.prefix("/old/x")), action: .forward(action))]
    var configuration = RouteConfiguration(name: "parameters")
    configuration.virtualHosts = [host]
    #expect(try table(configuration).match(head("/old;v=1/x"), input) == -1)
    configuration.ignorePathParameters = true
    let lenient = try table(configuration)
    #expect(lenient.match(head("/old;v=1/x;w/y"), input) == 0)
    #expect(lenient.routes[0].rewrittenPath(head("/old;v=1/x/y"))?.string == "/new//y")
  }

  @Test("query parameters: the first value counts, and it is not decoded")
  func query() throws {
    let table = try table([
      route(.prefix("/")) {
        $0.queryParameters = [QueryParameterMatcher(name: "v", .string(StringMatcher(.exact("1"))))]
      },
      route(.prefix("/")) { $0.queryParameters = [QueryParameterMatcher(name: "d", .present(true))] },
    ])
    #expect(table.match(head("/?v=1&v=2"), input) == 0)
    #expect(table.match(head("/?v=2&v=1"), input) == -1)
    #expect(table.match(head("/?v=%31"), input) == -1)
    #expect(table.match(head("/?x=1&d"), input) == 1)
    #expect(table.match(head("/#d"), input) == -1)
  }

  @Test("gRPC, runtime fraction, client certificate")
  func others() throws {
    let table = try table([
      route(.prefix("/")) { $0.grpc = true },
      route(.prefix("/")) { $0.tls = RouteMatch.TLS(presented: true, validated: true) },
      route(.prefix("/")) { $0.runtimeFraction = RuntimeFraction(FractionalPercent(25)) },
      route(.prefix("/")),
    ])
    #expect(table.match(head("/", [("content-type", "application/grpc+proto")]), input) == 0)
    #expect(
      table.match(head("/", [("content-type", "application/grpc-web")]), RouteInput(random: 250_000, isSecure: true))
        == 3)
    var certified = RouteInput(random: 999_999, isSecure: true)
    certified.clientCertificatePresented = true
    #expect(table.match(head(), certified) == 3)
    certified.clientCertificateValidated = true
    #expect(table.match(head(), certified) == 1)
    #expect(table.match(head(), RouteInput(random: 249_999, isSecure: true)) == 2)
    #expect(table.match(head(), RouteInput(random: 250_000, isSecure: true)) == 3)
  }

  @Test("a host that demands TLS redirects plain requests")
  func requireTLS() throws {
    var host = VirtualHost(name: "all", domains: ["*"])
    host.tlsRequirement = .all
    host.routes = [route(.prefix("/"))]
    var configuration = RouteConfiguration(name: "tls")
    configuration.virtualHosts = [host]
    let table = try table(configuration)
    let hit = Int(table.match(head("/x?y", host: "shop:80"), RouteInput(random: 0, isSecure: false)))
    #expect(hit == 1 && table.routes[hit][].action == .redirect)
    #expect(
      table.routes[hit].location(head("/x?y", host: "shop:80")).string == "https://shop/x?y")
    let other = head("/x?y", host: "shop:8080")
    #expect(table.routes[hit].location(other).string == "https://shop:8080/x?y")
    #expect(table.match(head(), input) == 0)
  }

  @Test("a host that demands TLS of outsiders lets those from inside pass")
  func requireTLSOfOutsiders() throws {
    var host = VirtualHost(name: "all", domains: ["*"])
    host.tlsRequirement = .externalOnly
    host.routes = [route(.prefix("/"))]
    var configuration = RouteConfiguration(name: "tls")
    configuration.virtualHosts = [host]
    let table = try table(configuration)
    let plain = RouteInput(random: 0, isSecure: false)
    #expect(table.match(head(), plain) == 1)
    #expect(table.match(head("/", [("x-envoy-internal", "true")]), plain) == 0)
  }

  @Test("a prefix is rewritten in a path that a regular expression matched: all of it")
  func prefixOfRegex() throws {
    var action = RouteAction(cluster: .cluster("a"))
    action.prefixRewrite = "/whole"
    let table = try table([Route(match: RouteMatch(.regex("/re/.*")), action: .forward(action))])
    #expect(table.routes[0].rewrittenPath(head("/re/x?y"))?.string == "/whole?y")
  }

  static func redirect(_ change: (inout Redirect) -> Void) -> Redirect {
    var redirect = Redirect()
    change(&redirect)
    return redirect
  }

  static let redirections: [(Redirect, String, String)] = [
    (redirect { $0.host = "new" }, "/a/b?q", "http://new/a/b?q"),
    (
      redirect {
        $0.https = true
        $0.port = 443
      }, "/a/b", "https://shop:443/a/b"
    ),
    (redirect { $0.port = 8080 }, "/a/b", "http://shop:8080/a/b"),
    (redirect { $0.path = .path("/z") }, "/a/b?q", "http://shop/z?q"),
    (redirect { $0.path = .path("/z?n") }, "/a/b?q", "http://shop/z?n"),
    (
      redirect {
        $0.path = .prefix("/z/")
        $0.stripQuery = true
      }, "/a/b?q", "http://shop/z/b"
    ),
    (
      redirect { $0.path = .regex(RegexRewrite(pattern: "^/a/(.*)$", substitution: "/c/\\1")) }, "/a/b?q",
      "http://shop/c/b?q"
    ),
  ]

  @Test("redirect locations", arguments: redirections)
  func redirects(redirect: Redirect, path: String, expected: String) throws {
    let table = try table([Route(match: RouteMatch(.prefix("/a/")), action: .redirect(redirect))])
    #expect(table.routes[0].location(head(path)).string == expected)
  }

  @Test("rewrites of path and host keep the query")
  func rewrites() throws {
    var prefix = RouteAction(cluster: .cluster("a"))
    prefix.prefixRewrite = "/v2/"
    prefix.hostRewrite = .literal("inner")
    var regex = RouteAction(cluster: .cluster("a"))
    regex.regexRewrite = RegexRewrite(pattern: "[0-9]+", substitution: "N")
    regex.hostRewrite = .pathRegex(RegexRewrite(pattern: "^/r/([a-z]+)/.*$", substitution: "\\1.mesh"))
    let table = try table([
      Route(match: RouteMatch(.prefix("/v1/")), action: .forward(prefix)),
      Route(match: RouteMatch(.prefix("/r/")), action: .forward(regex)),
    ])
    let first = table.routes[0]
    #expect(first.rewrittenPath(head("/v1/x?q=1"))?.string == "/v2/x?q=1")
    #expect(first.rewrittenHost(head(), endpoint: .empty)?.string == "inner")
    let second = table.routes[1]
    #expect(second.rewrittenPath(head("/r/abc/12/34?q=5"))?.string == "/r/abc/N/N?q=5")
    #expect(second.rewrittenHost(head("/r/abc/12"), endpoint: .empty)?.string == "abc.mesh")
    let long = String(repeating: "1a", count: 3000)
    #expect(second.rewrittenPath(head("/r/" + long))?.string == "/r/" + String(repeating: "Na", count: 3000))
  }

  @Test("weighted clusters split a draw in proportion, the same draw the same way")
  func weighted() throws {
    let split = WeightedClusters([
      .init(name: "a", weight: 9), .init(name: "b", weight: 0), .init(name: "gone", weight: 1),
    ])
    let table = try table([
      Route(match: RouteMatch(.prefix("/")), action: .forward(RouteAction(cluster: .weighted(split))))
    ])
    let route = table.routes[0]
    var counts = [0, 0, 0]
    for draw in 0..<1000 as Range<UInt64> { counts[route.weightedEntry(draw)] += 1 }
    #expect(counts == [900, 0, 100])
    #expect(route[].weighted[2].cluster == -1 && route[].weighted[0].cluster == 0)
  }

  @Test("an unset time-out is told apart from a set one")
  func timeouts() throws {
    var set = RouteAction(cluster: .cluster("a"))
    set.timeout = .zero
    set.idleTimeout = .seconds(2)
    let table = try table([route(.prefix("/a")), Route(match: RouteMatch(.prefix("/")), action: .forward(set))])
    #expect(table.routes[0][].timeout == 15_000_000_000 && table.routes[0][].timeoutIsDefault)
    #expect(table.routes[1][].timeout == 0 && !table.routes[1][].timeoutIsDefault)
    #expect(table.routes[0][].idleTimeout == .max && table.routes[1][].idleTimeout == 2_000_000_000)
  }

  @Test("header changes: most specific level first, or last where it shall win")
  func headerOrder() throws {
    func policies(_ value: String) -> HeaderPolicies {
      var policies = HeaderPolicies()
      policies.request.add = [HeaderValueOption(name: "x-level", value: value, action: .overwriteIfExistsOrAdd)]
      return policies
    }
    var inner = route(.prefix("/"))
    inner.headers = policies("route")
    var host = VirtualHost(name: "v", domains: ["*"])
    host.headers = policies("host")
    host.routes = [inner]
    var configuration = RouteConfiguration(name: "levels")
    configuration.headers = policies("table")
    configuration.virtualHosts = [host]
    for (wins, expected) in [(false, "table"), (true, "route")] {
      configuration.mostSpecificHeaderMutationsWin = wins
      let table = try table(configuration)
      let head = head()
      var buffer = ByteBuffer()
      head.apply(table.routes[0][].requestChanges, from: NoSource(), scratch: &buffer)
      #expect(head.first(named: storage.text("x-level"))?.string == expected)
    }
  }

  @Test("header changes: actions, removal, operators, empty values")
  func headerActions() throws {
    var mutations = HeaderMutations()
    mutations.remove = ["X-Gone"]
    mutations.add = [
      HeaderValueOption(name: "x-a", value: "2"), HeaderValueOption(name: "x-a", value: "3", action: .addIfAbsent),
      HeaderValueOption(name: "x-new", value: "%PROTOCOL%", action: .overwriteIfExists),
      HeaderValueOption(name: "x-method", value: "<%REQ(:METHOD)%>"),
      HeaderValueOption(name: "x-empty", value: "%REQ(none)%"),
      HeaderValueOption(name: "x-kept", value: "%REQ(none)%", keepEmptyValue: true),
    ]
    let changes = storage.arena.table(try storage.changes(mutations))
    let head = head("/", [("x-a", "1"), ("x-gone", "1"), ("X-GONE", "2")])
    var buffer = ByteBuffer()
    head.apply(changes, from: NoSource(), scratch: &buffer)
    let fields = head.fields.map { "\($0.name.string)=\($0.value.string)" }
    #expect(fields == ["x-a=1", "x-a=2", "x-method=<GET>", "x-kept="])
  }

  @Test("a body that is too large, a pattern that is wrong and weights of 0 are refused with their path")
  func refusals() {
    func path(_ route: Route) -> String? {
      do {
        _ = try table([route])
        return nil
      } catch { return (error as? ConfigError)?.path.description }
    }
    let body = DirectResponse(status: 200, body: .inline(Array(repeating: 65, count: 4097)))
    #expect(
      path(Route(match: RouteMatch(.prefix("/")), action: .respond(body)))
        == "virtual_hosts[0].routes[0].direct_response.body")
    #expect(path(route(.regex("("))) == "virtual_hosts[0].routes[0].match.safe_regex.regex")
    #expect(
      path(route(.prefix("/")) { $0.headers = [HeaderMatcher(name: "a", .string(StringMatcher(.regex("["))))] })
        == "virtual_hosts[0].routes[0].match.headers[0]")
    let none = WeightedClusters([.init(name: "a", weight: 0)])
    #expect(
      path(Route(match: RouteMatch(.prefix("/")), action: .forward(RouteAction(cluster: .weighted(none)))))
        == "virtual_hosts[0].routes[0].route.weighted_clusters")
    var hashed = RouteAction(cluster: .cluster("a"))
    hashed.hashPolicies = Array(repeating: HashPolicy(.sourceIP), count: 33)
    #expect(
      path(Route(match: RouteMatch(.prefix("/")), action: .forward(hashed)))
        == "virtual_hosts[0].routes[0].route.hash_policy[32]")
  }
}

/// A source that knows the method and nothing else.
struct NoSource: AccessLogSource {
  var record: AccessLogRecord { AccessLogRecord() }
  func requestHeader(_ name: ByteView) -> ByteView? { name.equals(":method") ? ByteView("GET" as StaticString) : nil }
  func responseHeader(_ name: ByteView) -> ByteView? { nil }
  func responseTrailer(_ name: ByteView) -> ByteView? { nil }
  var requestHeadersBytes: UInt64 { 0 }
  var responseHeadersBytes: UInt64 { 0 }
  var responseTrailersBytes: UInt64 { 0 }
}
