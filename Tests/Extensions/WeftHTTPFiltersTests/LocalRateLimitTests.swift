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

@Suite("local rate limit")
struct LocalRateLimitTests {
  static let always = #"{"default_value": {"numerator": 100}}"#

  static func config(_ bucket: String, _ more: String = "") throws -> ExtensionConfig {
    try FilterWorld.config(
      Envoy_Extensions_Filters_Http_LocalRatelimit_V3_LocalRateLimit.self,
      #"{"stat_prefix": "lim", "token_bucket": \#(bucket), "filter_enabled": \#(always)\#(more)}"#)
  }

  static func chain(_ bucket: String, _ more: String = #", "filter_enforced": \#(Self.always)"#) throws
    -> ConfiguredFilter
  {
    ConfiguredFilter(name: "limit", .filter(try config(bucket, more)))
  }

  static func value(_ metric: LocalRateLimitMetric, _ world: ProxyWorld) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.filter, "lim", LocalRateLimitMetric.prefix)))
  }

  static func ends(_ world: ProxyWorld, _ version: Version = .one) -> Ends {
    Ends(world, client: version, server: version) { _ in (200, Array("ok".utf8), false, []) }
  }

  @Test("requests over the limit are refused until the bucket is filled again", arguments: Version.allCases)
  func refuses(version: Version) throws {
    let world = FilterWorld.make(
      [try Self.chain(#"{"max_tokens": 2, "tokens_per_fill": 2, "fill_interval": "10s"}"#)], upstream: version)
    let ends = Self.ends(world, version)
    #expect((0..<4).map { _ in ends.exchange()?.status } == [200, 200, 429, 429])
    let refused = try #require(ends.exchange())
    #expect(refused.body == Array("local_rate_limited".utf8))
    world.advance(by: .seconds(11))
    #expect((0..<3).map { _ in ends.exchange()?.status } == [200, 200, 429])
    #expect(Self.value(.ok, world) == 4 && Self.value(.rateLimited, world) == 4 && Self.value(.enforced, world) == 4)
    world.settle()
    world.expectClean()
  }

  @Test("a limit that is not enforced only counts, and marks the request")
  func shadow() throws {
    let mark = #"[{"header": {"key": "x-over", "value": "1"}}]"#
    let world = FilterWorld.make([
      try Self.chain(
        #"{"max_tokens": 1, "fill_interval": "60s"}"#, #", "request_headers_to_add_when_not_enforced": \#(mark)"#)
    ])
    let ends = Self.ends(world)
    #expect((0..<3).map { _ in ends.exchange()?.status } == [200, 200, 200])
    #expect(ends.requests.map { $0.first("x-over") } == [nil, "1", "1"])
    #expect(Self.value(.rateLimited, world) == 2 && Self.value(.enforced, world) == 0)
  }

  @Test("what is said to whom: status, headers, gRPC")
  func words() throws {
    let more = """
      , "filter_enforced": \(Self.always), "status": {"code": "ServiceUnavailable"}, "rate_limited_as_resource_exhausted": true,
      "response_headers_to_add": [{"header": {"key": "x-limit", "value": "local"}}, {"header": {"key": "x-limit", "value": "2"}}]
      """
    let world = FilterWorld.make([try Self.chain(#"{"max_tokens": 1, "fill_interval": "60s"}"#, more)])
    let ends = Self.ends(world)
    #expect(ends.exchange()?.status == 200)
    let plain = try #require(ends.exchange())
    #expect(plain.status == 503)
    #expect(plain.fields.filter { $0.name.lowercased() == "x-limit" }.map(\.value) == ["local", "2"])
    let grpc = try #require(ends.exchange(.post, fields: [("content-type", "application/grpc")]))
    #expect(grpc.status == 200 && grpc.first("grpc-status") == "8" && grpc.first("x-limit") == "local")
  }

  @Test("descriptors have buckets of their own")
  func descriptors() throws {
    let more = """
      , "filter_enforced": \(Self.always),
      "descriptors": [{"entries": [{"key": "client", "value": "noisy"}],
        "token_bucket": {"max_tokens": 1, "fill_interval": "60s"}}],
      "rate_limits": [{"actions": [{"request_headers": {"header_name": "x-client", "descriptor_key": "client"}}]}]
      """
    let world = FilterWorld.make([try Self.chain(#"{"max_tokens": 100, "fill_interval": "60s"}"#, more)])
    let ends = Self.ends(world)
    let noisy = [("x-client", "noisy")], quiet = [("x-client", "quiet")]
    #expect(ends.exchange(fields: noisy)?.status == 200)
    #expect(ends.exchange(fields: noisy)?.status == 429)
    #expect(ends.exchange(fields: quiet)?.status == 200)
    #expect(ends.exchange()?.status == 200)
  }

  enum ClusterChoice: CaseIterable, Sendable {
    case weighted, named, weightedNamed
    var specifier: ClusterSpecifier {
      var entry = WeightedClusters.Entry(name: self == .weighted ? "backend" : "", weight: 1)
      if self == .weightedNamed { entry.header = "x-cluster" }
      return self == .named ? .header("x-cluster") : .weighted(WeightedClusters([entry]))
    }
  }

  @Test(
    "a limit by address or cluster holds whoever names the cluster, and keeps no memory of those it asked about",
    arguments: ClusterChoice.allCases)
  func chosenCluster(_ choice: ClusterChoice) throws {
    let more = """
      , "filter_enforced": \(Self.always),
      "descriptors": [{"entries": [{"key": "remote_address", "value": "127.0.0.1"}, {"key": "destination_cluster", "value": "backend"}],
        "token_bucket": {"max_tokens": 3, "fill_interval": "60s"}}],
      "rate_limits": [{"actions": [{"remote_address": {}}, {"destination_cluster": {}}]}]
      """
    let world = FilterWorld.make(
      [try Self.chain(#"{"max_tokens": 10000, "fill_interval": "60s"}"#, more)],
      route: { $0.cluster = choice.specifier })
    let ends = Self.ends(world)
    let named = [("x-cluster", "backend")]
    #expect((0..<5).map { _ in ends.exchange(fields: named)?.status } == [200, 200, 200, 429, 429])
    if choice != .weighted { #expect(ends.exchange(fields: [("x-cluster", "nobody")])?.status == 503) }
  }

  @Test("tokens come evenly")
  func evenly() throws {
    let world = FilterWorld.make([
      try Self.chain(#"{"max_tokens": 4, "tokens_per_fill": 2, "fill_interval": "10s"}"#)
    ])
    let ends = Self.ends(world)
    #expect((0..<5).map { _ in ends.exchange()?.status } == [200, 200, 200, 200, 429])
    world.advance(by: .seconds(6))
    #expect((0..<2).map { _ in ends.exchange()?.status } == [200, 429])
    world.advance(by: .seconds(600))
    #expect((0..<5).map { _ in ends.exchange()?.status } == [200, 200, 200, 200, 429])
  }

  @Test("each value that a descriptor leaves open has a bucket; the least lately asked makes room")
  func byValue() throws {
    let more = """
      , "filter_enforced": \(Self.always), "max_dynamic_descriptors": 2,
      "descriptors": [{"entries": [{"key": "client"}], "token_bucket": {"max_tokens": 1, "fill_interval": "600s"}}],
      "rate_limits": [{"actions": [{"request_headers": {"header_name": "x-client", "descriptor_key": "client"}}]}]
      """
    let world = FilterWorld.make([try Self.chain(#"{"max_tokens": 100, "fill_interval": "60s"}"#, more)])
    let ends = Self.ends(world)
    func ask(_ client: String) -> Int? {
      world.advance(by: .milliseconds(1))
      return ends.exchange(fields: [("x-client", client)])?.status
    }
    #expect(["a", "b", "a", "b"].map(ask) == [200, 200, 429, 429])
    // Room for two: `a` was asked least lately, then `b`.
    #expect(["c", "b", "a", "c"].map(ask) == [200, 429, 200, 200])
  }

  @Test("each connection has buckets of its own where that is said, and takes them with it")
  func perConnection() throws {
    let more = """
      , "filter_enforced": \(Self.always), "local_rate_limit_per_downstream_connection": true,
      "descriptors": [{"entries": [{"key": "k", "value": "v"}], "token_bucket": {"max_tokens": 1, "fill_interval": "60s"}}],
      "rate_limits": [{"actions": [{"request_headers": {"header_name": "x-k", "descriptor_key": "k"}}]}]
      """
    let world = FilterWorld.make([try Self.chain(#"{"max_tokens": 2, "fill_interval": "60s"}"#, more)])
    world.server.onBytes = {
      $0.received = []
      $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    }
    let clients = [world.connect(), world.connect()]
    for client in clients {
      func ask(_ field: String) -> Int? {
        client.received = []
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\(field)\r\n")
        world.run { HTTP1Text(client.received) != nil }
        return HTTP1Text(client.received)?.status
      }
      #expect([ask("x-k: v\r\n"), ask("x-k: v\r\n"), ask(""), ask("")] == [200, 429, 200, 429])
    }
    #expect(world.engine.connectionStates[].count == 2)
    for client in clients { client.loop.close(client.id, .reset) }
    world.settle()
    #expect(world.engine.connectionStates[].isEmpty)
  }

  @Test("values that a descriptor leaves open have buckets of each connection where that is said")
  func openPerConnection() throws {
    let more = """
      , "filter_enforced": \(Self.always), "local_rate_limit_per_downstream_connection": true, "max_dynamic_descriptors": 2,
      "descriptors": [{"entries": [{"key": "j"}], "token_bucket": {"max_tokens": 2, "fill_interval": "60s"}},
                      {"entries": [{"key": "k"}], "token_bucket": {"max_tokens": 1, "fill_interval": "60s"}}],
      "rate_limits": [{"actions": [{"request_headers": {"header_name": "x-k", "descriptor_key": "k"}}]}]
      """
    let world = FilterWorld.make([try Self.chain(#"{"max_tokens": 9, "fill_interval": "60s"}"#, more)])
    world.server.onBytes = {
      $0.received = []
      $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    }
    for client in [world.connect(), world.connect()] {
      func ask(_ value: String) -> Int? {
        world.advance(by: .milliseconds(1))
        client.received = []
        client.send("GET / HTTP/1.1\r\nHost: a\r\nx-k: \(value)\r\n\r\n")
        world.run { HTTP1Text(client.received) != nil }
        return HTTP1Text(client.received)?.status
      }
      #expect(["v", "v", "w", "w", "v"].map(ask) == [200, 429, 200, 429, 429])
      // The least lately asked makes room.
      #expect(["x", "v", "w"].map(ask) == [200, 429, 200])
    }
  }

  @Test("a bucket of no tokens lets nothing through")
  func none() throws {
    let world = FilterWorld.make(
      [try Self.chain(#"{"max_tokens": 0, "fill_interval": "1s"}"#, #", "filter_enforced": \#(Self.always)"#)])
    let ends = Self.ends(world)
    #expect(ends.exchange()?.status == 429)
    world.advance(by: .seconds(100))
    #expect(ends.exchange()?.status == 429)
  }

  @Test("a response says how the limit stands")
  func tells() throws {
    let more = """
      , "filter_enforced": \(Self.always), "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
      "descriptors": [{"entries": [{"key": "k", "value": "v"}], "token_bucket": {"max_tokens": 1, "fill_interval": "30s"}}],
      "rate_limits": [{"actions": [{"request_headers": {"header_name": "x-k", "descriptor_key": "k"}}]}]
      """
    let world = FilterWorld.make([try Self.chain(#"{"max_tokens": 3, "fill_interval": "60s"}"#, more)])
    let ends = Self.ends(world)
    func said(_ fields: [(String, String)] = []) -> [String] {
      let answer = ends.exchange(fields: fields)
      return ["limit", "remaining", "reset"].map { answer?.first("x-ratelimit-\($0)") ?? "-" }
    }
    #expect(said() == ["3", "2", "0"])
    #expect(said([("x-k", "v")]) == ["1", "0", "30"] && said([("x-k", "v")]) == ["1", "0", "30"])
    #expect(said() == ["3", "0", "60"] && said() == ["3", "0", "60"])
  }

  /// Asks as often as there are fields, and tells of each answer its status and the limit it names.
  private static func asked(_ descriptors: String, _ rules: [String], _ fields: [[(String, String)]]) throws -> [String]
  {
    let actions = rules.map {
      #"{"actions": [{"request_headers": {"header_name": "x-\#($0)", "descriptor_key": "\#($0)"}}]}"#
    }
    let more = """
      , "filter_enforced": \(always), "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
      "descriptors": [\(descriptors)], "rate_limits": [\(actions.joined(separator: ", "))]
      """
    let ends = ends(FilterWorld.make([try chain(#"{"max_tokens": 100, "fill_interval": "60s"}"#, more)]))
    return fields.map { fields in
      let answer = ends.exchange(fields: fields)
      return "\(answer?.status ?? 0) \(answer?.first("x-ratelimit-limit") ?? "-")"
    }
  }

  private static func descriptor(_ key: String, _ value: String, _ tokens: Int, each: String = "100s") -> String {
    #"{"entries": [{"key": "\#(key)", "value": "\#(value)"}], "token_bucket": {"max_tokens": \#(tokens), "fill_interval": "\#(each)"}}"#
  }

  @Test("who is named has a bucket of its own, and none of those of everybody else", arguments: [false, true])
  func named(last: Bool) throws {
    let two = [Self.descriptor("u", "vip", 3), Self.descriptor("u", "", 1)]
    let said = try Self.asked(
      (last ? two.reversed() : two).joined(separator: ", "), ["u"],
      ["vip", "vip", "vip", "vip", "other", "other"].map { [("x-u", $0)] })
    #expect(said == ["200 3", "200 3", "200 3", "429 3", "200 1", "429 1"])
  }

  @Test("one rule draws from one bucket, the first of those that leave a value open", arguments: [false, true])
  func oneBucketOfRule(last: Bool) throws {
    let half = { (a: String, b: String, tokens: Int) in
      """
      {"entries": [{"key": "a", "value": "\(a)"}, {"key": "b", "value": "\(b)"}],
        "token_bucket": {"max_tokens": \(tokens), "fill_interval": "100s"}}
      """
    }
    let two = [half("1", "", 2), half("", "1", 1)]
    let more = """
      , "filter_enforced": \(Self.always),
      "descriptors": [\((last ? two.reversed() : two).joined(separator: ", "))],
      "rate_limits": [{"actions": [{"request_headers": {"header_name": "x-a", "descriptor_key": "a"}},
                                   {"request_headers": {"header_name": "x-b", "descriptor_key": "b"}}]}]
      """
    let ends = Self.ends(FilterWorld.make([try Self.chain(#"{"max_tokens": 100, "fill_interval": "60s"}"#, more)]))
    let said = (0..<3).map { _ in ends.exchange(fields: [("x-a", "1"), ("x-b", "1")])?.status }
    #expect(said == (last ? [200, 429, 429] : [200, 200, 429]))
  }

  @Test("the slowest bucket is asked first, leaves the others their tokens, and is told of", arguments: [false, true])
  func slowestFirst(last: Bool) throws {
    let both = [("x-a", "1"), ("x-b", "1")]
    let two = [Self.descriptor("a", "1", 3, each: "10s"), Self.descriptor("b", "1", 1)]
    let said = try Self.asked(
      (last ? two.reversed() : two).joined(separator: ", "), last ? ["b", "a"] : ["a", "b"],
      [both, both, both, [("x-a", "1")], [("x-a", "1")], [("x-a", "1")]])
    #expect(said == ["200 1", "429 1", "429 1", "200 3", "200 3", "429 3"])
  }

  @Test("a refusal's headers tell of the request")
  func formattedRefusal() throws {
    let more = """
      , "filter_enforced": \(Self.always),
      "response_headers_to_add": [{"header": {"key": "x-who", "value": "%REQ(x-u)% %RESPONSE_CODE%"}}]
      """
    let ends = Self.ends(FilterWorld.make([try Self.chain(#"{"max_tokens": 0, "fill_interval": "60s"}"#, more)]))
    #expect(ends.exchange(fields: [("x-u", "me")])?.first("x-who")?.hasPrefix("me ") == true)
  }

  @Test(
    "a rule reads pseudo-fields, too, and the host by its name",
    arguments: [
      (":path", "/p"), (":method", "GET"), (":authority", "example.com"), (":scheme", "http"), ("Host", "example.com"),
    ])
  func pseudoFields(name: String, value: String) throws {
    let more = """
      , "filter_enforced": \(Self.always), "descriptors": [\(Self.descriptor("u", value, 1))],
      "rate_limits": [{"actions": [{"request_headers": {"header_name": "\(name)", "descriptor_key": "u"}}]}]
      """
    let world = FilterWorld.make([try Self.chain(#"{"max_tokens": 100, "fill_interval": "60s"}"#, more)])
    let ends = Self.ends(world)
    #expect((0..<2).map { _ in ends.exchange(.get, "/p")?.status } == [200, 429])
  }

  @Test("a bucket outlives changes of routes, and ends with its configuration")
  func keepsItsTokens() throws {
    let world = FilterWorld.make([try Self.chain(#"{"max_tokens": 1, "fill_interval": "60s"}"#)])
    let ends = Self.ends(world)
    #expect(ends.exchange()?.status == 200)
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0],
      case .inline(var routes) = manager.routes
    else { return }
    routes.virtualHosts[0].routes[0].name = "renamed"
    manager.routes = .inline(routes)
    world.config.listeners[0].filterChains[0].filters[0] = .httpConnectionManager(manager)
    world.apply()
    #expect(ends.exchange()?.status == 429)
    manager.filters[0] = try Self.chain(#"{"max_tokens": 2, "fill_interval": "60s"}"#)
    world.config.listeners[0].filterChains[0].filters[0] = .httpConnectionManager(manager)
    world.apply()
    #expect(ends.exchange()?.status == 200)
  }

  @Test("a route whose own message has descriptors needs its own rules; one without descriptors has none to meet")
  func descriptorsOfRoute() throws {
    let rules = #", "rate_limits": [{"actions": [{"remote_address": {}}]}]"#
    let met = #", "descriptors": [\#(Self.descriptor("remote_address", "a", 1))]"#
    let bucket = #"{"max_tokens": 1, "fill_interval": "1s"}"#
    let chain = try Self.config(bucket, rules + met)
    func refusal(_ more: String) throws -> String? {
      FilterWorld.refusal(LocalRateLimit.self, chain, [try Self.config(bucket, more)])
    }
    #expect(try refusal("") == nil && refusal(rules) == nil && refusal(rules + met) == nil)
    #expect(
      try refusal(met)
        == "descriptors: need rate_limits beside them; those of routes and virtual hosts are not read")
  }

  @Test(
    "what cannot be is refused by its field",
    arguments: [
      (#"{"max_tokens": 1}"#, "token_bucket.fill_interval: is required"),
      (#"{"max_tokens": 1, "fill_interval": "0.01s"}"#, "token_bucket.fill_interval: must be 50 ms or more"),
      (
        #"{"max_tokens": 1, "tokens_per_fill": 0, "fill_interval": "1s"}"#,
        "token_bucket.tokens_per_fill: must be more than 0"
      ),
    ])
  func refused(bucket: String, words: String) throws {
    #expect(FilterWorld.refusal(LocalRateLimit.self, try Self.config(bucket)) == words)
  }

  @Test(
    "what is not carried out is refused, not left out",
    arguments: [
      (#", "local_cluster_rate_limit": {}"#, "local_cluster_rate_limit"),
      (#", "max_dynamic_descriptors": 0"#, "max_dynamic_descriptors"),
      (
        """
        , "local_rate_limit_per_downstream_connection": true, "max_dynamic_descriptors": 1024,
        "descriptors": [{"entries": [{"key": "a"}], "token_bucket": {"max_tokens": 1, "fill_interval": "1s"}},
                        {"entries": [{"key": "b"}], "token_bucket": {"max_tokens": 1, "fill_interval": "1s"}}]
        """, "descriptors[1].entries"
      ),
      (
        """
        , "descriptors": [{"entries": [{"key": "a", "value": "b"}], "token_bucket": {"max_tokens": 1, "fill_interval": "1s"}},
                          {"entries": [{"key": "a", "value": "b"}], "token_bucket": {"max_tokens": 9, "fill_interval": "1s"}}]
        """, "descriptors[1].entries"
      ),
      (#", "stage": 1"#, "stage"), (#", "vh_rate_limits": "INCLUDE""#, "vh_rate_limits"),
      (#", "descriptors": [{"token_bucket": {"max_tokens": 1, "fill_interval": "1s"}}]"#, "descriptors[0].entries"),
      (#", "rate_limits": [{}]"#, "rate_limits[0].actions"),
      (#", "descriptors": [\#(Self.descriptor("a", "b", 1))]"#, "descriptors"),
      (
        #", "rate_limits": [\#(Array(repeating: #"{"actions": [{"remote_address": {}}]}"#, count: 33).joined(separator: ","))]"#,
        "rate_limits"
      ),
      (#", "rate_limits": [{"actions": [{"source_cluster": {}}]}]"#, "rate_limits[0].actions[0].source_cluster"),
    ])
  func unsupported(more: String, path: String) throws {
    let refusal = try #require(
      FilterWorld.refusal(LocalRateLimit.self, try Self.config(#"{"max_tokens": 1, "fill_interval": "1s"}"#, more)))
    #expect(refusal.hasPrefix(path + ": "), "\(refusal)")
  }
}
