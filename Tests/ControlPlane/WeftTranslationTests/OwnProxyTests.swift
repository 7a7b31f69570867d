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
    "metadata", "track_remaining", "lb_policy", "hash_policy", "stat_prefix", "typed_per_filter_config",
    "request_mirror_policies", "http_filters[0]", "http_filters[1]",
  ]

  @Test(
    "every resource of the golden cases converts, without a setting that has no effect",
    arguments: TranslationCase.names.filter { !$0.hasPrefix("grpc") })
  func converts(_ name: String) throws {
    let resources = try TranslationCase(name).translate()
    let converter = Converter()
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

  @Test("what Envoy does and weft-proxy does not is an issue for weft-proxy alone")
  func issues() throws {
    let example = try TranslationCase("faults-cors-mirrors")
    #expect(Translator.translate(example.snapshot, for: example.proxy).issues.isEmpty)
    var own = example.proxy
    own.userAgent = "weft-proxy 1"
    let paths = Translator.translate(example.snapshot, for: own).issues.map(\.path)
    #expect(
      paths == [
        "spec.trafficPolicy.loadBalancer.consistentHash", "spec.http[0].fault", "spec.http[1].fault",
        "spec.http[2].corsPolicy", "spec.http[3].corsPolicy", "spec.http[4].mirror", "spec.http[5].mirrors",
        "spec.http[6].mirror",
      ])
    // A gRPC library refuses routes with filters that it does not know: it is sent none.
    var library = example.proxy
    library.isGRPC = true
    let interest = Interest([
      .listener: ["reviews.default.svc.cluster.local:9080"],
      .route: ["reviews.default.svc.cluster.local:9080"],
    ])
    let made = Translator.translate(example.snapshot, for: library, interest: interest)
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
