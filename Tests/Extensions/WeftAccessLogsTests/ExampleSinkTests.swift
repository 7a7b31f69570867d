import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftTestKit
import WeftXDS
import WeftXDSMessages

@testable import WeftProxy
@testable import WeftProxyTestKit

/// The worked example of docs/adding/access-log.md. Its message is that of a file.
final class SplitAccessLog: AccessLogSink {
  typealias Message = Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog
  static var name: StaticString { "envoy.access_loggers.split" }
  static var message: String { Message.schema.name }

  private let good: LineFile
  private let failed: LineFile
  private let stats: ConstantTable<StatBlock<SplitMetric>>

  init(_ config: ExtensionConfig, _ context: AccessLogContext) throws(ConfigError) {
    let reader = ExtensionReader()
    let message = try reader.message(config, as: Message.self)
    guard !message.path.isEmpty else { throw ConfigError(path: FieldPath().field("path"), "is required") }
    guard case .logFormat(let text)? = message.accessLogFormat else {
      throw ConfigError(path: FieldPath().field("log_format"), "is required")
    }
    let format = try reader.logFormat(text, FieldPath().field("log_format"))
    good = try LineFile(format, .file(path: message.path), context)
    failed = try LineFile(format, .file(path: message.path + ".failed"), context)
    stats = context.storage.stats(SplitMetric.self, SplitMetric.prefix, name: "log", context.metrics)
  }

  var tellsUpstreamLocal: Bool { good.tellsUpstreamLocal }

  func write<S: AccessLogSource>(_ source: S, worker: Int) {
    guard source.record.status >= 500 else { return good.write(source, worker: worker) }
    failed.write(source, worker: worker)
    stats[worker].add(.failed)
  }
}

enum SplitMetric: Int, Metric {
  case failed

  static var scopeKind: ScopeKind { .filter }
  static var firstHistogram: Int { 1 }
  static var prefix: String { "split.*." }
  var definition: MetricDefinition { .counter("failed", "Lines that went to the second file") }
}

@Suite("an access-log sink, by the worked example")
struct AccessLogExampleTests {
  private func world(_ change: (inout SplitAccessLog.Message) -> Void = { _ in }) -> LogWorld {
    let sinks = AccessLogRegistry([SplitAccessLog.self])
    return LogWorld(ProxyExtensions(accessLogs: sinks)) { folder in
      var message = SplitAccessLog.Message()
      message.path = folder.file("log")
      var format = Envoy_Config_Core_V3_SubstitutionFormatString()
      format.format = .textFormat("%PATH%\n")
      message.accessLogFormat = .logFormat(format)
      change(&message)
      return [AccessLog(ExtensionConfig(typeName: SplitAccessLog.message, message: message.serialized()))]
    }
  }

  @Test("a sink of another program is told of what is over, and counts for itself")
  func told() {
    let world = world()
    world.world.apply()
    world.get(["/200", "/503", "/404", "/500"])
    #expect(world.text("log") == "/200\n/404\n")
    #expect(world.text("log.failed") == "/503\n/500\n")
    let metrics = world.world.registry
    let scope = metrics.scope(ScopeKey(.filter, "log", SplitMetric.prefix), of: SplitMetric.self)
    #expect(metrics.value(SplitMetric.failed, scope) == 2)
  }

  @Test("what it refuses of its message is told by the path", arguments: ["path", "log_format"])
  func path(_ field: String) throws {
    let world = world { field == "path" ? ($0.path = "") : ($0.accessLogFormat = nil) }
    let refusal = try #require(world.world.rejections().first)
    #expect("\(refusal.path)".hasSuffix("access_log[0].typed_config.\(field)"))
  }
}
