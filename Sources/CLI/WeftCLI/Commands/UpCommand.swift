import Glibc
import WeftAgent

/// `weft up`.
enum UpCommand: Command {
  static let path = ["up"]
  static let summary = "start a control plane with an embedded store, in the foreground"
  static let operands = ""
  static let discussion = """
    Configuration is kept under --data-dir and survives restarts. --config-dir names a directory of YAML that is watched.

      weft up --config-dir ./rules
    """
  static let api = Flag("api-address", .one("HOST:PORT"), default: "127.0.0.1:15080", help: "where the API listens")
  static let hosts = Flag("api-host", .many("NAME"), help: "a name that clients call the API by, beside addresses")
  static let xds = Flag("xds-address", .one("HOST:PORT"), default: "127.0.0.1:15010", help: "where xDS listens")
  static let data = Flag("data-dir", .one("DIR"), help: "where the store lies (default: the state directory)")
  static let config = Flag("config-dir", .one("DIR"), help: "a directory of YAML to watch")
  static let ready = Flag("ready-file", .one("FILE"), help: "write the bound addresses here once serving")
  static let level = Flag("log-level", .level, default: "info", help: "the control plane's log level")
  static let flags: [Flag] = [api, hosts, xds, data, config, ready, level]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    let data = dataDirectory(arguments, context)
    guard makeDirectories(data) else { throw UsageError("cannot create the directory \(data)") }
    var words = ["--data-dir", data]
    for flag in [api, xds, config, ready, level] {
      if let value = arguments.value(flag) { words += ["--\(flag.name)", value] }
    }
    for name in arguments.all(hosts) { words += ["--\(hosts.name)", name] }
    try Siblings.become("weft-control", words, context)
  }

  static func dataDirectory(_ arguments: Arguments, _ context: CommandContext) -> String {
    arguments.value(data) ?? "\(StateDirectory.path(context.environment))/control"
  }
}

/// Where Weft keeps its state: /var/lib/weft as root, else ~/.local/share/weft; WEFT_STATE overrides both.
package enum StateDirectory {
  package static func path(_ environment: [String: String]) -> String {
    if let path = environment["WEFT_STATE"] { return path }
    if geteuid() == 0 { return "/var/lib/weft" }
    return (environment["HOME"] ?? "/tmp") + "/.local/share/weft"
  }
}
