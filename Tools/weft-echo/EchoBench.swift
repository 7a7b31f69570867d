// A measurement of the cold path: how fast one loop thread answers and fans out.
import WeftGRPC
import WeftService

enum EchoBench {
  /// Unary calls with a bounded number in flight, then one message to and from each of many open streams, on several connections.
  static func run(_ address: ServiceAddress, streams: Int, report: @escaping @Sendable (String) -> Void) async throws {
    try await ServiceRuntime.with { runtime in
      let clients = (0..<max(1, streams / 100)).map { _ in GRPCClient(to: address, on: runtime) }
      for inFlight in [1, 32] { try await unary(clients[0], inFlight: inFlight, report) }
      try await fanOut(clients, streams: streams, report)
      for client in clients { await client.close() }
    }
  }

  private static func unary(
    _ client: GRPCClient, inFlight: Int, _ report: @Sendable (String) -> Void
  ) async throws {
    let calls = inFlight == 1 ? 2_000 : 20_000
    let message = [UInt8](repeating: 1, count: 100)
    let clock = ContinuousClock()
    let time = try await clock.measure {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<inFlight {
          group.addTask {
            for _ in 0..<calls / inFlight { _ = try await client.call(EchoService.unary, message) }
          }
        }
        try await group.waitForAll()
      }
    }
    report("unary, \(inFlight) in flight: \(microseconds(time / calls)) µs a call")
  }

  /// Every stream sends one message and waits for its echo, all at once: what a push to all proxies and their answers cost.
  private static func fanOut(
    _ clients: [GRPCClient], streams: Int, _ report: @escaping @Sendable (String) -> Void
  ) async throws {
    let message = [UInt8](repeating: 7, count: 10_000)
    let rounds = 5
    try await withThrowingTaskGroup(of: [Duration].self) { group in
      for number in 0..<streams {
        let client = clients[number % clients.count]
        group.addTask {
          try await client.withStream(EchoService.both, GRPCCallOptions(timeout: nil)) { stream in
            var answers = stream.responses.makeAsyncIterator()
            var times: [Duration] = []
            for _ in 0..<rounds {
              let began = ContinuousClock.now
              try await stream.send(message)
              _ = try await answers.next()
              times.append(ContinuousClock.now - began)
            }
            stream.finishSending()
            return times
          }
        }
      }
      var all: [Duration] = []
      for try await times in group { all += times }
      all.sort()
      report(
        "\(streams) streams at once, 10 kB there and back: median \(milliseconds(all[all.count / 2])) ms, "
          + "p99 \(milliseconds(all[all.count * 99 / 100])) ms")
    }
  }

  private static func microseconds(_ time: Duration) -> Int64 {
    time.components.seconds * 1_000_000 + time.components.attoseconds / 1_000_000_000_000
  }

  private static func milliseconds(_ time: Duration) -> Int64 { microseconds(time) / 1000 }
}
