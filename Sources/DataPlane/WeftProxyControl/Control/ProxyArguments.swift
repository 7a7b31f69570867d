// ProxyArguments: the command line of weft-proxy, in Envoy's words.

package import WeftBase
import WeftCompile
import WeftModel
package import WeftTelemetry

/// What the command line asks for.
package struct ProxyArguments: Sendable {
  package enum Mode: Sendable { case serve, validate }

  package var configPath: String?
  /// A document that is merged over the file's; alone, it is the configuration.
  package var configText: String?
  package var mode = Mode.serve
  package var concurrency: Int?
  /// Each worker has a place in every statistic and log.
  static let mostWorkers = 1024
  package var logLevel: LogLevel?
  package var logFormat = LogOutput.Format.text
  package var drainSeconds = 600
  /// When access logs are written.
  package var accessLogs = AccessLogFiles.Options()
  package var serviceNode: String?
  package var serviceCluster: String?
  package var serviceZone: String?
  package var pinsWorkers = false
  /// Where the last good configuration from discovery is kept.
  package var lastGoodPath: String?
  package var asksForHelp = false
  package var asksForVersion = false
  /// What was given that Envoy knows and that changes nothing here, each once: start scripts written for Envoy work, and their reader is told.
  package private(set) var ignored: [Ignored] = []

  /// An option that is taken and has no effect.
  package struct Ignored: Sendable, Equatable {
    package let option: String
    /// What happens in its place.
    package let instead: String
  }

  /// What is wrong with a command line, for the user.
  package struct Problem: Error {
    package let message: String
  }

  /// Parses the arguments behind the program's name.
  package init(_ arguments: [String]) throws(Problem) {
    var i = 0
    func value(_ name: String, _ inline: String?) throws(Problem) -> String {
      if let inline { return inline }
      i += 1
      guard i < arguments.count else { throw Problem(message: "\(name) needs a value") }
      return arguments[i]
    }
    func number(_ name: String, _ inline: String?, atLeast least: Int) throws(Problem) -> Int {
      let text = try value(name, inline)
      guard let n = Int(text), n >= least else {
        throw Problem(message: "\(name): \"\(text)\" is not a number of at least \(least)")
      }
      return n
    }
    while i < arguments.count {
      var name = arguments[i]
      var inline: String?
      if name.hasPrefix("--"), let mark = name.firstIndex(of: "=") {
        inline = String(name[name.index(after: mark)...])
        name = String(name[..<mark])
      }
      switch name {
      case "-c", "--config-path": configPath = try value(name, inline)
      case "--config-yaml": configText = try value(name, inline)
      case "--mode":
        let text = try value(name, inline)
        switch text {
        case "serve": mode = .serve
        case "validate": mode = .validate
        default: throw Problem(message: "--mode: \"\(text)\" is neither serve nor validate")
        }
      case "--concurrency":
        let count = try number(name, inline, atLeast: 0)
        guard count <= Self.mostWorkers else {
          throw Problem(message: "\(name): \(count) is more than \(Self.mostWorkers)")
        }
        concurrency = count
      case "-l", "--log-level":
        let text = try value(name, inline)
        guard let level = LogLevel(text) else { throw Problem(message: "--log-level: \"\(text)\" is not a level") }
        logLevel = level
      case "--log-format":
        let text = try value(name, inline)
        switch text {
        case "json": logFormat = .json
        case "text": logFormat = .text
        // A pattern of Envoy's.
        case _ where text.contains("%"):
          ignore(name, instead: "lines have a form of their own: json or text")
        default: throw Problem(message: "--log-format: \"\(text)\" is neither json nor text")
        }
      case "--drain-time-s": drainSeconds = try number(name, inline, atLeast: 0)
      case "--file-flush-interval-msec":
        accessLogs.interval = .milliseconds(try number(name, inline, atLeast: 1))
      case "--file-flush-min-size-kb":
        accessLogs.chunkBytes = min(1024, try number(name, inline, atLeast: 4)) << 10
      case "--service-node": serviceNode = try value(name, inline)
      case "--service-cluster": serviceCluster = try value(name, inline)
      case "--service-zone": serviceZone = try value(name, inline)
      case "--cpuset-threads": pinsWorkers = true
      case "--last-good": lastGoodPath = try value(name, inline)
      case "-h", "--help": asksForHelp = true
      case "--version": asksForVersion = true
      // What they ask for is so.
      case "--disable-hot-restart", "--log-format-escaped", "--allow-unknown-static-fields", "--allow-unknown-fields":
        break
      default:
        if let instead = Self.flagsWithoutEffect[name] {
          ignore(name, instead: instead)
        } else if let instead = Self.valuesWithoutEffect[name] {
          _ = try value(name, inline)
          ignore(name, instead: instead)
        } else {
          throw Problem(message: "unknown option \(arguments[i]); see --help")
        }
      }
      i += 1
    }
  }

  private mutating func ignore(_ option: String, instead: String) {
    if !ignored.contains(where: { $0.option == option }) { ignored.append(Ignored(option: option, instead: instead)) }
  }

  /// Options of Envoy's without a value, and what happens in their place.
  static let flagsWithoutEffect: [String: String] = [
    "--use-dynamic-base-id": noHotRestart,
    "--skip-hot-restart-on-no-parent": noHotRestart,
    "--skip-hot-restart-parent-stats": noHotRestart,
    "--enable-mutex-tracing": "waits for locks are not counted",
    "--enable-fine-grain-logging": "--log-level holds for everything",
    "--enable-core-dump": "the system's limit on core files holds",
    "--reject-unknown-dynamic-fields": "unknown fields are logged and have no effect",
    "--ignore-unknown-dynamic-fields": "unknown fields are logged and have no effect",
  ]

  /// Options of Envoy's with a value, and what happens in their place.
  static let valuesWithoutEffect: [String: String] = [
    "--base-id": noHotRestart,
    "--base-id-path": "the file is not written: \(noHotRestart)",
    "--restart-epoch": noHotRestart,
    "--parent-shutdown-time-s": noHotRestart,
    "--socket-path": noHotRestart,
    "--socket-mode": noHotRestart,
    "--component-log-level": "--log-level holds for everything",
    "--drain-strategy": "every client is told as soon as a drain begins, as with immediate",
    "--admin-address-path": "the file is not written: the bootstrap says where the admin page is",
    "--log-path": "the log goes to standard error",
    "--local-address-ip-version": "addresses are those of the connections",
    "--stats-tag": "statistics have no tag by that name",
  ]

  private static let noHotRestart = "there is no hot restart: every process starts on its own"

  /// The bootstrap document that the options name, and the one that is merged into it where both are given.
  package func documents(kind: String) throws(ConfigError) -> ([UInt8], with: [UInt8]?) {
    let text = configText.map { Array($0.utf8) }
    guard let configPath else {
      guard let text else { throw ConfigError(kind: kind, "no configuration: give -c FILE or --config-yaml TEXT") }
      return (text, nil)
    }
    do throws(ConfigError) { return (try DataSource.file(path: configPath).load(waits: true), text) } catch {
      throw ConfigError(kind: kind, error.message)
    }
  }

  package static let help = """
    usage: weft-proxy -c FILE [options]

      -c, --config-path FILE      bootstrap, Envoy v3, YAML or JSON
          --config-yaml TEXT      bootstrap in place; with -c, merged into the file's
          --mode serve|validate   validate checks the configuration and exits (0: it is good, 1: it is not)
          --concurrency N         workers; default: the processors this process may use
          --last-good FILE        keeps the last good configuration from discovery, and starts from it
      -l, --log-level LEVEL       trace, debug, info, warning, error, critical, off
          --log-format json|text  how lines of the log are written (text)
          --drain-time-s N        longest time a graceful stop takes (600)
          --file-flush-interval-msec N   how long an access-log line may wait (1000)
          --file-flush-min-size-kb N     access-log lines of a worker that are written at once (64)
          --service-node ID       node id, over the bootstrap's
          --service-cluster NAME  node cluster, over the bootstrap's
          --service-zone ZONE     node locality's zone, over the bootstrap's
          --cpuset-threads        pins each worker to one processor
          --version, -h, --help

    Options of Envoy's that have no effect here are taken, and the log says what happens instead.
    SIGTERM stops gracefully: listeners close, clients are told, requests in flight end. SIGINT stops at once.

    """
}
