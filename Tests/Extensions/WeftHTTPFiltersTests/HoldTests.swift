// The seam itself: holding, asking a service, reading content, being reset. `Gate` is a filter of the tests' own.

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

/// Asks cluster `gate` about each request, after its content when that is wanted. 200 lets it pass; anything else refuses it.
struct Gate: RequestHeadFilter, HoldingFilter {
  static var name: StaticString { "test.gate" }
  static var messages: FilterMessages { FilterMessages(chain: "test.Gate") }

  struct Config: BitwiseCopyable {
    var cluster: Int32
    var readsBody: Int32
    var failsOpen: Bool
  }

  private var hasAsked = false
  init(_ config: Config) {}

  /// The message: limit of the content to read (0: none), 1 to fail open, 2 to reset.
  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    Config(
      cluster: context.cluster("gate"), readsBody: Int32(source.chain.message[0]) * 100,
      failsOpen: source.chain.message[1] == 1)
  }

  mutating func requestHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    if head.path.equals("/reset") { return .reset }
    if x.config.readsBody > 0, !end { return x.readBody(limit: Int(x.config.readsBody)) }
    return ask(head, x)
  }

  private mutating func ask(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    hasAsked = true
    let call = x.callHead
    call.startRequest(.post, scheme: ByteView("http"), authority: ByteView("gate"), path: head.path)
    x.writeCallBody { $0.append(x.body) }
    return x.ask(cluster: x.config.cluster, timeoutNanoseconds: 500_000_000)
  }

  mutating func resumed(_ answer: HoldAnswer, _ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    switch answer {
    case .body: return ask(head, x)
    case .bodyTooLarge: return x.reply(413, details: "gate_too_large")
    case .response where x.answerHead.status == 200:
      if let user = x.answerHead.first(named: ByteView("x-user")) {
        head.append(named: ByteView("x-user"), head.copy(user))
      }
      return .go
    case .response:
      x.replyFields.append(named: ByteView("x-why"), ByteView("gate"))
      return x.reply(403, body: x.answerBody, details: "gate_denied", flag: .unauthorizedExternalService)
    case .failed, .time: return x.config.failsOpen ? .go : x.reply(503, details: "gate_failed")
    }
  }
}

/// Counts trailers, and those that it saw before the head they belong to.
struct Order: RequestHeadFilter, RequestTrailersFilter {
  static var name: StaticString { "test.order" }
  static var messages: FilterMessages { FilterMessages(chain: "test.Order") }

  struct Config: BitwiseCopyable {
    var trailers: SharedCounter
    var early: SharedCounter
  }

  private var sawHead = false
  init(_ config: Config) {}

  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    Config(trailers: SharedCounter(context.storage), early: SharedCounter(context.storage))
  }

  mutating func requestHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    sawHead = true
    return .go
  }

  mutating func requestTrailers(_ trailers: MessageHead, _ x: borrowing FilterCall<Config>) {
    _ = x.config.trailers.take(limit: .max)
    trailers.append(named: ByteView("x-seen"), ByteView(sawHead ? "in-order" : "early"))
  }
}

@Suite("filters that hold a stream")
struct HoldTests {
  /// A proxy with the gate in front, its service on port 9000 and the server on 8080.
  final class House {
    let world: ProxyWorld
    var asked: [Seen] = []
    var served: [Seen] = []
    /// What the gate says; nil: nothing at all.
    var verdict: (Seen) -> (status: Int, fields: String, body: String)? = { _ in (200, "", "") }

