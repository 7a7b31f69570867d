// weft-control: the control plane. Parse, compose, run.
import WeftBase
import Glibc
import WeftConfig
import WeftControl
import WeftService
import WeftTelemetry

signal(SIGPIPE, SIG_IGN)

var environment: [String: String] = [:]
for name in ["WEFT_STATE", "HOME"] {
  if let value = unsafe getenv(name) { environment[name] = unsafe String(cString: value) }
}

func fail(_ message: String, _ code: Int32) -> Never {
  let line = Array("weft-control: \(message)\n".utf8)
  _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
  exit(code)
}

let options: ControlOptions
do throws(ControlOptions.Refusal) {
  options = try ControlOptions(
    Array(CommandLine.arguments.dropFirst()), environment: environment, isRoot: geteuid() == 0)
} catch {
  fail(error.description, 2)
}
if options.asksForHelp {
  print(ControlOptions.usage)
  exit(0)
}
if options.asksForVersion {
  print("weft-control \(WeftVersion.text)")
  exit(0)
}

if let path = options.backup {
  do {
    let copied = try ControlServer.backUp(options.configuration, to: path)
    print("\(path): \(copied.objects) objects at revision \(copied.revision)")
    exit(0)
  } catch {
    fail("cannot back up: \(error)", 1)
  }
}

let log = Logger(LogOutput(level: options.logLevel), .control)
var configuration = options.configuration
configuration.version = WeftVersion.text
configuration.log = log

/// Serves until it is told to stop; told twice, it ends at once.
func run(_ configuration: ControlConfiguration, readyFile: String?, _ log: Logger) async -> Int32 {
  let server: ControlServer
  let runtime: ServiceRuntime
  do {
    runtime = try ServiceRuntime(name: "weft-control")
    server = try await ControlServer.start(configuration, on: runtime)
  } catch {
    fail("cannot start: \((error as? WeftError)?.message ?? "\(error)")", 1)
  }
  let signals = Signals.take(Signals.stopping)
  let ready = ReadyFile(api: server.apiAddresses, xds: server.xdsAddresses)
  print(ready.text, terminator: "")
  _ = fflush(nil)
  log.info("serving", ("api", .text("\(server.apiAddresses)")), ("xds", .text("\(server.xdsAddresses)")))
  let (stops, orders) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
  return await withTaskGroup(of: Int32?.self) { group in
    group.addTask {
      for await _ in stops { await server.shutdown() }
      return nil
    }
    group.addTask {
      var isStopping = false
      for await number in signals.values {
        if isStopping { return 128 + number }
        isStopping = true
        log.info("stopping")
        orders.yield()
      }
      return nil
    }
    group.addTask {
      do {
        try await server.run()
      } catch {
        fail("\(error)", 1)
      }
      await runtime.stop()
      log.info("stopped")
      return 0
    }
    if let readyFile {
      do { try ready.write(to: readyFile) } catch { fail("\(error)", 1) }
    }
    while let ended = await group.next() {
      // What is left belongs to a stop that was told to hurry.
      if let code = ended { exit(code) }
    }
    return 0
  }
}

ServiceProgram.run { [configuration, readyFile = options.readyFile, log] in
  await run(configuration, readyFile: readyFile, log)
}
