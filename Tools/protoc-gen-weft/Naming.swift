// How names of a schema become names in Swift. Kept stable: everything above is written against them.
//
// - A top-level type is its package, each part in UpperCamelCase, and its own name, joined by `_`:
//   envoy.config.cluster.v3.Cluster → Envoy_Config_Cluster_V3_Cluster. Nested types nest in Swift, too.
// - A field is protoc's lowerCamelCase JSON name: `type_url` → typeUrl.
// - A oneof `cluster_specifier` is an optional property clusterSpecifier of the nested enum ClusterSpecifierOneOf,
//   whose cases are named like fields.
// - An enum value is lowerCamelCase, without the enum's own name before it if all values carry that:
//   LbPolicy.ROUND_ROBIN → .roundRobin.
// - A name that Swift or the runtime needs gets a `_` after it; other keywords stand in backticks.
internal import WeftProtobuf

enum Naming {
  /// `load_balancing_policies` → `LoadBalancingPolicies`.
  static func upperCamel(_ name: String) -> String {
    let name = jsonName(of: name)
    return name.prefix(1).uppercased() + name.dropFirst()
  }

  static func packagePrefix(_ package: String) -> String {
    package.split(separator: ".").map { upperCamel(String($0)) + "_" }.joined()
  }

  /// Name of a type as declared inside its parent.
  static func nestedType(_ name: String) -> String { takenTypes.contains(name) ? name + "_" : name }

  static func oneofType(_ name: String) -> String { upperCamel(name) + "OneOf" }

  static func property(_ name: String) -> String {
    let name = jsonName(of: name)
    let lower = name.prefix(1).lowercased() + name.dropFirst()
    if takenMembers.contains(lower) { return lower + "_" }
    return lower.first!.isNumber ? "_" + lower : lower
  }

  /// Swift names of an enum's values, in order; nil for an alias that would repeat a name.
  static func values(of type: Google_Protobuf_EnumDescriptorProto) -> [String?] {
    let prefix = upperSnake(type.name) + "_"
    let strips = type.value.allSatisfy { value in
      value.name.hasPrefix(prefix) && !value.name.dropFirst(prefix.count).isEmpty
        && !value.name.dropFirst(prefix.count).first!.isNumber
    }
    var seen: Set<String> = []
    return type.value.map { value in
      let text = strips ? String(value.name.dropFirst(prefix.count)) : value.name
      // Only names wholly in capitals are words joined by underscores; others keep their inner capitals.
      let isUpper = text == text.uppercased()
      let name = property(isUpper ? text.lowercased() : text)
      if seen.insert(name).inserted { return name }
      let numbered = value.number < 0 ? "\(name)_m\(value.number.magnitude)" : "\(name)_\(value.number)"
      return seen.insert(numbered).inserted ? numbered : nil
    }
  }

  /// `HTTPMethod` → `HTTP_METHOD`, `LbPolicy` → `LB_POLICY`.
  private static func upperSnake(_ name: String) -> String {
    var out = ""
    let letters = Array(name)
    for (i, c) in letters.enumerated() {
      let next = i + 1 < letters.count ? letters[i + 1] : nil
      if i > 0, c.isUppercase, letters[i - 1].isLowercase || letters[i - 1].isNumber || next?.isLowercase == true {
        out += "_"
      }
      out += c.uppercased()
    }
    return out
  }

  /// In backticks where Swift needs them.
  static func quoted(_ name: String) -> String { keywords.contains(name) ? "`\(name)`" : name }

  private static let keywords: Set<String> = [
    "as", "associatedtype", "break", "case", "catch", "class", "continue", "default", "defer", "deinit", "do", "else",
    "enum", "extension", "fallthrough", "false", "fileprivate", "for", "func", "guard", "if", "import", "in",
    "inout", "internal", "is", "let", "nil", "operator", "precedencegroup", "private", "protocol", "public", "repeat",
    "rethrows", "return", "static", "struct", "subscript", "super", "switch", "throw", "throws", "true", "try",
    "typealias", "var", "where", "while", "actor", "any", "some", "await", "async", "borrowing", "consuming",
  ]
  private static let takenMembers: Set<String> = [
    "self", "init", "schema", "unknownFields", "hashValue", "rawValue", "isClosed", "isNullValue", "hasCustomJSON",
  ]
  private static let takenTypes: Set<String> = [
    "Any", "Array", "Bool", "BoolField", "Boxed", "BytesField", "Dictionary", "Double", "DoubleField", "EnumField",
    "EnumSchema", "FieldDecoder", "FieldVisitor", "Fixed32Field", "Fixed64Field", "Float", "FloatField", "GroupField",
    "Int32", "Int32Field", "Int64", "Int64Field", "Message", "MessageField", "MessageSchema", "Optional", "Protocol",
    "ProtobufEnum", "ProtobufError", "SFixed32Field", "SFixed64Field", "SInt32Field", "SInt64Field", "Self",
    "Sendable", "String", "StringField", "Type", "UInt32", "UInt32Field", "UInt64", "UInt64Field", "UInt8",
    "UnknownFields",
  ]
}
