import Testing
import WeftGRPC
import WeftService

/// The methods the tests call; messages are raw bytes.
enum Echo {
  static let unary = GRPCMethod(raw: "/weft.test.Echo/Unary")
  static let collect = GRPCMethod(raw: "/weft.test.Echo/Collect")
  static let expand = GRPCMethod(raw: "/weft.test.Echo/Expand")
  static let chat = GRPCMethod(raw: "/weft.test.Echo/Chat")
  static let fail = GRPCMethod(raw: "/weft.test.Echo/Fail")
  static let hang = GRPCMethod(raw: "/weft.test.Echo/Hang")

  static func routes(hung: Gate = Gate(), released: Gate = Gate()) -> GRPCRoutes {
    var routes = GRPCRoutes()
    routes.unary(unary) { request, context in
      var initial = GRPCMetadata()
      initial.add("x-initial", context.metadata["x-ask"] ?? "-")
      initial.add("x-initial-bin", bytes: [0, 1, 255])
      context.sendInitialMetadata(initial)
      var trailing = GRPCMetadata()
      trailing.add("x-trailing", "t")
      context.setTrailingMetadata(trailing)
      return request
    }
    routes.clientStreaming(collect) { requests, _ in
      var all: [UInt8] = []
      for try await request in requests { all += request }
      return all
    }
    routes.serverStreaming(expand) { request, writer, _ in
      for byte in request { try await writer.send([UInt8](repeating: byte, count: 3)) }
    }
    routes.bidirectional(chat) { requests, writer, _ in
      for try await request in requests { try await writer.send(request) }
    }
    routes.unary(fail) { request, _ in
      throw GRPCStatus(.failedPrecondition, "Ünïcode %\n", details: request)
    }
    routes.unary(hang) { _, _ in
      await hung.open()
      await untilCancelled()
      await released.open()
      return []
    }
    return routes
  }
}

/// A gRPC server with the echo methods and a client of it.
struct GRPCLoopback: Sendable {
  let server: GRPCServer
  let client: GRPCClient
  let runtime: ServiceRuntime

  static func run(
    _ routes: GRPCRoutes = Echo.routes(), server configure: (inout GRPCServerConfiguration) -> Void = { _ in },
    client configureClient: (inout GRPCClientConfiguration) -> Void = { _ in },
    _ body: @escaping @Sendable (GRPCLoopback) async throws -> Void
  ) async throws {
    try await ServiceRuntime.with { runtime in
      var configuration = GRPCServerConfiguration()
      configure(&configuration)
      var clientConfiguration = GRPCClientConfiguration()
      configureClient(&clientConfiguration)
      let server = try await GRPCServer.bind(routes, configuration, on: runtime)
      let client = GRPCClient(to: server.addresses[0], clientConfiguration, on: runtime)
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await server.run() }
        do {
          try await body(GRPCLoopback(server: server, client: client, runtime: runtime))
        } catch {
          await server.shutdown(grace: .zero)
          throw error
        }
        await client.close()
        await server.shutdown(grace: .seconds(5))
      }
    }
  }
}

@Suite("gRPC calls", .timeLimit(.minutes(5)))
struct GRPCCallTests {
  @Test("a unary call carries message and metadata both ways")
  func unary() async throws {
    try await GRPCLoopback.run { loopback in
      var options = GRPCCallOptions()
      options.metadata.add("x-ask", "hello")
      let response = try await loopback.client.callWithMetadata(Echo.unary, [1, 2, 3], options)
      #expect(response.message == [1, 2, 3])
      #expect(response.initialMetadata["x-initial"] == "hello")
      #expect(response.initialMetadata.bytes("x-initial-bin") == [0, 1, 255])
      #expect(response.trailingMetadata["x-trailing"] == "t")
    }
  }

  @Test("an empty message is a message")
  func empty() async throws {
    try await GRPCLoopback.run { loopback in
      let answer1 = try await loopback.client.call(Echo.unary, [])
      #expect(answer1 == [])
    }
  }

  @Test("a client stream is collected")
  func clientStreaming() async throws {
    try await GRPCLoopback.run { loopback in
      try await loopback.client.withStream(Echo.collect, GRPCCallOptions()) { stream in
        for byte in 0..<100 { try await stream.send([UInt8(byte)]) }
        stream.finishSending()
        var answers: [[UInt8]] = []
        for try await answer in stream.responses { answers.append(answer) }
        #expect(answers == [(0..<100).map { UInt8($0) }])
      }
    }
  }

