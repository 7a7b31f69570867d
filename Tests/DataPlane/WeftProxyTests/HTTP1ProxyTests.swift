import Testing
import WeftBase
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("HTTP/1 through the proxy")
struct HTTP1ProxyTests {
  /// A server that answers each complete head with `response`.
  private func answer(_ world: ProxyWorld, _ response: @escaping (String) -> String) {
    world.server.onBytes = { peer in
      while let end = peer.text.range(of: "\r\n\r\n") {
        let head = String(peer.text[..<end.upperBound])
        peer.received.removeFirst(head.utf8.count)
        peer.send(response(head))
      }
    }
  }

  @Test("a head as large as a listener may allow passes; one that is larger than it does is refused")
  func largestHead() {
    // Of the largest there may be (8,192 KiB) a quarter: each byte is slow without optimisation.
    let mebibytes = 2
    #expect(Limits().stashedBytes > 8192 << 10)
    let world = ProxyWorld()
    world.simple(manager: {
      $0.maxRequestHeadersBytes = UInt32(mebibytes << 20)
      $0.maxHeadersCount = 1000
    })
    world.server.onBytes = { peer in
      if peer.received.suffix(4) == Array("\r\n\r\n".utf8) {
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
      }
    }
    func head(_ bytes: Int) -> [UInt8] {
      var text = "GET / HTTP/1.1\r\nhost: a\r\n"
      while text.utf8.count < bytes - 40_000 {
        text += "x-\(text.utf8.count): " + String(repeating: "v", count: 30_000) + "\r\n"
      }
      return Array((text + "\r\n").utf8)
    }
    let large = head(mebibytes << 20)
    let client = world.connect()
    client.send(large)
    #expect(world.run { client.text.hasSuffix("ok") })
    #expect(world.server.accepted.first?.received.count ?? 0 > large.count)
    let other = world.connect()
    other.send(head((mebibytes << 20) + 200_000))
    #expect(world.run { other.isOver })
    #expect(other.text.hasPrefix("HTTP/1.1 431 "), "\(other.text.prefix(20))")
  }

  @Test("a request is forwarded and its response comes back")
  func forwards() {
    let world = ProxyWorld()
    world.simple()
    var seen = ""
    answer(world) { head in
      seen = head
      return "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nX-Case: kept\r\n\r\nhello"
    }
    let client = world.connect()
    client.send("GET /a?b=1 HTTP/1.1\r\nHost: example.com\r\nX-Thing: 1\r\nConnection: keep-alive\r\n\r\n")
    #expect(world.run { client.text.hasSuffix("hello") })
    #expect(seen.hasPrefix("GET /a?b=1 HTTP/1.1\r\n"))
    #expect(seen.contains("X-Thing: 1\r\n"))
    #expect(seen.lowercased().contains("\r\nhost: example.com\r\n"))
    #expect(seen.contains("x-forwarded-proto: http\r\n"))
    #expect(seen.contains("x-request-id: "))
    #expect(!seen.lowercased().contains("keep-alive"))
    #expect(client.text.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(client.text.contains("X-Case: kept\r\n"))
    #expect(client.text.contains("server: weft\r\n"))
    #expect(client.text.contains("x-envoy-upstream-service-time: "))
    world.settle()
    world.expectClean()
    #expect(world.value(HTTPMetric.downstreamRq2xx) == 1)
    #expect(world.value(ClusterMetric.upstreamRq2xx) == 1)
  }

  @Test("connections are kept alive on both sides")
  func keepAlive() {
    let world = ProxyWorld()
    world.simple()
    answer(world) { _ in "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" }
    let client = world.connect()
    for i in 1...5 {
      client.send("GET /\(i) HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(world.run { client.text.hasSuffix("ok") })
      client.received = []
    }
    #expect(world.server.accepted.count == 1)
    #expect(world.value(HTTPMetric.downstreamRqTotal) == 5)
    #expect(world.value(ClusterMetric.upstreamCxTotal) == 1)
  }

  @Test("pipelined requests are answered one after the other, in order")
  func pipelining() {
    let world = ProxyWorld()
    world.simple()
    answer(world) { head in
      let path = head.split(separator: " ")[1]
      return "HTTP/1.1 200 OK\r\ncontent-length: \(path.count)\r\n\r\n\(path)"
    }
    let client = world.connect()
    client.send((1...4).map { "GET /\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
    #expect(world.run { client.text.hasSuffix("/4") })
    let order = client.text.components(separatedBy: "\r\n\r\n").dropFirst().map { String($0.prefix(2)) }
    #expect(Array(order) == ["/1", "/2", "/3", "/4"])
  }
}

extension String {
  func range(of other: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(other) { return start..<index(start, offsetBy: other.count) }
      start = index(after: start)
    }
    return nil
  }

  func components(separatedBy separator: String) -> [String] {
    var parts: [String] = []
    var rest = Substring(self)
    while let hit = String(rest).range(of: separator) {
      let text = String(rest)
      parts.append(String(text[..<hit.lowerBound]))
      rest = Substring(text[hit.upperBound...])
    }
    parts.append(String(rest))
    return parts
  }
}
