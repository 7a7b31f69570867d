import Foundation
import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftTestKit

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// A world whose log says of each request its status, flags and details.
private struct LoggedWorld {
  let world = ProxyWorld()
  let directory = TemporaryDirectory()

  init(
    upstream version: Version = .one, format: String = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%",
    manager: (inout HTTPConnectionManager) -> Void = { _ in }, retries: ((inout RetryPolicy) -> Void)? = nil,
    cluster: (inout Cluster) -> Void = { _ in }
  ) {
    world.simple(
      upstream: version,
      manager: {
        $0.accessLogs = [.file(directory.file("log"), format + "\n")]
        manager(&$0)
      },
      route: {
        guard let retries else { return }
        var policy = RetryPolicy(retryOn: [.serverError])
        policy.backoffBase = .nanoseconds(1)
        policy.backoffMax = .nanoseconds(1)
        retries(&policy)
        $0.retryPolicy = policy
      },
      cluster: cluster)
  }

  /// The lines of all that has ended.
  func lines() -> [String] {
    world.settle()
    world.logs.flush()
    return (try? String(contentsOfFile: directory.file("log"), encoding: .utf8))?
      .split(separator: "\n").map(String.init) ?? []
  }

  @discardableResult
  func ask() -> Peer {
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { HTTP1Text(client.received) != nil || client.isOver })
    return client
  }

  /// Servers of HTTP/2 that do with each request, by its number, what `act` says.
  func serve(_ act: @escaping (_ number: Int, H2Peer, H2StreamID) -> Void) {
    var number = 0
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, _ in
        number += 1
        act(number, h2, id)
      }
    }
  }

  /// Servers of HTTP/1 that do with each request, by its number, what `act` says.
  func serve(_ act: @escaping (_ number: Int, Peer) -> Void) {
    var number = 0
    world.server.onBytes = { peer in
      guard peer.text.hasSuffix("\r\n\r\n") else { return }
      peer.received = []
      number += 1
      act(number, peer)
    }
  }
}

private let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
private let unavailable = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"

@Suite("what the log says of attempts")
struct AttemptLogTests {
  @Test(
    "the reset of a stream is told by its code, before the head of the answer and behind it",
    arguments: [
      (.protocolError, "502 UPE upstream_reset_before_response_started{protocol_error}", "UPE", "protocol_error"),
      (
        .refusedStream, "503 UR upstream_reset_before_response_started{remote_refused_stream_reset}", "UR",
        "remote_refused_stream_reset"
      ),
      (.cancel, "503 UR upstream_reset_before_response_started{remote_reset}", "UR", "remote_reset"),
      (.internalError, "503 UR upstream_reset_before_response_started{remote_reset}", "UR", "remote_reset"),
    ] as [(H2ErrorCode, String, String, String)])
  func codes(code: H2ErrorCode, before: String, flag: String, behind: String) {
    let early = LoggedWorld(upstream: .two)
    early.serve { _, h2, id in h2.reset(id, code) }
    early.ask()
    #expect(early.lines() == [before])
    let late = LoggedWorld(upstream: .two)
    late.serve { _, h2, id in
      h2.respond(id, body: Array("part".utf8), end: false)
      h2.reset(id, code)
    }
    late.ask()
    #expect(late.lines() == ["200 \(flag) upstream_reset_after_response_started{\(behind)}"])
    #expect(late.world.value(ClusterMetric.upstreamRqRxReset) == 1)
    early.world.expectClean()
    late.world.expectClean()
  }

  @Test("of an attempt that failed, nothing stays in the log when the next one went well", arguments: [true, false])
  func nothingStays(breaksRules: Bool) {
    let logged = LoggedWorld(upstream: .two, retries: { _ in })
    logged.serve { number, h2, id in
      if number > 1 { return h2.respond(id, body: Array("ok".utf8)) }
      // A head that no answer has, or the word that we broke the rules.
      let head = RawH2.frame(1, 5, UInt32(id), [0x88] + RawH2.literal("Capital", "x"))
      if breaksRules { h2.peer.send(head) } else { h2.reset(id, .protocolError) }
    }
    #expect(HTTP1Text(logged.ask().received)?.status == 200)
    #expect(logged.lines() == ["200 - via_upstream"])
    #expect(logged.world.value(ClusterMetric.upstreamRqRetry) == 1)
    logged.world.expectClean()
  }

