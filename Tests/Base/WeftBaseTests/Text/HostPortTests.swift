import Testing
import WeftBase

@Suite("host and port")
struct HostPortTests {
  static let good: [(String, HostPort, String)] = [
    ("reviews:9080", HostPort(host: "reviews", port: 9080), "reviews:9080"),
    ("10.0.0.1:0", HostPort(host: "10.0.0.1", port: 0), "10.0.0.1:0"),
    ("[::1]:80", HostPort(host: "::1", port: 80), "[::1]:80"),
    ("[fd00::1]:65535", HostPort(host: "fd00::1", port: 65535), "[fd00::1]:65535"),
    ("a:0080", HostPort(host: "a", port: 80), "a:80"),
  ]

  @Test("reads and writes names and addresses, IPv6 in brackets", arguments: good)
  func reads(text: String, value: HostPort, written: String) {
    #expect(HostPort(text) == value)
    #expect(value.description == written)
    #expect(HostPort(written, defaultPort: 1) == value)
  }

  @Test(
    "what is something else is refused",
    arguments: ["", ":80", "a", "a:", "a:x", "a:+1", "a:65536", "::1:80", "a:b:80", "[::1]", "[::1", "[a]:80", "[]:80"])
  func refuses(text: String) {
    #expect(HostPort(text) == nil)
  }

  @Test("a port may be missing where there is a default, an IPv6 address still needs brackets")
  func defaults() {
    #expect(HostPort("a", defaultPort: 80) == HostPort(host: "a", port: 80))
    #expect(HostPort("[::1]", defaultPort: 80) == HostPort(host: "::1", port: 80))
    #expect(HostPort("::1", defaultPort: 80) == nil)
    #expect(HostPort("a:", defaultPort: 80) == nil)
  }
}
