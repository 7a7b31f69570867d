package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
package import WeftTelemetry
import WeftXDS
import WeftXDSMessages

/// Lines to standard error.
package final class StderrAccessLog: AccessLogSink {
  package static var name: StaticString { "envoy.access_loggers.stderr" }
  package static var message: String { Envoy_Extensions_AccessLoggers_Stream_V3_StderrAccessLog.schema.name }

  private let lines: LineFile

  package init(_ config: ExtensionConfig, _ context: AccessLogContext) throws(ConfigError) {
    lines = try LineFile(try ExtensionReader().stderrAccessLog(config), .stderr, context)
  }

  package var tellsUpstreamLocal: Bool { lines.tellsUpstreamLocal }
  package func write<S: AccessLogSource>(_ source: S, worker: Int) { lines.write(source, worker: worker) }
}

/// Lines to standard output.
package final class StdoutAccessLog: AccessLogSink {
  package static var name: StaticString { "envoy.access_loggers.stdout" }
  package static var message: String { Envoy_Extensions_AccessLoggers_Stream_V3_StdoutAccessLog.schema.name }

  private let lines: LineFile

  package init(_ config: ExtensionConfig, _ context: AccessLogContext) throws(ConfigError) {
    lines = try LineFile(try ExtensionReader().stdoutAccessLog(config), .stdout, context)
  }

  package var tellsUpstreamLocal: Bool { lines.tellsUpstreamLocal }
  package func write<S: AccessLogSource>(_ source: S, worker: Int) { lines.write(source, worker: worker) }
}
