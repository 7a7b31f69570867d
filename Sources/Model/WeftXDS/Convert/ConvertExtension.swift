import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDSMessages

extension Converter {
  /// An extension's configuration: typed, or free-form as `TypedStruct` or `Struct` beside a type.
  func extensionConfig(_ any: Google_Protobuf_Any, _ at: FieldPath) throws(ConfigError) -> ExtensionConfig {
    switch Self.typeName(any.typeUrl) {
    case let name where Self.isFreeForm(name):
      let free = try unpackFreeForm(any, at)
      let type = try required(Self.typeName(free.typeUrl), at.field("type_url"))
      return ExtensionConfig(typeName: type, message: try typed(free.value, type, at.field("value")))
    default:
      if let type = Self.registry.type(forURL: any.typeUrl) { try look(into: any, as: type, at) }
      return ExtensionConfig(typeName: Self.typeName(any.typeUrl), message: any.value)
    }
  }

  /// Whether a message of that name is a structure beside the name of its type.
  static func isFreeForm(_ name: String) -> Bool {
    name == Xds_Type_V3_TypedStruct.schema.name || name == "udpa.type.v1.TypedStruct"
  }

  /// Reports what the extension will not know either; what is no such message it will refuse.
  private func look<M: Message>(into any: Google_Protobuf_Any, as: M.Type, _ at: FieldPath) throws(ConfigError) {
    if let message = try? M(serialized: any.value) { try unknown(message, at) }
  }

  /// Both names stand for one message.
  private func unpackFreeForm(_ any: Google_Protobuf_Any, _ at: FieldPath) throws(ConfigError)
    -> Xds_Type_V3_TypedStruct
  {
    do throws(ProtobufError) { return try Xds_Type_V3_TypedStruct(serialized: any.value) } catch {
      throw ConfigError(path: at, error.message)
    }
  }

  /// A structure as the message `type`, whose JSON form it is.
  private func typed(_ value: Google_Protobuf_Struct?, _ type: String, _ at: FieldPath) throws(ConfigError) -> [UInt8] {
    guard let message = Self.registry.type(forURL: type) else {
      throw fail(at, "is of type \(type), which is not known here")
    }
    func parse<M: Message>(_: M.Type) throws(ConfigError) -> [UInt8] {
      guard let value else { return [] }
      var paths: [FieldPath] = []
      let message: M
      do throws(ProtobufError) {
        let options = JSONDecodingOptions(unknownFields: .collect, registry: Self.registry)
        message = try M(json: try value.json(), options: options, unknown: &paths)
      } catch { throw ConfigError(path: at.appending(error.path), error.message) }
      for path in paths { warn(at.appending(path), UnreadField.sentence(of: path)) }
      try unknown(message, at)
      return message.serialized()
    }
    return try parse(message)
  }

  /// `typed_per_filter_config`, by filter name.
  func filterOverrides(_ values: [String: Google_Protobuf_Any], _ parent: FieldPath) throws(ConfigError)
    -> [String: FilterOverride]
  {
    var out: [String: FilterOverride] = [:]
    for (name, any) in values.sorted(by: { $0.key < $1.key }) {
      let at = parent.field("typed_per_filter_config").key(name)
      var config = any
      var isOptional = false
      var isDisabled = false
      if any.holds(Envoy_Config_Route_V3_FilterConfig.self) {
        let wrapper = try unpack(any, Envoy_Config_Route_V3_FilterConfig.self, at)
        (isOptional, isDisabled) = (wrapper.isOptional, wrapper.disabled)
        // Off is off, whatever stands beside it; an empty configuration leaves the filter its own, and turns it on where the chain has it off.
        guard !isDisabled, let inner = wrapper.config, !inner.typeUrl.isEmpty else {
          guard isDisabled || wrapper.config != nil else { throw fail(at, "needs one of config, disabled") }
          out[name] = FilterOverride(config: nil, isDisabled: isDisabled)
          continue
        }
        config = inner
      }
      let converted = try extensionConfig(config, at)
      guard extensions.hasRouteFilter(converted.typeName) else {
        guard isOptional else { throw unregistered(name, converted.typeName, known: extensions.routeFilters, at) }
        warn(at, "optional configuration of filter \(name) is not supported and left out")
        continue
      }
      out[name] = FilterOverride(config: converted, isDisabled: isDisabled)
    }
    return out
  }
}

extension ExtensionConfig {
  init<M: Message>(_ message: M) { self.init(typeName: M.schema.name, message: message.serialized()) }
}
