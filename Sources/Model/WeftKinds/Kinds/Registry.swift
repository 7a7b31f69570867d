package import WeftBase

/// A kind as a value: what readers, the API and the command line need of it, without its type.
package struct KindDescription: Sendable {
  package let name: KindName
  package let group: String
  package let versions: [String]
  package let plural: String
  package let shortNames: [String]
  package let documentation: KindDocumentation
  /// What is wrong with a spec.
  package let findings: @Sendable (JSONValue, ValidationContext) -> [Finding]

  package init<Kind: ConfigKind>(_ kind: Kind.Type) {
    name = Kind.name
    group = Kind.group
    versions = Kind.versions
    plural = Kind.plural
    shortNames = Kind.shortNames
    documentation = Kind.documentation
    findings = { json, context in Kind.check(json, context).findings }
  }

  /// Every `apiVersion` that names this kind, newest first.
  package var apiVersions: [String] { versions.map { "\(group)/\($0)" } }
}

/// Every kind that configuration may be of, sorted by name. A new kind is one line here.
package enum KindRegistry {
  package static let all: [KindDescription] = [
    KindDescription(DestinationRuleKind.self),
    KindDescription(GatewayKind.self),
    KindDescription(ServiceEntryKind.self),
    KindDescription(SidecarKind.self),
    KindDescription(VirtualServiceKind.self),
    KindDescription(WorkloadEntryKind.self),
  ]

  /// The kind of exactly that name.
  package static func kind(_ name: KindName) -> KindDescription? { all.first { $0.name == name } }

  /// The kind that people mean: its name, plural or short name, in any case.
  package static func kind(called text: String) -> KindDescription? {
    let lower = text.lowercased()
    return all.first { $0.name.rawValue.lowercased() == lower || $0.plural == lower || $0.shortNames.contains(lower) }
  }
}
