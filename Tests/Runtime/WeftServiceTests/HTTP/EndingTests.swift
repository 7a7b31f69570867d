import Testing
import WeftHTTP
import WeftService

@Suite("how exchanges and servers end", .timeLimit(.minutes(5)))
struct EndingTests {
  @Test("a deadline ends the wait for a response and cancels the handler", arguments: bothProtocols)
  func deadline(protocols: HTTPClientConfiguration.Protocols) async throws {
    let cancelled = Gate()
    try await Loopback.run(protocols) { _, _ in
      await untilCancelled()
      await cancelled.open()
    } _: { loopback in
      await #expect(throws: ServiceError.deadlineExceeded) {
        try await loopback.send(timeout: .milliseconds(50))
      }
      await cancelled.wait()
    }
  }

  @Test("cancelling the caller cancels the handler", arguments: bothProtocols)
  func cancellation(protocols: HTTPClientConfiguration.Protocols) async throws {
    let started = Gate()
    let cancelled = Gate()
    try await Loopback.run(protocols) { _, _ in
      await started.open()
      await untilCancelled()
      await cancelled.open()
    } _: { loopback in
      let caller = Task { try await loopback.send() }
      await started.wait()
      caller.cancel()
      await #expect(throws: ServiceError.cancelled) { try await caller.value }
      await cancelled.wait()
    }
  }

  @Test("leaving an exchange unfinished resets it", arguments: bothProtocols)
  func abandoned(protocols: HTTPClientConfiguration.Protocols) async throws {
    let failed = Promise<Bool>()
    try await Loopback.run(protocols) { request, responder in
      let writer = try responder.start(HTTPResponse())
      do {
        while true { try await writer.write(bytes(1000)) }
      } catch {
        await failed.fulfil(error is ServiceError)
        throw error
      }
    } _: { loopback in
      try await loopback.client.withExchange(HTTPRequest(), to: loopback.address, timeout: nil) { exchange in
        exchange.writer.finish()
        _ = try await exchange.response()
      }
      #expect(await failed.get())
    }
  }

  @Test("nobody listening is a connection failure, safe to retry", arguments: bothProtocols)
  func refused(protocols: HTTPClientConfiguration.Protocols) async throws {
    let address = try await Loopback.run(protocols) { _, responder in
      try await responder.send("ok")
    } _: { loopback in
      loopback.address
    }
    try await ServiceRuntime.with { runtime in
      let client = HTTPClient(HTTPClientConfiguration(protocols: protocols), on: runtime)
      let error = await #expect(throws: ServiceError.self) {
        try await client.send(HTTPRequest(), to: address, timeout: .seconds(240))
      }
      #expect(error?.isSafeToRetry == true)
    }
  }

  @Test("shutting down lets a running exchange finish and refuses new connections", arguments: bothProtocols)
  func gracefulShutdown(protocols: HTTPClientConfiguration.Protocols) async throws {
    let started = Gate()
    let release = Gate()
    try await Loopback.run(protocols) { _, responder in
      await started.open()
      await release.wait()
      try await responder.send("finished")
    } _: { loopback in
      async let response = loopback.send()
      await started.wait()
      async let down: Void = loopback.server.shutdown(grace: .seconds(20))
      let other = HTTPClient(on: loopback.runtime)
      let refuses = await eventually {
        (try? await other.send(HTTPRequest(), to: loopback.address, timeout: .milliseconds(200))) == nil
      }
      #expect(refuses)
      await release.open()
      let text = try await response.text
      #expect(text == "finished")
      await down
      await other.close()
    }
  }

  @Test("shutting down without grace resets what runs", arguments: bothProtocols)
  func hardShutdown(protocols: HTTPClientConfiguration.Protocols) async throws {
    let started = Gate()
    try await Loopback.run(protocols) { _, _ in
      await started.open()
      await untilCancelled()
    } _: { loopback in
      let caller = Task { try await loopback.send() }
      await started.wait()
      await loopback.server.shutdown(grace: .zero)
      await #expect(throws: ServiceError.self) { try await caller.value }
    }
  }

  @Test("shutting down under load answers every accepted request or refuses it safely", arguments: bothProtocols)
  func shutdownUnderLoad(protocols: HTTPClientConfiguration.Protocols) async throws {
    let answered = Counter()
    try await Loopback.run(protocols) { request, responder in
      await answered.add()
      try await responder.send("ok")
    } _: { loopback in
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask {
            while true {
              do {
                let answer1 = try await loopback.send().text
                #expect(answer1 == "ok")
              } catch let error as ServiceError {
                // Refused connections and refused streams are the only ways out; HTTP/1 may also see the close race.
                let isExpected = error.isSafeToRetry || protocols == .http1
                #expect(isExpected, "\(error)")
                return
              } catch { return }
            }
          }
        }
        group.addTask {
          _ = await eventually { await answered.count > 50 }
          await loopback.server.shutdown(grace: .seconds(10))
        }
      }
      #expect(await answered.count > 50)
    }
  }

  actor Counter {
    var count = 0
    func add() { count += 1 }
  }

  @Test("stopping the runtime ends everything that waits")
  func stop() async throws {
    let started = Gate()
    let runtime = try ServiceRuntime()
    let server = try await HTTPServer.bind(HTTPServerConfiguration(), on: runtime)
    let client = HTTPClient(on: runtime)
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await server.run { _, _ in
          await started.open()
          await untilCancelled()
        }
      }
      group.addTask {
        await #expect(throws: ServiceError.self) {
          try await client.send(HTTPRequest(), to: server.addresses[0], timeout: nil)
        }
      }
      await started.wait()
      await runtime.stop()
      await server.shutdown()
    }
    await #expect(throws: ServiceError.self) {
      try await client.send(HTTPRequest(), to: server.addresses[0], timeout: nil)
    }
  }

  @Test("a response larger than the caller's limit is refused", arguments: bothProtocols)
  func bodyLimit(protocols: HTTPClientConfiguration.Protocols) async throws {
    var limits = ServiceLimits()
    limits.bodyBytes = 1000
    try await Loopback.run(protocols, limits: limits) { _, responder in
      try await responder.send(HTTPResponse(), body: bytes(1001))
    } _: { loopback in
      await #expect(throws: ServiceError.limitExceeded("body")) { try await loopback.send() }
    }
  }

  @Test("connections past the limit are shed, the others served")
  func connectionLimit() async throws {
    var limits = ServiceLimits()
    limits.connections = 1
    try await Loopback.run(.http1, limits: limits) { _, responder in
      try await responder.send("ok")
    } _: { loopback in
      let answer2 = try await loopback.send().status
      #expect(answer2 == 200)
      let other = HTTPClient(on: loopback.runtime)
      await #expect(throws: ServiceError.self) {
        try await other.send(HTTPRequest(), to: loopback.address, timeout: .seconds(240))
      }
      let answer3 = try await loopback.send().status
      #expect(answer3 == 200)
      await other.close()
    }
  }
}
