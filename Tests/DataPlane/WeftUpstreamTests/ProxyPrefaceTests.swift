import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime

@testable import WeftUpstream

@Suite("the PROXY header that is written")
struct ProxyPrefaceTests {
  private func written(
    _ version: ProxyProtocolHeaderSettings.Version, _ body: (ProxyPreface, inout ByteBuffer) -> Void
  ) -> [UInt8] {
    var settings = ProxyProtocolHeaderSettings()
    settings.version = version
    var out = ByteBuffer()
    body(ProxyPreface(settings), &out)
    return out.view.array
  }

  private func address(_ text: String) throws -> SocketAddress { try #require(SocketAddress(text)) }

  @Test(
    "addresses have one family, that of both or the longer one",
    arguments: [
      ("1.2.3.4:1", "5.6.7.8:2", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
      ("[2001:db8::1]:1", "[::1]:65535", "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"),
      ("[::ffff:1.2.3.4]:1", "5.6.7.8:2", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"),
      ("1.2.3.4:1", "[::1]:2", "PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"),
      ("unix:/a", "5.6.7.8:2", "PROXY UNKNOWN\r\n"),
    ])
  func text(_ source: String, _ destination: String, _ expected: String) throws {
    let (from, to) = (try address(source), try address(destination))
    let bytes = written(.text) { _ = $0.write(from: from, to: to, .empty, into: &$1) }
    #expect(String(decoding: bytes, as: UTF8.self) == expected)
    #expect(bytes.count <= 107, "longer than any reader need take")
  }

  @Test("in binary each family has its own form, and a socket file is LOCAL")
  func binary() throws {
    let mark = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
    let (four, six) = (try address("1.2.3.4:258"), try address("[::1]:3"))
    #expect(
      written(.binary) { _ = $0.write(from: four, to: four, .empty, into: &$1) }
        == mark + [0x21, 0x11, 0, 12, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 1, 2])
    let long = written(.binary) { _ = $0.write(from: six, to: six, .empty, into: &$1) }
    #expect(Array(long.prefix(16)) == mark + [0x21, 0x21, 0, 36] && long.count == 52)
    let unix = try address("unix:/a")
    #expect(written(.binary) { _ = $0.write(from: unix, to: four, .empty, into: &$1) } == mark + [0x20, 0, 0, 0])
  }

  @Test("without a client version 2 says LOCAL, version 1 names its own ends if it has any")
  func local() throws {
    let (own, peer) = (try address("127.0.0.1:1"), try address("127.0.0.2:2"))
    #expect(written(.binary) { $0.writeLocal(from: own, to: peer, into: &$1) }.suffix(4) == [0x20, 0, 0, 0])
    #expect(
      written(.text) { $0.writeLocal(from: own, to: peer, into: &$1) }
        == Array("PROXY TCP4 127.0.0.1 127.0.0.2 1 2\r\n".utf8))
    #expect(written(.text) { $0.writeLocal(into: &$1) } == Array("PROXY UNKNOWN\r\n".utf8))
  }

  @Test("extensions that are cut short pass nothing on, and never end the process")
  func cutShort() throws {
    var settings = ProxyProtocolHeaderSettings()
    settings.version = .binary
    settings.passed = .all
    let preface = ProxyPreface(settings)
    let from = try address("1.2.3.4:1")
    let whole: [UInt8] = [1, 0, 2, 7, 7, 2, 0, 1, 8]
    for count in 0...whole.count {
      var out = ByteBuffer()
      let fits = Array(whole.prefix(count)).withByteView { preface.write(from: from, to: from, $0, into: &out) }
      #expect(fits && out.count == 28 + (count < 5 ? 0 : count < 9 ? 5 : 9))
    }
  }
}

@Suite("what the connections of a pool have in common")
struct PoolKeyTests {
  private let source = SourceBinding(address: SocketAddress(.loopback4, port: 0), mark: 3)

  @Test("a key is found by all of its parts, names in any case")
  func matches() {
    let key = PoolKey.make(name: ByteView("A.test"), preface: ByteView("PROXY"), source: source, hash: 5)
    defer { key.free() }
    #expect(key.hash == 5 && key.source == source && key.name?.string == "A.test" && key.preface.string == "PROXY")
    #expect(key.matches(name: ByteView("a.TEST"), preface: ByteView("PROXY"), source: source))
    #expect(!key.matches(name: ByteView("b.test"), preface: ByteView("PROXY"), source: source))
    #expect(!key.matches(name: nil, preface: ByteView("PROXY"), source: source))
    #expect(!key.matches(name: ByteView("a.test"), preface: ByteView("proxy"), source: source))
    #expect(!key.matches(name: ByteView("a.test"), preface: ByteView("PROXY"), source: nil))
  }

  @Test("an empty name is a name, and no key is none")
  func empty() {
    let key = PoolKey.make(name: .empty, preface: .empty, source: nil, hash: 1)
    defer { key.free() }
    #expect(key.name != nil && !key.matches(name: nil, preface: .empty, source: nil))
    #expect(PoolKey.none.name == nil && PoolKey.none.preface.isEmpty && PoolKey.none.source == nil)
  }
}
