// Content and responses at the seam: what filters see of them, and responses that wait. `Watch` and `Late` are filters of the tests' own.

import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

enum WatchMetric: Int, Metric {
  /// Bytes and ends of requests, of responses; content that came before the head.
  case requestBytes, requestEnds, responseBytes, responseEnds, early
  static var scopeKind: ScopeKind { .filter }
  static var firstHistogram: Int { 5 }
  static var prefix: String { "http.*.watch." }
  var definition: MetricDefinition { .counter("watch", "Of the tests' own") }
}

/// Counts content, in both directions, and says so in what follows. A request with `!` in its content is refused, a response with it reset.
struct Watch: RequestHeadFilter, RequestDataFilter, RequestTrailersFilter, ResponseDataFilter, ResponseTrailersFilter {
  static var name: StaticString { "test.watch" }
  static var messages: FilterMessages { FilterMessages(chain: "test.Watch") }

  struct Config: BitwiseCopyable { var stats: ConstantTable<StatBlock<WatchMetric>> }

  private var sawHead = false
  init(_ config: Config) {}

  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    Config(stats: context.stats(WatchMetric.self, WatchMetric.prefix, name: context.statPrefix))
  }

  mutating func requestHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    sawHead = true
    return .go
  }

  mutating func requestData(_ data: ByteView, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    if !sawHead { x.config.stats[x.worker].add(.early) }
    x.config.stats[x.worker].add(.requestBytes, UInt64(data.count))
    if end { x.config.stats[x.worker].add(.requestEnds) }
    return data.contains(UInt8(ascii: "!")) ? x.reply(422, body: ByteView("shouting"), details: "watch_refused") : .go
  }

  mutating func requestTrailers(_ trailers: MessageHead, _ x: borrowing FilterCall<Config>) {
    x.config.stats[x.worker].add(.requestEnds)
  }

  mutating func responseData(_ data: ByteView, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    x.config.stats[x.worker].add(.responseBytes, UInt64(data.count))
    if end { x.config.stats[x.worker].add(.responseEnds) }
    return data.contains(UInt8(ascii: "!")) ? .reset : .go
  }

  mutating func responseTrailers(_ trailers: MessageHead, _ x: borrowing FilterCall<Config>) {
    x.config.stats[x.worker].add(.responseEnds)
  }
}

/// Holds every response: for the time that its `x-wait` says (milliseconds), else for the answer of cluster `gate`, whose status decides.
struct Late: ResponseHeadFilter, ResponseHoldingFilter {
  static var name: StaticString { "test.late" }
  static var messages: FilterMessages { FilterMessages(chain: "test.Late") }
  struct Config: BitwiseCopyable { var cluster: Int32 }
  init(_ config: Config) {}

  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    Config(cluster: context.cluster("gate"))
  }

  mutating func responseHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    if let text = head.first(named: ByteView("x-wait")), let n = ASCII.parseDecimal(text) {
      return x.wait(nanoseconds: n * 1_000_000)
    }
    x.callHead.startRequest(.get, scheme: ByteView("http"), authority: ByteView("gate"), path: ByteView("/late"))
    return x.ask(cluster: x.config.cluster, timeoutNanoseconds: 500_000_000)
  }

  mutating func responseResumed(
    _ answer: HoldAnswer, _ head: MessageHead, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    switch answer {
    case .response where x.answerHead.status == 200, .time:
      head.append(named: ByteView("x-late"), ByteView("1"))
      return .go
    case .response where x.answerHead.status == 410: return .reset
    default: return x.reply(502, body: ByteView("withheld"), details: "late_withheld")
    }
  }
}

