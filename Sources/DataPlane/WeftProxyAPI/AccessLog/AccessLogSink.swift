// AccessLogSink: what is told of requests and connections that are over.

package import WeftBase
package import WeftModel
package import WeftTelemetry

/// An access-log sink, compiled. One per configured log, shared by all workers, as long as what configures it stays.
///
/// It is called on the worker's thread at the end of each request or connection that the log's filter lets through, and never waits: what finds no
/// room is dropped and counted. Most sinks write lines, which `LineFile` makes and hands to the thread that writes files:
///
///     func write<S: AccessLogSource>(_ source: S, worker: Int) { lines.write(source, worker: worker) }
package protocol AccessLogSink: AnyObject, Sendable {
  /// Envoy's canonical name: `envoy.access_loggers.file`.
  static var name: StaticString { get }
  /// Full name of the message that configures it.
  static var message: String { get }
  /// Cold: checks and compiles what was configured. *Errors*: the field's path inside the message that is wrong, and what is allowed there.
  init(_ config: ExtensionConfig, _ context: AccessLogContext) throws(ConfigError)
  /// Whether what it writes tells where connections to endpoints come from (`AccessLogRecord.upstreamLocal`): the system is asked, once per connection,
  /// only where a log does. `LineFile` knows of its lines.
  var tellsUpstreamLocal: Bool { get }
  /// What `source` shows lives until this returns; what is kept has to be copied, to memory that is `worker`'s alone: several write at once.
  /// *Cost*: no allocation, lock or system call per request. Generic, so that a large source is passed where it lies instead of in a box.
  func write<S: AccessLogSource>(_ source: S, worker: Int)
}

/// What a sink is compiled with.
package struct AccessLogContext {
  /// Where texts and tables go that live as long as the configuration.
  package let storage: SnapshotStorage
  package let metrics: MetricsRegistry
  /// The files of the process, each opened once, and the thread that writes them.
  package let files: AccessLogFiles

  package init(storage: SnapshotStorage, metrics: MetricsRegistry, files: AccessLogFiles) {
    self.storage = storage
    self.metrics = metrics
    self.files = files
  }
}
