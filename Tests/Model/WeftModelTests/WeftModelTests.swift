import Testing
import WeftModel

@Suite("data-plane model")
struct WeftModelTests {
  @Test("a CIDR block clears the host part and matches only its own family")
  func cidr() {
    let block = CIDRRange(bytes: [10, 1, 2, 3], prefixLength: 12)
    #expect(block.bytes == [10, 0, 0, 0])
    #expect(block.contains([10, 15, 0, 1]))
    #expect(!block.contains([10, 16, 0, 1]))
    #expect(!block.contains(Array(repeating: 0, count: 16)))
    #expect(CIDRRange(bytes: [1, 2, 3, 4], prefixLength: 0).contains([9, 9, 9, 9]))
    #expect(CIDRRange(bytes: [1, 2, 3, 4], prefixLength: 200).prefixLength == 32)
  }

  @Test(
    "an IP literal is digits and separators",
    arguments: [
      ("::1", true), ("1:2:3:4:5:6:7:8", true), ("::ffff:10.0.0.1", true), ("10.0.0.1", true), ("::+1", false),
      ("::-1", false),
      ("1::2::3", false), ("::12345", false), ("10.0.0.+1", false), ("::g", false), (":", false),
    ] as [(String, Bool)])
  func literals(text: String, isAddress: Bool) {
    #expect((IPText.parse(text) != nil) == isAddress)
  }

  @Test("fractions are capped at the whole")
  func fractions() {
    #expect(FractionalPercent(50).partsPerMillion == 500_000)
    #expect(FractionalPercent(1, of: .tenThousand).partsPerMillion == 100)
    #expect(FractionalPercent(.max).partsPerMillion == 1_000_000)
  }

  @Test("retry conditions are parsed by their wire names and unknown words are handed back")
  func retryConditions() {
    let (conditions, unknown) = RetryPolicy.Conditions.parse("5xx,connect-failure, nonsense")
    #expect(conditions == [.serverError, .connectFailure])
    #expect(unknown == ["nonsense"])
    for (name, condition) in RetryPolicy.Conditions.named {
      #expect(RetryPolicy.Conditions.parse(name).conditions == condition)
    }
  }

  @Test("addresses print as Envoy prints them")
  func addresses() {
    #expect(Address.socket(host: "::1", port: 80).description == "[::1]:80")
    #expect(Address.socket(host: "10.0.0.1", port: 80).description == "10.0.0.1:80")
    #expect(Address.pipe(path: "/run/x.sock").description == "/run/x.sock")
  }

  @Test("unset settings have the documented defaults")
  func defaults() {
    let manager = HTTPConnectionManager(statPrefix: "x", routes: .inline(RouteConfiguration(name: "r")))
    #expect(manager.streamIdleTimeout == .seconds(300))
    #expect(manager.maxRequestHeadersBytes == 61_440)
    #expect(manager.http2.initialStreamWindowBytes == 16_777_216)
    #expect(manager.http1.acceptHTTP10)
    let cluster = Cluster(name: "c")
    #expect(cluster.connectTimeout == .seconds(5))
    #expect(cluster.circuitBreakers.standard.maxRetries == 3)
    #expect(OutlierDetection().alwaysEjectOneHost)
    #expect(RouteAction(cluster: .cluster("c")).timeout == nil)
  }
}
