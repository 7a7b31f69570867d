import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyTestKit

extension HTTPConnectionManager {
  /// Clients on the loopback are internal: their wishes count.
  mutating func trustLoopback() {
    useRemoteAddress = true
    internalAddressRanges = [CIDRRange(bytes: [127, 0, 0, 0], prefixLength: 8)]
  }
}

@Suite("what a request asks of the router")
struct RequestWishesTests {
  private func request(_ fields: String, method: String = "GET") -> String {
    "\(method) / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
  }

  /// Answers with each of `answers` in turn, then with 200; returns the heads seen.
  private func serve(_ world: ProxyWorld, _ answers: [String]) -> () -> [String] {
    var heads: [String] = []
    world.server.onBytes = { peer in
      while let message = HTTP1Text(peer.received) {
        heads.append(String(decoding: peer.received.prefix(message.length), as: UTF8.self).lowercased())
        peer.received.removeFirst(message.length)
        let i = heads.count - 1
        peer.send(
          "HTTP/1.1 " + (i < answers.count ? answers[i] : "200 OK\r\n") + "content-length: 0\r\n\r\n")
      }
    }
    return { heads }
  }

  private static let all = [
    "x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries", "x-envoy-retriable-status-codes",
    "x-envoy-retriable-header-names", "x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-hedge-on-per-try-timeout",
  ]

