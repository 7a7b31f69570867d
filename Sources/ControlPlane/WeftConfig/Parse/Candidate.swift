package import WeftControlAPI
import WeftKinds

/// An object as it was found in a text, checked as far as it can be without the store.
package struct Candidate: Sendable {
  /// Names as far as they could be read, for messages.
  package var kind: String
  package var namespace: String
  package var name: String
  /// The object; nil when there are errors.
  package var envelope: Envelope?
  /// `metadata.resourceVersion` as written: the version that the writer has seen.
  package var basedOn: UInt64?
  package var problems: [Problem]
  /// Where the object begins.
  package var location: SourceLocation?

  package init(
    kind: String = "", namespace: String = "", name: String = "", envelope: Envelope? = nil, basedOn: UInt64? = nil,
    problems: [Problem] = [], location: SourceLocation? = nil
  ) {
    self.kind = kind
    self.namespace = namespace
    self.name = name
    self.envelope = envelope
    self.basedOn = basedOn
    self.problems = problems
    self.location = location
  }

  package var errors: [Problem] { problems.filter { $0.severity == .error } }
  package var warnings: [Problem] { problems.filter { $0.severity == .warning } }
}

/// What parsing and validation take for granted about the mesh.
package struct ConfigDefaults: Sendable {
  /// Where objects go that name no namespace.
  package var namespace: String
  package var domain: String
  package var rootNamespace: String

  package init(namespace: String = "default", domain: String = "cluster.local", rootNamespace: String = "istio-system")
  {
    self.namespace = namespace
    self.domain = domain
    self.rootNamespace = rootNamespace
  }
}
