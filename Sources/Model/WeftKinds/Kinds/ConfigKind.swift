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

  /// Decodes and checks a spec. The spec is nil when it could not be decoded; then there is at least one error.
  package static func check(
    _ json: JSONValue, _ context: ValidationContext
  ) -> (spec: Spec?, findings: [Finding]) {
    let base = FieldPath.root.field("spec")
    var unknown: [FieldPath] = []
    do throws(ProtobufError) {
      let options = JSONDecodingOptions(unknownFields: .collect, takesGoDurations: true)
      let spec = try Spec(json: json, options: options, unknown: &unknown)
      var collector = FindingCollector(context)
      validate(spec, &collector)
      let strangers = unknown.map { Finding(.error, at: base.appending($0), "unknown field") }
      return (spec, strangers + collector.findings)
    } catch {
      return (nil, [Finding(.error, at: base.appending(error.path), error.message)])
    }
  }

  /// Decodes a spec that was accepted before; fields that this program does not know are left out.
  package static func decode(_ json: JSONValue) throws(ProtobufError) -> Spec {
    try Spec(json: json, options: JSONDecodingOptions(unknownFields: .ignore, takesGoDurations: true))
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
