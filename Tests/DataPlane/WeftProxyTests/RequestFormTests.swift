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

@Suite("forms of requests and responses")
struct RequestFormTests {
  @Test(
    "port and trailing dot of the host go as configured, and CONNECT keeps its authority",
    arguments: [
      ("a.test.:8443", HTTPConnectionManager.PortStripping.none, true, "a.test:8443"),
      ("a.test.", .none, true, "a.test"), ("a.test.", .any, false, "a.test."), ("a.test:80", .any, false, "a.test"),
      ("a.test.:80", .any, true, "a.test"), ("a.test:15001", .matching, false, "a.test"),
      ("a.test:80", .matching, false, "a.test:80"), ("[::1]:80", .any, true, "[::1]"),
    ])
  func hosts(given: String, ports: HTTPConnectionManager.PortStripping, dots: Bool, expected: String) {
    let world = ProxyWorld()
    world.simple(manager: {
      $0.portStripping = ports
      $0.stripTrailingHostDot = dots
    })
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: \(given)\r\n\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    #expect(world.server.accepted.first.flatMap { HTTP1Text($0.received)?.first("host") } == expected)
  }

  @Test("the port of a CONNECT stays")
  func connectAuthority() {
    let world = ProxyWorld()
    world.simple(manager: {
      $0.portStripping = .any
      $0.stripTrailingHostDot = true
      $0.upgrades = [UpgradeConfiguration(type: "connect")]
    })
    world.config.listeners[0].filterChains[0].filters = world.config.listeners[0].filterChains[0].filters.map {
      filter in
      guard case .httpConnectionManager(var manager) = filter, case .inline(var routes) = manager.routes else {
        return filter
      }
      routes.virtualHosts[0].routes[0].match = RouteMatch(.connect)
      manager.routes = .inline(routes)
      return .httpConnectionManager(manager)
    }
    world.apply()
    let client = world.connect()
    client.send("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n")
    #expect(world.run { !(world.server.accepted.first?.text.isEmpty ?? true) || !client.text.isEmpty })
    #expect(world.server.accepted.first?.text.hasPrefix("CONNECT a.test:443 ") == true)
  }

  @Test(
    "only gRPC is answered in gRPC's way",
    arguments: [
      ("application/grpc", 200), ("application/grpc+proto", 200), ("application/grpc; x=1", 200),
      ("application/grpc-web", 503), ("application/grpc-web+proto", 503), ("application/grpcs", 503),
    ])
  func grpcOnly(type: String, status: Int) {
    let world = ProxyWorld()
    world.simple()
    world.config.clusters = []
    world.apply()
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nHost: a\r\ncontent-type: \(type)\r\ncontent-length: 0\r\n\r\n")
    #expect(world.run { HTTP1Text(client.received) != nil })
    #expect(HTTP1Text(client.received)?.status == status)
  }

  @Test("a response delimited by close that is cut does not look complete", arguments: [false, true])
  func cutByReset(isCut: Bool) {
    let world = ProxyWorld()
    world.simple()
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    #expect(world.run { world.server.accepted.first?.text.hasSuffix("\r\n\r\n") ?? false })
    world.server.accepted[0].send("HTTP/1.1 200 OK\r\n\r\nhalf")
    #expect(world.run { client.text.contains("half") })
    if isCut { world.server.accepted[0].reset() } else { world.server.accepted[0].finish() }
    #expect(world.run { client.isOver })
    #expect(client.text.contains("transfer-encoding: chunked"))
    #expect(client.text.hasSuffix("0\r\n\r\n") == !isCut)
    world.settle()
    world.expectClean()
  }

  @Test("a head that is too large is refused and its HTTP/2 stream ends both ways")
  func tooLarge() {
    let world = ProxyWorld()
    world.simple()
    let client = H2Peer(.client, world.connect())
    let id = client.request(
      .post, "/", fields: [("x-large", String(repeating: "a", count: 62_000))], body: nil, end: false)
    #expect(world.run { client.messages[id]?.resetCode != nil })
    #expect(client.messages[id]?.status == 431)
    #expect(client.messages[id]?.resetCode == .noError)
    #expect(client.failed == nil)
    world.settle()
    world.expectClean()
  }
}
