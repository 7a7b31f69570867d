import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftXDSMessages

@testable import WeftHTTPFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

/// Leads every request to `/turned`.
struct Turn: RequestHeadFilter {
  static var name: StaticString { "test.turn" }
  static var messages: FilterMessages { FilterMessages(chain: "test.Turn") }
  struct Config: BitwiseCopyable {}
  init(_ config: Config) {}
  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config { Config() }

  mutating func requestHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    head.path = ByteView("/turned")
    return .reroute
  }
}

@Suite("fault injection")
struct FaultTests {
  static func config(_ json: String) throws -> ExtensionConfig {
    try FilterWorld.config(Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.self, json)
  }

  static func chain(_ json: String) throws -> ConfiguredFilter {
    ConfiguredFilter(name: "fault", .filter(try config(json)))
  }

  static func value(_ metric: FaultMetric, _ world: ProxyWorld) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.filter, "test", FaultMetric.prefix)))
  }

  static func ends(_ world: ProxyWorld, _ version: Version = .one) -> Ends {
    Ends(world, client: version, server: version) { _ in (200, Array("ok".utf8), false, []) }
  }

  @Test("an abort answers in the upstream's place", arguments: Version.allCases)
  func abort(version: Version) throws {
    let world = FilterWorld.make(
      [try Self.chain(#"{"abort": {"http_status": 418, "percentage": {"numerator": 100}}}"#)], upstream: version)
    let ends = Self.ends(world, version)
    let answer = try #require(ends.exchange(.post, body: Array("hello".utf8)))
    #expect(answer.status == 418 && answer.body == Array("fault filter abort".utf8) && ends.requests.isEmpty)
    #expect(Self.value(.abortsInjected, world) == 1)
    world.settle()
    #expect(Self.value(.activeFaults, world) == 0)
    world.expectClean()
  }

  @Test(
    "runtime keys switch faults on and off and change them, by their own names or by Envoy's",
    arguments: [
      (#"{"abort": {"http_status": 418}}"#, "fault.http.abort.abort_percent", "fault.http.abort.http_status"),
      (#"{"abort": {"http_status": 418}, "abort_percent_runtime": "p", "abort_http_status_runtime": "s"}"#, "p", "s"),
    ])
  func runtimeKeys(json: String, percent: String, status: String) throws {
    let world = FilterWorld.make([try Self.chain(json)], upstream: .one)
    let ends = Self.ends(world)
    func ask() -> Int? { ends.exchange(.get)?.status }
    #expect(ask() == 200)
    world.set(percent, "100")
    #expect(ask() == 418)
    world.set(status, "503")
    #expect(ask() == 503)
    // No status at all: what is configured holds.
    world.set(status, "1000")
    #expect(ask() == 418)
    world.set("fault.http.max_active_faults", "0")
    #expect(ask() == 200)
    world.set("fault.http.max_active_faults", nil)
    world.set(percent, nil)
    #expect(ask() == 200)
  }

  @Test("a runtime key says how long a delay lasts")
  func delayByKey() throws {
    let world = FilterWorld.make(
      [try Self.chain(#"{"delay": {"fixed_delay": "1s", "percentage": {"numerator": 100}}}"#)], upstream: .one)
    let ends = Self.ends(world)
    world.set("fault.http.delay.fixed_duration_ms", "5000")
    let start = world.network.time
    #expect(ends.exchange(.get)?.status == 200)
    #expect(world.network.time >= start + .seconds(5))
  }

  @Test("a gRPC abort is a gRPC status to gRPC clients and its HTTP counterpart to others")
  func grpcAbort() throws {
    let world = FilterWorld.make([try Self.chain(#"{"abort": {"grpc_status": 7, "percentage": {"numerator": 100}}}"#)])
    let ends = Self.ends(world)
    let grpc = try #require(ends.exchange(.post, fields: [("content-type", "application/grpc")]))
    #expect(
      grpc.status == 200 && grpc.first("grpc-status") == "7" && grpc.first("grpc-message") == "fault filter abort")
    #expect(ends.exchange()?.status == 403)
  }

  @Test("a delay passes before the request goes on, with its content", arguments: Version.allCases)
  func delay(version: Version) throws {
    let world = FilterWorld.make(
      [try Self.chain(#"{"delay": {"fixed_delay": "2s", "percentage": {"numerator": 100}}}"#)], upstream: version)
    let ends = Self.ends(world, version)
    let began = world.proxyLoop.now
    let answer = try #require(ends.exchange(.post, body: pattern(5000)))
    #expect(answer.status == 200 && same(ends.requests.first?.body, pattern(5000)))
    let took = world.proxyLoop.now.nanoseconds - began.nanoseconds
    #expect(took >= 2_000_000_000 && took < 3_000_000_000)
    #expect(Self.value(.delaysInjected, world) == 1)
    world.settle()
    world.expectClean()
    #expect(world.engine.filterBlocks[].lent == 0)
  }

  @Test("a client that goes while its request is delayed leaves nothing behind", arguments: Version.allCases)
  func clientGone(version: Version) throws {
    let world = FilterWorld.make(
      [try Self.chain(#"{"delay": {"fixed_delay": "60s", "percentage": {"numerator": 100}}}"#)], upstream: version)
    let client = world.connect()
    if version == .two {
      let h2 = H2Peer(.client, client)
      h2.request(.get, "/")
    } else {
      client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    }
    #expect(world.run { Self.value(.activeFaults, world) == 1 })
    client.loop.close(client.id, .reset)
    #expect(world.run { Self.value(.activeFaults, world) == 0 })
    world.advance(by: .seconds(120))
    world.expectClean()
    #expect(world.engine.filterBlocks[].lent == 0)
    #expect(world.server.accepted.isEmpty)
  }

  @Test("a response is passed on at its pace, and whole", arguments: Version.allCases)
  func pace(version: Version) throws {
    let world = FilterWorld.make(
      [
        try Self.chain(
          #"{"response_rate_limit": {"fixed_limit": {"limit_kbps": 16}, "percentage": {"numerator": 100}}}"#)
      ],
      upstream: version)
    let ends = Ends(world, client: version, server: version) { _ in (200, pattern(40_000), true, []) }
    let began = world.proxyLoop.now
    #expect(same(ends.exchange()?.body, pattern(40_000)))
    let took = world.proxyLoop.now.nanoseconds - began.nanoseconds
    // The first slice of 1 KiB goes at once, each other one a sixteenth of a second later.
    #expect((2_300_000_000...2_700_000_000).contains(took), "\(took)")
    #expect(Self.value(.responseRlInjected, world) == 1)
    world.settle()
    world.expectClean()
    #expect(Self.value(.activeFaults, world) == 0 && world.engine.paces[].isEmpty)
  }

  @Test("the request says its pace where that is configured; no more faults are active than allowed")
  func paceByHeader() throws {
    let world = FilterWorld.make([
      try Self.chain(
        #"{"response_rate_limit": {"header_limit": {}, "percentage": {"numerator": 100}}, "max_active_faults": 0}"#)
    ])
    let ends = Ends(world, client: .one, server: .one) { _ in (200, pattern(4000), false, []) }
    let began = world.proxyLoop.now
    #expect(same(ends.exchange(fields: [("x-envoy-fault-throughput-response", "1")])?.body, pattern(4000)))
    #expect(
      Self.value(.faultsOverflow, world) == 1 && world.proxyLoop.now.nanoseconds - began.nanoseconds < 500_000_000)
    let free = FilterWorld.make([
      try Self.chain(#"{"response_rate_limit": {"header_limit": {}, "percentage": {"numerator": 100}}}"#)
    ])
    let others = Ends(free, client: .one, server: .one) { _ in (200, pattern(4000), false, []) }
    for (value, least) in [("4", 800_000_000), ("0", 0), ("x", 0), ("18446744073709551615", 0)] as [(String, UInt64)] {
      let began = free.proxyLoop.now
      #expect(same(others.exchange(fields: [("x-envoy-fault-throughput-response", value)])?.body, pattern(4000)))
      let took = free.proxyLoop.now.nanoseconds - began.nanoseconds
      #expect(took >= least && took < least + 500_000_000, "\(value): \(took)")
    }
  }

  @Test(
    "a client that goes, or an upstream that breaks off, in a slow response leaves nothing behind",
    arguments: [false, true])
  func paceEnds(byUpstream: Bool) throws {
    let world = FilterWorld.make([
      try Self.chain(#"{"response_rate_limit": {"fixed_limit": {"limit_kbps": 16}, "percentage": {"numerator": 100}}}"#)
    ])
    var server: Peer?
    world.server.onBytes = { peer in
      if server != nil { return }
      server = peer
      peer.send(Array("HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n".utf8) + pattern(50_000))
    }
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { client.received.count > 5000 })
    #expect(client.received.count < 20_000)
    if byUpstream { server.map { $0.loop.close($0.id, .reset) } } else { client.loop.close(client.id, .reset) }
    world.advance(by: .seconds(20))
    #expect(client.isOver)
    world.expectClean()
    #expect(Self.value(.activeFaults, world) == 0 && world.engine.paces[].isEmpty)
  }

  @Test("a pace gives the first slice at once and saves up no more than a second's worth")
  func slices() {
    var pace = Pace(bytesPerSecond: 1600, now: MonotonicInstant(nanoseconds: 1_000_000_000))
    func at(_ milliseconds: UInt64) -> MonotonicInstant {
      MonotonicInstant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
    }
    #expect(pace.allowance(now: at(0)) == 100)
    pace.spend(100)
    #expect(pace.allowance(now: at(62)) == 0 && pace.allowance(now: at(63)) == 100)
    pace.spend(60)
    #expect(pace.allowance(now: at(125)) == 140)
    #expect(pace.allowance(now: at(90_000)) == 1600)
    var slowest = Pace(bytesPerSecond: 1, now: at(0))
    #expect(slowest.allowance(now: at(0)) == 1)
    var fastest = Pace(bytesPerSecond: .max, now: at(0))
    #expect(fastest.allowance(now: at(3_600_000)) == Int(Pace.fastest))
    fastest.giveBack(.max)
    #expect(fastest.allowance(now: at(3_600_000)) == Int(Pace.fastest))
  }

  @Test("delay and abort have draws of their own, and each its share")
  func shares() throws {
    let world = FilterWorld.make([
      try Self.chain(
        """
        {"delay": {"fixed_delay": "0.001s", "percentage": {"numerator": 30}},
         "abort": {"http_status": 503, "percentage": {"numerator": 500, "denominator": "TEN_THOUSAND"}}}
        """)
    ])
    let ends = Self.ends(world)
    for _ in 0..<600 { _ = ends.exchange() }
    #expect((130...230).contains(Self.value(.delaysInjected, world)), "\(Self.value(.delaysInjected, world))")
    #expect((12...55).contains(Self.value(.abortsInjected, world)), "\(Self.value(.abortsInjected, world))")
  }

  @Test("the request says what it wants where that is configured")
  func byHeader() throws {
    let world = FilterWorld.make([
      try Self.chain(
        """
        {"delay": {"header_delay": {}, "percentage": {"numerator": 100}},
         "abort": {"header_abort": {}, "percentage": {"numerator": 100}}}
        """)
    ])
    let ends = Self.ends(world)
    #expect(ends.exchange()?.status == 200)
    let began = world.proxyLoop.now
    #expect(ends.exchange(fields: [("x-envoy-fault-delay-request", "500")])?.status == 200)
    #expect(world.proxyLoop.now.nanoseconds - began.nanoseconds >= 500_000_000)
    #expect(ends.exchange(fields: [("x-envoy-fault-abort-request", "429")])?.status == 429)
    #expect(ends.exchange(fields: [("x-envoy-fault-abort-request", "99")])?.status == 200)
    let never = [("x-envoy-fault-abort-request", "429"), ("x-envoy-fault-abort-request-percentage", "0")]
    #expect(ends.exchange(fields: never)?.status == 200)
    #expect(ends.exchange(fields: [("x-envoy-fault-delay-request", "18446744073709551615")]) == nil)
  }

  @Test(
    "only requests that the conditions hold for",
    arguments: [
      (#""headers": [{"name": "x-canary", "string_match": {"exact": "1"}}]"#, [("x-canary", "1")], 503),
      (#""headers": [{"name": "x-canary", "string_match": {"exact": "1"}}]"#, [("x-canary", "2")], 200),
      (#""upstream_cluster": "backend""#, [], 503), (#""upstream_cluster": "other""#, [], 200),
      (#""downstream_nodes": ["a", "b"]"#, [("x-envoy-downstream-service-node", "b")], 503),
      (#""downstream_nodes": ["a", "b"]"#, [], 200),
    ])
  func conditions(condition: String, fields: [(String, String)], status: Int) throws {
    let world = FilterWorld.make([
      try Self.chain(#"{"abort": {"http_status": 503, "percentage": {"numerator": 100}}, \#(condition)}"#)
    ])
    #expect(Self.ends(world).exchange(fields: fields)?.status == status)
  }

  @Test("no more faults are active than allowed")
  func limit() throws {
    let world = FilterWorld.make([
      try Self.chain(
        #"{"delay": {"fixed_delay": "10s", "percentage": {"numerator": 100}}, "max_active_faults": 1}"#)
    ])
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    let (first, second) = (world.connect(), world.connect())
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { Self.value(.activeFaults, world) == 1 })
    second.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run(for: .seconds(1)) { HTTP1Text(second.received) != nil })
    #expect(Self.value(.faultsOverflow, world) == 1 && HTTP1Text(first.received) == nil)
    #expect(world.run { HTTP1Text(first.received) != nil })
  }

  @Test("a fault that began under one route is given back to it, wherever the request is led then")
  func givesBack() throws {
    // The filter behind changes the path and has the route found anew.
    let extensions = ProxyExtensions(httpFilters: HTTPFilterRegistry(HTTPFilters.all + [Turn.self]))
    let world = ProxyWorld(extensions: extensions)
    let limit = #""delay": {"fixed_delay": "1s", "percentage": {"numerator": 100}}, "max_active_faults": 1"#
    let plain = try Self.chain("{}")
    let limited = FilterOverride(config: try Self.config("{\(limit)}"))
    world.simple(manager: { manager in
      manager.filters = [
        plain,
        ConfiguredFilter(name: "turn", .filter(ExtensionConfig(typeName: "test.Turn", message: []))),
        ConfiguredFilter(name: "router", .router(RouterOptions())),
      ]
      guard case .inline(var table) = manager.routes else { return }
      var turned = table.virtualHosts[0].routes[0]
      turned.match = RouteMatch(.prefix("/turned"))
      for (i, route) in [turned, table.virtualHosts[0].routes[0]].enumerated() {
        var route = route
        route.filters["fault"] = limited
        if i == 0 { table.virtualHosts[0].routes.insert(route, at: 0) } else { table.virtualHosts[0].routes[1] = route }
      }
      manager.routes = .inline(table)
    })
    let ends = Self.ends(world)
    for _ in 0..<3 { #expect(ends.exchange(.get, "/x")?.status == 200) }
    // Each was delayed: the one that may be active was given back where it was taken.
    #expect(Self.value(.delaysInjected, world) == 3 && Self.value(.faultsOverflow, world) == 0)
    #expect(ends.requests.map(\.path) == ["/turned", "/turned", "/turned"])
    world.settle()
    #expect(Self.value(.activeFaults, world) == 0 && world.engine.filterBlocks[].lent == 0)
  }

  @Test("a route's faults replace the chain's")
  func perRoute() throws {
    let override = FilterOverride(
      config: try Self.config(#"{"abort": {"http_status": 401, "percentage": {"numerator": 100}}}"#))
    let world = FilterWorld.make(
      [try Self.chain(#"{"abort": {"http_status": 503, "percentage": {"numerator": 100}}}"#)],
      table: { $0.virtualHosts[0].filters["fault"] = override })
    #expect(Self.ends(world).exchange()?.status == 401)
  }

  @Test(
    "what cannot be is refused by its field",
    arguments: [
      (#"{"abort": {"http_status": 99}}"#, "abort.http_status: must be 200 to 599, is 99"),
      (#"{"abort": {}}"#, "abort: needs one of http_status, grpc_status, header_abort"),
      (#"{"abort": {"grpc_status": 99}}"#, "abort.grpc_status: must be 0 to 16, is 99"),
      (#"{"delay": {}}"#, "delay: needs one of fixed_delay, header_delay"),
      (#"{"delay": {"fixed_delay": "0s"}}"#, "delay.fixed_delay: must be more than 0s"),
    ])
  func refused(json: String, words: String) throws {
    let refusal = try #require(FilterWorld.refusal(Fault.self, try Self.config(json)))
    #expect(refusal.hasPrefix(words), "\(refusal)")
  }
}
