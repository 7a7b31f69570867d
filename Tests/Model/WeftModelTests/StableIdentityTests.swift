import Testing
import WeftBase
import WeftModel

@Suite("stable identity")
struct StableIdentityTests {
  @Test("every stored property is fed: whoever adds one, feeds it and counts it here")
  func complete() {
    func fields(_ value: Any) -> Int { Mirror(reflecting: value).children.count }
    #expect(fields(TCPKeepalive()) == 3)
    #expect(fields(SocketOption(level: 0, name: 0, value: .integer(0))) == 4)
    #expect(fields(UpstreamBinding()) == 4)
    #expect(fields(ProxyProtocolHeaderSettings()) == 3)
    #expect(fields(ProxyProtocolHeaderSettings.Extension(type: 0, value: [])) == 2)
    #expect(fields(HTTP2Options()) == 7)
    #expect(fields(HTTP2Options.Keepalive(timeout: .zero)) == 4)
    #expect(fields(FilterChainMatch()) == 9)
    #expect(fields(CIDRRange(bytes: [], prefixLength: 0)) == 2)
    #expect(fields(StringMatcher(.exact(""))) == 2)
    #expect(fields(CertificateValidation()) == 9)
    #expect(fields(CertificateValidation.SANMatcher(type: .any, matcher: StringMatcher(.exact("")))) == 2)
  }

  private func hash(_ value: some StablyHashable) -> UInt64 {
    var hasher = StableHasher()
    hasher.combine(value)
    return hasher.finish()
  }

  @Test("differs with each property of HTTP/2 options")
  func http2() {
    var hashes = [hash(HTTP2Options())]
    for change in [
      { $0.hpackTableBytes = 1 }, { $0.maxConcurrentStreams = 1 }, { $0.initialStreamWindowBytes = 1 },
      { $0.initialConnectionWindowBytes = 1 },
      { $0.maxOutboundControlFrames = 1 }, { $0.maxConsecutiveEmptyFrames = 7 },
      { $0.keepalive = HTTP2Options.Keepalive(timeout: .seconds(1)) },
      { $0.keepalive = HTTP2Options.Keepalive(interval: .seconds(1), timeout: .seconds(1)) },
    ] as [(inout HTTP2Options) -> Void] {
      var options = HTTP2Options()
      change(&options)
      hashes.append(hash(options))
    }
    #expect(Set(hashes).count == hashes.count)
  }

  @Test("differs with each property of a filter chain's match")
  func match() {
    var hashes = [hash(FilterChainMatch())]
    for change in [
      { $0.destinationPort = 0 }, { $0.destinationPrefixes = [CIDRRange(bytes: [10, 0, 0, 0], prefixLength: 8)] },
      { $0.serverNames = ["a"] }, { $0.transportProtocol = "tls" }, { $0.applicationProtocols = ["a"] },
      { $0.directSourcePrefixes = [CIDRRange(bytes: [10, 0, 0, 0], prefixLength: 8)] }, { $0.sourceType = .external },
      { $0.sourcePrefixes = [CIDRRange(bytes: [10, 0, 0, 0], prefixLength: 8)] }, { $0.sourcePorts = [1] },
    ] as [(inout FilterChainMatch) -> Void] {
      var match = FilterChainMatch()
      change(&match)
      hashes.append(hash(match))
    }
    #expect(Set(hashes).count == hashes.count)
  }
}
