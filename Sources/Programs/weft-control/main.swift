// weft-control: the control plane. Parse, compose, run.
import WeftBase
import Glibc
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

let server: ControlServer
let runtime: ServiceRuntime
do {
  runtime = try ServiceRuntime(name: "weft-control")
  server = try await ControlServer.start(configuration, on: runtime)
} catch {
  fail("cannot start: \((error as? WeftError)?.message ?? "\(error)")", 1)
}

Task.detached { [server, log] in
  var isStopping = false
  for await number in StopSignals.sequence() {
    if isStopping { exit(128 + number) }
    isStopping = true
    log.info("stopping")
    Task { await server.shutdown() }
  }
}

let ready = ReadyFile(api: server.apiAddresses, xds: server.xdsAddresses)
print(ready.text, terminator: "")
_ = fflush(nil)
log.info("serving", ("api", .text("\(server.apiAddresses)")), ("xds", .text("\(server.xdsAddresses)")))
let serving = Task { try await server.run() }
if let path = options.readyFile {
  do { try ready.write(to: path) } catch { fail("\(error)", 1) }
}
do {
  try await serving.value
} catch {
  fail("\(error)", 1)
}
await runtime.stop()
log.info("stopped")
