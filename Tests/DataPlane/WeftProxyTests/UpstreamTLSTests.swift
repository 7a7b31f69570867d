import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime

@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("TLS towards endpoints")
struct UpstreamTLSTests {
  @Test(
    "what an HTTP cluster speaks is offered in ALPN",
    arguments: [
      (Cluster.UpstreamProtocol.http1, ["http/1.1"]), (.http2, ["h2"]), (.automatic, ["h2", "http/1.1"]),
      (.useDownstream, ["http/1.1"]),
    ])
  func offers(spoken: Cluster.UpstreamProtocol, names: [String]) {
    let security = ToySecurity(agrees: names[0])
    let world = ProxyWorld(security: security)
    world.simple(cluster: {
      $0.upstreamProtocol = spoken
      $0.tls = UpstreamTLSContext()
    })
    world.server.onAccept = { $0.send("!") }
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { (world.server.accepted.first?.received.count ?? 0) > 20 })
    #expect(security.offered == [names])
  }

  @Test("a TCP proxy offers nothing")
  func opaque() {
    let security = ToySecurity()
    let world = ProxyWorld(security: security)
    world.simple(cluster: { $0.tls = UpstreamTLSContext() })
    world.listen([.tcpProxy(TCPProxy(statPrefix: "tcp", cluster: .single("backend")))])
    world.apply()
    world.server.onAccept = { $0.send("!") }
    let client = world.connect()
    client.send("hello")
    #expect(world.run { world.server.accepted.first?.text == "hello" })
    #expect(security.offered == [[]])
  }
}
