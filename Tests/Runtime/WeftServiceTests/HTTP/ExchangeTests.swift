import Testing
import WeftHTTP
import WeftService

@Suite("HTTP exchanges", .timeLimit(.minutes(5)))
struct ExchangeTests {
  @Test("a request and its response cross whole", arguments: bothProtocols)
  func roundTrip(protocols: HTTPClientConfiguration.Protocols) async throws {
    try await Loopback.run(protocols) { request, responder in
      let body = try await request.body.collect()
      let summary =
        "\(request.head.method) \(request.head.target) \(request.head.authority) \(request.head.headers["x-a"] ?? "-")"
      try await responder.send(
        HTTPResponse(status: 201, headers: ["x-summary": summary, "x-many": "1"]), body: body.reversed())
    } _: { loopback in
      let response = try await loopback.send("POST", "/a?b=c", headers: ["X-A": "v"], body: [1, 2, 3])
      #expect(response.status == 201)
      #expect(response.body == [3, 2, 1])
      #expect(response.headers["x-summary"] == "POST /a?b=c \(loopback.address.authority) v")
      #expect(response.headers["server"] == "weft")
      #expect(response.version == (protocols == .http2 ? .http2 : .http11))
    }
  }

  @Test("many requests at once come back each to its own caller", arguments: bothProtocols)
  func concurrency(protocols: HTTPClientConfiguration.Protocols) async throws {
    try await Loopback.run(protocols) { request, responder in
      try await responder.send(request.head.path)
    } _: { loopback in
      try await withThrowingTaskGroup(of: (Int, String).self) { group in
        for index in 0..<200 {
          group.addTask { (index, try await loopback.send("GET", "/\(index)").text) }
        }
        for try await (index, text) in group { #expect(text == "/\(index)") }
      }
    }
  }

  @Test("requests beyond the limit of those that wait for a connection fail at once")
  func waitingLimit() async throws {
    var limits = ServiceLimits()
    limits.connectionsPerAddress = 1
    limits.waitingRequests = 2
    let gate = Gate()
    try await Loopback.run(.http1, clientLimits: limits) { request, responder in
      await gate.wait()
      try await responder.send("ok")
    } _: { loopback in
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<6 {
          group.addTask {
            do { return try await loopback.send().text == "ok" } catch ServiceError.limitExceeded { return false }
          }
        }
        var failed = 0
        var served = 0
        for try await isServed in group {
          if isServed { served += 1 } else { failed += 1 }
          // One runs and two wait, or two wait while the connection is made.
          if failed >= 3 { await gate.open() }
        }
        #expect(failed >= 3 && failed <= 4 && served == 6 - failed)
      }
    }
  }

  @Test("large bodies cross both ways, whatever the windows", arguments: bothProtocols)
  func largeBodies(protocols: HTTPClientConfiguration.Protocols) async throws {
    let content = bytes(5_000_000)
    try await Loopback.run(protocols) { request, responder in
      try await responder.send(HTTPResponse(), body: try await request.body.collect())
    } _: { loopback in
      let response = try await loopback.send("PUT", body: content)
      #expect(response.body == content)
    }
  }

  @Test("HEAD, 204 and an empty body carry no content", arguments: bothProtocols)
  func noContent(protocols: HTTPClientConfiguration.Protocols) async throws {
    try await Loopback.run(protocols) { request, responder in
      if request.head.path == "/204" { return try await responder.send(HTTPResponse(status: 204)) }
      try await responder.send(request.head.path == "/empty" ? "" : "content")
    } _: { loopback in
      for _ in 0..<2 {
        let head = try await loopback.send("HEAD")
        #expect(head.status == 200 && head.body.isEmpty)
        #expect(head.headers["content-length"] == "7")
        #expect(try await loopback.send("GET", "/204").status == 204)
        #expect(try await loopback.send("GET", "/empty").body.isEmpty)
        #expect(try await loopback.send().text == "content")
      }
    }
  }

