import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// A world with two endpoints whose requests are hedged after 100 ms, and whose servers do what a test says.
private final class HedgedWorld {
  let world: ProxyWorld
  let version: Version
  /// The attempts that have come in, complete, in order.
  struct Attempt {
    let peer: Peer
    let h2: H2Peer?
    let id: H2StreamID
    let message: Seen
  }
  private(set) var attempts: [Attempt] = []

  init(
    _ version: Version, ports: [UInt16] = [8080, 8081], retries: UInt32 = 1, backoff: Duration = .nanoseconds(1),
    limits: WorkerEngine.Limits = WorkerEngine.Limits(), streamsPerConnection: UInt32 = 100,
    manager: (inout HTTPConnectionManager) -> Void = { _ in }, route change: (inout RouteAction) -> Void = { _ in },
    cluster changeCluster: (inout Cluster) -> Void = { _ in }
  ) {
    world = ProxyWorld(limits: limits)
    self.version = version
    world.server.onAccept = { [unowned self] peer in
      guard version == .two else { return }
      var limits = HTTPLimits()
      limits.http2.maxConcurrentStreams = streamsPerConnection
      let h2 = H2Peer(.server, peer, limits: limits)
      h2.onRequest = { [unowned self, unowned h2] id, message in
        let seen = Seen(
          method: message.method, path: message.path, fields: message.fields, body: message.body,
          trailers: message.trailers)
        attempts.append(Attempt(peer: peer, h2: h2, id: id, message: seen))
      }
    }
    world.server.onBytes = { [unowned self] peer in
      guard version == .one, let message = HTTP1Text(peer.received) else { return }
      peer.received = []
      let seen = Seen(fields: message.fields, body: message.body, trailers: message.trailers)
      attempts.append(Attempt(peer: peer, h2: nil, id: 0, message: seen))
    }
    world.simple(
      ports: ports, manager: manager,
      route: {
        var policy = RetryPolicy(retryOn: [.serverError])
        policy.maxRetries = retries
        policy.perTryTimeout = .milliseconds(100)
        policy.backoffBase = backoff
        policy.backoffMax = backoff
        $0.retryPolicy = policy
        $0.hedgesOnPerTryTimeout = true
        change(&$0)
      },
      cluster: {
        $0.upstreamProtocol = version == .two ? .http2 : .http1
        changeCluster(&$0)
      })
  }

  /// Answers attempt `i`; `end` false leaves the content open.
  func answer(_ i: Int, _ status: UInt16 = 200, body: String = "ok", end: Bool = true) {
    let attempt = attempts[i]
    if let h2 = attempt.h2 {
      h2.respond(
        attempt.id, status, fields: [("x-n", "\(i)")], body: body.isEmpty ? nil : Array(body.utf8), end: end)
    } else {
      let length = body.utf8.count + (end ? 0 : 1)
      attempt.peer.send("HTTP/1.1 \(status) X\r\nx-n: \(i)\r\ncontent-length: \(length)\r\n\r\n\(body)")
    }
  }

  func reset(_ i: Int) {
    if let h2 = attempts[i].h2 { h2.reset(attempts[i].id, .internalError) } else { attempts[i].peer.reset() }
  }

  /// Whether attempt `i` was taken back by the proxy.
  func isCancelled(_ i: Int) -> Bool {
    guard let h2 = attempts[i].h2 else { return attempts[i].peer.isClosed }
    return h2.messages[attempts[i].id]?.resetCode == .cancel
  }

  /// Waits until `n` attempts have come in.
  func wait(_ n: Int, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(world.run(for: .seconds(5)) { attempts.count >= n }, "no attempt \(n)", sourceLocation: sourceLocation)
    world.settle()
  }

  func get() -> Peer {
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    return client
  }

  func answered(_ client: Peer) -> HTTP1Text? {
    world.run(for: .seconds(10)) { HTTP1Text(client.received) != nil || client.isOver }
    return HTTP1Text(client.received)
  }

  var retries: (used: UInt64, requests: UInt64) {
    var found: (UInt64, UInt64) = (0, 0)
    world.engine.clusters.forEach {
      let breaker = world.engine.clusters[$0].standard
      found = (breaker.used(.retries), breaker.used(.requests))
    }
    return found
  }

