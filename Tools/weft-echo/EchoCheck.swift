// The client: calls a server in every way and says what came of it.
import WeftGRPC
import WeftService

enum EchoCheck {
  private struct Failed: Error, CustomStringConvertible {
    let description: String
  }

  private static func expect(_ condition: Bool, _ what: String) throws {
    if !condition { throw Failed(description: what) }
  }

  typealias Check = (name: String, run: @Sendable (GRPCClient) async throws -> Void)

  /// Runs every check; false when one failed.
  static func run(_ address: ServiceAddress, report: (String) -> Void) async throws -> Bool {
    try await ServiceRuntime.with { runtime in
      var configuration = GRPCClientConfiguration()
      configuration.receiveMessageBytes = 16 * 1024 * 1024
      let client = GRPCClient(to: address, configuration, on: runtime)
      var isWell = true
      for (name, check) in checks {
        do {
          try await check(client)
          report("ok    \(name)")
        } catch {
          isWell = false
          report("FAIL  \(name): \(error)")
        }
      }
      await client.close()
      return isWell
    }
  }

  private static let checks: [Check] = [
    ("unary with metadata", unary), ("gzip", gzip), ("server stream", serverStream), ("client stream", clientStream),
    ("both ways", both), ("status with message and details", failure), ("deadline", deadline),
    ("cancellation", cancellation), ("unknown method", unknownMethod), ("health", health), ("500 at once", many),
  ]

  @Sendable private static func unary(_ client: GRPCClient) async throws {
    var options = GRPCCallOptions()
    options.metadata.add("x-ask", "plain")
    options.metadata.add("x-ask-bin", bytes: [0, 255, 1])
    let response = try await client.callWithMetadata(EchoService.unary, [1, 2, 3], options)
    try expect(response.message == [1, 2, 3], "message \(response.message)")
    try expect(response.initialMetadata["x-answer"] == "plain", "initial metadata \(response.initialMetadata)")
    try expect(response.initialMetadata.bytes("x-answer-bin") == [0, 255, 1], "binary \(response.initialMetadata)")
    try expect(response.trailingMetadata["seen"] == "3", "trailing metadata \(response.trailingMetadata)")
  }

  @Sendable private static func gzip(_ client: GRPCClient) async throws {
    var options = GRPCCallOptions()
    options.compresses = true
    let message = [UInt8](repeating: 65, count: 1_000_000)
    try expect(try await client.call(EchoService.unary, message, options) == message, "the message changed")
  }

  @Sendable private static func serverStream(_ client: GRPCClient) async throws {
    try await client.withStream(EchoService.serverStream, GRPCCallOptions()) { stream in
      try await stream.send(Array("5000".utf8))
      stream.finishSending()
      var next = 0
      for try await message in stream.responses {
        try expect(String(decoding: message, as: UTF8.self) == String(next), "message \(next)")
        next += 1
      }
      try expect(next == 5000, "\(next) messages")
    }
  }

  @Sendable private static func clientStream(_ client: GRPCClient) async throws {
    try await client.withStream(EchoService.clientStream, GRPCCallOptions()) { stream in
      for size in 0..<1000 { try await stream.send([UInt8](repeating: 1, count: size)) }
      stream.finishSending()
      var answers: [String] = []
      for try await message in stream.responses { answers.append(String(decoding: message, as: UTF8.self)) }
      try expect(answers == ["499500"], "answers \(answers)")
    }
  }

  @Sendable private static func both(_ client: GRPCClient) async throws {
    try await client.withStream(EchoService.both, GRPCCallOptions()) { stream in
      var answers = stream.responses.makeAsyncIterator()
      for size in [0, 1, 70_000, 3, 3_000_000] {
        let message = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
        try await stream.send(message)
        try expect(try await answers.next() == message.reversed(), "message of \(size) bytes")
      }
      stream.finishSending()
      try expect(try await answers.next() == nil, "messages after the last")
    }
  }

  private static func status(_ call: () async throws -> some Sendable) async throws -> GRPCStatus {
    do { _ = try await call() } catch let status as GRPCStatus { return status }
    throw Failed(description: "the call succeeded")
  }

  @Sendable private static func failure(_ client: GRPCClient) async throws {
    let status = try await status { try await client.call(EchoService.fail, [8, 9, 200]) }
    try expect(status.code == .failedPrecondition && status.message == EchoService.failureMessage, "\(status)")
    try expect(status.details == [8, 9, 200], "details \(status.details)")
  }

  @Sendable private static func deadline(_ client: GRPCClient) async throws {
    let status = try await status {
      try await client.call(EchoService.hang, [], GRPCCallOptions(timeout: .milliseconds(200)))
    }
    try expect(status.code == .deadlineExceeded, "\(status)")
  }

  @Sendable private static func cancellation(_ client: GRPCClient) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { _ = try await client.call(EchoService.hang, [], GRPCCallOptions(timeout: nil)) }
      try await Task.sleep(for: .milliseconds(100))
      group.cancelAll()
      let status = try await status { try await group.waitForAll() }
      try expect(status.code == .cancelled, "\(status)")
    }
  }

  @Sendable private static func unknownMethod(_ client: GRPCClient) async throws {
    let status = try await status { try await client.call(GRPCMethod(raw: "/echo.Echo/Nope"), []) }
    try expect(status.code == .unimplemented, "\(status)")
  }

  @Sendable private static func health(_ client: GRPCClient) async throws {
    let check = GRPCMethod(raw: GRPCHealthMessages.checkPath)
    let answer = try await client.call(check, GRPCHealthMessages.request(service: ""))
    try expect(GRPCHealthMessages.status(ofResponse: answer) == 1, "health \(answer)")
  }

  @Sendable private static func many(_ client: GRPCClient) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<500 {
        group.addTask {
          let message = Array("message \(number)".utf8)
          try expect(try await client.call(EchoService.unary, message) == message, "message \(number)")
        }
      }
      try await group.waitForAll()
    }
  }
}
