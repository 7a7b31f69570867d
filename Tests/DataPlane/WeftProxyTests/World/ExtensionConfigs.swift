// Listener filters and access logs as tests configure them.

import WeftAccessLogs
import WeftListenerFilters
import WeftModel
import WeftProtobuf
import WeftXDSMessages

typealias TLSInspectorMessage = Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector
typealias ProxyProtocolMessage = Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol

extension ConfiguredListenerFilter {
  static func tlsInspector(_ change: (inout TLSInspectorMessage) -> Void = { _ in }) -> ConfiguredListenerFilter {
    var message = TLSInspectorMessage()
    change(&message)
    return ConfiguredListenerFilter(
      ExtensionConfig(typeName: TLSInspector.message, message: message.serialized()))
  }

  static func proxyProtocol(_ change: (inout ProxyProtocolMessage) -> Void = { _ in }) -> ConfiguredListenerFilter {
    var message = ProxyProtocolMessage()
    change(&message)
    return ConfiguredListenerFilter(
      ExtensionConfig(typeName: ProxyProtocol.message, message: message.serialized()))
  }

  static func httpInspector(disabled: Predicate? = nil) -> ConfiguredListenerFilter {
    ConfiguredListenerFilter(ExtensionConfig(typeName: HTTPInspector.message, message: []), disabled: disabled)
  }

  static func originalSource(mark: UInt32 = 0) -> ConfiguredListenerFilter {
    var message = Envoy_Extensions_Filters_Listener_OriginalSrc_V3_OriginalSrc()
    message.mark = mark
    return ConfiguredListenerFilter(ExtensionConfig(typeName: OriginalSource.message, message: message.serialized()))
  }

  static var originalDestination: ConfiguredListenerFilter {
    ConfiguredListenerFilter(ExtensionConfig(typeName: OriginalDestination.message, message: []))
  }
}

extension AccessLog {
  /// A log of lines `format` in a file.
  static func file(_ path: String, _ format: String, filter: Filter? = nil) -> AccessLog {
    var message = Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog()
    message.path = path
    message.accessLogFormat = .format(format)
    return AccessLog(
      ExtensionConfig(typeName: FileAccessLog.message, message: message.serialized()), filter: filter)
  }
}