@Suite("content and held responses")
struct ContentTests {
  static func world(_ names: [String], upstream: Version) -> ProxyWorld {
    let registry = HTTPFilterRegistry([Watch.self, Late.self, Gate.self])
    let world = ProxyWorld(extensions: ProxyExtensions(httpFilters: registry))
    world.simple(
      upstream: upstream,
      manager: {
        $0.filters =
          names.map { name in
            let message: [UInt8] = name == "Gate" ? [0, 0] : []
            return ConfiguredFilter(name: name, .filter(ExtensionConfig(typeName: "test.\(name)", message: message)))
          } + [ConfiguredFilter(name: "router", .router(RouterOptions()))]
      })
    var cluster = Cluster(name: "gate")
    var endpoints = LocalityEndpoints()
    endpoints.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: 9000))]
    cluster.loadAssignment.localities = [endpoints]
    world.config.clusters.append(cluster)
    world.server.listen(9000)
    world.apply()
    return world
  }

  static func value(_ metric: WatchMetric, _ world: ProxyWorld) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.filter, "test", WatchMetric.prefix)))
  }

  /// Recognisable bytes at which `Watch` takes no offence.
  static func quiet(_ count: Int) -> [UInt8] { pattern(count).map { $0 == UInt8(ascii: "!") ? 0 : $0 } }

  static func expectNothingLeft(_ world: ProxyWorld) {
    world.advance(by: .seconds(2))
    world.expectClean()
    #expect(world.engine.filterBlocks[].lent == 0 && world.engine.streams.count == 0)
  }

  @Test("filters see all content once, and its end once", arguments: Version.allCases, [0, 1, 5000, 70_000])
  func sees(version: Version, count: Int) throws {
    let world = Self.world(["Watch"], upstream: version)
    let trailers = count == 5000 ? [("x-t", "1")] : []
    let ends = Ends(world, client: version, server: version) { _ in
      (200, [UInt8](repeating: 0x61, count: count), count == 1, trailers)
    }
    let body = [UInt8](repeating: 0x62, count: count)
    let answer = try #require(
      ends.exchange(.post, body: body, chunked: count == 1 || count == 70_000, trailers: trailers))
    #expect(answer.body.count == count && ends.requests.first?.body == body)
    #expect(Self.value(.requestBytes, world) == UInt64(count) && Self.value(.responseBytes, world) == UInt64(count))
    if count > 0 { #expect(Self.value(.requestEnds, world) == 1 && Self.value(.responseEnds, world) == 1) }
    Self.expectNothingLeft(world)
  }

  @Test("what comes during a hold is seen after the head", arguments: Version.allCases)
  func afterHold(version: Version) throws {
    let world = Self.world(["Gate", "Watch"], upstream: .one)
    var gate: Peer?
    var served: [[UInt8]] = []
    world.server.onBytes = { peer in
      if peer.port == 9000 {
        gate = peer
        return
      }
      while let message = HTTP1Text(peer.received) {
        peer.received.removeFirst(message.length)
        served.append(message.body)
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
      }
    }
    let client = world.connect()
    let h2 = version == .two ? H2Peer(.client, client) : nil
    if let h2 {
      h2.request(.post, "/", body: Array("hello".utf8))
    } else {
      client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nhello")
    }
    #expect(world.run { gate != nil })
    world.settle()
    #expect(Self.value(.requestBytes, world) == 0)
    gate?.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    #expect(world.run { !served.isEmpty })
    #expect(served == [Array("hello".utf8)])
    #expect(
      Self.value(.requestBytes, world) == 5 && Self.value(.requestEnds, world) == 1 && Self.value(.early, world) == 0)
    Self.expectNothingLeft(world)
  }

  @Test("content may be refused before an answer has begun", arguments: Version.allCases)
  func refuses(version: Version) throws {
    let world = Self.world(["Watch"], upstream: version)
    let ends = Ends(world, client: version, server: version) { _ in (200, [], false, []) }
    let answer = try #require(ends.exchange(.post, body: Array("hello!".utf8)))
    #expect(answer.status == 422 && answer.body == Array("shouting".utf8) && ends.requests.isEmpty)
    Self.expectNothingLeft(world)
  }

  @Test("a response may be reset for its content", arguments: Version.allCases)
  func resets(version: Version) {
    let world = Self.world(["Watch"], upstream: version)
    let ends = Ends(world, client: version, server: version) { _ in (200, Array("hello!".utf8), false, []) }
    #expect(ends.exchange() == nil)
    Self.expectNothingLeft(world)
  }

  @Test(
    "a held response goes on whole, with what came meanwhile", arguments: Version.allCases, [0, 5, 60_000, 200_000])
  func heldResponse(version: Version, count: Int) throws {
    let world = Self.world(["Watch", "Late"], upstream: version)
    let ends = Ends(world, client: version, server: version) { _ in (200, Self.quiet(count), count == 5, []) }
    let onBytes = world.server.onBytes
    world.server.onBytes = { peer in
      guard peer.port == 9000 else { return onBytes(peer) }
      peer.received = []
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    }
    let onAccept = world.server.onAccept
    world.server.onAccept = { if $0.port != 9000 { onAccept($0) } }
    for _ in 0..<2 {
      let answer = try #require(ends.exchange())
      #expect(answer.status == 200 && answer.first("x-late") == "1" && same(answer.body, Self.quiet(count)))
    }
    #expect(Self.value(.responseBytes, world) == UInt64(2 * count))
    if count > 0 { #expect(Self.value(.responseEnds, world) == 2) }
    Self.expectNothingLeft(world)
  }

  @Test("trailers of a held response come behind it", arguments: Version.allCases)
  func heldTrailers(version: Version) throws {
    let world = Self.world(["Watch", "Late"], upstream: version)
    let ends = Ends(world, client: version, server: version) { _ in (200, Self.quiet(500), true, [("x-t", "1")]) }
    let onBytes = world.server.onBytes
    world.server.onBytes = { peer in
      guard peer.port == 9000 else { return onBytes(peer) }
      peer.received = []
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    }
    let onAccept = world.server.onAccept
    world.server.onAccept = { if $0.port != 9000 { onAccept($0) } }
    let answer = try #require(ends.exchange())
    #expect(same(answer.body, Self.quiet(500)) && answer.trailer("x-t") == "1" && answer.first("x-late") == "1")
    Self.expectNothingLeft(world)
  }

  @Test(
    "a held response may be replaced, reset, or lost with its upstream",
    arguments: ["403", "410", "silent", "upstream goes", "client goes", "time"])
  func heldFails(how: String) throws {
    let world = Self.world(["Late"], upstream: .one)
    var server: Peer?
    world.server.onBytes = { peer in
      peer.received = []
      if peer.port == 9000 {
        if let status = Int(how) { peer.send("HTTP/1.1 \(status) X\r\ncontent-length: 0\r\n\r\n") }
        return
      }
      server = peer
      let wait = how == "time" ? "x-wait: 300\r\n" : ""
      peer.send("HTTP/1.1 200 OK\r\n\(wait)content-length: 100\r\n\r\nhalf of it")
    }
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { server != nil })
    world.advance(by: .milliseconds(100))
    switch how {
    case "upstream goes": server.map { $0.loop.close($0.id, .reset) }
    case "client goes": client.loop.close(client.id, .reset)
    case "time":
      #expect(client.received.isEmpty)
      server?.send(String(repeating: "x", count: 90))
    default: break
    }
    world.run(for: .seconds(3)) { HTTP1Text(client.received) != nil || client.isOver }
    let answer = HTTP1Text(client.received)
    switch how {
    case "403", "silent": #expect(answer?.status == 502 && answer?.body == Array("withheld".utf8))
    // Nobody reads an upstream whose answer is held: what becomes of it may be found only then.
    case "upstream goes": #expect(answer?.status == 503 || answer?.status == 502)
    case "time": #expect(answer?.status == 200 && answer?.body.count == 100 && answer?.first("x-late") == "1")
    default: #expect(answer == nil && client.isOver)
    }
    if !client.isOver { client.loop.close(client.id, .reset) }
    Self.expectNothingLeft(world)
  }

  @Test("an answer made here is not held")
  func localReply() {
    let world = Self.world(["Late"], upstream: .one)
    world.config.clusters.removeAll { $0.name == "backend" }
    world.apply()
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { HTTP1Text(client.received)?.status == 503 })
  }
}
