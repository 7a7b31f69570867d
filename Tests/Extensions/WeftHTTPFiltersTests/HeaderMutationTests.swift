import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftHTTPFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("header mutation")
struct HeaderMutationTests {
  static func chain(_ json: String) throws -> ConfiguredFilter {
    let config = try FilterWorld.config(Envoy_Extensions_Filters_Http_HeaderMutation_V3_HeaderMutation.self, json)
    return ConfiguredFilter(name: "hm", .filter(config))
  }

  static func route(_ json: String) throws -> FilterOverride {
    FilterOverride(
      config: try FilterWorld.config(
        Envoy_Extensions_Filters_Http_HeaderMutation_V3_HeaderMutationPerRoute.self, #"{"mutations": \#(json)}"#))
  }

  static func add(_ name: String, _ value: String, _ action: String = "APPEND_IF_EXISTS_OR_ADD") -> String {
    #"{"append": {"header": {"key": "\#(name)", "value": "\#(value)"}, "append_action": "\#(action)"}}"#
  }

  /// Sends one request with fields `x-a: 1`, `x-b: 2` and `x-c` and tells what the server saw and the client got.
  static func exchange(_ world: ProxyWorld, path: String = "/p?a=1&b=2", _ version: Version = .one) throws -> (
    Seen, Seen
  ) {
    let ends = Ends(world, client: version, server: version) { _ in (200, Array("ok".utf8), false, []) }
    let answer = try #require(ends.exchange(.get, path, fields: [("x-a", "1"), ("x-b", "2"), ("x-c", "p&q /yé~")]))
    world.settle()
    world.expectClean()
    return (try #require(ends.requests.first), answer)
  }

  @Test("fields are added, replaced and removed in the order given", arguments: Version.allCases)
  func order(version: Version) throws {
    let world = FilterWorld.make(
      [
        try Self.chain(
          """
          {"mutations": {
            "request_mutations": [\(Self.add("x-new", "n")), {"remove": "x-a"}, \(Self.add("x-a", "again")),
              \(Self.add("x-b", "3", "OVERWRITE_IF_EXISTS_OR_ADD")), \(Self.add("x-d", "no", "OVERWRITE_IF_EXISTS")),
              \(Self.add("x-b", "no", "ADD_IF_ABSENT"))],
            "response_mutations": [\(Self.add("x-got", "%REQ(x-new)%"))]}}
          """)
      ], upstream: version)
    let (seen, answer) = try Self.exchange(world, version)
    #expect(seen.first("x-new") == "n" && seen.first("x-a") == "again" && seen.first("x-b") == "3")
    #expect(seen.first("x-d") == nil)
    #expect(answer.first("x-got") == "n")
  }

  @Test("every field whose name matches goes, in whatever case it came")
  func removeOnMatch() throws {
    let world = FilterWorld.make([
      try Self.chain(
        #"{"mutations": {"request_mutations": [{"remove_on_match": {"key_matcher": {"prefix": "x-"}}}]}}"#)
    ])
    let (seen, _) = try Self.exchange(world)
    #expect(seen.first("x-a") == nil && seen.first("x-b") == nil && seen.first("x-request-id") == nil)
    #expect(seen.first("host") != nil)
  }

  @Test(
    "parameters of the query are changed",
    arguments: [
      (#"{"remove": "a"}"#, "/p?a=1&b=2", "/p?b=2"), (#"{"remove": "b"}"#, "/p?b=2", "/p"),
      (#"{"append": {"record": {"key": "c d", "value": "e&f"}}}"#, "/p?a=1", "/p?a=1&c%20d=e%26f"),
      (#"{"append": {"record": {"key": "c", "value": "3"}}}"#, "/p", "/p?c=3"),
      (#"{"append": {"record": {"key": "a", "value": "9"}, "action": "ADD_IF_ABSENT"}}"#, "/p?a=1", "/p?a=1"),
      (
        #"{"append": {"record": {"key": "a", "value": "9"}, "action": "OVERWRITE_IF_EXISTS_OR_ADD"}}"#,
        "/p?a=1&a=2&b=2",
        "/p?b=2&a=9"
      ),
      (#"{"append": {"record": {"key": "z", "value": "9"}, "action": "OVERWRITE_IF_EXISTS"}}"#, "/p?a=1", "/p?a=1"),
      (#"{"append": {"record": {"key": "c", "value": "%REQ(x-c)%"}}}"#, "/p?a=1", "/p?a=1&c=p%26q%20%2Fy%C3%A9~"),
      (#"{"append": {"record": {"key": "c", "value": "[%REQ(x-a)%]-%PROTOCOL%"}}}"#, "/p", "/p?c=%5B1%5D-HTTP%2F1.1"),
      (#"{"append": {"record": {"key": "c", "value": "%REQ(x-none)%"}}}"#, "/p", "/p?c="),
      (#"{"append": {"record": {"key": "c", "value": "%REQ(:path)%"}}}"#, "/p?a=1", "/p?a=1&c=%2Fp%3Fa%3D1"),
      (#"{"append": {"record": {"key": "c", "value": "5%%"}}}"#, "/p", "/p?c=5%25"),
    ])
  func query(mutation: String, path: String, expected: String) throws {
    let world = FilterWorld.make([try Self.chain(#"{"mutations": {"query_parameter_mutations": [\#(mutation)]}}"#)])
    #expect(try Self.exchange(world, path: path).0.path == expected)
  }

  @Test("trailers are changed both ways")
  func trailers() throws {
    let world = FilterWorld.make(
      [
        try Self.chain(
          """
          {"mutations": {"request_trailers_mutations": [\(Self.add("x-t", "up"))],
            "response_trailers_mutations": [{"remove": "x-secret"}, \(Self.add("x-t", "down"))]}}
          """)
      ], upstream: .two)
    let ends = Ends(world, client: .two, server: .two) { _ in
      (200, Array("ok".utf8), false, [("x-secret", "1"), ("x-kept", "2")])
    }
    let answer = try #require(ends.exchange(.post, body: Array("body".utf8), trailers: [("x-own", "1")]))
    #expect(ends.requests.first?.trailer("x-t") == "up" && ends.requests.first?.trailer("x-own") == "1")
    #expect(answer.trailer("x-secret") == nil && answer.trailer("x-t") == "down" && answer.trailer("x-kept") == "2")
  }

  @Test("all levels of a route have their say; who has the last word is configured", arguments: [false, true])
  func levels(mostSpecificWins: Bool) throws {
    let set = { (value: String) in
      #"{"request_mutations": [\#(Self.add("x-who", value, "OVERWRITE_IF_EXISTS_OR_ADD")), \#(Self.add("x-all", value))]}"#
    }
    let table = try Self.route(set("table"))
    let host = try Self.route(set("host"))
    let route = try Self.route(set("route"))
    let world = FilterWorld.make(
      [
        try Self.chain(#"{"mutations": \#(set("chain")), "most_specific_header_mutations_wins": \#(mostSpecificWins)}"#)
      ],
      table: {
        $0.filters["hm"] = table
        $0.virtualHosts[0].filters["hm"] = host
        $0.virtualHosts[0].routes[0].filters["hm"] = route
      })
    let (seen, _) = try Self.exchange(world)
    #expect(seen.first("x-who") == (mostSpecificWins ? "route" : "table"))
    let order = mostSpecificWins ? ["chain", "table", "host", "route"] : ["chain", "route", "host", "table"]
    #expect(seen.fields.filter { $0.name.lowercased() == "x-all" }.map(\.value) == order)
  }

  /// Where something may be said of a filter, from the least specific place to the most.
  enum Level: CaseIterable { case table, host, route, weightedCluster }

  /// The route of the table leads to a cluster of a weight.
  static func say(_ override: FilterOverride, at level: Level, _ table: inout RouteConfiguration) {
    var entry = WeightedClusters.Entry(name: "backend", weight: 1)
    switch level {
    case .table: table.filters["hm"] = override
    case .host: table.virtualHosts[0].filters["hm"] = override
    case .route: table.virtualHosts[0].routes[0].filters["hm"] = override
    case .weightedCluster: entry.filters["hm"] = override
    }
    guard case .forward(var action) = table.virtualHosts[0].routes[0].action else { return }
    if case .weighted(let clusters) = action.cluster, level != .weightedCluster { entry = clusters.entries[0] }
    action.cluster = .weighted(WeightedClusters([entry]))
    table.virtualHosts[0].routes[0].action = .forward(action)
  }

  @Test("every level configures the filter, alone and over those above it", arguments: Level.allCases)
  func eachLevel(level: Level) throws {
    let set = { (value: String) in
      #"{"request_mutations": [\#(Self.add("x-who", value, "OVERWRITE_IF_EXISTS_OR_ADD"))]}"#
    }
    let chain = try Self.chain(
      #"{"mutations": \#(set("chain")), "most_specific_header_mutations_wins": true}"#)
    let override = try Self.route(set("\(level)"))
    let alone = FilterWorld.make([chain], table: { Self.say(override, at: level, &$0) })
    #expect(try Self.exchange(alone).0.first("x-who") == "\(level)")
    let overrides = try Level.allCases.map { ($0, try Self.route(set("\($0)"))) }
    let all = FilterWorld.make(
      [chain],
      table: { table in
        for (at, override) in overrides.prefix(while: { $0.0 != level }) { Self.say(override, at: at, &table) }
        Self.say(override, at: level, &table)
      })
    #expect(try Self.exchange(all).0.first("x-who") == "\(level)")
  }

  @Test("every level switches the filter off, and one below it on again", arguments: Level.allCases)
  func disabledAtEachLevel(level: Level) throws {
    let chain = try Self.chain(#"{"mutations": {"request_mutations": [\#(Self.add("x-on", "1"))]}}"#)
    let off = FilterOverride(config: nil, isDisabled: true)
    let on = FilterOverride(config: nil)
    let world = FilterWorld.make([chain], table: { Self.say(off, at: level, &$0) })
    #expect(try Self.exchange(world).0.first("x-on") == nil)
    for below in Level.allCases.drop(while: { $0 != level }).dropFirst() {
      let world = FilterWorld.make(
        [chain],
        table: {
          Self.say(off, at: level, &$0)
          Self.say(on, at: below, &$0)
        })
      #expect(try Self.exchange(world).0.first("x-on") == "1", "off at \(level), on at \(below)")
    }
  }

  @Test("a route switches the filter off, or on where the chain has it off", arguments: [false, true])
  func disabled(inChain: Bool) throws {
    var filter = try Self.chain(#"{"mutations": {"request_mutations": [\#(Self.add("x-on", "1"))]}}"#)
    filter.isDisabled = inChain
    let override = inChain ? try Self.route("{}") : FilterOverride(config: nil, isDisabled: true)
    let plain = FilterWorld.make([filter])
    #expect((try Self.exchange(plain).0.first("x-on") != nil) == !inChain)
    let changed = FilterWorld.make([filter], table: { $0.virtualHosts[0].routes[0].filters["hm"] = override })
    #expect((try Self.exchange(changed).0.first("x-on") != nil) == inChain)
  }

  @Test("a route table that fails under a new chain takes the listener's old form with it, not its own alone")
  func tableOfAnotherChain() throws {
    let good = try Self.route(#"{"request_mutations": [\#(Self.add("x-on", "1"))]}"#)
    let bad = try Self.route(#"{"request_mutations": [{}]}"#)
    let world = FilterWorld.make([try Self.chain("{}")], table: { $0.virtualHosts[0].routes[0].filters["hm"] = good })
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0],
      case .inline(var routes) = manager.routes
    else { return }
    // Another filter stands first now, and the override is bad from the same change on.
    manager.filters.insert(try FaultTests.chain("{}"), at: 0)
    routes.virtualHosts[0].routes[0].filters["hm"] = bad
    manager.routes = .inline(routes)
    world.config.listeners[0].filterChains[0].filters[0] = .httpConnectionManager(manager)
    #expect(world.rejections().map(\.name) == ["in"])
    #expect(try Self.exchange(world).0.first("x-on") == "1")
  }

  @Test("a local reply runs through the filter, too")
  func localReply() throws {
    let world = FilterWorld.make(
      [try Self.chain(#"{"mutations": {"response_mutations": [\#(Self.add("x-here", "1"))]}}"#)],
      table: { $0.virtualHosts[0].domains = ["elsewhere.test"] })
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { HTTP1Text(client.received) != nil })
    let answer = try #require(HTTP1Text(client.received))
    #expect(answer.start == "HTTP/1.1 404 Not Found" && answer.first("x-here") == "1")
  }

  @Test(
    "what cannot be is refused by its field",
    arguments: [
      (#"{"mutations": {"request_mutations": [{}]}}"#, "mutations.request_mutations[0]: needs one of"),
      (
        #"{"mutations": {"request_mutations": [{"remove": "host"}]}}"#,
        "mutations.request_mutations[0].remove: \":-prefixed or host headers may not be removed\""
      ),
      (
        #"{"mutations": {"response_mutations": [{"append": {"header": {"key": "a b", "value": "1"}}}]}}"#,
        "mutations.response_mutations[0].append.header.key: must be a header name"
      ),
      (
        #"{"mutations": {"query_parameter_mutations": [{"append": {"record": {"key": "a", "value": 1}}}]}}"#,
        "mutations.query_parameter_mutations[0].append.record.value: must be a string"
      ),
      (
        #"{"mutations": {"query_parameter_mutations": [{"append": {"record": {"key": "a", "value": "%NOPE%"}}}]}}"#,
        "mutations.query_parameter_mutations[0].append.record.value: "
      ),
      (
        #"{"mutations": {"query_parameter_mutations": [{"append": {"record": {"key": "a", "value": "5%"}}}]}}"#,
        "mutations.query_parameter_mutations[0].append.record.value: "
      ),
      (
        #"{"mutations": {"query_parameter_mutations": [{"append": {"record": {"key": "a", "value": "%DOWNSTREAM_PEER_SUBJECT%"}}}]}}"#,
        "mutations.query_parameter_mutations[0].append.record.value: %DOWNSTREAM_PEER_SUBJECT% has no value here"
      ),
    ])
  func refused(json: String, words: String) throws {
    let config = try FilterWorld.config(Envoy_Extensions_Filters_Http_HeaderMutation_V3_HeaderMutation.self, json)
    let refusal = try #require(FilterWorld.refusal(HeaderMutation.self, config))
    #expect(refusal.hasPrefix(words), "\(refusal)")
  }
}
