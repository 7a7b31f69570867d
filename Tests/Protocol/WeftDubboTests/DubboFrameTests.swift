import Testing
import WeftBase
import WeftTestKit

@testable import WeftDubbo

@Suite("Dubbo frames")
struct DubboFrameTests {
  private func read(_ bytes: [UInt8], _ limits: DubboLimits = DubboLimits()) -> DubboFrame.Reading {
    bytes.withByteView { DubboFrame.read($0, limits) }
  }

  @Test("a frame is read when all of it is there, and not before")
  func splitAnywhere() {
    let bytes = DubboFrames.request(id: 0x0102_0304_0506_0708)
    for count in 0..<bytes.count {
      let expected = count < 16 ? 16 : bytes.count
      #expect(read(Array(bytes[..<count])) == .needMore(expected), "\(count) bytes")
    }
    guard case .frame(let frame) = read(bytes + [0xda]) else { return #expect(Bool(false), "no frame") }
    #expect(frame.isRequest && frame.isTwoWay && !frame.isEvent && frame.serialization == 2)
    #expect(frame.id == 0x0102_0304_0506_0708 && frame.bytes == bytes.count)
  }

  @Test(
    "what is no frame is known at its first wrong byte",
    arguments: [[0x47], [0xda, 0xbc], [0xdb], [0x00, 0xbb]] as [[UInt8]])
  func magic(bytes: [UInt8]) { #expect(read(bytes) == .malformed(.badMagic)) }

  @Test(
    "a body longer than the limit, or of negative length, is known by its head",
    arguments: [8 << 20 + 1, 1 << 31 - 1, 1 << 31, UInt32.max] as [UInt32])
  func length(count: UInt32) {
    let frame = DubboFrame(isRequest: true, isTwoWay: true, id: 1, bodyBytes: Int(count))
    let isNegative = count >= 1 << 31
    let says = read(DubboFrames.frame(flags: 0xc2, id: 1, [], length: count))
    #expect(says == (isNegative ? .malformed(.tooLarge) : .oversize(frame)))
    #expect(read(DubboFrames.frame(flags: 0xc2, id: 1, [], length: 8 << 20)) == .needMore(16 + 8 << 20))
  }

  @Test("a frame written is the frame that was read", arguments: [0xc2, 0x82, 0xe2, 0x22, 0x02, 0x17] as [UInt8])
  func writes(flags: UInt8) {
    let bytes = DubboFrames.frame(flags: flags, status: 80, id: .max - 7, [])
    guard case .frame(let frame) = read(bytes) else { return #expect(Bool(false), "no frame") }
    var output = ByteBuffer()
    frame.write(to: &output)
    #expect(output.view.array == bytes)
  }

  @Test("statuses mean the same on both sides")
  func statuses() {
    for (dubbo, http) in [(20, 200), (30, 504), (31, 504), (40, 400), (50, 502), (60, 404), (80, 500), (100, 503)]
      as [(UInt8, UInt16)]
    {
      #expect(DubboStatus.httpStatus(of: dubbo) == http)
    }
    for (http, dubbo) in [(200, 20), (400, 40), (403, 70), (404, 60), (408, 30), (429, 100), (500, 80), (503, 80)]
      as [(UInt16, UInt8)]
    {
      #expect(DubboStatus.status(ofHTTP: http, isOverload: false) == dubbo)
    }
    #expect(DubboStatus.status(ofHTTP: 504, isOverload: false) == 31)
    #expect(DubboStatus.status(ofHTTP: 503, isOverload: true) == 100)
  }

  @Test(
    "an answer of our own holds its text as Java reads it",
    arguments: [
      ("no healthy upstream", [0x53, 0, 19] + Array("no healthy upstream".utf8)),
      ("", [0x53, 0, 0]),
      ("中😀", [0x53, 0, 3, 0xe4, 0xb8, 0xad, 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]),
    ] as [(String, [UInt8])])
  func reply(text: String, encoded: [UInt8]) {
    var output = ByteBuffer()
    text.withByteView { DubboResponse.write(DubboStatus.serverError, $0, id: 9, to: &output) }
    #expect(output.view.array == DubboFrames.frame(flags: 0x02, status: 80, id: 9, encoded))
  }

  @Test("an answer of our own with a result says that it is a value")
  func value() {
    var output = ByteBuffer()
    DubboResponse.write(DubboStatus.ok, ByteView("fine"), id: 9, to: &output)
    #expect(
      output.view.array == DubboFrames.frame(flags: 0x02, status: 20, id: 9, [0x91, 0x53, 0, 4] + Array("fine".utf8)))
  }

  @Test("bytes that are no UTF-8 are sent as question marks")
  func brokenText() {
    var output = ByteBuffer()
    ([0x61, 0xff, 0x62] as [UInt8]).withByteView { DubboResponse.write(80, $0, id: 1, to: &output) }
    #expect(output.view.array.suffix(6) == [0x53, 0, 3, 0x61, 0x3f, 0x62])
  }
}
