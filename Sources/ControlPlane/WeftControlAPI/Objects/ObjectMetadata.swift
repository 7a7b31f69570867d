/// The metadata block of an object, as every Kubernetes-like store keeps it.
package struct ObjectMetadata: Hashable, Sendable {
  package var name: String
  package var namespace: String
  package var labels: [String: String]
  package var annotations: [String: String]
  /// When the object first existed. Age is semantic: of two objects in conflict the older wins.
  package var creationTimestamp: WallTime
  /// The store's counter at the last write of this object; 0 for an object that no store has seen.
  package var resourceVersion: UInt64
  /// Counts the changes of the spec (not of labels or annotations), starting with 1.
  package var generation: Int64
  package var uid: String

  package init(
    name: String, namespace: String, labels: [String: String] = [:], annotations: [String: String] = [:],
    creationTimestamp: WallTime = WallTime(nanoseconds: 0), resourceVersion: UInt64 = 0, generation: Int64 = 1,
    uid: String = ""
  ) {
    self.name = name
    self.namespace = namespace
    self.labels = labels
    self.annotations = annotations
    self.creationTimestamp = creationTimestamp
    self.resourceVersion = resourceVersion
    self.generation = generation
    self.uid = uid
  }
}
