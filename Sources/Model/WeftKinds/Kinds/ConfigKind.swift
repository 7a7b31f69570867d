package import WeftBase
package import WeftProtobuf

/// A kind of configuration: its names, schema, validation and documentation. One folder per kind.
package protocol ConfigKind: Sendable {
  associatedtype Spec: Message

  static var name: KindName { get }
  /// The API group; every version of it in `versions` is accepted.
  static var group: String { get }
  static var versions: [String] { get }
  static var plural: String { get }
  static var shortNames: [String] { get }
  static var documentation: KindDocumentation { get }

  /// The hosts that the object speaks about, as written.
  static func hosts(_ spec: Spec) -> [String]
  static func exportTo(_ spec: Spec) -> [String]

  /// Reports what is wrong with a spec. Paths begin with `spec`.
  static func validate(_ spec: Spec, _ found: inout FindingCollector)
}

extension ConfigKind {
  package static var group: String { "networking.istio.io" }
  package static var versions: [String] { ["v1", "v1beta1", "v1alpha3"] }
  package static func hosts(_ spec: Spec) -> [String] { [] }
  package static func exportTo(_ spec: Spec) -> [String] { [] }

  /// The newest version of the group.
  package static var apiVersion: String { "\(group)/\(versions[0])" }

  /// Decodes and checks a spec. The spec is nil when it could not be decoded; then there is at least one error.
  package static func check(
    _ json: JSONValue, _ context: ValidationContext
  ) -> (spec: Spec?, findings: [Finding]) {
    var collector = FindingCollector(context)
    do throws(ProtobufError) {
      let spec = try Spec(json: json)
      validate(spec, &collector)
      return (spec, collector.findings)
    } catch {
      let path = FieldPath.root.field("spec").appending(error.path)
      return (nil, [Finding(.error, at: path, error.message)])
    }
  }
}

/// What documentation and the command line show about a kind.
package struct KindDocumentation: Sendable {
  package struct Field: Sendable {
    package var name: String
    package var text: String
  }

  package var summary: String
  package var fields: [Field]

  package init(summary: String, fields: [(String, String)]) {
    self.summary = summary
    self.fields = fields.map { Field(name: $0.0, text: $0.1) }
  }
}