  @Test("a server stream arrives in order")
  func serverStreaming() async throws {
    try await GRPCLoopback.run { loopback in
      try await loopback.client.withStream(Echo.expand, GRPCCallOptions()) { stream in
        try await stream.send([1, 2, 3])
        stream.finishSending()
        var answers: [[UInt8]] = []
        for try await answer in stream.responses { answers.append(answer) }
        #expect(answers == [[1, 1, 1], [2, 2, 2], [3, 3, 3]])
      }
    }
  }

  @Test("a conversation alternates")
  func bidirectional() async throws {
    try await GRPCLoopback.run { loopback in
      try await loopback.client.withStream(Echo.chat, GRPCCallOptions()) { stream in
        var answers = stream.responses.makeAsyncIterator()
        for size in [0, 1, 1000, 100_000, 5, 1_000_000] {
          let message = bytes(size)
          try await stream.send(message)
          #expect(try await answers.next() == message)
        }
        stream.finishSending()
        #expect(try await answers.next() == nil)
      }
    }
  }

  @Test("many calls share one connection")
  func concurrency() async throws {
    try await GRPCLoopback.run { loopback in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for index in 0..<300 {
          group.addTask {
            let message = bytes(index * 17)
            let answer2 = try await loopback.client.call(Echo.unary, message)
            #expect(answer2 == message)
          }
        }
        try await group.waitForAll()
      }
    }
  }

  @Test("a status travels with message and details")
  func failure() async throws {
    try await GRPCLoopback.run { loopback in
      let status = await #expect(throws: GRPCStatus.self) { try await loopback.client.call(Echo.fail, [8, 9]) }
      #expect(status?.code == .failedPrecondition)
      #expect(status?.message == "Ünïcode %\n")
      #expect(status?.details == [8, 9])
    }
  }

  @Test("an unknown method is UNIMPLEMENTED")
  func unknownMethod() async throws {
    try await GRPCLoopback.run { loopback in
      let status = await #expect(throws: GRPCStatus.self) {
        try await loopback.client.call(GRPCMethod(raw: "/weft.test.Echo/Nope"), [])
      }
      #expect(status?.code == .unimplemented)
    }
  }

  @Test("a deadline ends the call on both sides")
  func deadline() async throws {
    let released = Gate()
    try await GRPCLoopback.run(Echo.routes(released: released)) { loopback in
      let status = await #expect(throws: GRPCStatus.self) {
        try await loopback.client.call(Echo.hang, [], GRPCCallOptions(timeout: .milliseconds(100)))
      }
      #expect(status?.code == .deadlineExceeded)
      await released.wait()
    }
  }

  @Test("cancelling the caller cancels the handler")
  func cancellation() async throws {
    let hung = Gate()
    let released = Gate()
    try await GRPCLoopback.run(Echo.routes(hung: hung, released: released)) { loopback in
      let caller = Task { try await loopback.client.call(Echo.hang, [], GRPCCallOptions(timeout: nil)) }
      await hung.wait()
      caller.cancel()
      let result = await caller.result
      #expect(throws: GRPCStatus.self) { try result.get() }
      await released.wait()
    }
  }

  @Test("leaving a stream cancels what is left of the call")
  func abandoned() async throws {
    let hung = Gate()
    let released = Gate()
    try await GRPCLoopback.run(Echo.routes(hung: hung, released: released)) { loopback in
      try await loopback.client.withStream(Echo.hang, GRPCCallOptions(timeout: nil)) { stream in
        try await stream.send([])
        stream.finishSending()
        await hung.wait()
      }
      await released.wait()
    }
  }

  @Test("messages are compressed when both sides want it")
  func compression() async throws {
    try await GRPCLoopback.run(server: { $0.compressesResponses = true }) { loopback in
      var options = GRPCCallOptions()
      options.compresses = true
      let message = [UInt8](repeating: 7, count: 100_000)
      let answer3 = try await loopback.client.call(Echo.unary, message, options)
      #expect(answer3 == message)
    }
  }

  @Test("a message over the receiver's limit is RESOURCE_EXHAUSTED, on either side")
  func messageLimit() async throws {
    try await GRPCLoopback.run(server: { $0.receiveMessageBytes = 100 }) { loopback in
      let status = await #expect(throws: GRPCStatus.self) { try await loopback.client.call(Echo.unary, bytes(101)) }
      #expect(status?.code == .resourceExhausted)
    }
    try await GRPCLoopback.run(client: { $0.receiveMessageBytes = 100 }) { loopback in
      let status = await #expect(throws: GRPCStatus.self) { try await loopback.client.call(Echo.unary, bytes(101)) }
      #expect(status?.code == .resourceExhausted)
    }
  }

  @Test("a call without a server is UNAVAILABLE; one that waits is served when the server comes")
  func waitForReady() async throws {
    try await ServiceRuntime.with { runtime in
      let address = ServiceAddress.unix(path: "/tmp/weft-grpc-\(UInt64.random(in: 0 ... .max)).sock")
      var configuration = GRPCClientConfiguration()
      configuration.backoff.initial = .milliseconds(20)
      let client = GRPCClient(to: address, configuration, on: runtime)
      let status = await #expect(throws: GRPCStatus.self) { try await client.call(Echo.unary, [1]) }
      #expect(status?.code == .unavailable)
      let answer = Task { try await client.call(Echo.unary, [1], GRPCCallOptions(waitForReady: true)) }
      let server = try await GRPCServer.bind(
        Echo.routes(), GRPCServerConfiguration(addresses: [address]), on: runtime)
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await server.run() }
        let message = try await answer.value
        #expect(message == [1])
        await client.close()
        await server.shutdown()
      }
    }
  }

  @Test("health is served, watched, and NOT_SERVING while shutting down")
  func health() async throws {
    let check = GRPCMethod(raw: GRPCHealthMessages.checkPath)
    let watch = GRPCMethod(raw: GRPCHealthMessages.watchPath)
    try await GRPCLoopback.run { loopback in
      let answer = try await loopback.client.call(check, GRPCHealthMessages.request(service: ""))
      #expect(GRPCHealthMessages.status(ofResponse: answer) == 1)
      let status = await #expect(throws: GRPCStatus.self) {
        try await loopback.client.call(check, GRPCHealthMessages.request(service: "other"))
      }
      #expect(status?.code == .notFound)
      try await loopback.client.withStream(watch, GRPCCallOptions(timeout: nil)) { stream in
        try await stream.send(GRPCHealthMessages.request(service: "other"))
        stream.finishSending()
        var answers = stream.responses.makeAsyncIterator()
        #expect(GRPCHealthMessages.status(ofResponse: try #require(try await answers.next())) == 3)
        loopback.server.health.set(.serving, for: "other")
        #expect(GRPCHealthMessages.status(ofResponse: try #require(try await answers.next())) == 1)
        async let down: Void = loopback.server.shutdown(grace: .seconds(10))
        #expect(GRPCHealthMessages.status(ofResponse: try #require(try await answers.next())) == 2)
        #expect(try await answers.next() == nil)
        await down
      }
    }
  }

  @Test("a draining server finishes the stream it has and takes no other")
  func draining() async throws {
    try await GRPCLoopback.run { loopback in
      try await loopback.client.withStream(Echo.chat, GRPCCallOptions(timeout: nil)) { stream in
        var answers = stream.responses.makeAsyncIterator()
        try await stream.send([1])
        #expect(try await answers.next() == [1])
        async let down: Void = loopback.server.shutdown(grace: .seconds(20))
        let refused = await eventually {
          do {
            _ = try await loopback.client.call(Echo.unary, [2], GRPCCallOptions(timeout: .seconds(5)))
            return false
          } catch { return (error as? GRPCStatus)?.code == .unavailable }
        }
        #expect(refused)
        try await stream.send([3])
        #expect(try await answers.next() == [3])
        stream.finishSending()
        #expect(try await answers.next() == nil)
        await down
      }
    }
  }

  @Test("requests that are not gRPC are told so")
  func notGRPC() async throws {
    try await GRPCLoopback.run { loopback in
      let http = HTTPClient(on: loopback.runtime)
      let response = try await http.send(HTTPRequest(method: "POST"), to: loopback.server.addresses[0])
      #expect(response.status == 415)
      await http.close()
    }
  }
}