  /// Nothing is left of the request: no slot, no level of a breaker, nothing active at a host.
  func expectClean(sourceLocation: SourceLocation = #_sourceLocation) {
    world.settle()
    world.expectClean(sourceLocation: sourceLocation)
    #expect(retries == (0, 0), sourceLocation: sourceLocation)
    world.engine.hosts.forEach { #expect(world.engine.hosts[$0].activeRequests == 0, sourceLocation: sourceLocation) }
    #expect(
      world.engine.downstreams.count == world.client.all.count { !$0.isClosed }, "slots left of attempts",
      sourceLocation: sourceLocation)
  }
}

@Suite("backups: several attempts of one request at a time")
struct BackupTests {
  @Test(
    "when an attempt takes too long another one begins beside it at another host, and the first answer wins",
    arguments: Version.allCases, [0, 1])
  func firstAnswerWins(version: Version, winner: Int) throws {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    #expect(hedged.attempts[0].peer.port != hedged.attempts[1].peer.port)
    #expect(hedged.retries == (1, 2))
    hedged.answer(winner)
    #expect(try #require(hedged.answered(client)).first("x-n") == "\(winner)")
    hedged.world.settle()
    #expect(hedged.isCancelled(1 - winner) && !hedged.isCancelled(winner))
    hedged.expectClean()
    let world = hedged.world
    #expect(world.value(ClusterMetric.upstreamRqTotal) == 2 && world.value(ClusterMetric.upstreamRqRetry) == 1)
    #expect(world.value(ClusterMetric.upstreamRqRetrySuccess) == UInt64(winner))
    #expect(world.value(ClusterMetric.upstreamRqPerTryTimeout) == 0, "the attempt went on")
    #expect(world.value(ClusterMetric.upstreamRqCompleted) == 1)
    // The client's connection serves the next request.
    client.received = []
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    hedged.wait(3)
    hedged.answer(2)
    #expect(hedged.answered(client)?.first("x-n") == "2")
  }

