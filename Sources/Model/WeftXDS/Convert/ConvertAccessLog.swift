package import WeftBase
package import WeftModel
import WeftProtobuf
import WeftTelemetry
package import WeftXDSMessages

extension Converter {
  func accessLogs(_ values: [Envoy_Config_Accesslog_V3_AccessLog], _ at: FieldPath) throws(ConfigError) -> [AccessLog] {
    var out: [AccessLog] = []
    for (i, value) in values.enumerated() { out.append(try accessLog(value, at.index(i))) }
    return out
  }

  private func accessLog(_ value: Envoy_Config_Accesslog_V3_AccessLog, _ at: FieldPath) throws(ConfigError) -> AccessLog
  {
    guard case .typedConfig(let any)? = value.configType else {
      throw unregistered(value.name, "", known: extensions.accessLogs.values, at)
    }
    let path = at.field("typed_config")
    let config = try extensionConfig(any, path)
    guard extensions.hasAccessLog(config.typeName) else {
      throw unregistered(value.name, config.typeName, known: extensions.accessLogs.values, path)
    }
    // What has no effect is told where the configuration is read.
    let message = Google_Protobuf_Any(typeUrl: any.typeUrl, value: config.message)
    switch config.typeName {
    case Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog.schema.name:
      _ = try fileAccessLog(try unpack(message, Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog.self, path), path)
    case Envoy_Extensions_AccessLoggers_Stream_V3_StdoutAccessLog.schema.name:
      _ = try stdoutAccessLog(
        try unpack(message, Envoy_Extensions_AccessLoggers_Stream_V3_StdoutAccessLog.self, path), path)
    case Envoy_Extensions_AccessLoggers_Stream_V3_StderrAccessLog.schema.name:
      _ = try stderrAccessLog(
        try unpack(message, Envoy_Extensions_AccessLoggers_Stream_V3_StderrAccessLog.self, path), path)
    default: break
    }
    return AccessLog(
      config, filter: try value.filter.map { (f) throws(ConfigError) in try filter(f, at.field("filter")) })
  }

  package func fileAccessLog(_ value: Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog, _ at: FieldPath)
    throws(ConfigError) -> FileAccessLogSettings
  {
    var out = FileAccessLogSettings(path: try required(value.path, at.field("path")))
    switch value.accessLogFormat {
    case nil: break
    case .format(let text):
      out.format.shape = text.isEmpty ? .standard : .text(text)
      tellOperators(of: text, at.field("format"))
    case .jsonFormat(let object), .typedJsonFormat(let object): out.format.shape = .json(shape(object, at))
    case .logFormat(let format): out.format = try logFormat(format, at.field("log_format"))
    }
    return out
  }

  package func stdoutAccessLog(_ value: Envoy_Extensions_AccessLoggers_Stream_V3_StdoutAccessLog, _ at: FieldPath)
    throws(ConfigError) -> LogFormat
  {
    guard case .logFormat(let format)? = value.accessLogFormat else { return LogFormat() }
    return try logFormat(format, at.field("log_format"))
  }

  package func stderrAccessLog(_ value: Envoy_Extensions_AccessLoggers_Stream_V3_StderrAccessLog, _ at: FieldPath)
    throws(ConfigError) -> LogFormat
  {
    guard case .logFormat(let format)? = value.accessLogFormat else { return LogFormat() }
    return try logFormat(format, at.field("log_format"))
  }

  func logFormat(_ value: Envoy_Config_Core_V3_SubstitutionFormatString, _ at: FieldPath) throws(ConfigError)
    -> LogFormat
  {
    var out = LogFormat()
    out.omitsEmptyValues = value.omitEmptyValues
    switch value.format {
    case .textFormat(let text):
      out.shape = text.isEmpty ? .standard : .text(text)
      tellOperators(of: text, at.field("text_format"))
    case .jsonFormat(let object): out.shape = .json(shape(object, at.field("json_format")))
    case .textFormatSource(let source):
      guard case .inline(let bytes) = try data(source, at.field("text_format_source")) else {
        throw fail(at.field("text_format_source"), "must be inline_string")
      }
      let text = String(decoding: bytes, as: UTF8.self)
      out.shape = .text(text)
      tellOperators(of: text, at.field("text_format_source"))
    case nil: throw fail(at, "needs one of text_format_source, text_format, json_format")
    }
    unsupported(!value.formatters.isEmpty, at, "formatters")
    return out
  }

