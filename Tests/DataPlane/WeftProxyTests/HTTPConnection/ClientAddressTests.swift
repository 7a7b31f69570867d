import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("who the client is")
struct ClientAddressTests {
  /// One request with `fields`; returns its head as the server saw it, which tells the addresses the log would show.
  private func seen(_ fields: String, _ change: (inout HTTPConnectionManager) -> Void) -> HTTP1Text? {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      change(&manager)
      guard case .inline(var routes) = manager.routes else { return }
      routes.virtualHosts[0].headers.request.add = [
        HeaderValueOption(name: "x-remote", value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
        HeaderValueOption(name: "x-direct", value: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
      ]
      manager.routes = .inline(routes)
    })
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n")
    world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false }
    return world.server.accepted.first.flatMap { HTTP1Text($0.received) }
  }

  @Test(
    "without use_remote_address x-forwarded-for names the client, trusted hops do not count",
    arguments: [
      ("", 0, "127.0.0.1"), ("1.2.3.4", 0, "1.2.3.4"), ("9.9.9.9, 1.2.3.4", 0, "1.2.3.4"),
      ("9.9.9.9,1.2.3.4 ", 0, "1.2.3.4"), ("9.9.9.9, 1.2.3.4, 5.6.7.8", 1, "1.2.3.4"),
      ("9.9.9.9, 1.2.3.4, 5.6.7.8", 2, "9.9.9.9"), ("9.9.9.9, 1.2.3.4, 5.6.7.8", 3, "127.0.0.1"),
      ("2001:db8::1", 0, "2001:db8::1"), ("::ffff:1.2.3.4", 0, "1.2.3.4"),
      // What is no address is not believed.
      ("unknown", 0, "127.0.0.1"), ("1.2.3.4:80", 0, "127.0.0.1"), ("[::1]", 0, "127.0.0.1"), ("1.2.3", 0, "127.0.0.1"),
      ("1.2.3.4, ", 0, "127.0.0.1"), (", 1.2.3.4", 0, "1.2.3.4"), ("01.2.3.4", 0, "127.0.0.1"),
      (String(repeating: "1", count: 5000), 0, "127.0.0.1"),
    ])
  func fromHeader(list: String, hops: UInt32, expected: String) {
    let head = seen(list.isEmpty ? "" : "x-forwarded-for: \(list)\r\n") { $0.trustedHopsXFF = hops }
    #expect(head?.first("x-remote") == expected)
    #expect(head?.first("x-direct") == "127.0.0.1")
    // The field itself stays as it was.
    let trimmed = list.hasSuffix(" ") ? String(list.dropLast()) : list
    #expect(head?.first("x-forwarded-for") == (list.isEmpty ? nil : trimmed))
    #expect(head?.first("x-envoy-external-address") == nil)
  }

  @Test("a repeated x-forwarded-for is one list")
  func repeated() {
    let head = seen("x-forwarded-for: 9.9.9.9\r\nx-forwarded-for: 1.2.3.4\r\n") { _ in }
    #expect(head?.first("x-remote") == "1.2.3.4")
  }

  @Test(
    "with use_remote_address the client is the peer, or whom the outermost trusted hop saw",
    arguments: [
      ("", 0, "127.0.0.1", "127.0.0.1"), ("1.2.3.4", 0, "127.0.0.1", "1.2.3.4,127.0.0.1"),
      ("9.9.9.9, 1.2.3.4", 1, "1.2.3.4", "9.9.9.9, 1.2.3.4,127.0.0.1"),
      ("9.9.9.9, 1.2.3.4", 2, "9.9.9.9", "9.9.9.9, 1.2.3.4,127.0.0.1"),
      ("1.2.3.4", 2, "127.0.0.1", "1.2.3.4,127.0.0.1"),
    ])
  func atEdge(list: String, hops: UInt32, expected: String, appended: String) {
    let head = seen(list.isEmpty ? "" : "x-forwarded-for: \(list)\r\nx-envoy-external-address: 6.6.6.6\r\n") {
      $0.useRemoteAddress = true
      $0.trustedHopsXFF = hops
    }
    #expect(head?.first("x-remote") == expected)
    #expect(head?.first("x-forwarded-for") == appended)
    #expect(head?.first("x-envoy-external-address") == expected)
  }

  @Test(
    "internal is who comes in one hop from an internal address",
    arguments: [
      (false, "", 0, false), (false, "10.1.2.3", 0, true), (false, "11.1.2.3", 0, false),
      (false, "9.9.9.9, 10.1.2.3", 0, false), (false, "10.1.2.3, 10.1.2.4", 0, false),
      (false, "10.1.2.3, 10.1.2.4", 1, false), (false, "fd00::1", 0, true), (false, "fe00::1", 0, false),
      (true, "", 0, true), (true, "10.1.2.3", 0, false), (true, "10.1.2.3", 1, false),
    ])
  func isInternal(useRemoteAddress: Bool, list: String, hops: UInt32, expected: Bool) {
    let head = seen(
      (list.isEmpty ? "" : "x-forwarded-for: \(list)\r\n")
        + "x-envoy-retry-on: 5xx\r\nx-envoy-decorator-operation: o\r\n"
        + "x-envoy-force-trace: 1\r\nx-envoy-internal: true\r\n"
    ) {
      $0.useRemoteAddress = useRemoteAddress
      $0.trustedHopsXFF = hops
      $0.internalAddressRanges = [
        CIDRRange(bytes: [10, 0, 0, 0], prefixLength: 8), CIDRRange(bytes: [127, 0, 0, 0], prefixLength: 8),
        CIDRRange(bytes: [0xfd] + [UInt8](repeating: 0, count: 15), prefixLength: 8),
      ]
    }
    #expect(head?.first("x-envoy-internal") == (expected ? "true" : nil))
    #expect(head?.first("x-envoy-force-trace") == (expected ? "1" : nil))
    // Only strangers at the edge lose what names the mesh's own parts.
    #expect(head?.first("x-envoy-decorator-operation") == (expected || !useRemoteAddress ? "o" : nil))
  }

  @Test(
    "who asks from inside for a trace is told the request's id",
    arguments: [
      ("10.1.2.3", "x-envoy-force-trace: 1\r\n", true), ("10.1.2.3", "", false),
      ("11.1.2.3", "x-envoy-force-trace: 1\r\n", false),
    ])
  func forcedTrace(client: String, field: String, isTold: Bool) {
    let world = ProxyWorld()
    world.simple(manager: { manager in
      manager.internalAddressRanges = [CIDRRange(bytes: [10, 0, 0, 0], prefixLength: 8)]
    })
    let peer = world.connect()
    peer.send("GET / HTTP/1.1\r\nHost: a\r\nx-forwarded-for: \(client)\r\nx-request-id: 7\r\n\(field)\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.server.accepted.first?.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    #expect(world.run { peer.text.hasSuffix("\r\n\r\n") })
    #expect(HTTP1Text(peer.received)?.first("x-request-id") == (isTold ? "7" : nil))
  }

  @Test(
    "an address in bytes is what it is as text",
    arguments: [
      "1.2.3.4", "255.255.255.255", "::", "::1", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4", "1", "1.2.3.4.5",
      "1.2.3.256",
      "fe80::1%eth0", "1.2.3.4 ", "", ":", "12345::", "1::2::3",
    ])
  func parsing(text: String) {
    #expect(text.withByteView { IPAddress(bytes: $0) } == IPAddress(text))
  }
}
