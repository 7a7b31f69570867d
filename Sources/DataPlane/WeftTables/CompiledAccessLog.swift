package import WeftBase
import WeftHTTP
package import WeftModel
package import WeftProxyAPI
package import WeftTelemetry

/// What of a request is kept for logs until it is over.
package enum LogNeeds: UInt8, BitwiseCopyable, Sendable {
  /// There is no log.
  case nothing
  /// Its heads, and where it went.
  case heads
  /// And where its connection to the endpoint came from.
  case upstreamLocal

  // Where they are asked, `==` of another module's enum is a call.
  @inlinable package var isSomething: Bool { if case .nothing = self { false } else { true } }
  @inlinable package var isUpstreamLocal: Bool { if case .upstreamLocal = self { true } else { false } }

  package init(_ logs: [CompiledAccessLog]) {
    self = logs.isEmpty ? .nothing : logs.contains(where: \.tellsUpstreamLocal) ? .upstreamLocal : .heads
  }
}

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

  var tellsUpstreamLocal: Bool { sink.tellsUpstreamLocal }

  package func write<S: AccessLogSource>(_ source: S, worker: Int, _ runtime: RuntimeView) {
    if let filter, !filter.allows(source, runtime) { return }
    sink.write(source, worker: worker)
  }
}

/// A compiled access-log filter.
struct CompiledLogFilter {
  private indirect enum Node {
    case status(Comparison)
    case duration(Comparison)
    case notHealthCheck
    case traceable
    /// So many of so many; the key's value is a number of the same kind.
    case sample(UInt64, of: UInt64, RuntimeKey)
    /// 0 bits: any flag.
    case flags(ResponseFlags)
    case header(CompiledHeaderMatcher)
    case grpcStatus(Set<Int64>, exclude: Bool)
    case all([Node])
    case any([Node])
  }

  private struct Comparison {
    let op: AccessLog.Filter.Operator
    let value: UInt64
    let key: RuntimeKey

    init(_ comparison: AccessLog.Filter.Comparison, _ storage: SnapshotStorage) {
      (op, value) = (comparison.op, UInt64(comparison.value))
      key = storage.runtimeKey(comparison.runtimeKey)
    }

    func holds(_ number: UInt64, _ runtime: RuntimeView) -> Bool {
      let other = runtime.integer(key) ?? value
      return switch op {
      case .equal: number == other
      case .greaterOrEqual: number >= other
      case .lessOrEqual: number <= other
      case .notEqual: number != other
      }
    }
  }

  private let node: Node

  init(_ filter: AccessLog.Filter, _ storage: SnapshotStorage) throws(ConfigError) {
    do throws(ConfigError) { node = try Self.compile(filter, storage) } catch {
      throw error.inside(FieldPath().field("filter"))
    }
  }

  private static func compile(_ filter: AccessLog.Filter, _ storage: SnapshotStorage) throws(ConfigError) -> Node {
    switch filter {
    case .status(let comparison): return .status(Comparison(comparison, storage))
    case .duration(let comparison): return .duration(Comparison(comparison, storage))
    case .notHealthCheck: return .notHealthCheck
    case .traceable: return .traceable
    case .runtime(let fraction, _):
      return .sample(
        UInt64(fraction.value.numerator), of: UInt64(fraction.value.denominator.rawValue),
        storage.runtimeKey(fraction.runtimeKey))
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
    case .grpcStatus(let statuses, let exclude): return .grpcStatus(Set(statuses.map(Int64.init)), exclude: exclude)
    case .and(let filters): return .all(try filters.map { (f) throws(ConfigError) in try compile(f, storage) })
    case .or(let filters): return .any(try filters.map { (f) throws(ConfigError) in try compile(f, storage) })
    }
  }

  func allows<S: AccessLogSource>(_ source: S, _ runtime: RuntimeView) -> Bool {
    Self.evaluate(node, source.record, source, runtime)
  }

  private static func evaluate<S: AccessLogSource>(
    _ node: Node, _ record: AccessLogRecord, _ source: S, _ runtime: RuntimeView
  ) -> Bool {
    switch node {
    case .status(let comparison): return comparison.holds(UInt64(record.status), runtime)
    case .duration(let comparison): return comparison.holds(UInt64(max(0, record.end) / 1_000_000), runtime)
    // No request is known for a health check, and none is traced.
    case .notHealthCheck: return true
    case .traceable: return false
    case .sample(let numerator, let denominator, let key):
      let share = min(runtime.integer(key) ?? numerator, denominator)
      return record.random % 1_000_000 < share * (1_000_000 / denominator)
    case .flags(let flags): return flags.isEmpty ? !record.flags.isEmpty : record.flags.intersects(flags)
    case .header(let matcher): return matcher.matches(requestOf: source)
    case .grpcStatus(let statuses, let exclude):
      let status =
        record.grpcStatus != AccessLogRecord.noGRPCStatus
        ? record.grpcStatus : Int64(GRPCStatusMapping.grpcStatus(of: record.status))
      return statuses.contains(status) != exclude
    case .all(let nodes): return nodes.allSatisfy { evaluate($0, record, source, runtime) }
    case .any(let nodes): return nodes.contains { evaluate($0, record, source, runtime) }
    }
  }
}
