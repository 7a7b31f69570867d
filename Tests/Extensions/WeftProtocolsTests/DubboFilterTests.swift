import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftRuntime
import WeftTelemetry
import WeftTestKit
import WeftXDSMessages

@testable import WeftProxy
@testable import WeftProxyTestKit

/// HTTP filters know nothing of Dubbo.
@Suite("HTTP filters on Dubbo's requests")
struct DubboFilterTests {
  private func world<M: Message>(_ type: M.Type, _ json: String) throws -> ProxyWorld {
    let message = try M(
      json: try JSONValue(parsing: Array(json.utf8)),
      options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    let filter = ExtensionConfig(typeName: M.schema.name, message: message.serialized())
    return ProtocolWorld.make(manager: {
      $0.filters = [
        ConfiguredFilter(name: "filter", .filter(filter)), ConfiguredFilter(name: "router", .router(RouterOptions())),
      ]
    })
  }

  private func exchange(_ world: ProxyWorld, _ requests: Int = 1) -> [DubboAnswer] {
    let client = world.connect()
    for id in 1...requests { client.send(DubboFrames.request(id: UInt64(id))) }
    var seen: [DubboAnswer] = []
    world.run {
      seen += client.frames().map(DubboAnswer.init)
      return seen.count == requests
    }
    world.expectClean()
    return seen
  }

  @Test("a fault aborts with an exception")
  func abort() throws {
    let world = try world(
      Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.self,
      #"{"abort": {"http_status": 503, "percentage": {"numerator": 100}}}"#)
    let servers = DubboServers(world)
    #expect(exchange(world) == [DubboAnswer(id: 1, 80, "fault filter abort")])
    #expect(servers.requests.isEmpty)
  }

  @Test("a fault that delays one method of a connection does not delay the others")
  func delay() throws {
    let world = try world(
      Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.self,
      #"""
      {"delay": {"fixed_delay": "2s", "percentage": {"numerator": 100}},
      "headers": [{"name": ":path", "string_match": {"suffix": "/slow"}}]}
      """#)
    let servers = DubboServers(world)
    let client = world.connect()
    let slow = DubboFrames.request(id: 1, method: "slow", arguments: [.text(String(repeating: "x", count: 5000))])
    client.send(slow + DubboFrames.request(id: 2))
    var seen: [UInt64] = []
    world.run(for: .seconds(1)) {
      seen += client.frames().map(DubboFrames.id)
      return false
    }
    #expect(seen == [2])
    world.run(for: .seconds(5)) {
      seen += client.frames().map(DubboFrames.id)
      return seen.count == 2
    }
    #expect(seen == [2, 1])
    #expect(servers.requests.last.map { Array($0.frame[12...]) } == Array(slow[12...]))
    world.expectClean()
  }

  @Test("what is over a rate limit is told that the pool is exhausted")
  func rateLimit() throws {
    let world = try world(
      Envoy_Extensions_Filters_Http_LocalRatelimit_V3_LocalRateLimit.self,
      #"""
      {"stat_prefix": "x", "token_bucket": {"max_tokens": 2, "tokens_per_fill": 2, "fill_interval": "60s"},
      "filter_enabled": {"default_value": {"numerator": 100}}, "filter_enforced": {"default_value": {"numerator": 100}}}
      """#)
    let servers = DubboServers(world)
    #expect(exchange(world, 3).map(\.status).sorted() == [20, 20, 100])
    #expect(servers.requests.count == 2)
  }
}
