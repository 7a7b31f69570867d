import Testing
import WeftHTTP
import WeftService

@Suite("malformed HTTP peers", .timeLimit(.minutes(5)))
struct MalformedPeerTests {
  @Test(
    "a server answers what it cannot read with the right status and closes",
    arguments: [
      ("GARBAGE\r\n\r\n", "400"),
      ("GET / HTTP/1.1\r\n\r\n", "400"),
      ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
      ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505"),
      ("GET /\(String(repeating: "a", count: 20_000)) HTTP/1.1\r\nHost: a\r\n\r\n", "414"),
      ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 70_000))\r\n\r\n", "431"),
    ])
  func badRequests(request: String, status: String) async throws {
    try await Loopback.run { _, responder in
      try await responder.send("ok")
    } _: { loopback in
      let reply = await RawPeer.exchange(with: loopback.address, [Array(request.utf8)])
      #expect(reply.hasPrefix("HTTP/1.1 \(status) "), "\(reply.prefix(100))")
    }
  }

  @Test("pipelined requests are answered in order")
  func pipelining() async throws {
    try await Loopback.run { request, responder in
      try await responder.send(request.head.path)
    } _: { loopback in
      let one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
      let last = "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      let two = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      let reply = await RawPeer.exchange(with: loopback.address, [Array((one + two + last).utf8)])
      let order = ["/1", "/2", "/3"].compactMap { reply.firstRange(of: "\r\n\r\n\($0)")?.lowerBound }
      #expect(order.count == 3)
      #expect(order == order.sorted())
    }
  }

  @Test("a request split at every byte is one request")
  func split() async throws {
    let head = "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    let request = Array((head + "3\r\nabc\r\n0\r\n\r\n").utf8)
    try await Loopback.run { request, responder in
      try await responder.send(HTTPResponse(), body: try await request.body.collect())
    } _: { loopback in
      let reply = await RawPeer.exchange(with: loopback.address, request.map { [$0] })
      #expect(reply.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(reply.hasSuffix("\r\n\r\nabc"))
    }
  }

  @Test("HTTP/1.0 is served and its connection closed")
  func http10() async throws {
    try await Loopback.run { _, responder in
      let writer = try responder.start(HTTPResponse())
      try await writer.write("streamed")
    } _: { loopback in
      let reply = await RawPeer.exchange(with: loopback.address, [Array("GET / HTTP/1.0\r\n\r\n".utf8)])
      #expect(reply.hasSuffix("\r\n\r\nstreamed"))
      #expect(!reply.lowercased().contains("transfer-encoding"))
    }
  }

  @Test("Expect: 100-continue is answered before the body")
  func expectContinue() async throws {
    try await Loopback.run { request, responder in
      try await responder.send(HTTPResponse(), body: try await request.body.collect())
    } _: { loopback in
      let head = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
      let reply = await RawPeer.exchange(with: loopback.address, [Array(head.utf8), Array("hi".utf8)])
      #expect(reply.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"))
    }
  }

  @Test("a client that never finishes its head is dropped")
  func slowHead() async throws {
    var limits = ServiceLimits()
    limits.headTimeout = .milliseconds(50)
    try await Loopback.run(limits: limits) { _, responder in
      try await responder.send("ok")
    } _: { loopback in
      #expect(await RawPeer.exchange(with: loopback.address, []) == "")
      #expect(await RawPeer.exchange(with: loopback.address, [Array("GET / HT".utf8)]) == "")
    }
  }

  @Test("a client that trickles its head gets no more time for each byte")
  func trickledHead() async throws {
    var limits = ServiceLimits()
    limits.headTimeout = .milliseconds(100)
    try await Loopback.run(limits: limits) { _, responder in
      try await responder.send("ok")
    } _: { loopback in
      let head = Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8).map { [$0] }
      #expect(await RawPeer.exchange(with: loopback.address, head, pauseMilliseconds: 10) == "")
    }
  }

  @Test("a client that goes away in its body ends the handler's wait")
  func vanishedClient() async throws {
    let failed = Promise<ServiceError?>()
    try await Loopback.run { request, responder in
      do { _ = try await request.body.collect() } catch {
        await failed.fulfil(error as? ServiceError)
        throw error
      }
    } _: { loopback in
      let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\npart"
      _ = await RawPeer.exchange(with: loopback.address, [Array(head.utf8)], halfClose: true)
      guard case .connectionClosed = await failed.get() else {
        Issue.record("the handler saw something else")
        return
      }
    }
  }

  @Test("bytes after the HTTP/2 preface that are no frames end the connection")
  func badHTTP2() async throws {
    try await Loopback.run { _, responder in
      try await responder.send("ok")
    } _: { loopback in
      let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
      let reply = await RawPeer.exchange(
        with: loopback.address, [Array((preface + String(repeating: "nonsense", count: 10)).utf8)])
      // SETTINGS first, then GOAWAY (type 7), then the end.
      #expect(reply.utf8.contains(7))
    }
  }

  @Test(
    "a client refuses what is no response",
    arguments: [
      "", "NOPE\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
    ])
  func badResponses(reply: String) async throws {
    try await RawPeer.server(replies: [Array(reply.utf8)]) { address in
      try await ServiceRuntime.with { runtime in
        let client = HTTPClient(on: runtime)
        await #expect(throws: ServiceError.self) {
          try await client.send(HTTPRequest(method: "POST"), body: [1], to: address, timeout: .seconds(240))
        }
        await client.close()
      }
    }
  }

  @Test("a body delimited by the end of the connection is read whole")
  func untilClose() async throws {
    try await RawPeer.server(replies: [Array("HTTP/1.1 200 OK\r\n\r\nall of it".utf8)]) { address in
      try await ServiceRuntime.with { runtime in
        let client = HTTPClient(on: runtime)
        let answer1 = try await client.send(HTTPRequest(), to: address, timeout: .seconds(240)).text
        #expect(answer1 == "all of it")
        await client.close()
      }
    }
  }

  @Test("an HTTP/2 client that meets another protocol fails to connect")
  func notHTTP2() async throws {
    let reply = Array("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".utf8)
    try await RawPeer.server(replies: [reply]) { address in
      try await ServiceRuntime.with { runtime in
        let client = HTTPClient(HTTPClientConfiguration(protocols: .http2), on: runtime)
        let error = await #expect(throws: ServiceError.self) {
          try await client.send(HTTPRequest(), to: address, timeout: .seconds(240))
        }
        #expect(error?.isSafeToRetry == true)
        await client.close()
      }
    }
  }
}
