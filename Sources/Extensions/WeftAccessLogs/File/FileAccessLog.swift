package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
package import WeftTelemetry
import WeftXDS
import WeftXDSMessages

/// Lines into a file.
package final class FileAccessLog: AccessLogSink {
  package static var name: StaticString { "envoy.access_loggers.file" }
  package static var message: String { Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog.schema.name }

  private let lines: LineFile

  package init(_ config: ExtensionConfig, _ context: AccessLogContext) throws(ConfigError) {
    let settings = try ExtensionReader().fileAccessLog(config)
    lines = try LineFile(settings.format, .file(path: settings.path), context)
  }

  package var tellsUpstreamLocal: Bool { lines.tellsUpstreamLocal }
  package func write<S: AccessLogSource>(_ source: S, worker: Int) { lines.write(source, worker: worker) }
}
