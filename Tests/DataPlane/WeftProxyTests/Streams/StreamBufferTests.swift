import Testing
import WeftBase

@testable import WeftProxy

@Suite("bodies that wait or are kept")
struct StreamBufferTests {
  @Test("a kept body of 16 MiB that comes in pieces is copied a few times, not with every piece")
  func growth() {
    let pool = BufferPool()
    let piece = [UInt8](repeating: 7, count: 16 << 10)
    var buffer = StreamBuffer()
    // One block after the other: each means a copy of all that is there.
    var blocks: [Int] = []
    for _ in 0..<1024 {
      unsafe piece.withUnsafeBytes { unsafe buffer.append(ByteView($0), pool: pool) }
      if blocks.last != buffer.footprint { blocks.append(buffer.footprint) }
    }
    #expect(buffer.count == 16 << 20)
    #expect(blocks.count < 20 && buffer.footprint < 2 * (16 << 20), "\(blocks)")
    buffer.release(to: pool)
    #expect(pool.lentBytes == 0)
  }
}
