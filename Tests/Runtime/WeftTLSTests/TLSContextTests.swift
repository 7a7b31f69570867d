import Testing
import WeftBase
import WeftTLS

@Suite("TLS context")
struct TLSContextTests {
  @Test("a configuration that cannot work is refused with a reason")
  func refusals() throws {
    let authority = try TestCertificates.authority()
    let good = try TestCertificates.server(authority)
    let other = try TestCertificates.server(authority)
    var cases: [(String, TLSConfiguration)] = [
      ("no usable certificate", .server(TLSIdentity(chain: .text("hello"), privateKey: good.privateKey))),
      ("holds no certificate", .server(TLSIdentity(chain: .text("hello"), privateKey: good.privateKey))),
      ("no usable private key", .server(TLSIdentity(chain: good.chain, privateKey: .text("hello")))),
      ("does not fit", .server(TLSIdentity(chain: good.chain, privateKey: other.privateKey))),
      ("No such file", .server(TLSIdentity(chain: .file("/nonexistent/chain.pem"), privateKey: good.privateKey))),
      ("needs a certificate", .server()),
      ("no authority is trusted", .client()),
      ("no certificate to trust", .client(trusting: .text(""))),
    ]
    cases.removeFirst()
    var unknown = TLSConfiguration.server(good)
    unknown.cipherSuites = ["NOT-A-CIPHER"]
    cases.append(("unknown cipher suites 'NOT-A-CIPHER'", unknown))
    var versions = TLSConfiguration.server(good)
    versions.minimumVersion = .tls13
    versions.maximumVersion = .tls12
    cases.append(("above the maximum", versions))
    var names = TLSConfiguration.server(good)
    names.peerNames = [.exact(.dns, "a")]
    cases.append(("the peer is not verified", names))
    for (text, configuration) in cases {
      let error = #expect(throws: WeftError.self) { _ = try TLSContext(configuration) }
      #expect(error?.message.contains(text) ?? false, "\(error?.message ?? "")")
      #expect(!(error?.message.contains("BEGIN") ?? false), "keys never appear in messages")
    }
  }

  @Test("an RSA identity beside an ECDSA one is accepted")
  func twoKeys() throws {
    let authority = try TestCertificates.authority()
    var template = CertificateTemplate(SubjectAltName(.dns, "server.test"))
    template.keyType = .rsa2048
    var configuration = TLSConfiguration.server(try TestCertificates.server(authority))
    configuration.identities.append(try authority.issue(template).identity)
    _ = try TLSContext(configuration)
  }

  @Test(
    "names are matched by type, byte for byte",
    arguments: [
      (SubjectAltName(.dns, "a.test"), SubjectAltName.Kind.dns, "a.test", true),
      (SubjectAltName(.dns, "A.Test"), .dns, "a.tESt", true),
      (SubjectAltName(.dns, "*.a.test"), .dns, "b.a.test", true),
      (SubjectAltName(.dns, "*.a.test"), .dns, "c.b.a.test", false),
      (SubjectAltName(.dns, "*.a.test"), .dns, "a.test", false),
      (SubjectAltName(.dns, "*.a.test"), .dns, ".a.test", false),
      (SubjectAltName(.dns, "*"), .dns, "test", false), (SubjectAltName(.dns, "*."), .dns, "test.", false),
      (SubjectAltName(.dns, "b*.a.test"), .dns, "bc.a.test", false), (SubjectAltName(.dns, ""), .dns, "", false),
      (SubjectAltName(.uri, "a.test"), .dns, "a.test", false),
      (SubjectAltName(.dns, "spiffe://a/b"), .uri, "spiffe://a/b", false),
      (SubjectAltName(.uri, "spiffe://a/b"), .uri, "spiffe://a/b", true),
      (SubjectAltName(.uri, "spiffe://a/B"), .uri, "spiffe://a/b", false),
      (SubjectAltName(.uri, bytes: Array("spiffe://a/b\0".utf8)), .uri, "spiffe://a/b", false),
      (SubjectAltName(.uri, bytes: Array("spiffe://a/b\0".utf8)), .uri, "spiffe://a/b\0", false),
      (SubjectAltName(.dns, bytes: Array("a.test\0.evil".utf8)), .dns, "a.test", false),
      (SubjectAltName(.email, "x@a.test"), .email, "x@a.test", true),
      (SubjectAltName(.ip, bytes: [10, 0, 0, 0]), .ip, "10.0.0.0", true),
      (SubjectAltName(.ip, bytes: [10, 0, 0, 1]), .ip, "10.0.0.0", false),
      (SubjectAltName(.dns, "10.0.0.0"), .ip, "10.0.0.0", false),
      (SubjectAltName(.ip, bytes: [UInt8](repeating: 0, count: 15) + [1]), .ip, "::1", true),
    ])
  func names(_ name: SubjectAltName, _ kind: SubjectAltName.Kind, _ wanted: String, _ matches: Bool) {
    #expect(SubjectAltNameMatcher.exact(kind, wanted).matches(name) == matches)
  }

