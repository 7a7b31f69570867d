// weft: the command line. Parse, compose, run.
import Glibc
import WeftCLI

signal(SIGPIPE, SIG_IGN)
var environment: [String: String] = [:]
var entry = unsafe environ
while let line = unsafe entry.pointee {
  let text = unsafe String(cString: line)
  if let equals = text.firstIndex(of: "=") {
    environment[String(text[..<equals])] = String(text[text.index(after: equals)...])
  }
  unsafe entry += 1
}
let context = CommandContext(
  terminal: .standard(), environment: environment, program: CommandLine.arguments.first ?? "weft")
exit(await CommandLineTool.main(Array(CommandLine.arguments.dropFirst()), context))
