import Synchronization
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftTelemetry

/// One access log: which requests, in what shape, to which file.
///
/// Each worker has a buffer for lines, shared by all logs, so that writing one allocates nothing and takes no lock.
final class CompiledAccessLog: AccessLogWriter, @unchecked Sendable {  // lines in the making belong to one worker each
  private enum Shape { case text(FormatProgram), json(JSONProgram) }

  private let shape: Shape
  private let omitsEmpty: Bool
  private let filter: CompiledLogFilter?
  private let file: AccessLogFile
  private let lines: [AccessLogFiles.LineInTheMaking]

  init(_ log: AccessLog, files: AccessLogFiles, _ storage: SnapshotStorage) throws(ConfigError) {
    omitsEmpty = log.omitEmptyValues
    do throws(ConfigError) {
      switch log.format {
      case .standard: shape = .text(try FormatProgram.compile(FormatProgram.standardText, arena: storage.arena))
      case .text(let text): shape = .text(try FormatProgram.compile(text, arena: storage.arena))
      case .json(let json):
        var builder = JSONProgram.Builder(arena: storage.arena)
        try Self.build(json, key: nil, &builder)
        shape = .json(builder.finish())
      }
    } catch { throw error.inside(FieldPath().field("log_format")) }
    filter = try log.filter.map { (source) throws(ConfigError) in try CompiledLogFilter(source, storage) }
    let target: AccessLogFile.Target =
      switch log.sink {
      case .file(let path): .file(path: path)
      case .stdout: .stdout
      case .stderr: .stderr
      }
    do throws(WeftError) { file = try files.file(target) } catch {
      throw ConfigError(path: FieldPath().field("path"), error.message)
    }
    lines = files.lines
  }

  private static func build(
    _ shape: AccessLog.JSONShape, key: String?, _ builder: inout JSONProgram.Builder
  ) throws(ConfigError) {
    switch shape {
    case .format(let text):
      do throws(ConfigError) { try builder.value(text, key: key) } catch {
        throw error.inside(key.map { FieldPath().field($0) } ?? .root)
      }
    case .number(let number):
      let text = number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
      builder.constant(number.isFinite ? text : "null", key: key)
    case .bool(let flag): builder.constant(flag ? "true" : "false", key: key)
    case .null: builder.constant("null", key: key)
    case .object(let fields):
      builder.openObject(key: key)
      for field in fields { try build(field.value, key: field.name, &builder) }
      builder.closeObject()
    case .array(let items):
      builder.openArray(key: key)
      for item in items { try build(item, key: nil, &builder) }
      builder.closeArray()
    }
  }

  func write<S: AccessLogSource>(_ source: S, worker: Int) {
    if let filter, !filter.allows(source) { return }
    let line = lines[worker]
    line.buffer.removeAll()
    switch shape {
    case .text(let program): program.append(from: source, omitEmpty: omitsEmpty, to: &line.buffer)
    case .json(let program): program.append(from: source, omitEmpty: omitsEmpty, to: &line.buffer)
    }
    // A line that finds no room is counted by the file.
    _ = file.append(line.buffer.view, worker: worker)
    if line.buffer.count > AccessLogFiles.LineInTheMaking.keptBytes { line.buffer = ByteBuffer(capacity: 1024) }
  }
}

/// A compiled access-log filter.
struct CompiledLogFilter {
  private indirect enum Node {
    case status(AccessLog.Filter.Comparison)
    case duration(AccessLog.Filter.Comparison)
    case notHealthCheck
    case traceable
    case sample(partsPerMillion: UInt64)
    /// 0 bits: any flag.
    case flags(ResponseFlags)
    case header(CompiledHeaderMatcher)
    case grpcStatus(Set<UInt32>, exclude: Bool)
    case all([Node])
    case any([Node])
  }

  private let node: Node

  init(_ filter: AccessLog.Filter, _ storage: SnapshotStorage) throws(ConfigError) {
    do throws(ConfigError) { node = try Self.compile(filter, storage) } catch {
      throw error.inside(FieldPath().field("filter"))
    }
  }

  private static func compile(_ filter: AccessLog.Filter, _ storage: SnapshotStorage) throws(ConfigError) -> Node {
    switch filter {
    case .status(let comparison): return .status(comparison)
    case .duration(let comparison): return .duration(comparison)
    case .notHealthCheck: return .notHealthCheck
    case .traceable: return .traceable
    case .runtime(let fraction, _): return .sample(partsPerMillion: UInt64(fraction.value.partsPerMillion))
    case .responseFlag(let names):
      var flags = ResponseFlags()
      for name in names {
        guard let flag = ResponseFlag.named(name) else {
          throw ConfigError(
            path: FieldPath().field("response_flag_filter").field("flags"),
            "unknown response flag \"\(name)\"; known are \(ResponseFlag.allCases.map(\.shortName.description).joined(separator: ", "))"
          )
        }
        flags.insert(flag)
      }
      return .flags(flags)
    case .header(let matcher):
      return .header(try CompiledHeaderMatcher(matcher, storage))
    case .grpcStatus(let statuses, let exclude): return .grpcStatus(Set(statuses), exclude: exclude)
    case .and(let filters): return .all(try filters.map { (f) throws(ConfigError) in try compile(f, storage) })
    case .or(let filters): return .any(try filters.map { (f) throws(ConfigError) in try compile(f, storage) })
    }
  }

  func allows<S: AccessLogSource>(_ source: S) -> Bool { Self.evaluate(node, source.record, source) }

  private static func evaluate<S: AccessLogSource>(_ node: Node, _ record: AccessLogRecord, _ source: S) -> Bool {
    switch node {
    case .status(let comparison): return compare(UInt64(record.status), comparison)
    case .duration(let comparison): return compare(UInt64(max(0, record.end) / 1_000_000), comparison)
    case .notHealthCheck: return !record.isHealthCheck
    case .traceable: return record.isTraced
    case .sample(let parts): return record.random % 1_000_000 < parts
    case .flags(let flags): return flags.isEmpty ? !record.flags.isEmpty : record.flags.intersects(flags)
    case .header(let matcher): return matcher.matches(requestOf: source)
    case .grpcStatus(let statuses, let exclude):
      let status =
        record.grpcStatus >= 0
        ? UInt32(record.grpcStatus) : UInt32(GRPCStatusMapping.grpcStatus(of: record.status))
      return statuses.contains(status) != exclude
    case .all(let nodes): return nodes.allSatisfy { evaluate($0, record, source) }
    case .any(let nodes): return nodes.contains { evaluate($0, record, source) }
    }
  }

  private static func compare(_ value: UInt64, _ comparison: AccessLog.Filter.Comparison) -> Bool {
    let other = UInt64(comparison.value)
    return switch comparison.op {
    case .equal: value == other
    case .greaterOrEqual: value >= other
    case .lessOrEqual: value <= other
    case .notEqual: value != other
    }
  }
}
