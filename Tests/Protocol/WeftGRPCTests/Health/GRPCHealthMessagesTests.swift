import Testing
import WeftGRPC

@Suite("grpc.health.v1 messages")
struct GRPCHealthMessagesTests {
  @Test("a request names its service", arguments: ["", "a", String(repeating: "x", count: 300)])
  func request(service: String) {
    #expect(GRPCHealthMessages.service(ofRequest: GRPCHealthMessages.request(service: service)) == service)
  }

  @Test("bytes are those of protobuf")
  func bytes() {
    #expect(GRPCHealthMessages.request(service: "ab") == [0x0A, 2, 0x61, 0x62])
    #expect(GRPCHealthMessages.response(status: 1) == [0x08, 1])
    #expect(GRPCHealthMessages.response(status: 0) == [])
  }

  @Test("unknown fields are skipped")
  func unknownFields() {
    let bytes: [UInt8] = [0x10, 5, 0x1A, 1, 9, 0x25, 1, 2, 3, 4, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 0x08, 2]
    #expect(GRPCHealthMessages.status(ofResponse: bytes) == 2)
  }

  @Test(
    "malformed bytes are refused",
    arguments: [
      [0x08], [0x08, 0x80], [0x0A, 5, 1], [0x00, 1], [0x0B], [0x25, 1], [UInt8](repeating: 0xFF, count: 11),
    ] as [[UInt8]])
  func malformed(bytes: [UInt8]) {
    #expect(GRPCHealthMessages.status(ofResponse: bytes) == nil)
    #expect(GRPCHealthMessages.service(ofRequest: bytes) == nil)
  }
}
