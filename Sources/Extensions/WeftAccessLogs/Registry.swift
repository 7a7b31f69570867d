// One line per sink, sorted by name.

package import WeftProxyAPI

package enum AccessLogs {
  package static let all: [any AccessLogSink.Type] = [
    FileAccessLog.self,
    StderrAccessLog.self,
    StdoutAccessLog.self,
  ]

  package static var registry: AccessLogRegistry { AccessLogRegistry(all) }
}
