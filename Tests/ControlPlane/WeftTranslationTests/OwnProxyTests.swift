import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDS
import WeftXDSMessages

@testable import WeftTranslation

/// Both ends of the wire in one test: what translation makes, weft-proxy's own conversion must take.
@Suite("translation, as weft-proxy reads it")
struct OwnProxyTests {
  /// What weft-proxy takes and does not act upon, by the end of the field's path.
  static let knownWarnings = [
    "metadata", "track_remaining", "lb_policy", "hash_policy", "stat_prefix",
  ]

  @Test(
    "every resource of the golden cases converts, without a setting that has no effect",
    arguments: TranslationCase.names.filter { !$0.hasPrefix("grpc") })
  func converts(_ name: String) throws {
    let example = try TranslationCase(name)
    var own = example.proxy
    own.userAgent = "weft-proxy 1"
    let resources = Translator.translate(example.snapshot, for: own, interest: example.interest)
    let converter = Converter(extensions: .shipped)
    func list<M: Message>(_ type: ResourceType) throws -> [M] {
      try resources.names(type).map { try M(serialized: resources[type, $0]!.body) }
    }
    let refused =
      converter.clusters(try list(.cluster)).rejections + converter.loadAssignments(try list(.endpoint)).rejections
      + converter.listeners(try list(.listener)).rejections
      + converter.routeConfigurations(try list(.route)).rejections
    #expect(refused.map(\.description) == [])
    let warnings = converter.warnings.filter { warning in
      !Self.knownWarnings.contains { warning.path.description.hasSuffix($0) }
    }
    #expect(warnings.map(\.description) == [])
  }

  @Test("faults, CORS and mirrors of a rule reach weft-proxy: filters in the listener, and what the route says")
  func faults() throws {
    let example = try TranslationCase("faults-cors-mirrors")
    var own = example.proxy
    own.userAgent = "weft-proxy 1"
    let made = Translator.translate(example.snapshot, for: own)
    let name = "envoy.extensions.filters.http.fault.v3.HTTPFault"
    let converter = Converter(extensions: .shipped)
    let message: Envoy_Config_Route_V3_RouteConfiguration = try made.message(
      .route, "reviews.default.svc.cluster.local:9080")
    let routes = try converter.routeConfiguration(message).virtualHosts.flatMap(\.routes)
    #expect(routes.compactMap { $0.filters["envoy.filters.http.fault"]?.config?.typeName } == [name, name])
    #expect(routes.count { $0.filters["envoy.filters.http.cors"]?.config != nil } == 2)
    let mirrors = routes.compactMap { if case .forward(let action) = $0.action { action.mirrors } else { nil } }
    #expect(mirrors.contains { !$0.isEmpty } && mirrors.joined().allSatisfy(\.disableShadowHostSuffix))
    let listeners = try made.names(.listener).map { listener -> WeftModel.Listener in
      let message: Envoy_Config_Listener_V3_Listener = try made.message(.listener, listener)
      return try converter.listener(message)
    }
    #expect(listeners.flatMap(Self.filters).contains(name))
  }

  /// The messages of the HTTP filters in a listener.
  private static func filters(_ listener: WeftModel.Listener) -> [String] {
    listener.filterChains.flatMap(\.filters).flatMap { filter -> [String] in
      guard case .httpConnectionManager(let manager) = filter else { return [] }
      return manager.filters.compactMap {
        if case .filter(let config) = $0.configuration { config.typeName } else { nil }
      }
    }
  }

  @Test("what only a stock Envoy can read is left out for weft-proxy")
  func unreadable() throws {
    var route = Envoy_Config_Route_V3_Route()
    route.match = .everything
    route.action = .nonForwardingAction(.init())
    route.typedPerFilterConfig["buffer"] = Google_Protobuf_Any(
      typeUrl: "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute", value: [])
    var host = Envoy_Config_Route_V3_VirtualHost()
    host.name = "host"
    host.domains = ["*"]
    host.routes = [route]
    var table = Envoy_Config_Route_V3_RouteConfiguration()
    table.virtualHosts = [host]
    #expect(ResourceGuard.kept(table, for: .any).refusals.isEmpty)
    #expect(ResourceGuard.kept(table, for: .shipped).message.virtualHosts.isEmpty)
  }

  @Test("what Envoy does and weft-proxy does not is an issue for weft-proxy alone")
  func issues() throws {
    let example = try TranslationCase("faults-cors-mirrors")
    #expect(Translator.translate(example.snapshot, for: example.proxy).issues.isEmpty)
    var own = example.proxy
    own.userAgent = "weft-proxy 1"
    let paths = Translator.translate(example.snapshot, for: own).issues.map(\.path)
    #expect(paths.isEmpty)
    // A gRPC library refuses routes with filters that it does not know: it is sent none.
    var library = example.proxy
    library.isGRPC = true
    let interest = Interest([
      .listener: ["reviews.default.svc.cluster.local:9080"],
      .route: ["reviews.default.svc.cluster.local:9080"],
    ])
    let made = Translator.translate(example.snapshot, for: library, interest: interest)
    for path in ["spec.http[0].fault", "spec.http[4].mirror", "spec.http[5].mirrors"] {
      #expect(made.issues.map(\.path).contains(path))
    }
    #expect(!made.names(.route).isEmpty)
    for name in made.names(.route) {
      let route = try Envoy_Config_Route_V3_RouteConfiguration(serialized: made[.route, name]?.body ?? [])
      for entry in route.virtualHosts.flatMap(\.routes) {
        #expect(entry.typedPerFilterConfig.isEmpty)
        if case .route(let action) = entry.action { #expect(action.requestMirrorPolicies.isEmpty) }
      }
    }
  }
}
