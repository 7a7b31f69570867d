import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftNetworkFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("local rate limit of connections")
struct NetworkLocalRateLimitTests {
  private func config(_ json: String) throws -> ExtensionConfig {
    try NetworkFilterWorld.config(Envoy_Extensions_Filters_Network_LocalRatelimit_V3_LocalRateLimit.self, json)
  }

  private func limited(_ world: ProxyWorld, _ name: String = "rl") -> UInt64 {
    let scope = world.registry.scope(
      ScopeKey(.filter, name, LocalRateLimitMetric.prefix), of: LocalRateLimitMetric.self)
    return world.registry.value(LocalRateLimitMetric.rateLimited, scope)
  }

  private func isTaken(_ world: ProxyWorld, _ terminal: Terminal = .http) -> Bool {
    let client = world.connect()
    client.send(NetworkFilterWorld.ask(terminal))
    world.run { client.text.hasSuffix("ok") || client.isOver }
    return client.text.hasSuffix("ok")
  }

  @Test("connections take a token each, and get more with time", arguments: Terminal.allCases)
  func bucket(_ terminal: Terminal) throws {
    let world = NetworkFilterWorld.make(
      [
        try config(
          #"{"stat_prefix": "rl", "token_bucket": {"max_tokens": 3, "tokens_per_fill": 2, "fill_interval": "10s"}}"#)
      ], terminal)
    #expect((0..<5).map { _ in isTaken(world, terminal) } == [true, true, true, false, false])
    #expect(limited(world) == 2)
    world.advance(by: .seconds(10))
    #expect((0..<3).map { _ in isTaken(world, terminal) } == [true, true, false])
    #expect(limited(world) == 3)
  }

  @Test("chains with the same key and bucket share it; another bucket under the key is another")
  func shares() throws {
    let bucket = #""token_bucket": {"max_tokens": 2, "fill_interval": "60s"}"#
    let world = NetworkFilterWorld.make([try config(#"{"stat_prefix": "rl", "share_key": "k", \#(bucket)}"#)], .echo)
    func other(_ json: String) throws {
      var listener = Listener(name: "other", address: .socket(host: "127.0.0.1", port: 15002))
      var chain = FilterChain(name: "chain")
      chain.filters = [
        .filter(try config(json)), .filter(ExtensionConfig(typeName: Echo.message, message: [])),
      ]
      listener.filterChains = [chain]
      world.config.listeners = [world.config.listeners[0], listener]
      world.apply()
    }
    func takesOther() -> Bool {
      let client = world.client.connect(SocketAddress(.loopback4, port: 15002))
      client.send("ok")
      world.run { client.text.hasSuffix("ok") || client.isOver }
      return client.text == "ok"
    }
    try other(#"{"stat_prefix": "rl2", "share_key": "k", \#(bucket)}"#)
    #expect([isTaken(world, .echo), takesOther(), isTaken(world, .echo), takesOther()] == [true, true, false, false])
    #expect(limited(world) == 1 && limited(world, "rl2") == 1)
    try other(
      #"{"stat_prefix": "rl2", "share_key": "k", "token_bucket": {"max_tokens": 1, "fill_interval": "60s"}}"#)
    #expect([takesOther(), takesOther()] == [true, false])
    // The first chain has not changed: its bucket is as empty as it was.
    #expect(!isTaken(world, .echo))
  }

  @Test("without a key each chain has a bucket of its own; switched off it takes none")
  func own() throws {
    let bucket = #""token_bucket": {"max_tokens": 1, "fill_interval": "60s"}"#
    let world = NetworkFilterWorld.make([
      try config(#"{"stat_prefix": "rl", \#(bucket)}"#),
      try config(
        #"{"stat_prefix": "off", \#(bucket), "runtime_enabled": {"default_value": false, "runtime_key": "k"}}"#),
      try config(#"{"stat_prefix": "rl2", \#(bucket)}"#),
    ])
    #expect((0..<2).map { _ in isTaken(world) } == [true, false])
    #expect(limited(world) == 1 && limited(world, "off") == 0 && limited(world, "rl2") == 0)
  }

  @Test(
    "what cannot be is refused by its field",
    arguments: [
      (#"{"token_bucket": {"max_tokens": 1, "fill_interval": "1s"}}"#, "stat_prefix: is required"),
      (#"{"stat_prefix": "a"}"#, "token_bucket: is required"),
      (
        #"{"stat_prefix": "a", "token_bucket": {"max_tokens": 1, "fill_interval": "0.049s"}}"#,
        "token_bucket.fill_interval: must be 50 ms or more"
      ),
    ])
  func refusals(json: String, words: String) throws {
    #expect(NetworkFilterWorld.refusal(LocalRateLimit.self, try config(json)) == words)
  }
}
