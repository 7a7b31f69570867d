// ExtensionReader: how extensions read their messages, with the same checks and words as everything else.

package import WeftBase
package import WeftModel
package import WeftProtobuf
package import WeftXDSMessages

/// Reads an extension's message and the parts that messages share. *Errors*: the path inside the message, and what is allowed there.
package struct ExtensionReader {
  private let converter = Converter()

  package init() {}

  /// The message itself. Empty bytes are a message with all its defaults.
  package func message<M: Message>(_ config: ExtensionConfig, as type: M.Type) throws(ConfigError) -> M {
    guard config.typeName == M.schema.name else {
      throw ConfigError("is of type \(config.typeName), must be \(M.schema.name)")
    }
    do throws(ProtobufError) { return try M(serialized: config.message) } catch {
      throw ConfigError(path: error.path, error.message)
    }
  }

  package func duration(_ value: Google_Protobuf_Duration?, _ at: FieldPath) throws(ConfigError) -> Duration? {
    try converter.duration(value, at)
  }

  package func string(_ value: Envoy_Type_Matcher_V3_StringMatcher, _ at: FieldPath) throws(ConfigError)
    -> StringMatcher
  {
    try converter.string(value, at)
  }

  package func headers(_ values: [Envoy_Config_Route_V3_HeaderMatcher], _ at: FieldPath) throws(ConfigError)
    -> [HeaderMatcher]
  {
    try converter.headers(values, at)
  }

  /// One header to add.
  package func headerOption(_ value: Envoy_Config_Core_V3_HeaderValueOption, _ at: FieldPath) throws(ConfigError)
    -> HeaderValueOption
  {
    try converter.headerOption(value, at)
  }

  /// A header that may be removed.
  package func removableHeader(_ name: String, _ at: FieldPath) throws(ConfigError) -> String {
    try converter.removableHeader(name, at)
  }

  package func runtimeFraction(_ value: Envoy_Config_Core_V3_RuntimeFractionalPercent, _ at: FieldPath)
    throws(ConfigError) -> RuntimeFraction
  {
    try converter.runtimeFraction(value, at)
  }

  package func fraction(_ value: Envoy_Type_V3_FractionalPercent) -> FractionalPercent { converter.fraction(value) }
}
