import Testing
import WeftGRPC

@Suite("gRPC status")
struct GRPCStatusTests {
  @Test("message and details survive the wire")
  func roundTrip() throws {
    var trailing = GRPCMetadata()
    trailing.add("x-reason", "quota")
    trailing.add("x-trace-bin", bytes: [0, 255, 3])
    let status = GRPCStatus(
      .resourceExhausted, "100% of it\nin use: ключ", details: [8, 8, 0xFF], trailers: trailing)
    let fields = status.wireFields
    #expect(fields.allSatisfy { $0.1.utf8.allSatisfy { (0x20...0x7E).contains($0) } })
    #expect(GRPCStatus(received: fields) == status)
  }

  @Test("the message is percent-encoded as the protocol says")
  func percentEncoding() {
    #expect(GRPCPercentEncoding.encode("a %\u{7F}é~ ") == "a %25%7F%C3%A9~ ")
  }

  @Test(
    "broken escapes are kept as they are",
    arguments: [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%41%", "A%"), ("%c3%A9", "é"), ("100%25", "100%")])
  func lenientDecoding(text: String, expected: String) { #expect(GRPCPercentEncoding.decode(text) == expected) }

  @Test("trailers without grpc-status hold no status")
  func absent() { #expect(GRPCStatus(received: [("grpc-message", "x")]) == nil) }

  @Test("a malformed code is UNKNOWN", arguments: ["", "x", "-1", "1234", "1 "])
  func malformed(value: String) { #expect(GRPCStatus(received: [("grpc-status", value)])?.code == .unknown) }

  @Test("a code outside the list keeps its number")
  func foreignCode() {
    #expect(GRPCStatus(received: [("grpc-status", "42")])?.code.rawValue == 42)
    #expect(GRPCStatusCode(rawValue: 42).name == "CODE(42)")
  }

  @Test(
    "an HTTP status without grpc-status maps as the table says",
    arguments: [
      (400, GRPCStatusCode.internalError), (401, .unauthenticated), (403, .permissionDenied), (404, .unimplemented),
      (429, .unavailable), (502, .unavailable), (503, .unavailable), (504, .unavailable), (500, .unknown),
      (200, .unknown), (302, .unknown),
    ])
  func httpMapping(status: Int, code: GRPCStatusCode) { #expect(GRPCStatus(httpStatus: status).code == code) }

  @Test(
    "a reset maps as the table says",
    arguments: [
      (UInt32(0), GRPCStatusCode.internalError), (1, .internalError), (7, .unavailable), (8, .cancelled),
      (11, .resourceExhausted), (12, .permissionDenied), (13, .unknown),
    ])
  func resetMapping(code: UInt32, expected: GRPCStatusCode) { #expect(GRPCStatus(resetCode: code).code == expected) }

  @Test(
    "only gRPC's content types are gRPC",
    arguments: [
      ("application/grpc", true), ("application/grpc+proto", true), ("application/grpc;charset=x", true),
      ("Application/GRPC", true), ("application/grpc-web", false), ("application/grpcx", false), ("text/plain", false),
      ("", false),
    ])
  func contentType(text: String, expected: Bool) { #expect(GRPCContentType.isGRPC(text) == expected) }
}
