import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDS

@testable import WeftTranslation

/// Both ends of the wire in one test: what translation makes, weft-proxy's own conversion must take.
@Suite("translation, as weft-proxy reads it")
struct OwnProxyTests {
  /// What weft-proxy takes and does not act upon, by the end of the field's path.
  static let knownWarnings = ["metadata", "track_remaining", "lb_policy", "hash_policy", "stat_prefix"]

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
}
