import Synchronization
import Testing
import WeftBase
import WeftTelemetry

@Suite("program log")
struct LoggerTests {
  final class Lines: Sendable {
    let all = Mutex<[String]>([])
    var output: @Sendable (ByteView) -> Void { { line in self.all.withLock { $0.append(line.string) } } }
  }

  @Test("levels per component, text with quoted fields")
  func text() {
    let lines = Lines()
    let log = LogOutput(level: .info, write: lines.output, clock: { 0 })
    Logger(log, .config).debug("not shown")
    log.setLevel(.debug, of: .config)
    Logger(log, .config).debug("listener added", ("name", "in bound"), ("port", 80), ("ok", .flag(true)))
    Logger(log, .router).debug("not shown")
    #expect(
      lines.all.withLock { $0 } == [
        "1970-01-01T00:00:00.000Z debug config listener added name=\"in bound\" port=80 ok=true\n"
      ])
  }

  @Test("JSON lines can be parsed whatever is in them")
  func json() throws {
    let lines = Lines()
    let log = LogOutput(level: .trace, format: .json, write: lines.output, clock: { 1_000_000 })
    Logger(log, .xds).error("refused", ("why", "a\"b\n"))
    let line = try #require(lines.all.withLock { $0.first })
    let value = try JSONValue(parsing: line)
    #expect(value["why"]?.stringValue == "a\"b\n" && value["level"]?.stringValue == "error")
  }

  @Test("off silences everything")
  func off() {
    let lines = Lines()
    let log = LogOutput(level: .off, write: lines.output)
    Logger(log, .main).error("x")
    #expect(lines.all.withLock { $0.isEmpty })
  }
}
