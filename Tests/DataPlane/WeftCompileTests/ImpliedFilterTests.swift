import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxyTestKit
@testable import WeftTables

/// Tells that its message's field has no effect.
private struct Teller: HTTPFilter {
  struct Config: BitwiseCopyable {}
  static var name: StaticString { "tests.teller" }
  static var messages: FilterMessages { FilterMessages(chain: "tests.Teller") }
  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    context.warn(FieldPath().field("value"), "has no effect")
    return Config()
  }
  init(_ config: Config) {}
}

@Suite("listener filters that chains imply")
struct ImpliedFilterTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var match: FilterChainMatch
    var isAdded: Bool

    init(_ description: String, isAdded: Bool, _ change: (inout FilterChainMatch) -> Void) {
      testDescription = description
      match = FilterChainMatch()
      change(&match)
      self.isAdded = isAdded
    }
  }

  static let cases: [Case] = [
    Case("server names", isAdded: true) { $0.serverNames = ["a"] },
    Case("protocols", isAdded: true) { $0.applicationProtocols = ["h2"] },
    Case("TLS", isAdded: true) { $0.transportProtocol = "tls" },
    Case("protocols of plain connections", isAdded: false) {
      $0.transportProtocol = "raw_buffer"
      $0.applicationProtocols = ["h2c"]
    },
    Case("a port", isAdded: false) { $0.destinationPort = 1 },
  ]

  @Test(
    "who looks at a client's first bytes is added where a chain matches them and nobody does, and told",
    arguments: cases)
  func added(_ example: Case) throws {
    let compiler = SnapshotCompiler(
      metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1, opensFiles: false),
      random: RandomSource(seed: 1), extensions: .basics)
    var state = ConfigState()
    state.clusters = [SnapshotCompilerTests.cluster("a")]
    var listener = SnapshotCompilerTests.listener("l", .inline(SnapshotCompilerTests.table("a")))
    listener.filterChains[0].match = example.match
    state.listeners = [listener]
    let first = compiler.compile(state)
    #expect(try #require(first.snapshot.listeners.first)[].filters.count == (example.isAdded ? 1 : 0))
    #expect(
      first.warnings.map(\.description)
        == (example.isAdded
          ? [
            "envoy.config.listener.v3.Listener l: filter_chains[0].filter_chain_match: needs envoy.filters.listener.tls_inspector in listener_filters, which is added"
          ] : []))
    state.listeners[0].listenerFilters = [.tlsInspector()]
    let second = compiler.compile(state)
    #expect(try #require(second.snapshot.listeners.first)[].filters.count == 1 && second.warnings.isEmpty)
  }
}

@Suite("filters in front of endpoints: what they say")
struct UpstreamFilterTests {
  @Test("a setting without effect is told by path, of a cluster's filters and of a router's")
  func warnings() {
    let compiler = SnapshotCompiler(
      metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1, opensFiles: false),
      random: RandomSource(seed: 1),
      extensions: ProxyExtensions(httpFilters: HTTPFilterRegistry([Teller.self])).withBasics)
    let teller = ConfiguredFilter(name: "t", .filter(ExtensionConfig(typeName: "tests.Teller", message: [])))
    var state = ConfigState()
    var cluster = SnapshotCompilerTests.cluster("a")
    cluster.filters = [teller]
    state.clusters = [cluster]
    var manager = HTTPConnectionManager(statPrefix: "x", routes: .inline(SnapshotCompilerTests.table("a")))
    var router = RouterOptions()
    router.upstreamFilters = [teller]
    manager.filters = [ConfiguredFilter(name: "router", .router(router))]
    var listener = SnapshotCompilerTests.listener("l", .inline(SnapshotCompilerTests.table("a")))
    listener.filterChains[0].filters = [.httpConnectionManager(manager)]
    state.listeners = [listener]
    for _ in 1...2 {
      #expect(
        compiler.compile(state).warnings.map(\.description) == [
          "envoy.config.listener.v3.Listener l: filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.upstream_http_filters[0].typed_config.value: has no effect",
          "envoy.config.cluster.v3.Cluster a: typed_extension_protocol_options.http_filters[0].typed_config.value: has no effect",
        ])
    }
  }
}
