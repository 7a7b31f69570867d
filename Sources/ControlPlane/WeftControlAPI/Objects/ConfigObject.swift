package import WeftKinds

/// One configuration object of a kind, parsed and valid, with what every reader needs worked out once: the full names
/// of its hosts and who may see it.
package final class ConfigObject<Spec: Sendable & Equatable>: Sendable {
  package let key: ObjectKey
  package let metadata: ObjectMetadata
  package let spec: Spec
  /// The hosts the object speaks about, short names resolved in the namespace of the object (VirtualService hosts,
  /// DestinationRule host, ServiceEntry hosts); empty for other kinds and for delegates.
  package let hosts: [String]
  /// Who may see the object (`exportTo`).
  package let visibility: Visibility

  package init(
    kind: KindName, metadata: ObjectMetadata, spec: Spec, hosts: [String] = [], visibility: Visibility = .all
  ) {
    key = ObjectKey(kind: kind, namespace: metadata.namespace, name: metadata.name)
    self.metadata = metadata
    self.spec = spec
    self.hosts = hosts
    self.visibility = visibility
  }

  package var namespace: String { metadata.namespace }
  package var name: String { metadata.name }
  package var origin: Origin { Origin(key, generation: metadata.generation) }

  /// Whether a proxy in `namespace` may see the object.
  package func isVisible(to namespace: String) -> Bool {
    visibility.includes(namespace, owner: metadata.namespace)
  }

  /// Oldest first; equal ages by name, then by namespace. The order in which conflicts are decided.
  package static func precedes(_ a: ConfigObject, _ b: ConfigObject) -> Bool {
    let left = a.metadata
    let right = b.metadata
    if left.creationTimestamp != right.creationTimestamp { return left.creationTimestamp < right.creationTimestamp }
    if left.name != right.name { return left.name < right.name }
    return left.namespace < right.namespace
  }

  /// Whether a reader of the model could tell the two apart: versions and timestamps of the store do not count,
  /// except the age, which decides conflicts.
  package func hasSameContent(as other: ConfigObject) -> Bool {
    self === other
      || (key == other.key && metadata.generation == other.metadata.generation
        && metadata.creationTimestamp == other.metadata.creationTimestamp
        && metadata.labels == other.metadata.labels && metadata.annotations == other.metadata.annotations
        && hosts == other.hosts && visibility == other.visibility && spec == other.spec)
  }
}
