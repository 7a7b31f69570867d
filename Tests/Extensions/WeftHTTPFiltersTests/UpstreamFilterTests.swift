import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftTelemetry
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftHTTPFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("filters in front of endpoints")
struct UpstreamFilterTests {
  static func world(
    _ filters: [ConfiguredFilter], ofRouter: [ConfiguredFilter] = [], version: Version = .one, retries: Bool = false
  ) -> ProxyWorld {
    let world = ProxyWorld(extensions: ProxyExtensions(httpFilters: HTTPFilters.registry))
    world.simple(
      upstream: version,
      manager: {
        var options = RouterOptions()
        options.upstreamFilters = ofRouter
        $0.filters = [ConfiguredFilter(name: "router", .router(options))]
      },
      route: {
        guard retries else { return }
        var policy = RetryPolicy(retryOn: [.serverError])
        policy.maxRetries = 2
        $0.retryPolicy = policy
      }, cluster: { $0.filters = filters })
    return world
  }

  static func adds(_ value: String) throws -> ConfiguredFilter {
    try HeaderMutationTests.chain(
      """
      {"mutations": {"request_mutations": [\(HeaderMutationTests.add("x-by", value))],
        "response_mutations": [\(HeaderMutationTests.add("x-from", value))],
        "request_trailers_mutations": [\(HeaderMutationTests.add("x-t", value))],
        "response_trailers_mutations": [\(HeaderMutationTests.add("x-u", value))]}}
      """)
  }

  @Test("each attempt is changed once, on a new connection and on a kept one", arguments: Version.allCases)
  func attempts(version: Version) throws {
    let world = Self.world([try Self.adds("cluster")], version: version, retries: true)
    var statuses = [503, 503, 200, 503, 200]
    let ends = Ends(world, client: version, server: version) { _ in (statuses.removeFirst(), [], false, []) }
    for _ in 0..<2 {
      let answer = try #require(ends.exchange())
      #expect(answer.status == 200 && answer.fields.filter { $0.0 == "x-from" }.map(\.1) == ["cluster"])
    }
    #expect(ends.requests.count == 5)
    for request in ends.requests { #expect(request.fields.filter { $0.0 == "x-by" }.map(\.1) == ["cluster"]) }
    world.settle()
    world.expectClean()
  }

  @Test("trailers are changed, both ways", arguments: Version.allCases)
  func trailers(version: Version) throws {
    let world = Self.world([try Self.adds("cluster")], version: version)
    let ends = Ends(world, client: version, server: version) { _ in (200, Array("y".utf8), true, [("x-u", "2")]) }
    let answer = try #require(ends.exchange(.post, body: Array("b".utf8), chunked: true, trailers: [("x-t", "1")]))
    #expect(answer.trailers.map(\.1) == ["2", "cluster"])
    #expect(try #require(ends.requests.first).trailers.map(\.1) == ["1", "cluster"])
    world.settle()
    world.expectClean()
  }

  @Test("the router's are for clusters that have none of their own")
  func router() throws {
    for (own, value) in [([try Self.adds("cluster")], "cluster"), ([], "router")] {
      let ends = Ends(Self.world(own, ofRouter: [try Self.adds("router")]), client: .one, server: .one) { _ in
        (200, [], false, [])
      }
      #expect(try #require(ends.exchange()).first("x-from") == value)
      #expect(ends.requests.first?.first("x-by") == value)
    }
  }

  @Test("a filter that waits, looks at content or keeps a state does not fit, and is refused by name")
  func fits() throws {
    #expect(HTTPFilters.all.filter(FilterChainBuilder.fitsUpstreams).map { "\($0.name)" } == ["\(HeaderMutation.name)"])
    let world = Self.world([])
    world.config.clusters[0].filters = [
      try FaultTests.chain(#"{"abort": {"http_status": 503, "percentage": {"numerator": 100}}}"#)
    ]
    let refusals = world.rejections().map { "\($0.path): \($0.message)" }
    #expect(refusals.count == 1 && refusals[0].contains("http_filters[0].typed_config"))
    #expect(refusals.first?.contains("envoy.filters.http.fault cannot stand in front of") ?? false)
  }

  @Test("a change of the cluster's filters leaves its connections")
  func change() throws {
    let world = Self.world([try Self.adds("one")])
    let ends = Ends(world, client: .one, server: .one) { _ in (200, [], false, []) }
    _ = ends.exchange()
    world.config.clusters[0].filters = [try Self.adds("two")]
    world.apply()
    #expect(try #require(ends.exchange()).first("x-from") == "two")
    world.config.clusters[0].filters = []
    world.apply()
    #expect(try #require(ends.exchange()).first("x-from") == nil)
    #expect(world.value(ClusterMetric.upstreamCxTotal) == 1)
  }
}
