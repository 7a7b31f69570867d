package import WeftBase
package import WeftModel
package import WeftTelemetry

/// Lines of one format into a file, to which other logs may write, too.
package struct LineFile: Sendable {
  @usableFromInline let format: LineFormat
  @usableFromInline let file: AccessLogFile
  @usableFromInline let lines: [AccessLogFiles.LineInTheMaking]

  /// *Errors*: below `log_format`, or `path` where the file cannot be opened.
  package init(
    _ format: LogFormat, _ target: AccessLogFile.Target, _ context: AccessLogContext
  ) throws(ConfigError) {
    self.format = try LineFormat(format, context.storage)
    do throws(WeftError) { file = try context.files.file(target) } catch {
      throw ConfigError(path: FieldPath().field("path"), error.message)
    }
    lines = context.files.lines
  }

  /// Whether its lines tell where connections to endpoints come from.
  package var tellsUpstreamLocal: Bool { format.tellsUpstreamLocal }

  /// Writes the line of `source`; one that finds no room is dropped and counted by the file.
  @inlinable package func write<S: AccessLogSource>(_ source: S, worker: Int) {
    let line = lines[worker]
    line.buffer.removeAll()
    format.append(source, to: &line.buffer)
    _ = file.append(line.buffer.view, worker: worker)
    if line.buffer.count > AccessLogFiles.LineInTheMaking.keptBytes { line.buffer = ByteBuffer(capacity: 1024) }
  }
}
