import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftTelemetry
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftNetworkFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("connection limit")
struct ConnectionLimitTests {
  private func config(_ json: String) throws -> ExtensionConfig {
    try NetworkFilterWorld.config(Envoy_Extensions_Filters_Network_ConnectionLimit_V3_ConnectionLimit.self, json)
  }

  private func value(_ world: ProxyWorld, _ metric: ConnectionLimitMetric, _ name: String = "cl") -> UInt64 {
    world.registry.value(
      metric,
      world.registry.scope(ScopeKey(.filter, name, ConnectionLimitMetric.prefix), of: ConnectionLimitMetric.self))
  }

  @Test("connections over the limit are closed at once; one that ends makes room", arguments: Terminal.allCases)
  func limits(_ terminal: Terminal) throws {
    let limit = try config(#"{"stat_prefix": "cl", "max_connections": 2}"#)
    let world = NetworkFilterWorld.make([limit], terminal)
    let first = world.connect()
    let second = world.connect()
    for client in [first, second] { client.send(NetworkFilterWorld.ask(terminal)) }
    #expect(world.run { first.text.hasSuffix("ok") && second.text.hasSuffix("ok") })
    let third = world.connect()
    third.send(NetworkFilterWorld.ask(terminal))
    #expect(world.run(for: .milliseconds(100)) { third.isOver })
    #expect(third.received.isEmpty)
    #expect(value(world, .activeConnections) == 2 && value(world, .limitedConnections) == 1)
    first.close()
    #expect(world.run { value(world, .activeConnections) == 1 })
    let fourth = world.connect()
    fourth.send(NetworkFilterWorld.ask(terminal))
    #expect(world.run { fourth.text.hasSuffix("ok") })
    for client in [second, fourth] { client.close() }
    world.advance(by: .seconds(2))
    #expect(value(world, .activeConnections) == 0 && world.engine.downstreams.count == 0)
    #expect(world.engine.networkBlocks.count == 0)
  }

  @Test(
    "a refused connection is closed after the delay; meanwhile it counts, and nothing of it is read",
    arguments: Terminal.allCases)
  func delay(_ terminal: Terminal) throws {
    let limit = try config(#"{"stat_prefix": "cl", "max_connections": 1, "delay": "0.5s"}"#)
    let world = NetworkFilterWorld.make([limit], terminal)
    let first = world.connect()
    first.send(NetworkFilterWorld.ask(terminal))
    #expect(world.run { first.text.hasSuffix("ok") })
    let second = world.connect()
    second.send(NetworkFilterWorld.ask(terminal))
    world.advance(by: .milliseconds(400))
    #expect(!second.isOver && value(world, .activeConnections) == 2 && world.engine.downstreams.count == 2)
    #expect(world.run(for: .milliseconds(200)) { second.isOver })
    #expect(second.received.isEmpty)
    world.settle()
    #expect(value(world, .activeConnections) == 1 && value(world, .limitedConnections) == 1)
    // One that goes in the middle of its delay leaves nothing behind.
    let third = world.connect()
    world.advance(by: .milliseconds(100))
    third.reset()
    world.advance(by: .seconds(1))
    #expect(value(world, .activeConnections) == 1 && world.engine.networkBlocks.count == 1)
  }

  @Test("behind TLS a refused connection ends before its handshake")
  func beforeHandshake() throws {
    let limit = try config(#"{"stat_prefix": "cl", "max_connections": 1}"#)
    let world = NetworkFilterWorld.make([limit], security: ToySecurity())
    world.config.listeners[0].filterChains[0].tls = DownstreamTLSContext()
    world.apply()
    let first = world.connect()
    first.send("!" + NetworkFilterWorld.ask(.http))
    #expect(world.run { first.text.hasSuffix("ok") })
    let second = world.connect()
    #expect(world.run(for: .milliseconds(100)) { second.isOver })
  }

  @Test("the count goes on over changes beside it, and begins anew with another limit")
  func updates() throws {
    let limit = try config(#"{"stat_prefix": "cl", "max_connections": 1}"#)
    let world = NetworkFilterWorld.make([limit])
    let first = world.connect()
    first.send(NetworkFilterWorld.ask(.http))
    #expect(world.run { first.text.hasSuffix("ok") })
    world.config.listeners[0].perConnectionBufferLimitBytes = 4096
    world.apply()
    let second = world.connect()
    #expect(world.run(for: .milliseconds(100)) { second.isOver })
    // The connection goes on under the new configuration with what was counted of it.
    first.received = []
    first.send(NetworkFilterWorld.ask(.http))
    #expect(world.run { first.text.hasSuffix("ok") })
    NetworkFilterWorld.use([try config(#"{"stat_prefix": "cl", "max_connections": 2}"#)], .http, world)
    let others = [world.connect(), world.connect()]
    for client in others { client.send(NetworkFilterWorld.ask(.http)) }
    #expect(world.run { others.allSatisfy { $0.text.hasSuffix("ok") } })
    // Those of the old chain go elsewhere.
    #expect(world.run { first.isOver })
    for client in others { client.close() }
    world.advance(by: .seconds(2))
    #expect(value(world, .activeConnections) == 0)
  }

  @Test("a filter that was never asked about a connection gives nothing back")
  func order() throws {
    let world = NetworkFilterWorld.make([
      try config(#"{"stat_prefix": "outer", "max_connections": 1}"#),
      try config(#"{"stat_prefix": "inner", "max_connections": 1}"#),
    ])
    let first = world.connect()
    first.send(NetworkFilterWorld.ask(.http))
    #expect(world.run { first.text.hasSuffix("ok") })
    for _ in 0..<3 {
      let refused = world.connect()
      #expect(world.run { refused.isOver })
    }
    #expect(value(world, .activeConnections, "inner") == 1 && value(world, .limitedConnections, "inner") == 0)
    #expect(value(world, .activeConnections, "outer") == 1 && value(world, .limitedConnections, "outer") == 3)
  }

  @Test("switched off by its default it does nothing")
  func disabled() throws {
    let world = NetworkFilterWorld.make([
      try config(
        #"{"stat_prefix": "cl", "max_connections": 1, "runtime_enabled": {"default_value": false, "runtime_key": "k"}}"#
      )
    ])
    let clients = (0..<3).map { _ in world.connect() }
    for client in clients { client.send(NetworkFilterWorld.ask(.http)) }
    #expect(world.run { clients.allSatisfy { $0.text.hasSuffix("ok") } })
    #expect(value(world, .activeConnections) == 0)
  }

  @Test(
    "what cannot be is refused by its field",
    arguments: [
      (#"{"max_connections": 1}"#, "stat_prefix: is required"),
      (#"{"stat_prefix": "a"}"#, "max_connections: is required"),
      (#"{"stat_prefix": "a", "max_connections": 0}"#, "max_connections: must be 1 or more, is 0"),
      (
        #"{"stat_prefix": "a", "max_connections": 1, "runtime_enabled": {"runtime_key": "k"}}"#,
        "runtime_enabled.default_value: is required"
      ),
    ])
  func refusals(json: String, words: String) throws {
    #expect(NetworkFilterWorld.refusal(ConnectionLimit.self, try config(json)) == words)
  }
}
