import Testing
import WeftGRPC

@Suite("gRPC framing")
struct GRPCFramingTests {
  private let frames = [
    GRPCFrame(payload: []), GRPCFrame(payload: Array("hello".utf8)),
    GRPCFrame(isCompressed: true, payload: [UInt8](repeating: 7, count: 300)),
  ]

  private func wire() throws -> [UInt8] { try frames.reduce(into: []) { $0 += try $1.encoded() } }

  @Test("a frame is flag, big-endian length and payload")
  func layout() throws {
    #expect(try GRPCFrame(isCompressed: true, payload: [1, 2, 3]).encoded() == [1, 0, 0, 0, 3, 1, 2, 3])
  }

  @Test("frames survive a split at every byte")
  func everySplit() throws {
    let wire = try wire()
    for split in 0...wire.count {
      var decoder = GRPCFrameDecoder(maximumPayloadBytes: 1000)
      var seen: [GRPCFrame] = []
      for piece in [wire[..<split], wire[split...]] {
        decoder.feed(Array(piece))
        while let frame = try decoder.next() { seen.append(frame) }
      }
      #expect(seen == frames)
      #expect(decoder.isAtBoundary)
    }
  }

  @Test("frames survive coming byte by byte")
  func byteByByte() throws {
    var decoder = GRPCFrameDecoder(maximumPayloadBytes: 1000)
    var seen: [GRPCFrame] = []
    for byte in try wire() {
      decoder.feed([byte])
      while let frame = try decoder.next() { seen.append(frame) }
    }
    #expect(seen == frames)
  }

  @Test("a long stream is decoded without keeping what was read")
  func longStream() throws {
    var decoder = GRPCFrameDecoder(maximumPayloadBytes: 100_000)
    let one = try GRPCFrame(payload: [UInt8](repeating: 1, count: 70_000)).encoded()
    var count = 0
    for _ in 0..<20 {
      decoder.feed(Array(one[..<40_000]))
      while try decoder.next() != nil { count += 1 }
      decoder.feed(Array(one[40_000...]) + one[..<10])
      while try decoder.next() != nil { count += 1 }
      decoder.feed(Array(one[10...]))
      while try decoder.next() != nil { count += 1 }
    }
    #expect(count == 40)
    #expect(decoder.isAtBoundary)
  }

  @Test("an announced length over the limit is refused before its bytes arrive")
  func tooLong() throws {
    var decoder = GRPCFrameDecoder(maximumPayloadBytes: 4)
    decoder.feed([0, 0xFF, 0xFF, 0xFF, 0xFF])
    let error = #expect(throws: GRPCStatus.self) { try decoder.next() }
    #expect(error?.code == .resourceExhausted)
  }

  @Test("a flag byte other than 0 and 1 is refused")
  func badFlag() throws {
    var decoder = GRPCFrameDecoder(maximumPayloadBytes: 4)
    decoder.feed([2, 0, 0, 0, 0])
    let error = #expect(throws: GRPCStatus.self) { try decoder.next() }
    #expect(error?.code == .internalError)
  }

  @Test("a half frame is not a boundary")
  func halfFrame() throws {
    var decoder = GRPCFrameDecoder(maximumPayloadBytes: 4)
    decoder.feed([0, 0, 0, 0, 2, 1])
    #expect(try decoder.next() == nil)
    #expect(!decoder.isAtBoundary)
  }
}
