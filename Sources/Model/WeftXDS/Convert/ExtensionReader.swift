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

  /// What a TLS inspector is configured with.
  package func tlsInspector(_ config: ExtensionConfig) throws(ConfigError) -> TLSInspectorSettings {
    try converter.tlsInspector(
      try message(config, as: Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector.self), .root)
  }

  /// What a PROXY protocol filter is configured with.
  package func proxyProtocol(_ config: ExtensionConfig) throws(ConfigError) -> ProxyProtocolSettings {
    try converter.proxyProtocol(
      try message(config, as: Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol.self), .root)
  }

  /// What a filter that keeps the client's address as source is configured with.
  package func originalSource(_ config: ExtensionConfig) throws(ConfigError) -> OriginalSourceSettings {
    converter.originalSource(
      try message(config, as: Envoy_Extensions_Filters_Listener_OriginalSrc_V3_OriginalSrc.self), .root)
  }

  /// What an access log that goes into a file is configured with.
  package func fileAccessLog(_ config: ExtensionConfig) throws(ConfigError) -> FileAccessLogSettings {
    try converter.fileAccessLog(
      try message(config, as: Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog.self), .root)
  }

  /// What an access log that goes to standard output is configured with.
  package func stdoutAccessLog(_ config: ExtensionConfig) throws(ConfigError) -> LogFormat {
    try converter.stdoutAccessLog(
      try message(config, as: Envoy_Extensions_AccessLoggers_Stream_V3_StdoutAccessLog.self), .root)
  }

  /// What an access log that goes to standard error is configured with.
  package func stderrAccessLog(_ config: ExtensionConfig) throws(ConfigError) -> LogFormat {
    try converter.stderrAccessLog(
      try message(config, as: Envoy_Extensions_AccessLoggers_Stream_V3_StderrAccessLog.self), .root)
  }

  /// What the lines of an access log look like.
  package func logFormat(_ value: Envoy_Config_Core_V3_SubstitutionFormatString, _ at: FieldPath) throws(ConfigError)
    -> LogFormat
  {
    try converter.logFormat(value, at)
  }

  /// Bytes, or where they are.
  package func data(_ value: Envoy_Config_Core_V3_DataSource?, _ at: FieldPath) throws(ConfigError) -> DataSource {
    try converter.data(value, at)
  }

  package func duration(
    _ value: Google_Protobuf_Duration?, _ at: FieldPath, below limit: Duration? = nil
  ) throws(ConfigError) -> Duration? {
    try converter.duration(value, at, below: limit)
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

  /// A switch, with what holds where the runtime says nothing.
  package func featureFlag(
    _ value: Envoy_Config_Core_V3_RuntimeFeatureFlag, _ at: FieldPath
  ) throws(ConfigError) -> RuntimeSwitch {
    guard let flag = value.defaultValue else { throw ConfigError(path: at.field("default_value"), "is required") }
    return RuntimeSwitch(flag.value, runtimeKey: value.runtimeKey)
  }

  package func tokenBucket(_ value: Envoy_Type_V3_TokenBucket, _ at: FieldPath) throws(ConfigError)
    -> TokenBucketSettings
  {
    let perFill = value.tokensPerFill?.value ?? 1
    guard perFill > 0 else { throw ConfigError(path: at.field("tokens_per_fill"), "must be more than 0") }
    guard let interval = try duration(value.fillInterval, at.field("fill_interval")) else {
      throw ConfigError(path: at.field("fill_interval"), "is required")
    }
    guard interval >= .milliseconds(50) else {
      throw ConfigError(path: at.field("fill_interval"), "must be 50 ms or more")
    }
    return TokenBucketSettings(maximum: value.maxTokens, tokensPerFill: perFill, fillInterval: interval)
  }

  package func fraction(_ value: Envoy_Type_V3_FractionalPercent) -> FractionalPercent { converter.fraction(value) }
}
