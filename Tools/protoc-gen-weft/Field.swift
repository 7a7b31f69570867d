// A field of a schema with everything its code needs.
internal import WeftProtobuf

struct Field {
  enum Shape {
    case singular
    /// `isBoxed`: a message behind a pointer.
    case optional(isBoxed: Bool)
    case required(isBoxed: Bool)
    case repeated(isPacked: Bool)
    case map(keyKind: String, valueKind: String)
    /// Index of the oneof.
    case member(Int)
  }

  let descriptor: Google_Protobuf_FieldDescriptorProto
  let name: String
  /// In the schema: the field's own name, or an extension's full name in brackets.
  let schemaName: String
  let number: Int32
  let shape: Shape
  /// The runtime's `FieldKind`: `StringField`, `MessageField<…>`.
  let kind: String
  /// One value: `String`, `Envoy_Type_V3_Percent`.
  let valueType: String
  let propertyType: String
  let initialValue: String
  let isMessage: Bool

  init(
    _ descriptor: Google_Protobuf_FieldDescriptorProto, name: String, extensionScope: String? = nil,
    features: Features, generator: Generator
  ) throws {
    self.descriptor = descriptor
    self.name = name
    schemaName = extensionScope.map { "[\($0.dropFirst()).\(descriptor.name)]" } ?? descriptor.name
    number = descriptor.number
    let features = features.overridden(descriptor.options?.features)
    let (kind, valueType, zero) = try Field.type(of: descriptor, features, generator)
    self.kind = kind
    self.valueType = valueType
    isMessage = descriptor.type == .message || descriptor.type == .group

    if descriptor.label == .repeated {
      if isMessage, let entry = try generator.type(descriptor.typeName).message, entry.options?.mapEntry == true {
        let entryFeatures = Features(file: try generator.type(descriptor.typeName).file)
        guard let key = entry.field.first(where: { $0.number == 1 }),
          let value = entry.field.first(where: { $0.number == 2 })
        else { throw GeneratorError(description: "map \(descriptor.name) has no key or value") }
        let keyType = try Field.type(of: key, entryFeatures, generator)
        let element = try Field.type(of: value, entryFeatures, generator)
        shape = .map(keyKind: keyType.kind, valueKind: element.kind)
        propertyType = "[\(keyType.type): \(element.type)]"
        initialValue = "[:]"
        return
      }
      let isPackable = !isMessage && descriptor.type != .string && descriptor.type != .bytes
      shape = .repeated(isPacked: isPackable && (descriptor.options?.packed ?? features.packed))
      propertyType = "[\(valueType)]"
      initialValue = "[]"
    } else if let oneof = descriptor.oneofIndex, !descriptor.proto3Optional {
      shape = .member(Int(oneof))
      propertyType = valueType
      initialValue = ""
    } else if descriptor.label == .required || features.presence == .required {
      shape = .required(isBoxed: isMessage)
      propertyType = valueType + "?"
      initialValue = "nil"
    } else if isMessage || descriptor.proto3Optional || features.presence == .explicit {
      shape = .optional(isBoxed: isMessage)
      propertyType = valueType + "?"
      initialValue = "nil"
    } else {
      shape = .singular
      propertyType = valueType
      initialValue = zero
    }
  }

  private static func type(
    of field: Google_Protobuf_FieldDescriptorProto, _ features: Features, _ generator: Generator
  ) throws -> (kind: String, type: String, zero: String) {
    switch field.type {
    case .double: return ("DoubleField", "Double", "0")
    case .float: return ("FloatField", "Float", "0")
    case .int64: return ("Int64Field", "Int64", "0")
    case .uint64: return ("UInt64Field", "UInt64", "0")
    case .int32: return ("Int32Field", "Int32", "0")
    case .fixed64: return ("Fixed64Field", "UInt64", "0")
    case .fixed32: return ("Fixed32Field", "UInt32", "0")
    case .bool: return ("BoolField", "Bool", "false")
    case .string: return ("StringField", "String", "\"\"")
    case .bytes: return ("BytesField", "[UInt8]", "[]")
    case .uint32: return ("UInt32Field", "UInt32", "0")
    case .sfixed32: return ("SFixed32Field", "Int32", "0")
    case .sfixed64: return ("SFixed64Field", "Int64", "0")
    case .sint32: return ("SInt32Field", "Int32", "0")
    case .sint64: return ("SInt64Field", "Int64", "0")
    case .message, .group:
      let name = try generator.type(field.typeName).swiftName
      let isGroup = field.type == .group || features.delimited
      return (isGroup ? "GroupField<\(name)>" : "MessageField<\(name)>", name, "\(name)()")
    case .enum:
      let entry = try generator.type(field.typeName)
      let first = entry.enumeration?.value.first?.number ?? 0
      return ("EnumField<\(entry.swiftName)>", entry.swiftName, ".init(rawValue: \(first))")
    default: throw GeneratorError(description: "field \(field.name) of unknown type \(field.type.rawValue)")
    }
  }
}