  @Test("prefix and suffix matchers look at the whole name")
  func affixes() {
    let name = SubjectAltName(.uri, "spiffe://cluster.local/ns/default/sa/reviews")
    #expect(SubjectAltNameMatcher.prefix(.uri, "spiffe://cluster.local/").matches(name))
    #expect(!SubjectAltNameMatcher.prefix(.uri, "spiffe://other/").matches(name))
    #expect(SubjectAltNameMatcher.suffix(.uri, "/sa/reviews").matches(name))
    #expect(!SubjectAltNameMatcher.suffix(.uri, "/sa/ratings").matches(name))
    #expect(!SubjectAltNameMatcher.suffix(.dns, "/sa/reviews").matches(name))
    #expect(SubjectAltNameMatcher(nil) { _ in true }.matches(name))
  }
}

@Suite("client hello")
struct ClientHelloTests {
  /// A hello as OpenSSL writes it.
  private func hello(_ name: String, _ protocols: [String]) throws -> [UInt8] {
    var configuration = TLSConfiguration.client()
    configuration.verification = .none
    let session = TLSSession.client(try TLSContext(configuration), serverName: name, protocols: protocols)
    var output = ByteBuffer()
    session.start(output: &output)
    return output.view.array
  }

  @Test("is read whole from any cut, and never earlier")
  func everyCut() throws {
    let bytes = try hello("Reviews.Default.Svc", ["istio", "h2"])
    for n in 0..<bytes.count {
      #expect(Array(bytes[..<n]).withByteView { ClientHello.read($0) } == .needMore, "at \(n)")
    }
    let whole = bytes.withByteView { ClientHello.read($0) }
    #expect(whole == .hello(ClientHello(serverName: "reviews.default.svc", protocols: ["istio", "h2"])))
  }

  @Test("is read when spread over many records", arguments: [1, 3, 50])
  func fragmented(_ size: Int) throws {
    let bytes = try hello("a.test", ["h2"])
    let message = Array(bytes[5...])
    var records: [UInt8] = []
    for start in stride(from: 0, to: message.count, by: size) {
      let part = message[start..<min(message.count, start + size)]
      records += [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 255)] + part
    }
    #expect(
      records.withByteView { ClientHello.read($0) } == .hello(ClientHello(serverName: "a.test", protocols: ["h2"])))
    #expect(Array(records.dropLast()).withByteView { ClientHello.read($0) } == .needMore)
  }

  @Test("is read beyond 16 KiB, and refused beyond its limit")
  func large() throws {
    func made(_ count: Int) -> [UInt8] {
      // A padding extension (type 21) of `count` bytes, cut into records of 16 KiB.
      let padding: [UInt8] = [0, 21, UInt8(count >> 8), UInt8(count & 255)] + [UInt8](repeating: 0, count: count)
      let alpn: [UInt8] = [0, 16, 0, 5, 0, 3, 2, 104, 50]
      let extensions = padding + alpn
      var body = [UInt8](repeating: 3, count: 34) + [0, 0, 2, 0x13, 1, 1, 0]
      body += [UInt8(extensions.count >> 8 & 255), UInt8(extensions.count & 255)] + extensions
      let message = [1, UInt8(body.count >> 16), UInt8(body.count >> 8 & 255), UInt8(body.count & 255)] + body
      var records: [UInt8] = []
      for start in stride(from: 0, to: message.count, by: 16_384) {
        let part = message[start..<min(message.count, start + 16_384)]
        records += [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 255)] + part
      }
      return records
    }
    #expect(
      made(40_000).withByteView { ClientHello.read($0) } == .hello(ClientHello(serverName: "", protocols: ["h2"])))
    let huge: [UInt8] = [22, 3, 1, 0, 4, 1, 2, 0, 0]
    #expect(huge.withByteView { ClientHello.read($0) } == .tooLarge(128 << 10))
    #expect(made(40_000).withByteView { ClientHello.read($0, limit: 16_384) } == .tooLarge(40_056))
  }

  @Test("a damaged hello is refused or read, never a trap", arguments: 0..<4 as Range<UInt64>)
  func damage(_ seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    let good = try hello("a.test", ["h2", "http/1.1"])
    for _ in 0..<2_000 {
      var bytes = good
      for _ in 0...random.next(below: 6) {
        bytes[random.next(below: bytes.count)] = UInt8(truncatingIfNeeded: random.next())
      }
      bytes = Array(bytes.prefix(1 + random.next(below: bytes.count)))
      _ = bytes.withByteView { ClientHello.read($0) }
    }
  }
}
