/// Every kind that configuration may be of, sorted by name. A new kind is one line here.
package enum KindRegistry {
  package static let all: [any ConfigKind.Type] = [
    DestinationRuleKind.self,
    GatewayKind.self,
    ServiceEntryKind.self,
    SidecarKind.self,
    VirtualServiceKind.self,
    WorkloadEntryKind.self,
  ]

  /// The kind of exactly that name.
  package static func kind(_ name: KindName) -> (any ConfigKind.Type)? { all.first { $0.name == name } }

  /// The kind that people mean: its name, plural or short name, in any case.
  package static func kind(called text: String) -> (any ConfigKind.Type)? {
    let lower = text.lowercased()
    return all.first { $0.name.rawValue.lowercased() == lower || $0.plural == lower || $0.shortNames.contains(lower) }
  }
}
