import Testing
import WeftBase

@testable import WeftHTTP

@Suite("the first line of a connection")
struct HTTPPreambleTests {
  struct Row: CustomTestStringConvertible {
    var text: String
    var says: HTTPPreamble
    init(_ text: String, _ says: HTTPPreamble) { (self.text, self.says) = (text, says) }
    var testDescription: String { text.debugDescription }
  }

  /// What Envoy's http_inspector says, tried on 1.40.
  static let table: [Row] = [
    Row("GET / HTTP/1.1\r\n", .http11), Row("GET / HTTP/1.1\n", .http11), Row("GET / HTTP/1.0\r\n", .http10),
    Row("GET / HTTP/0.9\r\n", .http10), Row("GET /\r\n", .http10), Row("GET / HTTP/2.0\r\n", .http10),
    Row("GET / HTTP/1.2\r\n", .none), Row("\r\nGET / HTTP/1.1\r\n", .none), Row("\nGET / HTTP/1.1\r\n", .none),
    Row("get / HTTP/1.1\r\n", .http11), Row("FOO / HTTP/1.1\r\n", .http11), Row("M-SEARCH * HTTP/1.1\r\n", .http11),
    Row("CONNECT a:1 HTTP/1.1\r\n", .http11), Row("GET  /  HTTP/1.1\r\n", .http11), Row("GET / HTTP/1.1 \r\n", .http11),
    Row("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .http2), Row("PRI * HTTP/2.0\r\n\r\nXX", .http10),
    Row("PRI * HTTP/1.1\r\n", .http11), Row("GET / x HTTP/1.1\r\n", .none), Row("GET / HTTX/1.1\r\n", .none),
    Row("GET / http/1.1\r\n", .none), Row("GET \u{1} HTTP/1.1\r\n", .none), Row("GET \u{e9} HTTP/1.1\r\n", .none),
    Row("SSH-2.0-x\r\n", .none), Row("HELO\r\n", .none), Row("GET\r\n", .none), Row("GET \r\n", .none),
    Row(" GET / HTTP/1.1\r\n", .none), Row("\u{16}\u{3}\u{1}", .none), Row("\0\u{1}", .none),
    Row("", .needMore), Row("G", .needMore), Row("P", .needMore), Row("X", .needMore),
    Row("PRI * HTTP/2.0\r\n", .needMore),
    Row("GET / HTTP/1.1\r", .needMore), Row("PUT /", .needMore), Row("SSH-2.0-x", .needMore),
  ]

  @Test("says what Envoy says", arguments: table)
  func says(_ row: Row) {
    #expect(Array(row.text.utf8).withByteView { HTTPPreamble.read($0) } == row.says)
  }

  @Test("bytes that come one by one say the same, as soon as it can be said", arguments: table)
  func split(_ row: Row) {
    let bytes = Array(row.text.utf8)
    var said = HTTPPreamble.needMore
    for count in 0...bytes.count where said == .needMore {
      said = Array(bytes[..<count]).withByteView { HTTPPreamble.read($0, seen: max(0, count - 1)) }
      #expect(said == Array(bytes[..<count]).withByteView { HTTPPreamble.read($0) }, "after \(count) bytes")
    }
    #expect(said == row.says)
  }

  @Test("a line may have 64 KiB, its end among them", arguments: [(65_536, HTTPPreamble.http11), (65_537, .tooLong)])
  func long(_ length: Int, _ says: HTTPPreamble) {
    let tail = Array(" HTTP/1.1\n".utf8)
    let line = Array("GET /".utf8) + [UInt8](repeating: 0x61, count: length - 5 - tail.count) + tail
    #expect(line.count == length)
    #expect(line.withByteView { HTTPPreamble.read($0) } == says)
    let endless = [UInt8](repeating: 0x61, count: length - 1)
    #expect(endless.withByteView { HTTPPreamble.read($0) } == (length > 65_536 ? .tooLong : .needMore))
  }
}
