import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy

@Suite("peers that do what they should not")
struct HostilePeerTests {
  private func get(_ path: String = "/", _ fields: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
  }

  @Test(
    "a grpc-timeout of any eight digits is a time-out",
    arguments: [
      ("9999999H", UInt64.max), ("99999999H", .max), ("5124095H", 5_124_095 * 3_600_000_000_000),
      ("99999999M", 99_999_999 * 60_000_000_000), ("1S", 1_000_000_000), ("2m", 2_000_000), ("3u", 3000), ("4n", 4),
    ])
  func grpcTimeouts(text: String, nanoseconds: UInt64) {
    text.withByteView { #expect(GRPCTimeoutText.nanoseconds($0) == nanoseconds) }
    let world = ProxyWorld()
    world.simple(route: { $0.grpcTimeoutHeaderMax = .zero })
    let client = world.connect()
    client.send(get("/", "grpc-timeout: \(text)\r\n"))
    world.settle()
    #expect(world.engine.streams.count <= 1)
  }

  @Test(
    "what an upstream sends behind its response reaches no other request",
    arguments: ["content-length: 4\r\n\r\nmine", "content-length: 0\r\n\r\n", "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"])
  func surplus(response: String) {
    let world = ProxyWorld()
    world.simple(cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    let first = world.connect()
    first.send(get("/first"))
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    let second = world.connect()
    second.send(get("/second"))
    world.settle()
    // One connection is the limit: the second request waits for it.
    #expect(world.server.accepted.count == 1)
    world.server.onBytes = { peer in
      if peer.text.contains("/second") { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine") }
    }
    world.server.accepted[0].send(
      "HTTP/1.1 200 OK\r\n\(response)HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
    #expect(world.run { second.text.hasSuffix("\r\n\r\nfine") || second.isOver })
    #expect(second.text.hasSuffix("\r\n\r\nfine"))
    #expect(first.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(!first.text.contains("poison"))
    #expect(!world.server.accepted[0].text.contains("/second"))
    #expect(world.value(ClusterMetric.upstreamCxProtocolError) == 1)
    world.settle()
    world.expectClean()
  }
}
