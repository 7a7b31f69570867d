package import WeftTranslation

/// The two forms of the protocol.
package enum DiscoveryForm: String, Sendable, Hashable {
  case stateOfTheWorld = "state-of-the-world"
  case delta
}

/// A request of either form, as far as a session looks at it.
package struct DiscoveryRequestEvent: Sendable, Equatable {
  package var type: ResourceType
  /// State of the world: all names; delta: names to add.
  package var names: [String]
  /// Delta: names to drop.
  package var unsubscribed: [String]
  /// Delta, first request: what the client holds, with versions.
  package var held: [String: String]
  package var nonce: String
  /// State of the world: the last version the client accepted.
  package var version: String
  /// The client refused the response of `nonce`.
  package var refusal: String?

  package init(
    type: ResourceType, names: [String] = [], unsubscribed: [String] = [], held: [String: String] = [:],
    nonce: String = "", version: String = "", refusal: String? = nil
  ) {
    self.type = type
    self.names = names
    self.unsubscribed = unsubscribed
    self.held = held
    self.nonce = nonce
    self.version = version
    self.refusal = refusal
  }
}

/// A response of either form.
package struct DiscoveryResponseEvent: Sendable, Equatable {
  package var type: ResourceType
  /// Of the snapshot.
  package var version: UInt64
  package var nonce: String
  package var resources: [Resource]
  /// Delta only.
  package var removed: [String]

  package init(type: ResourceType, version: UInt64, nonce: String, resources: [Resource], removed: [String] = []) {
    self.type = type
    self.version = version
    self.nonce = nonce
    self.resources = resources
    self.removed = removed
  }

  package var names: [String] { resources.map(\.name) }
}
