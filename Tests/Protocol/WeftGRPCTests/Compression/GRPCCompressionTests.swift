import Testing
import WeftGRPC

@Suite("gRPC compression")
struct GRPCCompressionTests {
  @Test("gzip returns what it was given", arguments: [0, 1, 511, 65_536, 300_000])
  func roundTrip(count: Int) throws {
    var seed: UInt32 = 1
    let bytes = (0..<count).map { _ -> UInt8 in
      seed = seed &* 1_664_525 &+ 1_013_904_223
      return UInt8(seed >> 30)
    }
    #expect(try Gzip.decompress(try Gzip.compress(bytes), maximumBytes: max(count, 1)) == bytes)
  }

  @Test("a message that inflates past the limit is refused")
  func sizeCap() throws {
    let packed = try Gzip.compress([UInt8](repeating: 0, count: 100_000))
    let error = #expect(throws: GRPCStatus.self) { try Gzip.decompress(packed, maximumBytes: 99_999) }
    #expect(error?.code == .resourceExhausted)
  }

  @Test("a bomb is refused by its ratio long before a generous limit")
  func ratioCap() throws {
    let packed = try Gzip.compress([UInt8](repeating: 0, count: 32 << 20), level: 9)
    #expect(packed.count * Gzip.maximumRatio < 32 << 20)
    let error = #expect(throws: GRPCStatus.self) { try Gzip.decompress(packed, maximumBytes: 1 << 30) }
    #expect(error?.code == .resourceExhausted)
  }

  @Test("corrupt, truncated and trailing data are refused")
  func corrupt() throws {
    let packed = try Gzip.compress(Array("some text, some text, some text".utf8))
    for broken in [[], Array(packed.dropLast()), packed + [0], Array("not gzip".utf8), [0] + packed] {
      let error = #expect(throws: GRPCStatus.self) { try Gzip.decompress(broken, maximumBytes: 1000) }
      #expect(error?.code == .internalError)
    }
  }

  @Test("small and incompressible messages travel uncompressed")
  func threshold() throws {
    let codec = GRPCMessageCodec(compression: .gzip, maximumMessageBytes: 1 << 20)
    #expect(try codec.encode([1, 2, 3]) == [0, 0, 0, 0, 3, 1, 2, 3])
    #expect(try codec.encode([UInt8](repeating: 9, count: 4096)).first == 1)
  }

  @Test("a compressed frame in an identity stream is refused")
  func unexpected() throws {
    let codec = GRPCMessageCodec(compression: .identity, maximumMessageBytes: 100)
    let error = #expect(throws: GRPCStatus.self) { try codec.decode(GRPCFrame(isCompressed: true, payload: [1])) }
    #expect(error?.code == .internalError)
  }

  @Test(
    "gzip is accepted when listed",
    arguments: [("gzip", true), ("identity,deflate, gzip", true), ("identity", false), ("gzipx", false), ("", false)])
  func acceptEncoding(value: String, expected: Bool) { #expect(GRPCCompression.acceptsGzip(value) == expected) }
}