  @Test("the winner's content, trailers and end are the client's, however late they come", arguments: Version.allCases)
  func restOfWinner(version: Version) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    hedged.answer(1, body: "first ", end: false)
    #expect(hedged.world.run { client.text.hasSuffix("first ") || client.text.contains("first ") })
    // What the loser still says finds nobody.
    hedged.answer(0, body: "loser")
    hedged.world.advance(by: .milliseconds(300))
    if let h2 = hedged.attempts[1].h2 {
      h2.send(hedged.attempts[1].id, [UInt8(ascii: "x")], end: true)
    } else {
      hedged.attempts[1].peer.send("x")
    }
    #expect(hedged.answered(client).map { String(decoding: $0.body, as: UTF8.self) } == "first x")
    hedged.expectClean()
  }

  @Test("answers that come at the same moment: one is the client's, the other nobody's", arguments: Version.allCases)
  func bothAtOnce(version: Version) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    hedged.answer(0)
    hedged.answer(1)
    #expect(hedged.answered(client)?.status == 200)
    hedged.world.settle()
    #expect(client.text.ranges(of: "HTTP/1.1").count == 1, "two answers")
    hedged.expectClean()
  }

  @Test(
    "a retriable answer loses while another attempt is out, whichever of the two it is", arguments: Version.allCases,
    [0, 1])
  func badAnswerLoses(version: Version, bad: Int) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    hedged.answer(bad, 503, body: "")
    hedged.world.advance(by: .milliseconds(20))
    #expect(client.received.isEmpty)
    #expect(!hedged.isCancelled(bad), "a complete answer leaves its connection usable")
    hedged.answer(1 - bad)
    #expect(hedged.answered(client)?.first("x-n") == "\(1 - bad)")
    hedged.expectClean()
    #expect(hedged.world.value(ClusterMetric.upstreamRqRetryLimitExceeded) == (bad == 1 ? 1 : 0))
  }

  @Test("when all answers are bad the last one is the client's", arguments: Version.allCases, [0, 1])
  func allBad(version: Version, first: Int) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    hedged.answer(first, 503)
    hedged.world.settle()
    hedged.answer(1 - first, 502)
    let answer = hedged.answered(client)
    #expect(answer?.status == 502 && answer?.first("x-n") == "\(1 - first)")
    hedged.expectClean()
  }

  @Test(
    "an attempt that is reset or cut off costs the client nothing while another one is out",
    arguments: Version.allCases, [0, 1])
  func resetLoses(version: Version, lost: Int) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    hedged.reset(lost)
    hedged.world.advance(by: .milliseconds(20))
    #expect(client.received.isEmpty)
    hedged.answer(1 - lost)
    #expect(hedged.answered(client)?.first("x-n") == "\(1 - lost)")
    hedged.expectClean()
  }

  @Test("when all attempts fail the client is told why the last one did", arguments: Version.allCases, [0, 1])
  func allReset(version: Version, first: Int) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    hedged.reset(first)
    hedged.world.settle()
    hedged.reset(1 - first)
    #expect(hedged.answered(client)?.status == 503)
    hedged.expectClean()
  }

  @Test(
    "a winner that fails after its head is the client's: nothing is left to fall back on", arguments: Version.allCases,
    [0, 1])
  func winnerResets(version: Version, winner: Int) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    hedged.answer(winner, body: "half", end: false)
    #expect(hedged.world.run { client.text.contains("half") })
    hedged.world.settle()
    #expect(hedged.isCancelled(1 - winner))
    hedged.reset(winner)
    #expect(hedged.world.run { client.isOver })
    #expect(HTTP1Text(client.received) == nil, "a cut answer passes for whole")
    hedged.expectClean()
  }

  @Test("a client that goes takes all attempts with it", arguments: Version.allCases)
  func clientGone(version: Version) {
    let hedged = HedgedWorld(version, retries: 2)
    let client = hedged.get()
    hedged.wait(3)
    client.reset()
    hedged.world.settle()
    #expect((0..<3).allSatisfy { hedged.isCancelled($0) })
    hedged.expectClean()
  }

  @Test("the request's time-out ends all attempts, and each is counted", arguments: Version.allCases)
  func totalTimeout(version: Version) {
    let hedged = HedgedWorld(version, route: { $0.timeout = .milliseconds(500) })
    let client = hedged.get()
    hedged.wait(2)
    #expect(hedged.answered(client)?.status == 504)
    hedged.world.settle()
    #expect(hedged.isCancelled(0) && hedged.isCancelled(1))
    hedged.expectClean()
    #expect(hedged.world.value(ClusterMetric.upstreamRqTimeout) == 2)
    #expect(hedged.world.value(ClusterMetric.upstreamRqRetryLimitExceeded) == 1)
  }

  @Test(
    "no more attempts than retries; each further one begins when the last one's time is over",
    arguments: Version.allCases)
  func several(version: Version) {
    let hedged = HedgedWorld(version, ports: [8080, 8081, 8082, 8083], retries: 2, manager: { _ in })
    let client = hedged.get()
    hedged.wait(3)
    hedged.world.advance(by: .seconds(1))
    #expect(hedged.attempts.count == 3)
    #expect(Set(hedged.attempts.map(\.peer.port)).count == 3)
    hedged.answer(1)
    #expect(hedged.answered(client)?.first("x-n") == "1")
    hedged.world.settle()
    #expect(hedged.isCancelled(0) && hedged.isCancelled(2))
    hedged.expectClean()
  }

  @Test("backups count as retries: without room in budget or breaker there is none, and the attempt goes on")
  func budget() {
    let hedged = HedgedWorld(.one, cluster: { $0.circuitBreakers.standard.maxRetries = 0 })
    let client = hedged.get()
    hedged.world.advance(by: .milliseconds(400))
    #expect(hedged.attempts.count == 1)
    #expect(hedged.world.value(ClusterMetric.upstreamRqRetryOverflow) == 1)
    hedged.answer(0)
    #expect(hedged.answered(client)?.status == 200)
    hedged.expectClean()
  }

  @Test("a backup that cannot be sent is none: no room at the breakers, no slot, nobody listens", arguments: 0...2)
  func nowhere(kind: Int) {
    var limits = WorkerEngine.Limits()
    if kind == 1 { limits.streams = 1 }
    let hedged = HedgedWorld(
      .one, limits: limits,
      cluster: {
        if kind == 0 { $0.circuitBreakers.standard.maxRequests = 1 }
      })
    let client = hedged.get()
    hedged.wait(1)
    if kind == 2 { for port in [8080, 8081] as [UInt16] { hedged.world.server.stopListening(port) } }
    hedged.world.advance(by: .milliseconds(400))
    #expect(client.received.isEmpty)
    hedged.answer(0)
    #expect(hedged.answered(client)?.status == 200)
    #expect(hedged.world.engine.tableRefusals == (kind == 1 ? 1 : 0))
    hedged.expectClean()
  }

  @Test("when the first attempt has failed and the backup cannot be sent, the client is told so")
  func nothingLeft() {
    let hedged = HedgedWorld(.one, backoff: .milliseconds(400))
    let client = hedged.get()
    hedged.wait(1)
    hedged.world.advance(by: .milliseconds(100))
    hedged.reset(0)
    for port in [8080, 8081] as [UInt16] { hedged.world.server.stopListening(port) }
    #expect(hedged.answered(client)?.status == 503)
    hedged.expectClean()
  }

  @Test(
    "the content is sent again whole, even where the first attempt has not taken all of it yet",
    arguments: Version.allCases)
  func content(version: Version) {
    let hedged = HedgedWorld(version)
    let body = pattern(300_000)
    // The first endpoint takes nothing.
    var paused: Peer?
    let accept = hedged.world.server.onAccept
    hedged.world.server.onAccept = { peer in
      accept(peer)
      if paused == nil {
        paused = peer
        peer.pause()
      }
    }
    let client = hedged.world.connect()
    client.send(Array("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body)
    hedged.wait(1)
    #expect(hedged.attempts[0].peer !== paused && same(hedged.attempts[0].message.body, body))
    hedged.answer(0)
    #expect(hedged.answered(client)?.status == 200)
    hedged.expectClean()
  }

  @Test("trailers go with every attempt", arguments: Version.allCases)
  func trailers(version: Version) {
    let hedged = HedgedWorld(version)
    let client = hedged.world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-t: 1\r\n\r\n")
    hedged.wait(2)
    #expect(hedged.attempts.allSatisfy { $0.message.trailer("x-t") == "1" && $0.message.body == Array("ab".utf8) })
    hedged.answer(1)
    #expect(hedged.answered(client)?.status == 200)
    hedged.expectClean()
  }

  @Test("a request that is still coming in, or whose content is not kept, has no backup")
  func unsent() {
    let hedged = HedgedWorld(.one, manager: { _ in }, route: { _ in })
    let client = hedged.world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
    hedged.world.advance(by: .milliseconds(500))
    #expect(hedged.world.server.accepted.count == 1)
    client.send("cd")
    hedged.wait(2)
    hedged.answer(0)
    #expect(hedged.answered(client)?.status == 200)
    hedged.expectClean()
  }

  @Test("hosts that leave while attempts run at them change nothing for those", arguments: Version.allCases, [0, 1])
  func hostRemoved(version: Version, left: Int) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    let port = hedged.attempts[left].peer.port
    hedged.world.config.clusters[0].loadAssignment.localities[0].endpoints.removeAll {
      $0.address == .socket(host: "127.0.0.1", port: port)
    }
    hedged.world.apply()
    hedged.world.settle()
    hedged.answer(left)
    #expect(hedged.answered(client)?.first("x-n") == "\(left)")
    hedged.expectClean()
  }

  @Test("a route and a cluster that are replaced while a race runs", arguments: Version.allCases)
  func configReplaced(version: Version) {
    let hedged = HedgedWorld(version, retries: 2)
    let client = hedged.get()
    hedged.wait(2)
    hedged.world.config.clusters[0].connectTimeout = .seconds(3)
    hedged.world.config.listeners = []
    hedged.world.apply()
    hedged.world.advance(by: .milliseconds(300))
    hedged.answer(1)
    #expect(hedged.answered(client)?.first("x-n") == "1")
    hedged.expectClean()
  }

  @Test("GOAWAY that refuses one attempt leaves the other alone, also on one connection", arguments: [1, 2])
  func goAway(hosts: Int) {
    let hedged = HedgedWorld(.two, ports: Array(([8080, 8081] as [UInt16]).prefix(hosts)), retries: 2)
    let client = hedged.get()
    hedged.wait(2)
    // The last stream it took: on one connection the first attempt's, else none.
    hedged.attempts[1].peer.send([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, hosts == 1 ? 1 : 0, 0, 0, 0, 0])
    // Nothing was lost of the second: it is sent again.
    hedged.wait(3)
    hedged.answer(0)
    #expect(hedged.answered(client)?.first("x-n") == "0")
    hedged.expectClean()
  }

  @Test("two attempts on one connection that dies: both fail, and the client is told", arguments: [0, 1, 2])
  func oneConnection(answered: Int) {
    let hedged = HedgedWorld(.two, ports: [8080])
    let client = hedged.get()
    hedged.wait(2)
    #expect(hedged.attempts[0].peer === hedged.attempts[1].peer)
    if answered < 2 {
      hedged.answer(answered)
      #expect(hedged.answered(client)?.first("x-n") == "\(answered)")
      hedged.world.settle()
      #expect(hedged.isCancelled(1 - answered))
    } else {
      hedged.attempts[0].peer.reset()
      #expect(hedged.answered(client)?.status == 503)
    }
    hedged.expectClean()
  }

  @Test("an answer that is no HTTP loses like any other failure", arguments: [0, 1])
  func garbage(bad: Int) {
    let hedged = HedgedWorld(.one)
    let client = hedged.get()
    hedged.wait(2)
    hedged.attempts[bad].peer.send("garbage\r\n\r\n")
    hedged.world.advance(by: .milliseconds(20))
    #expect(client.received.isEmpty)
    hedged.answer(1 - bad)
    #expect(hedged.answered(client)?.first("x-n") == "\(1 - bad)")
    hedged.expectClean()
  }

  @Test("an informational response of one of several attempts is nobody's")
  func informational() {
    let hedged = HedgedWorld(.one)
    let client = hedged.get()
    hedged.wait(2)
    hedged.attempts[0].peer.send("HTTP/1.1 103 Early\r\nlink: a\r\n\r\n")
    hedged.attempts[1].peer.send("HTTP/1.1 103 Early\r\nlink: b\r\n\r\n")
    hedged.world.settle()
    #expect(client.received.isEmpty)
    hedged.answer(1)
    #expect(hedged.answered(client)?.status == 200)
    hedged.expectClean()
  }

  @Test("an attempt that fails before its time is retried as ever, and no backup remains of it")
  func retryFirst() {
    let hedged = HedgedWorld(.one, retries: 2)
    let client = hedged.get()
    hedged.wait(1)
    hedged.answer(0, 503)
    hedged.wait(2)
    // The retry is late, and has a backup of its own.
    hedged.wait(3)
    hedged.answer(2)
    #expect(hedged.answered(client)?.first("x-n") == "2")
    hedged.expectClean()
    #expect(hedged.world.value(ClusterMetric.upstreamRqRetry) == 2)
  }

  @Test("a trusted request may ask for backups, or for none", arguments: [true, false])
  func header(asks: Bool) {
    let hedged = HedgedWorld(
      .one,
      manager: {
        $0.useRemoteAddress = true
        $0.internalAddressRanges = [CIDRRange(bytes: [127, 0, 0, 0], prefixLength: 8)]
      }, route: { $0.hedgesOnPerTryTimeout = !asks })
    let client = hedged.world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx-envoy-hedge-on-per-try-timeout: \(asks)\r\n\r\n")
    hedged.wait(2)
    #expect(hedged.isCancelled(0) != asks)
    #expect(hedged.attempts[1].message.first("x-envoy-hedge-on-per-try-timeout") == nil)
    hedged.answer(1)
    #expect(hedged.answered(client)?.status == 200)
    hedged.expectClean()
  }

  @Test("the virtual host's word holds for routes that say nothing; attempts are numbered")
  func levels() {
    let hedged = HedgedWorld(.one, route: { $0.hedgesOnPerTryTimeout = nil })
    guard case .httpConnectionManager(var manager) = hedged.world.config.listeners[0].filterChains[0].filters[0],
      case .inline(var table) = manager.routes
    else { return }
    table.virtualHosts[0].hedgesOnPerTryTimeout = true
    table.virtualHosts[0].includeRequestAttemptCount = true
    manager.routes = .inline(table)
    hedged.world.listen([.httpConnectionManager(manager)])
    hedged.world.apply()
    let client = hedged.get()
    hedged.wait(2)
    #expect(hedged.attempts.map { $0.message.first("x-envoy-attempt-count") } == ["1", "2"])
    #expect(!hedged.isCancelled(0))
    hedged.answer(0)
    #expect(hedged.answered(client)?.status == 200)
    hedged.expectClean()
  }

  // MARK: Where it meets something else

  /// Two attempts at a host whose one connection takes one stream at a time: the second waits for the first one's place.
  private func queued() -> (HedgedWorld, Peer) {
    let hedged = HedgedWorld(
      .two, ports: [8080], retries: 2, streamsPerConnection: 1,
      cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    // The endpoint says how many it takes.
    let first = hedged.get()
    hedged.wait(1)
    hedged.answer(0)
    #expect(hedged.answered(first)?.status == 200)
    let client = hedged.get()
    hedged.wait(2)
    hedged.world.advance(by: .milliseconds(150))
    #expect(hedged.attempts.count == 2)
    #expect(hedged.world.value(ClusterMetric.upstreamRqPendingActive) == 1)
    return (hedged, client)
  }

  @Test("a backup that waits for the first attempt's place gets it when that one fails", arguments: [true, false])
  func placeOfFailed(resets: Bool) {
    let (hedged, client) = queued()
    if resets { hedged.reset(1) } else { hedged.answer(1, 503) }
    hedged.wait(3)
    #expect(client.received.isEmpty)
    hedged.answer(2)
    #expect(hedged.answered(client)?.first("x-n") == "2")
    hedged.expectClean()
  }

  @Test(
    "a backup that still waits is over when the first attempt answers, and when its client goes", arguments: [0, 1])
  func waitingLoses(end: Int) {
    let (hedged, client) = queued()
    if end == 0 {
      hedged.answer(1)
      #expect(hedged.answered(client)?.first("x-n") == "1")
    } else {
      client.reset()
      hedged.world.settle()
    }
    hedged.expectClean()
    #expect(hedged.attempts.count == 2)
  }

  @Test("the last place at the breaker goes to another request: the backup that waited for it is none")
  func placeTaken() {
    let (hedged, client) = queued()
    let other = hedged.get()
    hedged.world.settle()
    hedged.world.config.clusters[0].circuitBreakers.standard.maxRequests = 0
    hedged.world.apply()
    // What waits finds no room when its turn comes; what runs goes on.
    hedged.reset(1)
    #expect(hedged.answered(client)?.status == 503)
    #expect(hedged.answered(other)?.status == 503)
    hedged.expectClean()
  }

  @Test(
    "the place of a backup goes to the next one, which the breaker refuses: the request is answered once, and nothing is left",
    arguments: [true, false])
  func placeOfBackupRefused(resets: Bool) {
    let (hedged, client) = queued()
    hedged.reset(1)
    hedged.wait(3)
    hedged.world.advance(by: .milliseconds(150))
    #expect(hedged.world.value(ClusterMetric.upstreamRqPendingActive) == 1)
    hedged.world.config.clusters[0].circuitBreakers.standard.maxRequests = 0
    hedged.world.apply()
    if resets { hedged.reset(2) } else { hedged.answer(2, 503) }
    #expect(hedged.answered(client)?.status == 503)
    hedged.world.settle()
    hedged.expectClean()
    #expect(hedged.attempts.count == 3)
  }

  @Test("a request with a backup is copied once", arguments: Version.allCases)
  func mirrored(version: Version) {
    let hedged = HedgedWorld(version, route: { $0.mirrors = [MirrorPolicy(cluster: "copies")] })
    var cluster = hedged.world.config.clusters[0]
    cluster.name = "copies"
    cluster.loadAssignment.localities[0].endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: 8090))]
    hedged.world.config.clusters.append(cluster)
    hedged.world.server.listen(8090)
    hedged.world.apply()
    let client = hedged.world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
    hedged.world.settle()
    client.send("cd")
    hedged.wait(3)
    let copies = hedged.attempts.indices.filter { hedged.attempts[$0].peer.port == 8090 }
    let own = hedged.attempts.indices.filter { hedged.attempts[$0].peer.port != 8090 }
    #expect(copies.count == 1 && own.count == 2)
    #expect(hedged.attempts.allSatisfy { $0.message.body == Array("abcd".utf8) })
    hedged.answer(own[1])
    #expect(hedged.answered(client)?.first("x-n") == "\(own[1])")
    hedged.world.settle()
    #expect(!hedged.isCancelled(copies[0]))
    hedged.answer(copies[0])
    hedged.expectClean()
    #expect(hedged.attempts.count == 3)
  }

  @Test("a request whose content is more than is kept has no backup, and is not cut for being late")
  func tooLargeToKeep() {
    let hedged = HedgedWorld(.one)
    hedged.world.config.listeners[0].perConnectionBufferLimitBytes = 10_000
    hedged.world.apply()
    let body = pattern(50_000)
    let client = hedged.world.connect()
    client.send(Array("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body)
    hedged.wait(1)
    hedged.world.advance(by: .milliseconds(500))
    #expect(hedged.attempts.count == 1 && client.received.isEmpty && !hedged.isCancelled(0))
    hedged.answer(0)
    #expect(hedged.answered(client)?.status == 200)
    hedged.expectClean()
  }

  @Test("an upgrade has no backup: it is cut when its time is over")
  func upgrade() {
    let hedged = HedgedWorld(.one, manager: { $0.upgrades = [UpgradeConfiguration(type: "websocket")] })
    let client = hedged.world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    hedged.wait(1)
    hedged.world.advance(by: .milliseconds(150))
    #expect(hedged.isCancelled(0))
    client.reset()
    hedged.expectClean()
  }

  @Test("a backup speaks what its client does, where the cluster does", arguments: Version.allCases)
  func clientsVersion(version: Version) {
    let hedged = HedgedWorld(version, cluster: { $0.upstreamProtocol = .useDownstream })
    let peer = hedged.world.connect()
    if version == .two {
      let client = H2Peer(.client, peer)
      let id = client.request(.get, "/")
      hedged.wait(2)
      hedged.answer(1)
      #expect(hedged.world.run { client.messages[id]?.ended ?? false })
      #expect(client.messages[id]?.first("x-n") == "1")
    } else {
      peer.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
      hedged.wait(2)
      hedged.answer(1)
      #expect(hedged.answered(peer)?.first("x-n") == "1")
    }
    hedged.expectClean()
  }

  @Test("a worker that drains waits for a race, and for nothing of it afterwards", arguments: Version.allCases)
  func drains(version: Version) {
    let hedged = HedgedWorld(version)
    let client = hedged.get()
    hedged.wait(2)
    var isDrained = false
    let loop = hedged.world.proxyLoop
    hedged.world.engine.drain(until: loop.now.advanced(nanoseconds: 5_000_000_000)) { isDrained = true }
    hedged.world.advance(by: .milliseconds(200))
    #expect(!isDrained)
    hedged.answer(1)
    #expect(hedged.answered(client)?.first("x-n") == "1")
    #expect(hedged.world.run(for: .seconds(1)) { isDrained })
    hedged.expectClean()
  }

  @Test("an HTTP/2 client that takes one request back ends its attempts alone", arguments: Version.allCases)
  func clientResets(version: Version) {
    let hedged = HedgedWorld(version, ports: [8080])
    let client = H2Peer(.client, hedged.world.connect())
    let given = client.request(.get, "/a")
    let kept = client.request(.get, "/b")
    hedged.wait(4)
    client.reset(given)
    hedged.world.settle()
    let cancelled = hedged.attempts.indices.filter { hedged.isCancelled($0) }
    #expect(cancelled.count == 2)
    for i in hedged.attempts.indices where !cancelled.contains(i) { hedged.answer(i) }
    #expect(hedged.world.run { client.messages[kept]?.ended ?? false })
    #expect(client.messages[kept]?.status == 200)
    hedged.expectClean()
  }
}
