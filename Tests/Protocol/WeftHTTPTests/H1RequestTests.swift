// HTTP/1 requests: what is accepted, what is refused and how; the same for every way the bytes arrive.

import Testing
import WeftBase

@testable import WeftHTTP

struct Exchange: Sendable, CustomTestStringConvertible {
  let name: String
  let text: String
  let expected: [String]

  init(_ name: String, _ text: String, _ expected: String...) {
    self.name = name
    self.text = text
    self.expected = expected
  }

  var testDescription: String { name }
}

private func get(_ fields: String, target: String = "/", version: String = "1.1") -> String {
  "GET \(target) HTTP/\(version)\r\n\(fields)\r\n"
}

private func post(_ fields: String, _ body: String = "") -> String {
  "POST / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\(body)"
}

@Suite("HTTP/1 requests")
struct H1RequestTests {
  static let accepted: [Exchange] = [
    Exchange("a GET", get("Host: a\r\nX-One: 1\r\n"), "GET a / 1.1 [X-One=1]", "end"),
    Exchange("field names keep their case", get("hOsT: a\r\nx-ONE:1\r\n"), "GET a / 1.1 [x-ONE=1]", "end"),
    Exchange("blanks around a value", get("Host: a\r\nX: \t 1 2 \t\r\nY:\r\n"), "GET a / 1.1 [X=1 2|Y=]", "end"),
    Exchange("one empty line before", "\r\n" + get("Host: a\r\n"), "GET a / 1.1", "end"),
    Exchange(
      "eight empty lines before", String(repeating: "\r\n", count: 8) + get("Host: a\r\n"), "GET a / 1.1", "end"),
    Exchange(
      "blanks around a length are no part of it", post("Content-Length: \t5 \r\n", "hello"),
      "POST a / 1.1 length=5 [Content-Length=5]", "data hello", "end"),
    Exchange(
      "blanks around chunked are no part of it", post("Transfer-Encoding:\t chunked \r\n", "0\r\n\r\n"),
      "POST a / 1.1 chunked [Transfer-Encoding=chunked]", "end"),
    Exchange(
      "what means nothing as a trailer is dropped",
      post(
        "Transfer-Encoding: chunked\r\n",
        "0\r\nA: b\r\nAuthorization: b\r\nX-Envoy-Internal: true\r\nContent-Type: c\r\n\r\n"),
      "POST a / 1.1 chunked [Transfer-Encoding=chunked]", "trailers [A=b]", "end"),
    Exchange(
      "two pipelined requests", get("Host: a\r\n") + get("Host: b\r\n", target: "/b"), "GET a / 1.1", "end",
      "GET b /b 1.1", "end"),
    Exchange(
      "fixed-length content", post("Content-Length: 5\r\n", "hello"), "POST a / 1.1 length=5 [Content-Length=5]",
      "data hello", "end"),
    Exchange("length zero", post("Content-Length: 0\r\n"), "POST a / 1.1 length=0 [Content-Length=0]", "end"),
    Exchange(
      "content on GET is framed", get("Host: a\r\nContent-Length: 2\r\n") + "hi" + get("Host: b\r\n"),
      "GET a / 1.1 length=2 [Content-Length=2]", "data hi", "end", "GET b / 1.1", "end"),
    Exchange(
      "chunked content", post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"),
      "POST a / 1.1 chunked [Transfer-Encoding=chunked]", "data hello0123456789", "end"),
    Exchange(
      "chunked in capitals", post("Transfer-Encoding: Chunked\r\n", "0\r\n\r\n"),
      "POST a / 1.1 chunked [Transfer-Encoding=Chunked]", "end"),
    Exchange(
      "trailers", post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nX-Sum: 7\r\nY: z\r\n\r\n"),
      "POST a / 1.1 chunked [Transfer-Encoding=chunked]", "data a", "trailers [X-Sum=7|Y=z]", "end"),
    Exchange("HTTP/1.0 without Host", get("", version: "1.0"), "GET  / 1.0 close", "end"),
    Exchange(
      "HTTP/1.0 with keep-alive", get("Connection: keep-alive\r\n", version: "1.0"),
      "GET  / 1.0 [Connection=keep-alive]", "end"),
    Exchange(
      "nothing is read after close", get("Host: a\r\nConnection: Close\r\n") + get("Host: evil\r\n"),
      "GET a / 1.1 close [Connection=Close]", "end"),
    Exchange(
      "an expectation of HTTP/1.0 is dropped", get("Host: a\r\nExpect: magic\r\n", version: "1.0"),
      "GET a / 1.0 close", "end"),
    Exchange("absolute form", get("Host: a\r\n", target: "http://a/x?y"), "GET a /x?y 1.1", "end"),
    Exchange("absolute form, default port", get("Host: A\r\n", target: "http://a:80?q"), "GET a:80 /?q 1.1", "end"),
    Exchange("absolute form: its host, not the field's", get("Host: b\r\n", target: "http://a/"), "GET a / 1.1", "end"),
    Exchange("absolute form, no path", get("Host: a\r\n", target: "HTTPS://a"), "GET a / 1.1", "end"),
    Exchange("asterisk form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a * 1.1", "end"),
    Exchange("an unregistered method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "BREW a / 1.1", "end"),
    Exchange("IPv6 host with port", get("Host: [::1]:8080\r\n"), "GET [::1]:8080 / 1.1", "end"),
    Exchange("Host with port", get("Host: a.b:65535\r\n"), "GET a.b:65535 / 1.1", "end"),
    Exchange(
      "expectation", post("Content-Length: 1\r\nExpect: 100-Continue\r\n", "x"),
      "POST a / 1.1 length=1 expect [Content-Length=1|Expect=100-Continue]", "data x", "end"),
    Exchange(
      "bytes above ASCII in path and value", get("Host: a\r\nX: ü\r\n", target: "/ü"), "GET a /ü 1.1 [X=ü]", "end"),
    Exchange(
      "a refused upgrade is an ordinary request",
      get("Host: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n") + "hi" + get("Host: b\r\n"),
      "GET a / 1.1 length=2 upgrade [Connection=upgrade|Upgrade=websocket|Content-Length=2]", "data hi", "end",
      "GET b / 1.1", "end"),
    Exchange(
      "h2c is no upgrade", get("Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"),
      "GET a / 1.1 [Connection=Upgrade|Upgrade=h2c]", "end"),
    Exchange(
      "CONNECT refused: its early bytes are never a request",
      "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + get("Host: evil\r\n"), "CONNECT a:443  1.1", "end"),
  ]

  static let refused: [(H1Error, Exchange)] = [
    (
      .contentLengthWithTransferEncoding,
      Exchange("#1 length and chunked", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"))
    ),
    (
      .contentLengthWithTransferEncoding,
      Exchange("#1 chunked and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"))
    ),
    (
      .repeatedContentLength,
      Exchange("#2 differing lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"))
    ),
    (.repeatedContentLength, Exchange("#2 equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"))),
    (.contentLength, Exchange("#2 list of lengths", post("Content-Length: 5, 5\r\n", "hello"))),
    (.contentLength, Exchange("#2 sign", post("Content-Length: +5\r\n", "hello"))),
    (.contentLength, Exchange("#2 minus", post("Content-Length: -5\r\n", "hello"))),
    (.contentLength, Exchange("#2 hexadecimal", post("Content-Length: 0x5\r\n", "hello"))),
    (.contentLength, Exchange("#2 empty", post("Content-Length: \r\n"))),
    (.contentLength, Exchange("#2 overflow", post("Content-Length: 18446744073709551617\r\n"))),
    (.contentLength, Exchange("#2 above 2^63", post("Content-Length: 9223372036854775808\r\n"))),
    (.unknownTransferCoding, Exchange("#3 xchunked", post("Transfer-Encoding: xchunked\r\n"))),
    (.transferEncoding, Exchange("#3 chunked not last", post("Transfer-Encoding: chunked, identity\r\n"))),
    (
      .transferEncoding,
      Exchange("#3 repeated field", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"))
    ),
    (.transferEncoding, Exchange("#3 chunked twice", post("Transfer-Encoding: chunked, chunked\r\n"))),
    (.unknownTransferCoding, Exchange("#3 gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n"))),
    (.unknownTransferCoding, Exchange("#3 identity", post("Transfer-Encoding: identity\r\n"))),
    (.fieldValue, Exchange("#3 vertical tab", post("Transfer-Encoding: \u{0B}chunked\r\n"))),
    (.transferEncoding, Exchange("#3 empty", post("Transfer-Encoding: \r\n"))),
    (.transferEncoding, Exchange("#3 empty element", post("Transfer-Encoding: ,chunked\r\n"))),
    (
      .transferEncodingInHTTP10,
      Exchange("#3 in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    ),
    (.bareCRorLF, Exchange("#4 bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n")),
    (.bareCRorLF, Exchange("#4 bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n")),
    (.bareCRorLF, Exchange("#4 bare CR in a value", get("Host: a\r\nX: 1\r2\r\n"))),
    (.bareCRorLF, Exchange("#4 bare LF as last line", "GET / HTTP/1.1\r\nHost: a\r\n\n\r\n\r\n")),
    (.obsoleteFold, Exchange("#4 folded line", get("Host: a\r\nX: 1\r\n 2\r\n"))),
    (.obsoleteFold, Exchange("#4 blank before the first field", get(" Host: a\r\n"))),
    (.spaceBeforeColon, Exchange("#4 space before colon", get("Host : a\r\n"))),
    (.spaceBeforeColon, Exchange("#4 tab before colon", get("Host: a\r\nContent-Length\t: 5\r\n"))),
    (.fieldValue, Exchange("#4 NUL in a value", get("Host: a\r\nX: a\0b\r\n"))),
    (.fieldName, Exchange("#4 NUL in a name", get("Host: a\r\nX\0: a\r\n"))),
    (.fieldValue, Exchange("#4 DEL in a value", get("Host: a\r\nX: a\u{7F}\r\n"))),
    (
      .leadingBlankLines,
      Exchange("#4 nine empty lines before", String(repeating: "\r\n", count: 9) + get("Host: a\r\n"))
    ),
    (.bareCRorLF, Exchange("#4 LF before", "\n" + get("Host: a\r\n"))),
    (.target, Exchange("#4 control byte in the target", get("Host: a\r\n", target: "/\u{01}"))),
    (.emptyFieldName, Exchange("#5 empty name", get("Host: a\r\n: x\r\n"))),
    (.fieldName, Exchange("a line without colon", get("Host: a\r\nnonsense\r\n"))),
    (.fieldName, Exchange("a name with a bracket", get("Host: a\r\nX(: a\r\n"))),
    (
      .bareCRorLF,
      Exchange("#6 bare LF after an extension", post("Transfer-Encoding: chunked\r\n", "1;x\na\r\n0\r\n\r\n"))
    ),
    (.bareCRorLF, Exchange("#6 bare LF after a size", post("Transfer-Encoding: chunked\r\n", "1\na\r\n0\r\n\r\n"))),
    (
      .bareCRorLF,
      Exchange("#6 CR inside an extension", post("Transfer-Encoding: chunked\r\n", "1;\rx\r\na\r\n0\r\n\r\n"))
    ),
    (
      .chunkExtensionTooLarge,
      Exchange(
        "#6 huge extension",
        post("Transfer-Encoding: chunked\r\n", "1;" + String(repeating: "x", count: 300) + "\r\na\r\n0\r\n\r\n"))
    ),
    (.chunkSize, Exchange("#6 sign", post("Transfer-Encoding: chunked\r\n", "+1\r\na\r\n0\r\n\r\n"))),
    (.chunkSize, Exchange("#6 0x", post("Transfer-Encoding: chunked\r\n", "0x1\r\na\r\n0\r\n\r\n"))),
    (
      .chunkSize, Exchange("#6 overflow", post("Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFFF\r\na\r\n0\r\n\r\n"))
    ),
    (
      .chunkSize,
      Exchange("#6 zeroes without end", post("Transfer-Encoding: chunked\r\n", "00000000000000001\r\na\r\n0\r\n\r\n"))
    ),
    (.chunkSize, Exchange("#6 no size", post("Transfer-Encoding: chunked\r\n", "\r\na\r\n0\r\n\r\n"))),
    (.chunkSize, Exchange("#6 blank behind the size", post("Transfer-Encoding: chunked\r\n", "1 \r\na\r\n0\r\n\r\n"))),
    (
      .chunkEnd, Exchange("#6 missing CRLF after a chunk", post("Transfer-Encoding: chunked\r\n", "1\r\naX\n0\r\n\r\n"))
    ),
    (.chunkEnd, Exchange("#6 LF after a chunk", post("Transfer-Encoding: chunked\r\n", "1\r\na\n0\r\n\r\n"))),
    (
      .forbiddenTrailer,
      Exchange("#6 Content-Length as trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 5\r\n\r\n"))
    ),
    (
      .forbiddenTrailer,
      Exchange(
        "#6 Transfer-Encoding as trailer",
        post("Transfer-Encoding: chunked\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n"))
    ),
    (.forbiddenTrailer, Exchange("#6 Host as trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nhost: b\r\n\r\n"))),
    (.obsoleteFold, Exchange("a folded trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nA: b\r\n c\r\n\r\n"))),
    (.repeatedHost, Exchange("#14 Host twice", get("Host: a\r\nHost: a\r\n"))),
    (.missingHost, Exchange("#14 no Host", get("X: 1\r\n"))),
    (.hostValue, Exchange("#14 empty Host", get("Host:\r\n"))),
    (.hostValue, Exchange("#14 user information", get("Host: a@b\r\n"))),
    (.hostValue, Exchange("#14 a path in Host", get("Host: a/b\r\n"))),
    (.hostValue, Exchange("#14 two hosts in one", get("Host: a, b\r\n"))),
    (.hostValue, Exchange("#14 port out of range", get("Host: a:65536\r\n"))),
    (.hostValue, Exchange("#14 an unclosed bracket", get("Host: [::1\r\n"))),
    (.hostMismatch, Exchange("#14 Host differs from CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n")),
    (.target, Exchange("CONNECT without port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n")),
    (.target, Exchange("asterisk with GET", get("Host: a\r\n", target: "*"))),
    (.target, Exchange("a relative target", get("Host: a\r\n", target: "index.html"))),
    (.target, Exchange("a foreign scheme", get("Host: a\r\n", target: "ftp://a/"))),
    (.target, Exchange("user information in the URI", get("Host: a\r\n", target: "http://u@a/"))),
    (.fragmentInTarget, Exchange("#29 a fragment", get("Host: a\r\n", target: "/x#y"))),
    (.http09, Exchange("HTTP/0.9", "GET /\r\n\r\n")),
    (.version, Exchange("HTTP/1.2", get("Host: a\r\n", version: "1.2"))),
    (.version, Exchange("HTTP/2.0", get("Host: a\r\n", version: "2.0"))),
    (.requestLine, Exchange("lower-case http", "GET / http/1.1\r\nHost: a\r\n\r\n")),
    (.requestLine, Exchange("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n")),
    (.requestLine, Exchange("more behind the version", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n")),
    (.method, Exchange("a bad method", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n")),
    (.method, Exchange("TLS on a plain port", "\u{16}\u{03}\u{01}\u{02}\r\n\r\n\r\n")),
    (.method, Exchange("an endless method", String(repeating: "A", count: 70) + " / HTTP/1.1\r\n\r\n")),
    (.expectation, Exchange("a foreign expectation", post("Content-Length: 1\r\nExpect: magic\r\n", "x"))),
  ]

  @Test("accepts", arguments: accepted)
  func accepts(_ exchange: Exchange) {
    let bytes = Array(exchange.text.utf8)
    for split in Split.all(bytes.count) {
      #expect(H1Script().run(bytes, split) == exchange.expected, "\(split)")
    }
  }

  @Test("refuses", arguments: refused)
  func refuses(_ error: H1Error, _ exchange: Exchange) {
    let bytes = Array(exchange.text.utf8)
    for split in Split.all(bytes.count) {
      #expect(H1Script().run(bytes, split).last == "invalid \(error)", "\(split)")
    }
  }

  @Test("a CONNECT or upgraded connection is a tunnel once accepted, and not a byte before")
  func tunnel() {
    var script = H1Script()
    script.acceptsTunnel = true
    let bytes = Array("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nGET / anything".utf8)
    for split in Split.all(bytes.count) {
      #expect(script.run(bytes, split) == ["CONNECT a:1  1.1", "end", "data GET / anything"], "\(split)")
    }
  }

  @Test(
    "limits: request line, head, field count, trailers",
    arguments: [
      (
        "request line", "GET /\(String(repeating: "a", count: 16_400)) HTTP/1.1\r\nHost: a\r\n\r\n",
        H1Error.requestLineTooLong, UInt16(414)
      ),
      ("endless request line", "GET /\(String(repeating: "a", count: 17_000))", .requestLineTooLong, 414),
      (
        "head", "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 62_000))\r\n\r\n", .headerTooLarge, 431
      ),
      (
        "endless head", "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "a", count: 62_000))", .headerTooLarge, 431
      ),
      ("fields", "GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "x: 1\r\n", count: 100))\r\n", .tooManyHeaders, 431),
      (
        "trailers",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\(String(repeating: "x: 1\r\n", count: 101))\r\n",
        .trailerTooLarge, 431
      ),
      (
        "one trailer",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: \(String(repeating: "a", count: 62_000))\r\n\r\n",
        .trailerTooLarge, 431
      ),
    ])
  func limits(_ name: String, _ text: String, _ error: H1Error, _ status: UInt16) {
    let bytes = Array(text.utf8)
    for split in [Split.whole, .at(1000), .random(seed: 1)] {
      #expect(H1Script().run(bytes, split).last == "invalid \(error)", "\(split)")
    }
    #expect(error.status == status)
  }

  @Test("many small extensions are bounded by the content they come with")
  func extensionBudget() {
    let chunk = "1;\(String(repeating: "x", count: 200))\r\na\r\n"
    let text = post("Transfer-Encoding: chunked\r\n", String(repeating: chunk, count: 100) + "0\r\n\r\n")
    #expect(H1Script().run(Array(text.utf8), .whole).last == "invalid chunkExtensionTooLarge")
  }

  @Test("HTTP/1.0 can be switched off")
  func http10Off() {
    var script = H1Script()
    script.limits.acceptsHTTP10 = false
    #expect(script.run(Array(get("", version: "1.0").utf8), .whole) == ["invalid http10NotAllowed"])
    #expect(H1Error.http10NotAllowed.status == 426)
  }

  @Test(
    "a connection cut inside a message is truncated, between messages it is not",
    arguments: [
      ("GET / HT", ["invalid truncated"]),
      (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
        ["POST a / 1.1 length=5 [Content-Length=5]", "invalid truncated", "data hel"]
      ),
      ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ["GET a / 1.1", "end"]),
      ("", []),
    ])
  func truncation(_ text: String, _ expected: [String]) {
    var script = H1Script()
    script.endsInput = true
    #expect(Set(script.run(Array(text.utf8), .everyByte)) == Set(expected))
  }

  @Test("a head that arrives byte by byte costs time in proportion to its size")
  func linear() {
    // 60 fields of 900 bytes: a decoder that starts anew with every byte would look at 1.5 GB.
    let text = get("Host: a\r\n" + String(repeating: "x: \(String(repeating: "v", count: 900))\r\n", count: 60))
    let bytes = Array(text.utf8)
    let scratch = HeadScratch()
    var decoder = H1Decoder(role: .request, limits: HTTPLimits())
    let clock = ContinuousClock()
    let time = clock.measure {
      bytes.withByteView { all in
        for n in 1...all.count {
          var input = all.prefix(n)
          if case .invalid(let error) = decoder.next(&input, head: scratch.head) { Issue.record("\(error)") }
        }
      }
    }
    #expect(scratch.head.slotCount == 60)
    #expect(time < .seconds(2))
  }
}
