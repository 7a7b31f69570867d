import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// A CONNECT whose route has `connect_config`: the proxy grants it and passes on what follows as TCP.
@Suite("CONNECT that ends here")
struct ConnectTests {
  private func world(seed: UInt64 = 1) -> ProxyWorld {
    let world = ProxyWorld(seed: seed, splits: seed > 1)
    world.tunnels(upstream: .one, route: { $0.upgrades = [UpgradeConfiguration(type: "CONNECT", terminates: true)] })
    return world
  }

  private func ends(_ world: ProxyWorld, _ client: Version) -> TunnelEnds {
    TunnelEnds(world, .connect, client: client, server: .one)
  }

  @Test(
    "the server sees nothing but the client's bytes, may speak first, and each side ends by itself",
    arguments: Version.allCases)
  func passes(client: Version) {
    for seed in 1...4 as ClosedRange<UInt64> {
      let world = world(seed: seed)
      let ends = ends(world, client)
      ends.ask()
      #expect(world.run { ends.answer?.status == 200 }, "seed \(seed)")
      #expect(ends.server?.received == [])
      ends.serverSends(Array("hello".utf8))
      #expect(world.run { ends.clientGot == Array("hello".utf8) })
      let up = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      ends.clientSends(up)
      ends.clientEnds()
      #expect(world.run { ends.server?.readEnded ?? false }, "the client's end does not arrive, seed \(seed)")
      #expect(ends.server?.received == up)
      ends.serverSends(Array(" and good-bye".utf8))
      ends.serverEnds()
      #expect(world.run { ends.clientSawEnd }, "the server's end does not arrive, seed \(seed)")
      #expect(ends.clientGot == Array("hello and good-bye".utf8))
      world.settle()
      world.expectClean()
      #expect(world.value(ClusterMetric.upstreamRqTotal) == 1)
    }
  }

  @Test(
    "where only one connection is allowed, an idle one that has carried HTTP gives it its place, be it idle before or after",
    arguments: [true, false])
  func onlyConnection(isIdleBefore: Bool) {
    let world = world()
    world.config.clusters[0].circuitBreakers.standard.maxConnections = 1
    world.apply()
    var answer: (() -> Void)?
    world.server.onBytes = { peer in
      guard peer.text.hasPrefix("GET"), peer.take().hasSuffix("\r\n\r\n") else { return }
      answer = { peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
      if isIdleBefore { answer?() }
    }
    let plain = world.connect()
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { answer != nil })
    world.settle()
    let ends = ends(world, .one)
    ends.ask()
    if !isIdleBefore {
      world.settle()
      #expect(ends.answer == nil && world.server.accepted.count == 1)
      answer?()
    }
    #expect(world.run { ends.answer?.status == 200 })
    #expect(world.server.accepted.count == 2 && plain.text.hasSuffix("ok"))
    ends.clientEnds()
    ends.serverEnds()
    world.settle()
    world.expectClean()
  }

  @Test("a connection that has carried HTTP is not taken, and one that carried a tunnel is not used again")
  func ownConnection() {
    let world = world()
    world.server.onBytes = { peer in
      if peer.text.hasPrefix("GET"), peer.take().hasSuffix("\r\n\r\n") {
        peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
      }
    }
    let plain = world.connect()
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { plain.text.hasSuffix("ok") })
    let ends = ends(world, .one)
    ends.ask()
    #expect(world.run { ends.answer?.status == 200 })
    #expect(world.server.accepted.count == 2)
    ends.clientEnds()
    ends.serverEnds()
    world.settle()
    plain.received = []
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { plain.text.hasSuffix("ok") })
    #expect(world.server.accepted.count == 2)
    world.settle()
    world.expectClean()
  }

  @Test("a server that cannot be reached is a 503", arguments: Version.allCases)
  func unreachable(client: Version) {
    let world = world()
    world.server.stopListening(8080)
    let ends = ends(world, client)
    ends.ask()
    #expect(world.run { ends.answer?.status == 503 })
    world.settle()
    world.expectClean()
  }

  @Test("a client that goes takes the connection with it", arguments: Version.allCases)
  func clientGoes(client: Version) {
    let world = world()
    let ends = ends(world, client)
    ends.ask()
    #expect(world.run { ends.answer?.status == 200 })
    ends.clientResets()
    #expect(world.run { ends.server?.isOver ?? false })
    world.settle()
    world.expectClean()
  }
}