  @Test(
    "conditions of a trusted request add to those of the route, which may have none",
    arguments: [
      ("x-envoy-retry-on: 5xx", "500 X\r\n", 2), ("x-envoy-retry-on: gateway-error", "500 X\r\n", 1),
      ("x-envoy-retry-on: gateway-error, 5xx", "500 X\r\n", 2),
      ("x-envoy-retry-on: gateway-error\r\nx-envoy-retry-on: 5xx", "500 X\r\n", 2),
      ("x-envoy-retry-on: retriable-4xx", "409 X\r\n", 2), ("x-envoy-retry-on: nonsense", "500 X\r\n", 1),
      ("x-envoy-retry-on: retriable-status-codes\r\nx-envoy-retriable-status-codes: 418, 425", "418 X\r\n", 2),
      ("x-envoy-retry-on: retriable-status-codes\r\nx-envoy-retriable-status-codes: 425", "418 X\r\n", 1),
      (
        "x-envoy-retry-on: retriable-headers\r\nx-envoy-retriable-header-names: x-a, X-Again",
        "200 X\r\nx-again: 1\r\n", 2
      ),
      ("x-envoy-retry-on: retriable-headers\r\nx-envoy-retriable-header-names: x-a", "200 X\r\nx-again: 1\r\n", 1),
      ("x-envoy-retry-grpc-on: unavailable\r\ncontent-type: application/grpc", "200 X\r\ngrpc-status: 14\r\n", 2),
      ("x-envoy-retry-grpc-on: cancelled\r\ncontent-type: application/grpc", "200 X\r\ngrpc-status: 14\r\n", 1),
      // Each field names its own kind of condition.
      ("x-envoy-retry-on: unavailable\r\ncontent-type: application/grpc", "200 X\r\ngrpc-status: 14\r\n", 1),
      ("x-envoy-retry-grpc-on: 5xx", "500 X\r\n", 1),
      ("x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 0", "500 X\r\n", 1),
      ("x-envoy-max-retries: 3", "500 X\r\n", 1),
    ])
  func conditions(fields: String, answer: String, tries: Int) {
    let world = ProxyWorld()
    world.simple(manager: { $0.trustLoopback() })
    let heads = serve(world, [answer])
    let client = world.connect()
    client.send(request(fields + "\r\n"))
    #expect(world.run { HTTP1Text(client.received, bodiless: true) != nil })
    #expect(heads().count == tries)
    for head in heads() { for name in Self.all { #expect(!head.contains(name + ":"), "\(name) passes on") } }
    world.settle()
    world.expectClean()
    #expect(world.proxyLoop.pool.lentBytes == 0)
  }

  @Test("a request may ask for more tries than the route allows")
  func maxRetries() {
    let world = ProxyWorld()
    world.simple(
      manager: { $0.trustLoopback() },
      route: {
        $0.retryPolicy = RetryPolicy(retryOn: [.gatewayError])
      })
    let heads = serve(world, Array(repeating: "503 X\r\n", count: 4))
    let client = world.connect()
    client.send(request("x-envoy-max-retries: 4\r\n"))
    #expect(world.run { HTTP1Text(client.received, bodiless: true) != nil })
    #expect(heads().count == 5)
    #expect(client.text.hasPrefix("HTTP/1.1 200 "))
  }

  @Test("wishes of strangers are not heard and do not pass", arguments: [true, false])
  func strangers(useRemoteAddress: Bool) {
    let world = ProxyWorld()
    world.simple(manager: { $0.useRemoteAddress = useRemoteAddress })
    let heads = serve(world, ["500 X\r\n"])
    let client = world.connect()
    client.send(
      request(
        "x-envoy-retry-on: 5xx\r\nx-envoy-max-retries: 3\r\nx-envoy-upstream-rq-timeout-ms: 1\r\n"
          + "x-envoy-internal: true\r\nx-envoy-expected-rq-timeout-ms: 7\r\nx-envoy-original-path: /admin\r\n"))
    #expect(world.run { HTTP1Text(client.received, bodiless: true) != nil })
    #expect(client.text.hasPrefix("HTTP/1.1 500 "))
    #expect(heads().count == 1)
    // What was rewritten on the way is a stranger's word at the edge only; behind it the hop before us may have said it.
    for name in Self.all + ["x-envoy-internal"] + (useRemoteAddress ? ["x-envoy-original-path"] : []) {
      #expect(!(heads().first?.contains(name + ":") ?? true))
    }
    #expect(heads().first?.contains("x-envoy-expected-rq-timeout-ms: 15000\r\n") ?? false)
  }

  @Test("a trusted request sets its time-out, the whole and each try's")
  func timeouts() {
    let world = ProxyWorld()
    world.simple(manager: { $0.trustLoopback() }, route: { $0.timeout = .seconds(60) })
    let whole = world.connect()
    whole.send(request("x-envoy-upstream-rq-timeout-ms: 500\r\n"))
    world.advance(by: .milliseconds(450))
    #expect(whole.received.isEmpty)
    world.advance(by: .milliseconds(100))
    #expect(whole.text.hasPrefix("HTTP/1.1 504 "))
    #expect(world.server.accepted[0].text.lowercased().contains("x-envoy-expected-rq-timeout-ms: 500\r\n"))

    let tries = world.connect()
    let before = world.server.accepted.count
    tries.send(
      request(
        "x-envoy-upstream-rq-per-try-timeout-ms: 300\r\nx-envoy-retry-on: gateway-error\r\nx-envoy-max-retries: 2\r\n"))
    world.advance(by: .milliseconds(800))
    #expect(tries.received.isEmpty)
    world.advance(by: .milliseconds(400))
    #expect(tries.text.hasPrefix("HTTP/1.1 504 "))
    #expect(world.server.accepted.count == before + 3)
    #expect(world.server.accepted[before].text.lowercased().contains("x-envoy-expected-rq-timeout-ms: 300\r\n"))
    #expect(world.value(ClusterMetric.upstreamRqPerTryTimeout) == 3)

    // Not a number: as if it were not there. Zero: no time-out.
    for (value, announced) in [("soon", "60000"), ("0", nil as String?)] {
      let client = world.connect()
      let before = world.server.accepted.count
      client.send(request("x-envoy-upstream-rq-timeout-ms: \(value)\r\n"))
      #expect(
        world.run { world.server.accepted.count > before && world.server.accepted[before].text.hasSuffix("\r\n\r\n") })
      let head = world.server.accepted[before].text.lowercased()
      if let announced {
        #expect(head.contains("x-envoy-expected-rq-timeout-ms: \(announced)\r\n"))
      } else {
        #expect(!head.contains("x-envoy-expected-rq-timeout-ms"))
        world.advance(by: .seconds(100))
        #expect(client.received.isEmpty)
      }
      client.close()
      world.settle()
    }
  }

  @Test(
    "the upstream hears how long its answer is waited for",
    arguments: [
      (nil, nil, false, "15000"), (5, nil, false, "5000"), (5, 2, false, "2000"), (5, 9, false, "5000"),
      (0, nil, false, nil), (0, 2, false, "2000"), (5, nil, true, nil),
    ] as [(Int?, Int?, Bool, String?)])
  func expected(timeout: Int?, perTry: Int?, suppressed: Bool, announced: String?) {
    let world = ProxyWorld()
    world.simple(
      manager: { manager in
        var options = RouterOptions()
        options.suppressEnvoyHeaders = suppressed
        manager.filters = [ConfiguredFilter(name: "router", .router(options))]
      },
      route: { action in
        action.timeout = timeout.map { .seconds($0) }
        if let perTry {
          var policy = RetryPolicy(retryOn: [.gatewayError])
          policy.perTryTimeout = .seconds(perTry)
          action.retryPolicy = policy
        }
      })
    let client = world.connect()
    client.send(request(""))
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    let head = HTTP1Text(world.server.accepted[0].received)
    #expect(head?.first("x-envoy-expected-rq-timeout-ms") == announced)
  }

  @Test("what another proxy expects is this one's time-out where that is configured")
  func respected() {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      manager.trustLoopback()
      var options = RouterOptions()
      options.respectExpectedRequestTimeout = true
      manager.filters = [ConfiguredFilter(name: "router", .router(options))]
    })
    let client = world.connect()
    client.send(request("x-envoy-expected-rq-timeout-ms: 400\r\nx-envoy-upstream-rq-timeout-ms: 9000\r\n"))
    world.advance(by: .milliseconds(300))
    #expect(client.received.isEmpty)
    world.advance(by: .milliseconds(200))
    #expect(client.text.hasPrefix("HTTP/1.1 504 "))
  }

  @Test("a later try is announced with the time that is left")
  func timeLeft() {
    let world = ProxyWorld()
    world.simple(route: { action in
      action.timeout = .seconds(10)
      var policy = RetryPolicy(retryOn: [.serverError])
      policy.backoffBase = .milliseconds(1)
      policy.backoffMax = .milliseconds(1)
      action.retryPolicy = policy
    })
    let client = world.connect()
    client.send(request(""))
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.advance(by: .seconds(4))
    world.server.accepted[0].received = []
    world.server.accepted[0].send("HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n")
    #expect(world.run { world.server.accepted[0].text.hasSuffix("\r\n\r\n") })
    let left = HTTP1Text(world.server.accepted[0].received)?.first("x-envoy-expected-rq-timeout-ms").flatMap { Int($0) }
    #expect((5_900...6_000).contains(left ?? 0), "\(left ?? -1)")
  }

  @Test("a gRPC request's own time-out goes on as what is left of it", arguments: [GRPCTimeoutBounds.stream, .request])
  func grpcTimeout(_ bounds: GRPCTimeoutBounds) {
    let world = ProxyWorld()
    world.simple(route: {
      $0.grpcTimeoutBounds = bounds
      $0.grpcTimeoutHeaderMax = .seconds(3)
      $0.grpcTimeoutHeaderOffset = .milliseconds(50)
    })
    let client = world.connect()
    client.send(request("content-type: application/grpc\r\ngrpc-timeout: 2S\r\n"))
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    let head = HTTP1Text(world.server.accepted[0].received)
    #expect(head?.first("grpc-timeout") == "1950m")
    #expect(head?.first("x-envoy-expected-rq-timeout-ms") == (bounds == .request ? "1950" : "15000"))
    let scratch = HeadScratch()
    for (milliseconds, text) in [
      (0, "1m"), (1, "1m"), (99_999_999, "99999999m"), (100_000_000, "100000S"), (UInt64.max / 1_000_000, "5124095H"),
    ] as [(UInt64, String)] {
      #expect(GRPCTimeoutText.text(nanoseconds: milliseconds * 1_000_000, scratch: scratch.head).string == text)
    }
  }

  @Test("attempts are counted for both sides where the virtual host says so")
  func attemptCount() {
    let world = ProxyWorld()
    world.simple(
      manager: { manager in
        guard case .inline(var routes) = manager.routes else { return }
        routes.virtualHosts[0].includeRequestAttemptCount = true
        routes.virtualHosts[0].includeAttemptCountInResponse = true
        manager.routes = .inline(routes)
      }, route: { $0.retryPolicy = RetryPolicy(retryOn: [.serverError]) })
    let heads = serve(world, ["500 X\r\n"])
    let client = world.connect()
    client.send(request("x-envoy-attempt-count: 77\r\n"))
    #expect(world.run { HTTP1Text(client.received, bodiless: true) != nil })
    #expect(heads().map { $0.contains("x-envoy-attempt-count: 1\r\n") } == [true, false])
    #expect(heads().map { $0.contains("x-envoy-attempt-count: 2\r\n") } == [false, true])
    #expect(HTTP1Text(client.received, bodiless: true)?.first("x-envoy-attempt-count") == "2")
  }

  @Test(
    "an upstream says when to try again, in the headers that the policy names",
    arguments: [
      ("retry-after: 2", 2.0, 3.0), ("retry-after:  2", 2, 3), ("retry-after: 0", 0, 0.001),
      // The first that is usable counts.
      ("x-reset: nonsense\r\nretry-after: 2", 2, 3), ("x-reset: 1\r\nretry-after: 20", 1, 1.5),
      // Too long is not honoured, nor is what is no number: the usual back-off is.
      ("retry-after: 31", 0, 0.026), ("retry-after: Fri, 31 Dec 1999 23:59:59 GMT", 0, 0.026),
      ("retry-after: 99999999999999999999", 0, 0.026), ("retry-after: -1", 0, 0.026), ("x-other: 5", 0, 0.026),
    ])
  func rateLimited(fields: String, least: Double, most: Double) {
    for seed in 1...5 as ClosedRange<UInt64> {
      let world = ProxyWorld(seed: seed)
      world.simple(route: { action in
        action.timeout = .seconds(60)
        var policy = RetryPolicy(retryOn: [.retriableStatusCodes])
        policy.retriableStatusCodes = [429]
        var limited = RetryPolicy.RateLimitedBackoff(resetHeaders: [
          .init(name: "X-Reset", format: .seconds), .init(name: "Retry-After", format: .seconds),
        ])
        limited.maxInterval = .seconds(30)
        policy.rateLimitedBackoff = limited
        action.retryPolicy = policy
      })
      var seen: [MonotonicInstant] = []
      world.server.onBytes = { peer in
        guard peer.text.hasSuffix("\r\n\r\n") else { return }
        peer.received = []
        seen.append(world.serverLoop.now)
        peer.send("HTTP/1.1 \(seen.count == 1 ? "429 X\r\n\(fields)" : "200 OK")\r\ncontent-length: 0\r\n\r\n")
      }
      let client = world.connect()
      client.send(request(""))
      #expect(world.run { HTTP1Text(client.received) != nil })
      #expect(client.text.hasPrefix("HTTP/1.1 200 "))
      guard seen.count == 2 else { continue }
      let waited = Double(seen[1].nanoseconds - seen[0].nanoseconds) / 1e9
      // A timer's tick, and the way there and back.
      #expect(waited >= least && waited <= most + 0.05, "seed \(seed): \(waited)")
      let asked = most > 0.5 || fields.hasSuffix(" 0")
      #expect(world.value(ClusterMetric.upstreamRqRetryBackoffRatelimited) == (asked ? 1 : 0))
      #expect(world.value(ClusterMetric.upstreamRqRetryBackoffExponential) == (asked ? 0 : 1))
    }
  }

  @Test("a moment to try again at is as good as a time to wait")
  func resetTimestamp() {
    let world = ProxyWorld()
    world.simple(route: { action in
      action.timeout = .seconds(60)
      var policy = RetryPolicy(retryOn: [.serverError])
      policy.rateLimitedBackoff = RetryPolicy.RateLimitedBackoff(resetHeaders: [
        .init(name: "x-ratelimit-reset", format: .unixTimestamp)
      ])
      action.retryPolicy = policy
    })
    var seen: [MonotonicInstant] = []
    world.server.onBytes = { peer in
      guard peer.text.hasSuffix("\r\n\r\n") else { return }
      peer.received = []
      seen.append(world.serverLoop.now)
      let moment = world.engine.wallClock() / 1_000_000_000 + 10
      peer.send(
        "HTTP/1.1 \(seen.count == 1 ? "503 X\r\nx-ratelimit-reset: \(moment)" : "200 OK")\r\ncontent-length: 0\r\n\r\n")
    }
    let client = world.connect()
    client.send(request(""))
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(client.text.hasPrefix("HTTP/1.1 200 "))
    let waited = seen.count == 2 ? Double(seen[1].nanoseconds - seen[0].nanoseconds) / 1e9 : 0
    #expect(waited >= 9 && waited <= 15.1, "\(waited)")
  }
}
