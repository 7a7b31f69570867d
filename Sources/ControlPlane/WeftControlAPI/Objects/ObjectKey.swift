package import WeftKinds

/// The name of one configuration object: kind, namespace, name. Versions of an API group share one key.
package struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
  package var kind: KindName
  package var namespace: String
  package var name: String

  package init(kind: KindName, namespace: String, name: String) {
    self.kind = kind
    self.namespace = namespace
    self.name = name
  }

  package static func < (a: ObjectKey, b: ObjectKey) -> Bool {
    if a.kind != b.kind { return a.kind < b.kind }
    if a.namespace != b.namespace { return a.namespace < b.namespace }
    return a.name < b.name
  }

  package var description: String { "\(kind)/\(namespace)/\(name)" }
}

/// Where a node of the model comes from: the object and the generation of its spec. Generated resources carry their
/// origins, so that a refusal by a proxy finds the rule that caused it.
package struct Origin: Hashable, Sendable, Comparable, CustomStringConvertible {
  package var kind: KindName
  package var namespace: String
  package var name: String
  package var generation: Int64

  package init(kind: KindName, namespace: String, name: String, generation: Int64) {
    self.kind = kind
    self.namespace = namespace
    self.name = name
    self.generation = generation
  }

  package init(_ key: ObjectKey, generation: Int64) {
    self.init(kind: key.kind, namespace: key.namespace, name: key.name, generation: generation)
  }

  package var key: ObjectKey { ObjectKey(kind: kind, namespace: namespace, name: name) }

  package static func < (a: Origin, b: Origin) -> Bool {
    a.key == b.key ? a.generation < b.generation : a.key < b.key
  }

  package var description: String { "\(kind)/\(namespace)/\(name)@\(generation)" }
}
