// One flag, defined once: what parses it, what help prints, what completions offer.
import WeftTelemetry

/// What a flag takes.
package enum FlagValue: Sendable, Equatable {
  /// Present or absent.
  case none
  /// Present or absent, with a value after `=` if there is one: `--wait`, `--wait=1m`.
  case optional(String)
  /// One value; the name is shown in help (`FILE`, `HOST:PORT`).
  case one(String)
  /// May be given several times, each with one value.
  case many(String)
  /// One of a fixed set.
  case choice([String])

  /// What is worth a line of a log.
  static var level: FlagValue { .choice(LogLevel.allCases.map { "\($0)" }) }
}

/// The definition of a flag of a command.
package struct Flag: Sendable, Equatable {
  package var name: String
  package var short: Character?
  package var value: FlagValue
  /// Used when the flag is absent; shown in help.
  package var defaultValue: String?
  /// One line, lower case, with the unit where there is one.
  package var help: String

  package init(
    _ name: String, short: Character? = nil, _ value: FlagValue = .none, default defaultValue: String? = nil,
    help: String
  ) {
    self.name = name
    self.short = short
    self.value = value
    self.defaultValue = defaultValue
    self.help = help
  }

  /// How help shows it: `-f, --file FILE`.
  package var usage: String {
    let long = "--\(name)"
    let start = short.map { "-\($0), \(long)" } ?? "    \(long)"
    return switch value {
    case .none: start
    case .optional(let label): "\(start)[=\(label)]"
    case .one(let label), .many(let label): "\(start) \(label)"
    case .choice(let names): "\(start) \(names.joined(separator: "|"))"
    }
  }
}

/// Flags every command understands.
extension Flag {
  static let help = Flag("help", short: "h", help: "print this help")
  static let output = Flag(
    "output", short: "o", .choice(["table", "json", "yaml"]), default: "table", help: "how to print the result")
  static let control = Flag(
    "control", .one("URL"), default: "http://127.0.0.1:15080",
    help: "the control plane's API (environment: WEFT_CONTROL)")
  static let namespace = Flag("namespace", short: "n", .one("NAME"), default: "default", help: "the namespace")
}
