import Glibc
import Synchronization
package import WeftBase

/// How much a message matters.
package enum LogLevel: Int, Comparable, Sendable, CaseIterable {
  case trace, debug, info, warning, error, critical, off

  package static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }

  package var name: StaticString {
    switch self {
    case .trace: "trace"
    case .debug: "debug"
    case .info: "info"
    case .warning: "warning"
    case .error: "error"
    case .critical: "critical"
    case .off: "off"
    }
  }

  package init?(_ name: String) {
    guard let level = Self.allCases.first(where: { $0.name.description == name }) else {
      if name == "warn" {
        self = .warning
        return
      }
      return nil
    }
    self = level
  }
}

/// The part of a program that speaks. Each has a level of its own.
package enum LogComponent: Int, CaseIterable, Sendable {
  case main, config, upstream, http, connection, router, admin, xds, tls, listener, dns, agent, control, discovery

  package var name: StaticString {
    switch self {
    case .main: "main"
    case .config: "config"
    case .upstream: "upstream"
    case .http: "http"
    case .connection: "connection"
    case .router: "router"
    case .admin: "admin"
    case .xds: "xds"
    case .tls: "tls"
    case .listener: "listener"
    case .dns: "dns"
    case .agent: "agent"
    case .control: "control"
    case .discovery: "discovery"
    }
  }
}

/// A named value beside a message. Never a secret.
package enum LogValue: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByStringInterpolation
{
  case text(String)
  case number(Int)
  case flag(Bool)
  package init(stringLiteral value: String) { self = .text(value) }
  package init(integerLiteral value: Int) { self = .number(value) }
}

/// A program's own log: a constant sentence and fields, one line each, to standard error. Cold path only; nothing is
/// logged per request.
package final class LogOutput: Sendable {
  package enum Format: Sendable { case text, json }

  private let levels: [LevelCell]
  private let format: Format
  private let write: @Sendable (ByteView) -> Void
  private let clock: @Sendable () -> Int64

  /// `write` takes a whole line at a time; `clock` gives nanoseconds since 1970.
  package init(
    level: LogLevel = .info, format: Format = .text,
    write: @escaping @Sendable (ByteView) -> Void = LogOutput.toStandardError,
    clock: @escaping @Sendable () -> Int64 = LogOutput.systemClock
  ) {
    levels = LogComponent.allCases.map { _ in LevelCell(level) }
    self.format = format
    self.write = write
    self.clock = clock
  }

  package func level(of component: LogComponent) -> LogLevel {
    LogLevel(rawValue: levels[component.rawValue].value.load(ordering: .relaxed)) ?? .info
  }

  package func setLevel(_ level: LogLevel, of component: LogComponent) {
    levels[component.rawValue].value.store(level.rawValue, ordering: .relaxed)
  }

  package func setLevel(_ level: LogLevel) {
    for component in LogComponent.allCases { setLevel(level, of: component) }
  }

  /// Writes one line if the component's level lets it through.
  package func log(
    _ level: LogLevel, _ component: LogComponent, _ message: StaticString, _ fields: [(String, LogValue)] = []
  ) {
    guard level >= self.level(of: component), level != .off else { return }
    var line = ByteBuffer(capacity: 256)
    switch format {
    case .text: appendText(level, component, message, fields, &line)
    case .json: appendJSON(level, component, message, fields, &line)
    }
    write(line.view)
  }

  private static let pattern = ArenaTime()

  private func appendText(
    _ level: LogLevel, _ component: LogComponent, _ message: StaticString, _ fields: [(String, LogValue)],
    _ line: inout ByteBuffer
  ) {
    TimePattern.append(clock(), Self.pattern.pieces, to: &line)
    line.append(UInt8(ascii: " "))
    line.append(level.name)
    line.append(UInt8(ascii: " "))
    line.append(component.name)
    line.append(UInt8(ascii: " "))
    line.append(message)
    for (name, value) in fields {
      line.append(UInt8(ascii: " "))
      line.append(name)
      line.append(UInt8(ascii: "="))
      switch value {
      case .number(let n): line.append(decimal: n)
      case .flag(let flag): line.append(flag ? "true" as StaticString : "false")
      case .text(let text):
        let isPlain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x3d }
        line.append(isPlain ? text : JSONEscape.quoted(text))
      }
    }
    line.append(UInt8(ascii: "\n"))
  }

  private func appendJSON(
    _ level: LogLevel, _ component: LogComponent, _ message: StaticString, _ fields: [(String, LogValue)],
    _ line: inout ByteBuffer
  ) {
    line.append("{\"time\":\"" as StaticString)
    TimePattern.append(clock(), Self.pattern.pieces, to: &line)
    line.append("\",\"level\":\"" as StaticString)
    line.append(level.name)
    line.append("\",\"component\":\"" as StaticString)
    line.append(component.name)
    line.append("\",\"message\":" as StaticString)
    line.append(JSONEscape.quoted(message.description))
    for (name, value) in fields {
      line.append(UInt8(ascii: ","))
      line.append(JSONEscape.quoted(name))
      line.append(UInt8(ascii: ":"))
      switch value {
      case .number(let n): line.append(decimal: n)
      case .flag(let flag): line.append(flag ? "true" as StaticString : "false")
      case .text(let text): line.append(JSONEscape.quoted(text))
      }
    }
    line.append("}\n" as StaticString)
  }

  /// Writes to descriptor 2, whole lines as far as the system allows.
  package static func toStandardError(_ line: ByteView) { _ = unsafe Glibc.write(2, line.base, line.count) }

  package static func systemClock() -> Int64 {
    var time = timespec()
    _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// One component's level.
private final class LevelCell: Sendable {
  let value: Atomic<Int>
  init(_ level: LogLevel) { value = Atomic(level.rawValue) }
}

/// The time format of log lines, compiled once.
private final class ArenaTime: Sendable {
  let arena = ConstantArena()
  let pieces: ConstantTable<TimePiece>
  init() {
    // The pattern is a constant of ours that the tests compile.
    do throws(ConfigError) { pieces = try TimePattern.compile(TimePattern.standard, arena: arena) } catch {
      preconditionFailure("\(error)")
    }
  }
}

/// One component's view of the log.
package struct Logger: Sendable {
  package let output: LogOutput
  package let component: LogComponent

  package init(_ output: LogOutput, _ component: LogComponent) {
    self.output = output
    self.component = component
  }

  package func debug(_ message: StaticString, _ fields: (String, LogValue)...) {
    output.log(.debug, component, message, fields)
  }
  package func info(_ message: StaticString, _ fields: (String, LogValue)...) {
    output.log(.info, component, message, fields)
  }
  package func warning(_ message: StaticString, _ fields: (String, LogValue)...) {
    output.log(.warning, component, message, fields)
  }
  package func error(_ message: StaticString, _ fields: (String, LogValue)...) {
    output.log(.error, component, message, fields)
  }
}
