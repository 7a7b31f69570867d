// Names, paths, authorities, hop-by-hop removal, stored heads.

import Testing
import WeftBase

@testable import WeftHTTP

@Suite("HTTP semantics")
struct SemanticsTests {
  @Test(
    "every well-known name is found in any case, and no other", arguments: HeaderName.allCases.filter { $0 != .other })
  func names(_ name: HeaderName) {
    let text = ByteView(name.text).string
    for spelling in [text, text.uppercased(), text.prefix(1).uppercased() + text.dropFirst()] {
      let found = spelling.withByteView { HeaderName.find($0) }
      #expect(found == name)
    }
    for wrong in [text + "x", "x" + text, String(text.dropLast())] {
      let found = wrong.withByteView { HeaderName.find($0) }
      #expect(found != name)
    }
  }

  @Test(
    "#28 paths have one canonical form or none",
    arguments: [
      ("/a/b", "/a/b"), ("/", "/"), ("/a?b=/../c", "/a?b=/../c"), ("//admin", "/admin"), ("/./admin", "/admin"),
      ("/a/../admin", "/admin"), ("/%2e%2e/", "/"), ("/a/%2e%2E/b", "/b"), ("/%252e", "/%252e"),
      ("/a%2Fadmin", "/a%2Fadmin"),
      ("/a%2fb", "/a%2fb"), ("/a%5Cadmin", "/a%5Cadmin"), ("/x\\admin", "/x/admin"), ("/admin%00", nil),
      ("/admin;x=1", "/admin;x=1"),
      ("/a/..;/admin", "/admin"), ("/.;x/admin", "/admin"), ("/ADMIN", "/ADMIN"), ("/admin#f", nil),
      ("/admin?", "/admin?"),
      ("/..", "/"), ("/a/..", "/"), ("/a/.", "/a/"), ("/%61dmin", "/admin"), ("/%zz", "/%zz"), ("/%4", "/%4"),
      ("/100%", "/100%"), ("/%%341", "/%%341"), ("/%4%31", "/%4%31"), ("/a//../admin", "/a/admin"),
      ("/a/b/../../..", "/"),
      ("/.hidden", "/.hidden"), ("/a/...", "/a/..."), ("admin", nil), ("*", "*"), ("/a b", nil),
    ] as [(String, String?)])
  func paths(_ path: String, _ expected: String?) {
    let scratch = HeadScratch()
    let result = path.withByteView { PathNormalization().apply(to: $0, scratch: scratch.head)?.string }
    #expect(result == expected)
    // Canonical means: a second pass changes nothing.
    if let result {
      let again = result.withByteView { PathNormalization().apply(to: $0, scratch: scratch.head)?.string }
      #expect(again == result)
    }
  }

  @Test(
    "escaped slashes are kept, refused or decoded before dot segments are resolved",
    arguments: [
      (EscapedSlashPolicy.keep, "/a/%2e%2e%2fb", "/a/..%2fb"), (.reject, "/a%2Fb", nil), (.unescape, "/a%2Fb", "/a/b"),
      (.unescape, "/a/%2e%2e%2fb", "/b"), (.unescape, "/%5c..%5cx", "/x"),
    ] as [(EscapedSlashPolicy, String, String?)])
  func escapedSlashes(_ policy: EscapedSlashPolicy, _ path: String, _ expected: String?) {
    var rules = PathNormalization()
    rules.escapedSlashes = policy
    let scratch = HeadScratch()
    #expect(path.withByteView { rules.apply(to: $0, scratch: scratch.head)?.string } == expected)
  }

  @Test("path parameters are left out for matching only")
  func parameters() {
    let scratch = HeadScratch()
    let path = ByteView("/a;x=1/b;y?c;d" as StaticString)
    #expect(PathNormalization.withoutParameters(path, scratch: scratch.head).string == "/a/b?c;d")
  }

  @Test(
    "#30 authorities come apart",
    arguments: [
      ("a", "a", nil), ("A.b.:80", "a.b", 80), ("[::1]:8080", "::1", 8080), ("[::1]", "::1", nil), ("a:", "a", nil),
    ] as [(String, String, UInt16?)])
  func authorities(_ text: String, _ host: String, _ port: UInt16?) {
    let scratch = HeadScratch()
    text.withByteView { view in
      let authority = Authority.parse(view)
      #expect(authority?.canonicalHost(in: scratch.head).string == host)
      #expect(authority?.port == port)
    }
  }

  @Test("#15 Connection removes what it names, never what identifies or routes")
  func hopByHop() {
    let scratch = HeadScratch()
    let head = scratch.head
    head.startRequest(.get, authority: ByteView("a" as StaticString), path: ByteView("/" as StaticString))
    let fields: [(StaticString, StaticString)] = [
      ("Connection", "x-forwarded-client-cert, X-Api-Key, x-forwarded-custom, keep-alive"),
      ("x-forwarded-client-cert", "By=x"),
      ("x-api-key", "1"), ("x-forwarded-custom", "2"), ("Keep-Alive", "5"), ("Proxy-Connection", "x"),
      ("TE", "gzip, trailers"), ("Upgrade", "y"), ("Accept", "z"),
    ]
    for (name, value) in fields { head.append(named: ByteView(name), ByteView(value)) }
    head.flags.insert(.acceptsTrailers)
    head.removeHopByHop()
    #expect(describeFields(head) == " [x-forwarded-client-cert=By=x|x-forwarded-custom=2|Accept=z|te=trailers]")
  }

  @Test("#33 a repeated field is matched by all its values")
  func joined() {
    let scratch = HeadScratch()
    scratch.head.append(named: ByteView("X-Role" as StaticString), ByteView("user" as StaticString))
    scratch.head.append(named: ByteView("x-role" as StaticString), ByteView("admin" as StaticString))
    #expect(scratch.head.joinedValue(named: ByteView("x-ROLE" as StaticString))?.string == "user,admin")
  }

  @Test("a stored head outlives its buffer and writes the same bytes")
  func stored() throws {
    let pool = BufferPool()
    let scratch = HeadScratch()
    var decoder = H1Decoder(role: .request, limits: HTTPLimits())
    let text = "POST /p?q HTTP/1.1\r\nHost: a\r\nX-One: 1\r\naccept:*/*\r\nX-Two: 2\r\nContent-Length: 3\r\n\r\n"
    var first = ByteBuffer()
    var stored: StoredHead?
    Array(text.utf8).withByteView { bytes in
      var input = bytes
      _ = decoder.next(&input, head: scratch.head)
      scratch.head.remove(named: ByteView("x-two" as StaticString))
      scratch.head.append(.forwardedProto, scratch.head.copy(ByteView("http" as StaticString)))
      try? H1Encoder.writeRequest(scratch.head, to: &first)
      stored = StoredHead(scratch.head, pool: pool)
    }
    scratch.head.reset()
    let other = HeadScratch()
    let kept = try #require(stored)
    kept.view(in: other.head)
    var second = ByteBuffer()
    try H1Encoder.writeRequest(other.head, to: &second)
    #expect(first.view.string == second.view.string)
    #expect(second.view.string.contains("X-One: 1\r\naccept: */*\r\nx-forwarded-proto: http\r\n"))
    kept.release(to: pool)
    #expect(pool.lentBytes == 0)
  }
}
