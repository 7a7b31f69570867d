// weft-echo: a server and a client to put beside other programs.
//
//   weft-echo serve [ADDRESS] [--name NAME] [--gzip]     HTTP and gRPC echo on one port; prints "listening on ADDRESS"
//   weft-echo check ADDRESS                              calls a gRPC echo server in every way; exit code 0 when all is well
//   weft-echo bench ADDRESS                              measures such a server: unary calls, and 1,000 streams at once
//   weft-echo get URL                                    one HTTP request; prints status, headers and body
//
// ADDRESS is host:port, [v6]:port or unix:/path (default 127.0.0.1:0). The gRPC service is echo.Echo with raw bytes as messages
// (see EchoService.swift). SIGTERM drains.
import Glibc
import WeftService

let words = Array(CommandLine.arguments.dropFirst())
let flags = Set(words.filter { $0.hasPrefix("--") })
let operands = words.filter { !$0.hasPrefix("--") && $0 != option("--name") }

func option(_ name: String) -> String? {
  words.firstIndex(of: name).flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
}

func complain(_ text: String) {
  let line = Array((text + "\n").utf8)
  _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
}

func say(_ text: String) {
  print(text)
  fflush(nil)
}

func run() async -> Int32 {
  do {
    switch (operands.first, operands.dropFirst().first) {
    case ("serve", let address):
      guard let address = ServiceAddress(address ?? "127.0.0.1:0") else { break }
      try await EchoServer.run(
        on: address, name: option("--name") ?? "weft-echo", compresses: flags.contains("--gzip"),
        until: Signals.take(Signals.stopping), started: say)
      return 0
    case ("check", let address?):
      guard let address = ServiceAddress(address) else { break }
      return try await EchoCheck.run(address, report: say) ? 0 : 1
    case ("bench", let address?):
      guard let address = ServiceAddress(address) else { break }
      try await EchoBench.run(address, streams: 1_000, report: say)
      return 0
    case ("get", let url?):
      try await ServiceRuntime.with { runtime in
        let client = HTTPClient(on: runtime)
        let response = try await client.get(url)
        say("\(response.status)")
        for field in response.headers.fields { say("\(field.name): \(field.value)") }
        say("")
        say(response.text)
        await client.close()
      }
      return 0
    default: break
    }
  } catch {
    complain("weft-echo: \(error)")
    return 1
  }
  complain("usage: weft-echo serve [ADDRESS] [--name NAME] [--gzip] | check ADDRESS | bench ADDRESS | get URL")
  return 2
}

ServiceProgram.run { await run() }
