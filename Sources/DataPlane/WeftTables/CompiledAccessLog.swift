package import WeftBase
import WeftHTTP
package import WeftModel
package import WeftProxyAPI
package import WeftTelemetry

/// One access log: which requests, and who is told of them.
package final class CompiledAccessLog: @unchecked Sendable {  // nothing changes; views are of constant memory
  private let filter: CompiledLogFilter?
  private let sink: any AccessLogSink

  /// *Errors*: the path inside the log's message.
  package init(
    _ log: AccessLog, _ registry: AccessLogRegistry, _ context: AccessLogContext
  ) throws(ConfigError) {
    filter = try log.filter.map { (source) throws(ConfigError) in try CompiledLogFilter(source, context.storage) }
    let at = FieldPath().field("typed_config")
    guard let type = registry[configuredBy: log.config.typeName] else {
      throw ConfigError(path: at, "no extension is configured by \(log.config.typeName)")
    }
    do throws(ConfigError) { sink = try type.init(log.config, context) } catch { throw error.inside(at) }
  }

  package func write<S: AccessLogSource>(_ source: S, worker: Int) {
    if let filter, !filter.allows(source) { return }
    sink.write(source, worker: worker)
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
    // No request is known for a health check, and none is traced.
    case .notHealthCheck: return true
    case .traceable: return false
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
