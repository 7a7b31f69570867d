import Testing
import WeftBase
import WeftModel
import WeftRuntime

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("listeners that are drained by request")
struct DrainListenersTests {
  private func world(_ direction: Listener.TrafficDirection) -> ProxyWorld {
    let world = ProxyWorld()
    world.simple()
    world.config.listeners[0].trafficDirection = direction
    world.apply()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    return world
  }

  private let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

  private func isServed(_ world: ProxyWorld) -> String? {
    let client = world.connect()
    client.send(get)
    #expect(world.run { client.text.hasSuffix("ok") || client.isOver })
    return client.text.hasSuffix("ok") ? client.text : nil
  }

  @Test("only inbound listeners end where only they are meant, and none opens again")
  func inboundOnly() {
    let outbound = world(.outbound)
    outbound.engine.drainListeners(inboundOnly: true, gracefully: false)
    #expect(isServed(outbound)?.contains("connection: close") == false)
    let inbound = world(.inbound)
    inbound.engine.drainListeners(inboundOnly: true, gracefully: false)
    #expect(isServed(inbound) == nil)
    inbound.config.listeners[0].perConnectionBufferLimitBytes += 1
    inbound.apply()
    #expect(isServed(inbound) == nil)
  }

  @Test("a graceful drain goes on accepting and tells clients to leave, until the drain time is over")
  func graceful() {
    let world = world(.inbound)
    let kept = world.connect()
    kept.send(get)
    #expect(world.run { kept.text.hasSuffix("ok") })
    world.engine.drainListeners(inboundOnly: true, gracefully: true)
    #expect(world.run { kept.isOver })
    #expect(isServed(world)?.contains("connection: close\r\n") == true)
    world.advance(by: world.engine.limits.drainTime + .seconds(1))
    #expect(isServed(world) == nil)
  }

  @Test("whoever waited for the first drain is told, too, when a second one begins")
  func twice() {
    let world = world(.inbound)
    world.server.onBytes = { _ in }
    let client = world.connect()
    client.send(get)
    #expect(world.run { world.server.accepted.first?.text.isEmpty == false })
    var told: [Int] = []
    world.engine.drain(until: world.proxyLoop.now + .seconds(60)) { told.append(1) }
    world.engine.drain(until: world.proxyLoop.now + .seconds(30)) { told.append(2) }
    world.advance(by: .seconds(1))
    #expect(told.isEmpty)
    world.server.accepted[0].send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    #expect(world.run { told.count == 2 })
    #expect(client.text.hasSuffix("ok"))
  }
}
