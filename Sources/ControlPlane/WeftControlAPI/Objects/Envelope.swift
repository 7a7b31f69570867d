package import WeftBase
package import WeftKinds

/// An object as people write it and the store keeps it: envelope and untyped spec.
package struct Envelope: Hashable, Sendable {
  /// As written: `networking.istio.io/v1`. All versions of a group have the same fields.
  package var apiVersion: String
  package var kind: KindName
  package var metadata: ObjectMetadata
  package var spec: JSONValue
  /// Who owns the object: `api`, `registry`, or `directory:<path>`.
  package var source: String

  package init(
    apiVersion: String, kind: KindName, metadata: ObjectMetadata, spec: JSONValue, source: String = Envelope.apiSource
  ) {
    self.apiVersion = apiVersion
    self.kind = kind
    self.metadata = metadata
    self.spec = spec
    self.source = source
  }

  package static let apiSource = "api"
  package static let registrySource = "registry"

  package var key: ObjectKey { ObjectKey(kind: kind, namespace: metadata.namespace, name: metadata.name) }
  package var origin: Origin { Origin(key, generation: metadata.generation) }

  /// The object as the API shows it.
  package var json: JSONValue {
    var meta = JSONObject()
    meta["name"] = .string(metadata.name)
    meta["namespace"] = .string(metadata.namespace)
    if !metadata.labels.isEmpty { meta["labels"] = Self.json(metadata.labels) }
    if !metadata.annotations.isEmpty { meta["annotations"] = Self.json(metadata.annotations) }
    if metadata.resourceVersion > 0 {
      meta["creationTimestamp"] = .string(metadata.creationTimestamp.description)
      meta["generation"] = .int(metadata.generation)
      meta["resourceVersion"] = .string(String(metadata.resourceVersion))
      meta["uid"] = .string(metadata.uid)
    }
    return .object([
      "apiVersion": .string(apiVersion), "kind": .string(kind.rawValue), "metadata": .object(meta), "spec": spec,
    ])
  }

  private static func json(_ map: [String: String]) -> JSONValue {
    .object(JSONObject(map.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }))
  }
}