  @Test("an attempt on which nothing moves has failed by its own time-out, not by the stream's")
  func idle() {
    let logged = LoggedWorld(retries: { $0.perTryIdleTimeout = .seconds(1) })
    logged.serve { number, peer in if number == 2 { peer.send(ok) } }
    #expect(HTTP1Text(logged.ask().received)?.text == "ok")
    #expect(logged.lines() == ["200 - via_upstream"])
    // In vain, and behind the head.
    logged.serve { _, _ in }
    #expect(HTTP1Text(logged.ask().received)?.status == 504)
    logged.serve { _, peer in peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n") }
    logged.ask()
    #expect(logged.world.run { logged.world.engine.streams.count == 0 })
    let lines = logged.lines()
    #expect(lines.dropFirst() == ["504 UT,URX upstream_per_try_idle_timeout", "200 UT upstream_per_try_idle_timeout"])
    logged.world.expectClean()
  }

  @Test("a retry that a breaker forbids is an overflow to the log", arguments: [true, false])
  func forbidden(byBudget: Bool) {
    let logged = LoggedWorld(
      retries: { _ in },
      cluster: {
        if byBudget {
          var budget = CircuitBreakers.RetryBudget()
          budget.percent = 0
          budget.minConcurrency = 0
          $0.circuitBreakers.standard.retryBudget = budget
        } else {
          $0.circuitBreakers.standard.maxRetries = 0
        }
      })
    logged.serve { number, peer in
      if number == 1 { peer.send(unavailable) } else { peer.reset() }
    }
    #expect(HTTP1Text(logged.ask().received)?.status == 503)
    #expect(HTTP1Text(logged.ask().received)?.status == 503)
    #expect(
      logged.lines() == [
        "503 UO via_upstream", "503 UC,UO upstream_reset_before_response_started{connection_termination}",
      ])
    #expect(logged.world.value(ClusterMetric.upstreamRqRetryOverflow) == 2)
    logged.world.expectClean()
  }

  @Test("a request counts as active when a retry of its own may be a share of the active ones", arguments: 0..<3)
  func ownShare(end: Int) {
    let logged = LoggedWorld(
      retries: { _ in },
      cluster: {
        var budget = CircuitBreakers.RetryBudget()
        budget.percent = 100
        budget.minConcurrency = 0
        $0.circuitBreakers.standard.retryBudget = budget
      })
    logged.serve { number, peer in
      if number > 1 { return peer.send(ok) }
      switch end {
      case 0: peer.send(unavailable)
      case 1: peer.reset()
      default: peer.close()
      }
    }
    #expect(HTTP1Text(logged.ask().received)?.status == 200)
    #expect(logged.lines() == ["200 - via_upstream"])
    logged.world.expectClean()
  }

  @Test(
    "of an answer to a request that did not come, the log knows the head",
    arguments: ["GET / HTTP/1.1\r\nhost: a\r\n", "PRI * HTTP/2.0\r\n"])
  func halfAHead(_ bytes: String) {
    let logged = LoggedWorld(
      format: "%RESPONSE_CODE% %RESP(CONTENT-TYPE)%", manager: { $0.requestHeadersTimeout = .seconds(1) })
    let client = logged.world.connect()
    client.send(bytes)
    #expect(logged.world.run { client.isOver })
    #expect(logged.lines() == ["408 text/plain"])
    logged.world.expectClean()
  }

  @Test(
    "a TCP server's reset is the client's, and told by the log; its orderly end is neither", arguments: [true, false])
  func bytes(byReset: Bool) {
    let world = ProxyWorld()
    world.simple()
    let directory = TemporaryDirectory()
    var proxy = TCPProxy(statPrefix: "tcp", cluster: .single("backend"))
    proxy.accessLogs = [.file(directory.file("log"), "%RESPONSE_FLAGS%\n")]
    world.listen([.tcpProxy(proxy)])
    world.apply()
    world.server.onBytes = { peer in if byReset { peer.reset() } else { peer.close() } }
    let client = world.connect()
    client.send("ping")
    #expect(world.run { client.isClosed })
    #expect((client.closeReason?.kind == .peerReset) == byReset)
    world.settle()
    world.logs.flush()
    let line = (try? String(contentsOfFile: directory.file("log"), encoding: .utf8)) ?? ""
    #expect(line == (byReset ? "UR\n" : "-\n"))
    world.expectClean()
  }
}

@Suite("what a further attempt says of itself")
struct FurtherAttemptTests {
  @Test(
    "whether the time of another one was over, where the virtual host asks for it",
    arguments: [["hang"], ["503"], ["hang", "503"], ["reset", "hang"]], [true, false])
  func timeoutRetry(acts: [String], isIdle: Bool) {
    let logged = LoggedWorld(
      manager: {
        guard case .inline(var routes) = $0.routes else { return }
        routes.virtualHosts[0].includeIsTimeoutRetryHeader = true
        $0.routes = .inline(routes)
      },
      retries: {
        $0.maxRetries = 2
        if isIdle { $0.perTryIdleTimeout = .seconds(1) } else { $0.perTryTimeout = .seconds(1) }
      })
    var said: [String?] = []
    logged.world.server.onBytes = { peer in
      guard let message = HTTP1Text(peer.received) else { return }
      peer.received = []
      said.append(message.first("x-envoy-is-timeout-retry"))
      guard said.count <= acts.count else { return peer.send(ok) }
      switch acts[said.count - 1] {
      case "503": peer.send(unavailable)
      case "reset": peer.reset()
      default: break
      }
    }
    #expect(HTTP1Text(logged.ask().received)?.status == 200)
    #expect(said == [nil] + acts.map { $0 == "hang" ? "true" : "false" })
    logged.world.expectClean()
  }
}
