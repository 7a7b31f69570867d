// HTTP/1 responses: framing by status and method, and what an upstream may not send.

import Testing
import WeftBase

@testable import WeftHTTP

@Suite("HTTP/1 responses")
struct H1ResponseTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var text: String
    var expected: [String]
    var answers: [HTTPMethod] = [.get]
    var upgrade = false
    var ends = false
    var testDescription: String { name }
  }

  static let cases: [Case] = [
    Case(
      name: "fixed length", text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      expected: ["200 1.1 length=2 [Content-Length=2]", "data hi", "end"]),
    Case(
      name: "no reason", text: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
      expected: ["200 1.1 length=0 [Content-Length=0]", "end"]),
    Case(
      name: "a chunk size that is padded with blanks",
      text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nhi\r\n0 \r\n\r\n",
      expected: ["200 1.1 chunked [Transfer-Encoding=chunked]", "data hi", "end"]),
    Case(
      name: "chunked", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n",
      expected: ["200 1.1 chunked [Transfer-Encoding=chunked]", "data hi", "trailers [T=1]", "end"]),
    Case(
      name: "until close", text: "HTTP/1.1 200 OK\r\n\r\nhello",
      expected: ["200 1.1 untilClose close", "data hello", "end"], ends: true),
    Case(
      name: "HEAD has no content", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
      expected: ["200 1.1 [Content-Length=5]", "end"], answers: [.head]),
    Case(
      name: "304 has no content", text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
      expected: ["304 1.1 [Content-Length=5]", "end"]),
    Case(name: "204 has no content", text: "HTTP/1.1 204 No Content\r\n\r\n", expected: ["204 1.1", "end"]),
    Case(
      name: "#11 100, 103, then the final head",
      text:
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
      expected: ["100 1.1", "103 1.1 [Link=x]", "200 1.1 length=0 [Content-Length=0]", "end"]),
    Case(
      name: "#11 100 after the final head",
      text: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
      expected: ["200 1.1 length=0 [Content-Length=0]", "end", "invalid unsolicitedResponse"]),
    Case(
      name: "#11 endless informational heads", text: String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 17),
      expected: Array(repeating: "100 1.1", count: 16) + ["invalid informationalFlood"]),
    Case(
      name: "two responses", text: "HTTP/1.1 204 x\r\n\r\nHTTP/1.1 204 y\r\n\r\n",
      expected: ["204 1.1", "end", "204 1.1", "end"], answers: [.get, .get]),
    Case(
      name: "bytes nobody asked for", text: "HTTP/1.1 204 x\r\n\r\nX",
      expected: ["204 1.1", "end", "invalid unsolicitedResponse"]),
    Case(
      name: "#12 two lengths", text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
      expected: ["invalid repeatedContentLength"]),
    Case(
      name: "#12 length and chunked",
      text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
      expected: ["invalid contentLengthWithTransferEncoding"]),
    Case(
      name: "#12 unsolicited 101", text: "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      expected: ["invalid unsolicitedUpgrade"]),
    Case(
      name: "101 that was asked for", text: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw",
      expected: ["101 1.1 tunnel upgrade [Upgrade=x]", "data raw"], upgrade: true),
    Case(
      name: "CONNECT accepted", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw",
      expected: ["200 1.1 tunnel [Content-Length=5]", "data raw"], answers: [.connect]),
    Case(
      name: "CONNECT refused", text: "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno",
      expected: ["403 1.1 length=2 [Content-Length=2]", "data no", "end"], answers: [.connect]),
    Case(name: "#12 bare CR in a value", text: "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", expected: ["invalid bareCRorLF"]),
    Case(name: "NUL in the reason", text: "HTTP/1.1 200 O\0K\r\n\r\n", expected: ["invalid statusLine"]),
    Case(name: "a bad status", text: "HTTP/1.1 2x0 OK\r\n\r\n", expected: ["invalid statusLine"]),
    Case(name: "another protocol", text: "SSH-2.0-OpenSSH\r\n\r\n\r\n", expected: ["invalid statusLine"]),
    Case(
      name: "chunked, but not last", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
      expected: ["invalid transferEncoding"]),
    Case(
      name: "cut content", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
      expected: ["200 1.1 length=5 [Content-Length=5]", "invalid truncated", "data hel"], ends: true),
    Case(name: "cut before the head", text: "", expected: ["invalid truncated"], ends: true),
  ]

  @Test("are read as", arguments: cases)
  func reads(_ test: Case) {
    var script = H1Script()
    script.role = .response
    script.answers = test.answers
    script.upgradeRequested = test.upgrade
    script.endsInput = test.ends
    let bytes = Array(test.text.utf8)
    for split in Split.all(bytes.count) {
      #expect(script.run(bytes, split).sorted() == test.expected.sorted(), "\(split)")
    }
  }
}
