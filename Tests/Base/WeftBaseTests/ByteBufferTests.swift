import Testing
import WeftBase

@Suite("byte buffer")
struct ByteBufferTests {
  @Test("appending and consuming in any rhythm keeps the bytes in order", arguments: 1...5 as ClosedRange<UInt64>)
  func rhythm(_ seed: UInt64) {
    var random = RandomSource(seed: seed)
    var buffer = ByteBuffer()
    var model: [UInt8] = []
    for step in 0..<3_000 {
      if random.chance(1, in: 2) {
        let bytes = (0..<random.next(below: 300)).map { UInt8(truncatingIfNeeded: $0 &+ step) }
        buffer.append(bytes)
        model += bytes
      } else {
        let n = random.next(below: model.count + 1)
        buffer.consume(n)
        model.removeFirst(n)
      }
      let bytes = buffer.view.array
      #expect(bytes == model, "seed \(seed)")
    }
  }

  @Test(
    "writes numbers as text",
    arguments: [0, 1, 9, 10, 99, 100, 12_345, 999_999_999, 1_000_000_000, UInt64.max - 1, .max])
  func decimals(_ value: UInt64) {
    var buffer = ByteBuffer()
    buffer.append(decimal: value)
    buffer.append(" ")
    buffer.append(hexadecimal: value)
    let text = buffer.view.string
    #expect(text == "\(value) \(String(value, radix: 16))")
  }

  @Test("writes negative and big-endian numbers")
  func numbers() {
    var buffer = ByteBuffer()
    buffer.append(decimal: -42)
    buffer.append(decimal: Int.min)
    buffer.appendBigEndian(UInt16(0x0102))
    buffer.appendBigEndian(UInt32(0x0304_0506))
    buffer.replace(at: 0, with: ByteView("+"))
    buffer.append(repeating: 7, count: 3)
    let bytes = buffer.view.array
    #expect(bytes == Array("+42\(Int.min)".utf8) + [1, 2, 3, 4, 5, 6, 7, 7, 7])
    buffer.truncate(to: 2)
    buffer.append("x" as StaticString)
    let text = buffer.view.string
    #expect(text == "+4x")
    buffer.release()
    #expect(buffer.capacity == 0)
  }
}

@Suite("buffer pool")
struct BufferPoolTests {
  @Test(
    "gives blocks of the size asked for and takes them back",
    arguments: [1, 2_048, 2_049, 4_096, 65_536, 1 << 20, (1 << 20) + 1])
  func sizes(_ size: Int) {
    let pool = BufferPool()
    let block = pool.take(atLeast: size)
    #expect(block.capacity >= size)
    #expect(block.capacity < max(4_096, 2 * size))
    #expect(pool.lentBytes == block.capacity)
    pool.give(block)
    #expect(pool.lentBytes == 0)
    let cached = pool.cachedBytes
    let again = pool.take(atLeast: size)
    #expect(pool.cachedBytes == cached - (cached > 0 ? again.capacity : 0))
    pool.give(again)
  }

  @Test("keeps no more free memory than it may")
  func cap() {
    let pool = BufferPool(maximumCached: 10_000)
    let blocks = (0..<10).map { _ in pool.take(atLeast: 4_096) }
    for block in blocks { pool.give(block) }
    #expect(pool.cachedBytes == 8_192)
    #expect(pool.lentBytes == 0)
  }
}

@Suite("byte view")
struct ByteViewTests {
  @Test("case is folded for ASCII letters only, at every length and place")
  func caseFolding() {
    for length in [1, 7, 8, 9, 16, 31] {
      for byte in 0...255 as ClosedRange<UInt8> {
        for other in [byte, byte ^ 0x20, byte &+ 1] {
          var a = [UInt8](repeating: 0x41, count: length)
          var b = [UInt8](repeating: 0x61, count: length)
          a[length - 1] = byte
          b[length - 1] = other
          let equal = a.withByteView { a in b.withByteView { a.equalsIgnoringCase($0) } }
          let isLetter = (65...90).contains(byte & 0xdf) && byte & 0xdf == other & 0xdf && byte < 128 && other < 128
          #expect(equal == (byte == other || isLetter), "\(byte) \(other) \(length)")
        }
      }
    }
  }

  @Test("slices, searches and compares")
  func basics() {
    let view = ByteView("hello, world")
    #expect(view.firstIndex(of: UInt8(ascii: "o")) == 4)
    #expect(view.firstIndex(of: UInt8(ascii: "o"), from: 5) == 8)
    #expect(view.lastIndex(of: UInt8(ascii: "l")) == 10)
    #expect(view.firstIndex(of: 0) == nil)
    #expect(view.starts(with: ByteView("hello")))
    #expect(view.ends(with: ByteView("world")))
    #expect(!view.ends(with: ByteView("hello, world!")))
    #expect(view[7..<12].equals("world"))
    #expect(view.suffix(5).equals("world"))
    #expect(view.dropLast(7).equals("hello"))
    #expect(view.dropFirst(100).isEmpty)
    #expect(view.compare(ByteView("hello")) > 0)
    #expect(ByteView("a").compare(ByteView("b")) < 0)
    #expect(view.hash() == ByteView("hello, world").hash())
    #expect(view.hash() != ByteView("hello, worle").hash())
    #expect(view.hash(seed: 1) != view.hash(seed: 2))
    #expect(ByteView("12345678").loadUInt64(at: 0) == 0x3837_3635_3433_3231)
    #expect(ByteView("AB").loadBigEndianUInt16(at: 0) == 0x4142)
  }

  @Test(
    "reads decimal numbers strictly",
    arguments: [
      ("0", 0), ("00", 0), ("18446744073709551615", UInt64.max), ("18446744073709551616", nil),
      ("99999999999999999999", nil), ("", nil),
      ("-1", nil), ("+1", nil), (" 1", nil), ("1 ", nil), ("1a", nil), ("٣", nil),
    ] as [(String, UInt64?)])
  func decimal(_ text: String, _ value: UInt64?) {
    #expect(text.withByteView { ASCII.parseDecimal($0) } == value)
  }

  @Test(
    "reads hexadecimal numbers strictly",
    arguments: [
      ("0", 0), ("fF", 255), ("ffffffffffffffff", UInt64.max), ("10000000000000000", nil), ("", nil), ("0x1", nil),
      ("g", nil), ("`", nil),
    ] as [(String, UInt64?)])
  func hexadecimal(_ text: String, _ value: UInt64?) {
    #expect(text.withByteView { ASCII.parseHexadecimal($0) } == value)
  }
}
