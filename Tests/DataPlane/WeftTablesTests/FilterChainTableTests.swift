import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime

@testable import WeftTables

@Suite("filter-chain table")
struct FilterChainTableTests {
  static func match(_ change: (inout FilterChainMatch) -> Void) -> FilterChainMatch {
    var match = FilterChainMatch()
    change(&match)
    return match
  }

  static func input(
    to destination: String = "10.1.2.3:443", from source: String = "192.168.0.9:5000", sni: String = "",
    tls: Bool = false,
    alpn: [String] = []
  ) -> ConnectionFacts {
    var input = ConnectionFacts(
      destination: SocketAddress(destination) ?? .loopback(port: 0), source: SocketAddress(source) ?? .loopback(port: 0)
    )
    input.serverName = sni
    input.isTLS = tls
    input.applicationProtocols = alpn
    return input
  }

  @Test(
    "server names: exact, then the longest wildcard, then none",
    arguments: [
      ("www.a.com", 0), ("WWW.A.com", 0), ("x.a.com", 1), ("y.x.a.com", 1), ("b.com", 2), ("a.com", 2), ("com", 3),
      ("", 3),
    ])
  func names(sni: String, expected: Int32) throws {
    let table = try FilterChainTable([
      Self.match { $0.serverNames = ["www.a.com"] }, Self.match { $0.serverNames = ["*.a.com"] },
      Self.match { $0.serverNames = ["*.com"] }, FilterChainMatch(),
    ])
    #expect(table.match(Self.input(sni: sni)) == expected)
  }

  @Test("pruning is by step: a chain that wins an early step and fails a later one leaves nobody")
  func pruning() throws {
    let table = try FilterChainTable([
      Self.match {
        $0.destinationPort = 443
        $0.serverNames = ["only.this"]
      },
      Self.match { $0.serverNames = ["a.com"] },
    ])
    #expect(table.match(Self.input(sni: "only.this")) == 0)
    #expect(table.match(Self.input(sni: "a.com")) == -1)
    #expect(table.match(Self.input(to: "10.1.2.3:80", sni: "a.com")) == 1)
    let withDefault = try FilterChainTable([Self.match { $0.destinationPort = 443 }], defaultChain: 1)
    #expect(withDefault.match(Self.input(to: "10.1.2.3:80")) == 1)
  }

  @Test("destination blocks: the longest wins, another family never matches")
  func blocks() throws {
    let table = try FilterChainTable([
      Self.match { $0.destinationPrefixes = [CIDRRange(bytes: [10, 0, 0, 0], prefixLength: 8)] },
      Self.match { $0.destinationPrefixes = [CIDRRange(bytes: [10, 1, 0, 0], prefixLength: 16)] },
      Self.match { $0.destinationPrefixes = [CIDRRange(bytes: Array(repeating: 0, count: 16), prefixLength: 0)] },
    ])
    #expect(table.match(Self.input()) == 1)
    #expect(table.match(Self.input(to: "10.2.0.0:1")) == 0)
    #expect(table.match(Self.input(to: "[2001:db8::1]:1")) == 2)
    #expect(table.match(Self.input(to: "11.0.0.1:1")) == -1)
  }

  @Test("transport protocol, ALPN, source type, source block and source port")
  func others() throws {
    let table = try FilterChainTable([
      Self.match {
        $0.transportProtocol = "tls"
        $0.applicationProtocols = ["istio"]
      },
      Self.match { $0.transportProtocol = "tls" },
      Self.match { $0.sourceType = .sameIPOrLoopback },
      Self.match { $0.sourcePorts = [5000] },
      Self.match { $0.sourcePrefixes = [CIDRRange(bytes: [192, 168, 0, 0], prefixLength: 16)] },
      FilterChainMatch(),
    ])
    #expect(table.match(Self.input(tls: true, alpn: ["h2", "istio"])) == 0)
    #expect(table.match(Self.input(tls: true, alpn: ["h2"])) == 1)
    #expect(table.match(Self.input(from: "127.0.0.1:7000")) == 2)
    // The block is looked at before the port.
    #expect(table.match(Self.input()) == 4)
    #expect(table.match(Self.input(from: "1.2.3.4:5000")) == 3)
    #expect(table.match(Self.input(from: "1.2.3.4:6000")) == 5)
  }

  @Test("two chains with the same match are refused")
  func duplicates() {
    let error = #expect(throws: ConfigError.self) { try FilterChainTable([FilterChainMatch(), FilterChainMatch()]) }
    #expect(error?.path.description == "filter_chains[1].filter_chain_match")
  }
}
