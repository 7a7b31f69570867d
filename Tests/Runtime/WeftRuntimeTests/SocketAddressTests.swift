import Testing
import WeftBase
import WeftRuntime

@Suite("socket address")
struct SocketAddressTests {
  @Test(
    "reads and writes the usual text forms",
    arguments: [
      "127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:443", "[2001:db8::8:800:200c:417a]:1",
      "unix:/run/x.sock",
    ])
  func roundTrip(_ text: String) throws {
    let address = try #require(SocketAddress(text))
    #expect(address.description == text)
    #expect(SocketAddress(address.description) == address)
  }

  @Test(
    "refuses what is not an address",
    arguments: [
      "", ":", "localhost:80", "1.2.3:80", "1.2.3.4", "1.2.3.4:65536", "1.2.3.4:-1", "::1:80", "[::1:80", "1.2.3.4:",
    ])
  func refuses(_ text: String) {
    #expect(SocketAddress(text) == nil)
  }

  @Test(
    "knows which network an address lies in",
    arguments: [
      ("10.1.2.3", "10.0.0.0", 8, true), ("11.1.2.3", "10.0.0.0", 8, false), ("10.1.2.3", "0.0.0.0", 0, true),
      ("10.1.2.3", "10.1.2.3", 32, true), ("10.1.2.2", "10.1.2.3", 32, false), ("::1", "::", 0, true),
      ("::1", "::1", 128, true),
      ("2001:db8:1::1", "2001:db8::", 32, true), ("2001:db9::1", "2001:db8::", 32, false), ("::1", "0.0.0.0", 0, false),
      ("2001:db8::ff00:1", "2001:db8::ff00:0", 112, true), ("2001:db8::fe00:1", "2001:db8::ff00:0", 112, false),
    ])
  func networks(_ address: String, _ network: String, _ prefix: Int, _ inside: Bool) throws {
    let address = try #require(IPAddress(address))
    #expect(try address.isInside(#require(IPAddress(network)), prefixLength: prefix) == inside)
  }

  @Test("refuses a Unix path the kernel has no room for")
  func longPath() {
    #expect(SocketAddress(unixPath: String(repeating: "x", count: 107)) != nil)
    #expect(SocketAddress(unixPath: String(repeating: "x", count: 108)) == nil)
  }
}
