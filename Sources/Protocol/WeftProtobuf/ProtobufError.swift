package import WeftBase

/// Why bytes or a JSON value are not the message they should be.
package struct ProtobufError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Where, as the document spells it; empty for the document itself and for binary input.
  package var path: FieldPath
  package var message: String

  package init(_ message: String, at path: FieldPath = FieldPath()) {
    self.path = path
    self.message = message
  }

  package var description: String { path.isRoot ? message : "\(path): \(message)" }
}

/// Bounds on what a decoder accepts.
package struct DecodingLimits: Sendable {
  /// Nested messages and groups, the outermost included.
  package var depth: Int
  package var bytes: Int

  package init(depth: Int = 100, bytes: Int = 256 << 20) {
    self.depth = depth
    self.bytes = bytes
  }
}

/// What to do with a JSON member that the schema does not know.
package enum UnknownFieldPolicy: Sendable {
  /// The first one is an error.
  case refuse
  /// Skip it, and unknown enum names, too.
  case ignore
  /// Skip it and report its path.
  case collect
}

package struct JSONDecodingOptions: Sendable {
  package var unknownFields: UnknownFieldPolicy
  /// The types that `Any` may hold.
  package var registry: TypeRegistry
  package var depth: Int
  /// Takes durations as Go writes them, too (`300ms`, `1h30m`): what people write in Kubernetes objects.
  package var takesGoDurations: Bool
  /// Takes names of enum values in any case, and with dashes: what people write in Envoy's bootstraps (`codec_type: auto`).
  package var ignoresEnumCase = false

  package init(
    unknownFields: UnknownFieldPolicy = .refuse, registry: TypeRegistry = TypeRegistry(), depth: Int = 100,
    takesGoDurations: Bool = false
  ) {
    self.unknownFields = unknownFields
    self.registry = registry
    self.depth = depth
    self.takesGoDurations = takesGoDurations
  }
}

package struct JSONEncodingOptions: Sendable {
  /// Names as the schema spells them (`load_assignment`) instead of lowerCamelCase.
  package var protoNames: Bool
  package var registry: TypeRegistry

  package init(protoNames: Bool = false, registry: TypeRegistry = TypeRegistry()) {
    self.protoNames = protoNames
    self.registry = registry
  }
}

/// The message types that may appear inside `Any`, by full name. A value that callers pass in; there is no global one.
package struct TypeRegistry: Sendable {
  private var types: [String: any Message.Type] = [:]

  /// The well-known types and google.rpc.Status are always known.
  package init(_ types: [any Message.Type] = []) {
    for type in WellKnownTypes.all { self.types[type.schema.name] = type }
    for type in types { self.types[type.schema.name] = type }
  }

  package mutating func add(_ more: [any Message.Type]) {
    for type in more { types[type.schema.name] = type }
  }

  /// Full names that begin with `prefix`, sorted.
  package func names(beginningWith prefix: String) -> [String] { types.keys.filter { $0.hasPrefix(prefix) }.sorted() }

  /// The type behind `type.googleapis.com/full.Name`; whatever stands before the last slash is not looked at.
  package func type(forURL url: String) -> (any Message.Type)? {
    types[
      String(
        url[
          url.lastIndex(of: "/").map { url.index(after: $0) }.map { $0..<url.endIndex } ?? url.startIndex..<url.endIndex
        ])]
  }
}
