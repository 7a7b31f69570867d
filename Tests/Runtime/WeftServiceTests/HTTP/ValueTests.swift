import Testing

@testable import WeftService

@Suite("addresses, URLs, headers, routes")
struct ValueTests {
  @Test(
    "addresses read and write their text form",
    arguments: ["127.0.0.1:80", "[::1]:8080", "example.test:1", "unix:/run/x.sock", "unix:@abstract"])
  func address(text: String) { #expect(ServiceAddress(text)?.description == text) }

  @Test(
    "what is no address is refused",
    arguments: ["", ":80", "host", "host:", "host:99999", "host:-1", "::1:80", "[]:80", "unix:", "host:1x"])
  func badAddress(text: String) { #expect(ServiceAddress(text) == nil) }

  @Test("URLs fall apart into address, authority and target")
  func url() throws {
    let url = try #require(HTTPURL("http://example.test:8080/a/b?c=d#e"))
    #expect(url.address == .tcp(host: "example.test", port: 8080))
    #expect(url.authority == "example.test:8080")
    #expect(url.target == "/a/b?c=d")
    #expect(HTTPURL("https://[::1]")?.address == .tcp(host: "::1", port: 443))
    #expect(HTTPURL("http://h?x")?.target == "/?x")
  }

  @Test("URLs that name no server are refused", arguments: ["", "ftp://x", "http://", "http://u@h/", "http://h:x/"])
  func badURL(text: String) { #expect(HTTPURL(text) == nil) }

  @Test("header names compare without case and keep theirs")
  func headers() {
    var headers: HTTPHeaders = ["Content-Type": "a", "X": "1", "x": "2"]
    #expect(headers["content-type"] == "a")
    #expect(headers.all("X") == ["1", "2"])
    headers["x"] = "3"
    #expect(headers.fields.map(\.name) == ["Content-Type", "x"])
    headers["x"] = nil
    #expect(!headers.contains("X"))
  }

  @Test("query items are decoded, broken ones left out")
  func query() {
    let items = HTTPQuery.items("a=1&b=x%20y+z&%zz=1&c&d=a=b")
    #expect(items.map(\.name) == ["a", "b", "c", "d"])
    #expect(items.map(\.value) == ["1", "x y z", "", "a=b"])
  }
}
