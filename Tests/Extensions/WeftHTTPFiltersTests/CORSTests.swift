import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftTelemetry
import WeftXDSMessages

@testable import WeftHTTPFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("cross-origin requests")
struct CORSTests {
  static let policy = """
    {"allow_origin_string_match": [{"exact": "https://a.test"}, {"suffix": ".b.test"}], "allow_methods": "GET, PUT",
     "allow_headers": "x-a", "expose_headers": "x-b", "max_age": "60", "allow_credentials": true}
    """

  static func world(_ policy: String? = Self.policy, upstream: Version = .one) throws -> ProxyWorld {
    let chain = try FilterWorld.config(Envoy_Extensions_Filters_Http_Cors_V3_Cors.self, "{}")
    let override = try policy.map { try FilterWorld.config(Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy.self, $0) }
    return FilterWorld.make(
      [ConfiguredFilter(name: "cors", .filter(chain))], upstream: upstream,
      table: { if let override { $0.virtualHosts[0].filters["cors"] = FilterOverride(config: override) } })
  }

  static func ends(_ world: ProxyWorld, _ version: Version = .one) -> Ends {
    Ends(world, client: version, server: version) { _ in (200, Array("ok".utf8), false, []) }
  }

  @Test("a preflight from an allowed origin is answered here", arguments: Version.allCases)
  func preflight(version: Version) throws {
    let world = try Self.world(upstream: version)
    let ends = Self.ends(world, version)
    let answer = try #require(
      ends.exchange(.options, fields: [("origin", "https://x.b.test"), ("access-control-request-method", "PUT")]))
    #expect(answer.status == 200 && ends.requests.isEmpty)
    #expect(answer.first("access-control-allow-origin") == "https://x.b.test")
    #expect(answer.first("access-control-allow-methods") == "GET, PUT")
    #expect(answer.first("access-control-allow-headers") == "x-a" && answer.first("access-control-max-age") == "60")
    #expect(answer.first("access-control-allow-credentials") == "true")
    #expect(answer.first("access-control-expose-headers") == "x-b")
    world.expectClean()
  }

  @Test("a response says that its origin may read it", arguments: Version.allCases)
  func simple(version: Version) throws {
    let world = try Self.world(upstream: version)
    let answer = try #require(Self.ends(world, version).exchange(fields: [("origin", "https://a.test")]))
    #expect(answer.first("access-control-allow-origin") == "https://a.test")
    #expect(answer.first("access-control-expose-headers") == "x-b")
    #expect(
      world.registry.value(CORSMetric.originValid, world.registry.scope(ScopeKey(.filter, "test", CORSMetric.prefix)))
        == 1)
  }

  @Test("other origins, requests without one and routes without a policy go through as they are")
  func others() throws {
    let ends = Self.ends(try Self.world())
    let stranger = try #require(ends.exchange(fields: [("origin", "https://evil.test")]))
    #expect(stranger.status == 200 && stranger.first("access-control-allow-origin") == nil)
    let asked = [("origin", "https://evil.test"), ("access-control-request-method", "PUT")]
    #expect(ends.exchange(.options, fields: asked)?.status == 200)
    #expect(ends.requests.map(\.method) == ["GET", "OPTIONS"])
    #expect(try #require(ends.exchange()).first("access-control-allow-origin") == nil)
    let plain = Self.ends(try Self.world(nil))
    let answer = try #require(plain.exchange(fields: [("origin", "https://a.test")]))
    #expect(answer.first("access-control-allow-origin") == nil)
  }

  @Test("a preflight that fits nothing can be kept from the upstream")
  func keepsPreflights() throws {
    let world = try Self.world(#"{"allow_origin_string_match": [], "forward_not_matching_preflights": false}"#)
    let ends = Self.ends(world)
    let asked = [("origin", "https://evil.test"), ("access-control-request-method", "PUT")]
    let answer = try #require(ends.exchange(.options, fields: asked))
    #expect(answer.status == 200 && ends.requests.isEmpty && answer.first("access-control-allow-origin") == nil)
  }

  @Test("an answer made here says who may read it, too")
  func localReply() throws {
    let chain = try FilterWorld.config(Envoy_Extensions_Filters_Http_Cors_V3_Cors.self, "{}")
    let override = try FilterWorld.config(Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy.self, Self.policy)
    let world = FilterWorld.make(
      [
        ConfiguredFilter(name: "cors", .filter(chain)),
        try FaultTests.chain(#"{"abort": {"http_status": 503, "percentage": {"numerator": 100}}}"#),
      ], table: { $0.virtualHosts[0].filters["cors"] = FilterOverride(config: override) })
    let answer = try #require(Self.ends(world).exchange(fields: [("origin", "https://a.test")]))
    #expect(answer.status == 503 && answer.first("access-control-allow-origin") == "https://a.test")
  }

  @Test("a policy that no answer could carry is refused")
  func refused() throws {
    let chain = try FilterWorld.config(Envoy_Extensions_Filters_Http_Cors_V3_Cors.self, "{}")
    let override = try FilterWorld.config(
      Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy.self, #"{"allow_methods": "GET\nx: y"}"#)
    #expect(FilterWorld.refusal(CORS.self, chain, [override]) == "allow_methods: must not hold line breaks or NUL")
  }
}