  @Test("streams run both ways at once, with trailers", arguments: bothProtocols)
  func bidirectional(protocols: HTTPClientConfiguration.Protocols) async throws {
    try await Loopback.run(protocols) { request, responder in
      let writer = try responder.start(HTTPResponse())
      var count = 0
      for try await chunk in request.body {
        count += chunk.count
        try await writer.write(chunk)
      }
      writer.finish(trailers: ["x-count": "\(count)", "x-request-trailer": request.body.trailers["x-t"] ?? "-"])
    } _: { loopback in
      try await loopback.client.withExchange(
        HTTPRequest(method: "POST"), to: loopback.address, timeout: .seconds(240)
      ) { exchange in
        try await exchange.writer.write("ping")
        #expect(try await exchange.response().status == 200)
        var iterator = exchange.body.makeAsyncIterator()
        for round in 0..<20 {
          var echoed: [UInt8] = []
          while echoed.count < 4 { echoed += try #require(try await iterator.next()) }
          #expect(String(decoding: echoed, as: UTF8.self) == "ping")
          if round < 19 { try await exchange.writer.write("ping") }
        }
        exchange.writer.finish(trailers: ["x-t": "end"])
        #expect(try await iterator.next() == nil)
        #expect(exchange.body.trailers["x-count"] == "80")
        #expect(exchange.body.trailers["x-request-trailer"] == "end")
      }
    }
  }

  @Test("bodies that arrive whole before they are read give their credit back", arguments: bothProtocols)
  func manyWholeBodies(protocols: HTTPClientConfiguration.Protocols) async throws {
    let content = bytes(200_000)
    try await Loopback.run(protocols) { request, responder in
      try await responder.send(HTTPResponse(), body: try await request.body.collect())
    } _: { loopback in
      // 40 MB each way: more than a connection's window.
      for _ in 0..<200 {
        let response = try await loopback.send("PUT", body: content, timeout: .seconds(240))
        #expect(response.body.count == content.count)
      }
    }
  }

  @Test("a slow reader holds the writer back", arguments: bothProtocols)
  func backPressure(protocols: HTTPClientConfiguration.Protocols) async throws {
    var limits = ServiceLimits()
    limits.streamBufferBytes = 65_536
    let chunk = bytes(131_072)
    let written = Promise<Int>()
    let count = 512  // 64 MiB: more than the kernel's buffers and ours together
    try await Loopback.run(protocols, limits: limits) { _, responder in
      let writer = try responder.start(HTTPResponse())
      for index in 0..<count {
        try await withTimeout(index, written) { try await writer.write(chunk) }
      }
      await written.fulfil(count)
    } _: { loopback in
      try await loopback.client.withExchange(HTTPRequest(), to: loopback.address, timeout: .seconds(240)) { exchange in
        exchange.writer.finish()
        _ = try await exchange.response()
        let before = await written.get()
        #expect(before < count, "the writer was never held back")
        var total = 0
        for try await bytes in exchange.body { total += bytes.count }
        #expect(total == count * chunk.count)
      }
    }
  }

  /// Runs `write`; when it takes longer than half a second, reports how far the writer came.
  private func withTimeout(
    _ index: Int, _ stalled: Promise<Int>, _ write: @escaping @Sendable () async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await write() }
      let watch = Task {
        try await Task.sleep(for: .milliseconds(500))
        await stalled.fulfil(index)
      }
      defer { watch.cancel() }
      try await group.waitForAll()
    }
  }

  @Test("connections are kept and used again", arguments: bothProtocols)
  func keepAlive(protocols: HTTPClientConfiguration.Protocols) async throws {
    let peers = Peers()
    try await Loopback.run(protocols) { request, responder in
      await peers.add(request.peer.address)
      try await responder.send("ok")
    } _: { loopback in
      for _ in 0..<10 { _ = try await loopback.send() }
      #expect(await peers.all.count == 1)
    }
  }

  actor Peers {
    var all: Set<ServiceAddress> = []
    func add(_ address: ServiceAddress) { all.insert(address) }
  }

  @Test("a Unix socket carries the same")
  func unixSocket() async throws {
    let path = "/tmp/weft-service-\(UInt64.random(in: 0 ... .max)).sock"
    try await ServiceRuntime.with { runtime in
      let client = HTTPClient(on: runtime)
      try await HTTPServer.serving(
        HTTPServerConfiguration(addresses: [.unix(path: path)]), on: runtime,
        handler: { request, responder in try await responder.send(request.head.authority) },
        { server in
          let response = try await client.send(HTTPRequest(), to: server.addresses[0])
          #expect(response.text == "localhost")
          await client.close()
        })
    }
  }

  @Test("a handler that answers nothing, or throws, is a 500", arguments: bothProtocols)
  func handlerFailure(protocols: HTTPClientConfiguration.Protocols) async throws {
    struct Broken: Error {}
    try await Loopback.run(protocols) { request, responder in
      if request.head.path == "/throw" { throw Broken() }
      if request.head.path == "/large" { throw ServiceError.limitExceeded("body") }
    } _: { loopback in
      let silent = try await loopback.send()
      #expect(silent.status == 500)
      #expect(try await loopback.send("GET", "/throw").status == 500)
      #expect(try await loopback.send("GET", "/large").status == 413)
    }
  }

  @Test("a response without the whole request ends the exchange cleanly", arguments: bothProtocols)
  func earlyResponse(protocols: HTTPClientConfiguration.Protocols) async throws {
    try await Loopback.run(protocols) { _, responder in
      try await responder.send(status: 403, "no")
    } _: { loopback in
      for _ in 0..<3 {
        let status = try await loopback.client.withExchange(
          HTTPRequest(method: "POST"), to: loopback.address, timeout: .seconds(240)
        ) { exchange in
          // Where the answer is already here, there is nobody to write to any more.
          do { try await exchange.writer.write("the first bytes of many") } catch ServiceError.connectionClosed {}
          return try await exchange.response().status
        }
        #expect(status == 403)
      }
    }
  }
}