  /// Tells which operators of a format have no value here.
  func tellOperators(of format: String, _ at: FieldPath) {
    for text in FormatProgram.operatorsWithoutValue(in: format, of: .log) {
      warn(at, "\(text) has no value here, it prints -")
    }
  }

  private func shape(_ object: Google_Protobuf_Struct, _ at: FieldPath) -> LogFormat.JSONShape {
    .object(
      object.fields.sorted { $0.key < $1.key }.map {
        LogFormat.JSONShape.Field(name: $0.key, value: shape($0.value, at.key($0.key)))
      })
  }

  private func shape(_ value: Google_Protobuf_Value, _ at: FieldPath) -> LogFormat.JSONShape {
    switch value.kind {
    case .stringValue(let text):
      tellOperators(of: text, at)
      return .format(text)
    case .numberValue(let number): return .number(number)
    case .boolValue(let flag): return .bool(flag)
    case .structValue(let object): return shape(object, at)
    case .listValue(let list): return .array(list.values.enumerated().map { shape($1, at.index($0)) })
    case .nullValue, nil: return .null
    }
  }

  private func comparison(
    _ value: Envoy_Config_Accesslog_V3_ComparisonFilter?, _ at: FieldPath
  ) throws(ConfigError) -> AccessLog.Filter.Comparison {
    guard let value, let number = value.value else { throw fail(at.field("comparison").field("value"), "is required") }
    let op: AccessLog.Filter.Operator =
      switch value.op {
      case .ge: .greaterOrEqual
      case .le: .lessOrEqual
      case .ne: .notEqual
      default: .equal
      }
    return AccessLog.Filter.Comparison(op: op, value: number.defaultValue, runtimeKey: number.runtimeKey)
  }

  private func filters(_ values: [Envoy_Config_Accesslog_V3_AccessLogFilter], _ at: FieldPath) throws(ConfigError)
    -> [AccessLog.Filter]
  {
    guard values.count >= 2 else { throw fail(at.field("filters"), "needs at least two filters, has \(values.count)") }
    var out: [AccessLog.Filter] = []
    for (i, value) in values.enumerated() { out.append(try filter(value, at.field("filters").index(i))) }
    return out
  }

  private func filter(_ value: Envoy_Config_Accesslog_V3_AccessLogFilter, _ at: FieldPath) throws(ConfigError)
    -> AccessLog.Filter
  {
    switch value.filterSpecifier {
    case .statusCodeFilter(let f): return .status(try comparison(f.comparison, at.field("status_code_filter")))
    case .durationFilter(let f): return .duration(try comparison(f.comparison, at.field("duration_filter")))
    case .notHealthCheckFilter:
      warn(at.field("not_health_check_filter"), "has no effect: no request is known for a health check")
      return .notHealthCheck
    case .traceableFilter:
      warn(at.field("traceable_filter"), "lets no line pass: requests are not traced")
      return .traceable
    case .runtimeFilter(let f):
      let key = try required(f.runtimeKey, at.field("runtime_filter").field("runtime_key"))
      return .runtime(
        RuntimeFraction(f.percentSampled.map { fraction($0) } ?? FractionalPercent(0), runtimeKey: key),
        useIndependentRandomness: f.useIndependentRandomness)
    case .andFilter(let f): return .and(try filters(f.filters, at.field("and_filter")))
    case .orFilter(let f): return .or(try filters(f.filters, at.field("or_filter")))
    case .headerFilter(let f):
      guard let matcher = f.header else { throw fail(at.field("header_filter").field("header"), "is required") }
      return .header(try header(matcher, at.field("header_filter").field("header")))
    case .responseFlagFilter(let f): return .responseFlag(f.flags)
    case .grpcStatusFilter(let f):
      return .grpcStatus(f.statuses.map { UInt32(bitPattern: $0.rawValue) }, exclude: f.exclude)
    case .extensionFilter(let f):
      var url = ""
      if case .typedConfig(let any)? = f.configType { url = any.typeUrl }
      throw unregistered(f.name, url, at.field("extension_filter"))
    case .metadataFilter: throw fail(at.field("metadata_filter"), "is not supported")
    case .logTypeFilter: throw fail(at.field("log_type_filter"), "is not supported")
    case nil: throw fail(at, "needs a filter")
    }
  }
}
