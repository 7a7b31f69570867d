import Testing
import WeftBase
import WeftGRPC

@Suite("gRPC metadata")
struct GRPCMetadataTests {
  @Test("binary values travel as unpadded base64 and come back")
  func binary() {
    var metadata = GRPCMetadata()
    metadata.add("Trace-Bin", bytes: [1, 2, 3, 4])
    #expect(metadata.wireFields.map(\.0) == ["trace-bin"])
    #expect(metadata.wireFields.map(\.1) == ["AQIDBA"])
    #expect(GRPCMetadata(received: metadata.wireFields) == metadata)
  }

  @Test("a comma-joined binary field is several values, padded or not; foreign characters drop the value")
  func joined() {
    let metadata = GRPCMetadata(received: [("k-bin", "AQ==, Ag,%%"), ("k-bin", "")])
    #expect(metadata.entries.map(\.value) == [[1], [2], []])
  }

  @Test(
    "names of the protocol and malformed names are refused",
    arguments: [
      "grpc-status", "GRPC-Foo", ":path", "te", "Content-Type", "host", "", "a b", "a:b", "ä", "connection",
      "user-agent",
    ])
  func refusedNames(name: String) {
    var metadata = GRPCMetadata()
    let accepted = metadata.add(name, "v")
    #expect(!accepted)
    #expect(metadata.isEmpty)
  }

  @Test("text values hold printable ASCII only", arguments: ["a\r\nb", "é", "\u{0}", "\u{7F}"])
  func refusedValues(value: String) {
    var metadata = GRPCMetadata()
    let accepted = metadata.add("x", value)
    #expect(!accepted)
  }

  @Test("received protocol fields stay out, the peer's user agent stays in")
  func received() {
    let metadata = GRPCMetadata(received: [
      ("content-type", "application/grpc"), ("grpc-encoding", "gzip"), ("user-agent", "grpc-c"), ("X-A", "1"),
      ("x-a", "2"),
    ])
    #expect(metadata.entries.map(\.name) == ["user-agent", "x-a", "x-a"])
    #expect(metadata.all("X-A") == ["1", "2"])
    #expect(metadata["x-a"] == "1")
  }

  @Test("base64 round trip of every length")
  func base64() {
    for count in 0..<70 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37) }
      let text = Base64.encode(bytes, padded: false)
      #expect(Base64.decode(text.utf8, .standard) == bytes)
      let padded = text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
      #expect(Base64.decode(padded.utf8, .standard) == bytes)
    }
  }

  @Test("impossible base64 is refused", arguments: ["A", "AAAAA", "AA=A", "A===", "AA-_", "AA A"])
  func badBase64(text: String) { #expect(Base64.decode(text.utf8, .standard) == nil) }
}