    init(_ message: [UInt8] = [0, 0], gateListens: Bool = true, gate: Version = .one) {
      world = ProxyWorld(extensions: ProxyExtensions(httpFilters: HTTPFilterRegistry([Gate.self, Order.self])))
      world.simple(manager: {
        $0.filters = [
          ConfiguredFilter(name: "gate", .filter(ExtensionConfig(typeName: "test.Gate", message: message))),
          ConfiguredFilter(name: "order", .filter(ExtensionConfig(typeName: "test.Order", message: []))),
          ConfiguredFilter(name: "router", .router(RouterOptions())),
        ]
      })
      var cluster = Cluster(name: "gate")
      cluster.upstreamProtocol = gate == .two ? .http2 : .http1
      var endpoints = LocalityEndpoints()
      endpoints.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: 9000))]
      cluster.loadAssignment.localities = [endpoints]
      world.config.clusters.append(cluster)
      if gateListens { world.server.listen(9000) }
      world.apply()
      world.server.onAccept = { [unowned self] peer in
        guard peer.port == 9000, gate == .two else { return }
        let h2 = H2Peer(.server, peer)
        h2.onRequest = { [unowned self, unowned h2] id, message in
          let seen = Seen(method: message.method, path: message.path, fields: message.fields, body: message.body)
          asked.append(seen)
          if let said = verdict(seen) { h2.respond(id, UInt16(said.status), body: Array(said.body.utf8)) }
        }
      }
      world.server.onBytes = { [unowned self] peer in
        if peer.port == 9000, gate == .two { return }
        while let message = HTTP1Text(peer.received) {
          peer.received.removeFirst(message.length)
          let words = message.start.split(separator: " ")
          let seen = Seen(
            method: String(words[0]), path: String(words[1]), fields: message.fields, body: message.body,
            trailers: message.trailers)
          if peer.port == 8080 {
            served.append(seen)
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
          } else {
            asked.append(seen)
            if let said = verdict(seen) {
              peer.send(
                "HTTP/1.1 \(said.status) X\r\n\(said.fields)content-length: \(said.body.utf8.count)\r\n\r\n\(said.body)"
              )
            }
          }
        }
      }
    }

    func get(_ path: String = "/", body: String = "") -> HTTP1Text? {
      let client = world.connect()
      client.send("POST \(path) HTTP/1.1\r\nHost: a\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
      world.run(for: .seconds(5)) { HTTP1Text(client.received) != nil || client.isOver }
      return HTTP1Text(client.received)
    }

    func expectNothingLeft() {
      world.advance(by: .seconds(2))
      world.expectClean()
      #expect(world.engine.filterBlocks[].lent == 0)
      #expect(
        world.registry.value(ClusterMetric.upstreamRqActive, world.registry.scope(ScopeKey(.cluster, "gate"))) == 0)
    }
  }

  @Test("what the service admits goes on, with what it said", arguments: Version.allCases)
  func admits(gate: Version) {
    let house = House(gate: gate)
    house.verdict = { _ in (200, "x-user: ann\r\n", "") }
    let answer = house.get("/a", body: "hello")
    #expect(answer?.status == 200 && house.asked.map(\.path) == ["/a"])
    #expect(house.served.first?.body == Array("hello".utf8))
    if gate == .one { #expect(house.served.first?.first("x-user") == "ann") }
    house.expectNothingLeft()
  }

  @Test("what the service refuses is answered with its words", arguments: Version.allCases)
  func refuses(gate: Version) {
    let house = House(gate: gate)
    house.verdict = { _ in (401, "", "no entry") }
    let answer = house.get(body: "hello")
    #expect(answer?.status == 403 && answer?.first("x-why") == "gate" && answer?.body == Array("no entry".utf8))
    #expect(house.served.isEmpty)
    house.expectNothingLeft()
  }

  @Test(
    "a service that is away, silent or cuts its answer short fails the way that is declared", arguments: [false, true])
  func fails(open: Bool) {
    let expected = open ? 200 : 503
    let away = House([0, open ? 1 : 0], gateListens: false)
    #expect(away.get()?.status == expected)
    away.expectNothingLeft()
    let silent = House([0, open ? 1 : 0])
    silent.verdict = { _ in nil }
    #expect(silent.get()?.status == expected)
    silent.expectNothingLeft()
    let cut = House([0, open ? 1 : 0])
    cut.world.server.onBytes = { peer in
      if peer.port == 9000 {
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        peer.loop.close(peer.id, .reset)
      } else {
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
      }
    }
    #expect(cut.get()?.status == expected)
    cut.expectNothingLeft()
  }

  @Test("an answer larger than allowed is none")
  func endlessAnswer() {
    let house = House()
    house.verdict = { _ in (200, "", String(repeating: "x", count: 300 << 10)) }
    #expect(house.get()?.status == 503)
    let scope = house.world.registry.scope(ScopeKey(.cluster, "gate"))
    #expect(house.world.registry.value(ClusterMetric.upstreamRqInsideAnswerTooLarge, scope) == 1)
    house.expectNothingLeft()
  }

  @Test("content is read whole before the service is asked, up to the limit", arguments: [0, 1, 99, 100, 101, 5000])
  func readsBody(count: Int) {
    let house = House([1, 0])
    let body = String(repeating: "b", count: count)
    let answer = house.get(body: body)
    #expect(answer?.status == (count > 100 ? 413 : 200))
    if count <= 100 {
      #expect(house.asked.first?.body == Array(body.utf8) && house.served.first?.body == Array(body.utf8))
    } else {
      #expect(house.asked.isEmpty && house.served.isEmpty)
    }
    house.expectNothingLeft()
  }

  @Test("a question sees its own request's content only, also when the service was missing before")
  func ownContent() {
    let house = House([1, 1])
    #expect(house.get(body: "first")?.status == 200)
    let client = house.world.connect()
    client.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(house.world.run { HTTP1Text(client.received) != nil })
    #expect(house.asked.map(\.body) == [Array("first".utf8), []])
    let cluster = house.world.config.clusters.removeLast()
    house.world.apply()
    #expect(house.get(body: "lost")?.status == 200)
    house.world.config.clusters.append(cluster)
    house.world.apply()
    #expect(house.get(body: "third")?.status == 200)
    #expect(house.asked.last?.body == Array("third".utf8))
    house.expectNothingLeft()
  }

  @Test("a client that goes while the service thinks takes the question with it")
  func clientGone() {
    let house = House()
    house.verdict = { _ in nil }
    let client = house.world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(house.world.run { house.asked.count == 1 })
    client.loop.close(client.id, .reset)
    house.expectNothingLeft()
    #expect(house.world.engine.streams.count == 0 && house.world.engine.downstreams.count == 0)
  }

  @Test("trailers that come during a hold are seen by every filter after the head", arguments: [false, true])
  func trailers(readsBody: Bool) {
    let house = House([readsBody ? 1 : 0, 0])
    var waiting: [Peer] = []
    house.world.server.onBytes = { peer in
      if peer.port == 9000 { return waiting.append(peer) }
      while let message = HTTP1Text(peer.received) {
        peer.received.removeFirst(message.length)
        house.served.append(Seen(body: message.body, trailers: message.trailers))
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
      }
    }
    let client = house.world.connect()
    client.send(
      "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-t: 1\r\n\r\n")
    #expect(house.world.run { !waiting.isEmpty })
    house.world.settle()
    waiting[0].send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    #expect(house.world.run { HTTP1Text(client.received) != nil })
    #expect(house.served.first?.body == Array("ab".utf8))
    #expect(house.served.first?.trailers.map(\.name) == ["x-t", "x-seen"])
    #expect(house.served.first?.trailer("x-seen") == "in-order")
    house.expectNothingLeft()
  }

  @Test("a late answer finds nothing")
  func lateAnswer() {
    let house = House()
    var late: Peer?
    house.world.server.onBytes = { peer in if peer.port == 9000 { late = peer } }
    let client = house.world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(house.world.run(for: .seconds(5)) { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == 503)
    late?.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    house.expectNothingLeft()
  }

  @Test("a filter may end a stream without an answer")
  func reset() {
    let house = House()
    let client = house.world.connect()
    client.send("GET /reset HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(house.world.run { client.isOver })
    #expect(client.received.isEmpty)
    house.expectNothingLeft()
  }
}
