// Serialising heads as HTTP/1.1.

import Testing
import WeftBase

@testable import WeftHTTP

@Suite("HTTP/1 encoder")
struct H1EncoderTests {
  /// Parses `text`, lets `edit` change the head, writes it again.
  private func rewrite(
    _ text: String, role: H1Decoder.Role = .request, to method: HTTPMethod = .get,
    options: H1HeadOptions = H1HeadOptions(), edit: (MessageHead) -> Void = { _ in }
  ) throws -> String {
    let scratch = HeadScratch()
    var decoder = H1Decoder(role: role, limits: HTTPLimits())
    if role == .response { decoder.expectResponse(to: method, upgradeRequested: options.connection == .upgrade) }
    var output = ByteBuffer()
    var failure: H1EncodeError?
    Array(text.utf8).withByteView { bytes in
      var input = bytes
      guard case .head = decoder.next(&input, head: scratch.head) else {
        Issue.record("no head")
        return
      }
      edit(scratch.head)
      do throws(H1EncodeError) {
        if role == .request {
          try H1Encoder.writeRequest(scratch.head, options: options, to: &output)
        } else {
          try H1Encoder.writeResponse(scratch.head, options: options, to: &output)
        }
      } catch { failure = error }
    }
    if let failure { throw failure }
    return output.view.string
  }

  @Test(
    "writes requests anew: framing and connection fields are its own, the rest as received",
    arguments: [
      (
        "GET /x HTTP/1.1\r\nHOST: a\r\nX-One: 1\r\nconnection: close\r\nX-Two:2\r\n\r\n",
        "GET /x HTTP/1.1\r\nHOST: a\r\nX-One: 1\r\nX-Two: 2\r\n\r\n"
      ),
      ("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
      (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\nA: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nA: b\r\ncontent-length: 7\r\n\r\n"
      ),
      (
        "POST / HTTP/1.1\r\nHost: a\r\nA: b\r\nTransfer-Encoding: Chunked\r\nC: d\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\ntransfer-encoding: chunked\r\n\r\n"
      ),
      ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n", "PUT / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n"),
      (
        "GET / HTTP/1.0\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: y\r\nHTTP2-Settings: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: \r\n\r\n"
      ),
      ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
    ])
  func requests(_ text: String, _ expected: String) throws {
    #expect(try rewrite(text) == expected)
  }

  @Test("edits show, in order, whatever memory they live in")
  func edits() throws {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n"
    let written = try rewrite(text) { head in
      head.remove(named: ByteView("b" as StaticString))
      head.set(named: ByteView("D" as StaticString), head.decimal(44))
      head.append(.forwardedProto, ByteView("http" as StaticString))
      head.path = head.concatenate(ByteView("/prefix" as StaticString), head.path)
      head.authority = ByteView("b:80" as StaticString)
    }
    #expect(
      written == "GET /prefix/ HTTP/1.1\r\nHost: b:80\r\nA: 1\r\nC: 3\r\nD: 44\r\nx-forwarded-proto: http\r\n\r\n")
  }

  @Test(
    "writes responses",
    arguments: [
      (
        "HTTP/1.0 404 Nope\r\nContent-Length: 3\r\nX: y\r\n\r\n", HTTPMethod.get, H1HeadOptions(),
        "HTTP/1.1 404 Nope\r\nX: y\r\ncontent-length: 3\r\n\r\n"
      ),
      (
        "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", .head, H1HeadOptions(answersHEAD: true),
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
      ),
      (
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", .get, H1HeadOptions(),
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n"
      ),
      (
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", .get, H1HeadOptions(connection: .close),
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
      ),
      ("HTTP/1.1 200 OK\r\n\r\n", .get, H1HeadOptions(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
      ("HTTP/1.1 100 Continue\r\n\r\n", .get, H1HeadOptions(), "HTTP/1.1 100 Continue\r\n\r\n"),
      (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", .get, H1HeadOptions(connection: .upgrade),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nconnection: upgrade\r\n\r\n"
      ),
    ])
  func responses(_ text: String, _ method: HTTPMethod, _ options: H1HeadOptions, _ expected: String) throws {
    #expect(try rewrite(text, role: .response, to: method, options: options) == expected)
  }

  @Test(
    "#13 refuses what would split a message, and writes nothing",
    arguments: [
      ("X: y", "a\r\nB: c", H1EncodeError.fieldName), ("X", "a\r\nB: c", .fieldValue), ("X", "a\0", .fieldValue),
      ("X\n", "a", .fieldName), ("", "a", .fieldName),
    ])
  func badFields(_ name: String, _ value: String, _ expected: H1EncodeError) {
    let scratch = HeadScratch()
    var output = ByteBuffer()
    output.append("before" as StaticString)
    scratch.head.startRequest(.get, authority: ByteView("a" as StaticString), path: ByteView("/" as StaticString))
    name.withByteView { name in
      value.withByteView { scratch.head.append(named: scratch.head.copy(name), scratch.head.copy($0)) }
    }
    #expect(throws: expected) { try H1Encoder.writeRequest(scratch.head, to: &output) }
    #expect(output.view.string == "before")
  }

  @Test(
    "#13 refuses bad start lines",
    arguments: [
      ("GET", "/a b", "a", H1EncodeError.target), ("GET", "/a\r\nX: y", "a", .target), ("G T", "/", "a", .method),
      ("GET", "/", "a\r\n", .authority), ("GET", "/", "u@a", .authority), ("GET", "/#x", "a", .target),
    ])
  func badStartLines(_ method: String, _ path: String, _ authority: String, _ expected: H1EncodeError) {
    let scratch = HeadScratch()
    let head = scratch.head
    var output = ByteBuffer()
    head.reset()
    method.withByteView { head.setMethod(head.copy($0)) }
    path.withByteView { head.path = head.copy($0) }
    authority.withByteView { head.authority = head.copy($0) }
    #expect(throws: expected) { try H1Encoder.writeRequest(head, to: &output) }
    let written = output.count
    #expect(written == 0)
  }

  @Test("chunks and trailers come back as they went in")
  func chunks() {
    var output = ByteBuffer()
    let scratch = HeadScratch()
    output.append("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" as StaticString)
    H1Encoder.writeChunk(ByteView("0123456789abcdefXYZ" as StaticString), to: &output)
    H1Encoder.writeChunk(.empty, to: &output)
    scratch.head.startTrailers()
    scratch.head.append(.grpcStatus, ByteView("0" as StaticString))
    scratch.head.append(.contentLength, ByteView("7" as StaticString))
    H1Encoder.writeLastChunk(trailers: scratch.head, to: &output)
    let log = H1Script().run(output.view.array, .everyByte)
    #expect(
      log == [
        "POST a / 1.1 chunked [Transfer-Encoding=chunked]", "data 0123456789abcdefXYZ", "trailers [grpc-status=0]",
        "end",
      ])
  }
}
