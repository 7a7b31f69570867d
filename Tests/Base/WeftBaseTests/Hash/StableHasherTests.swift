import Testing

@testable import WeftBase

@Suite("stable hash")
struct StableHasherTests {
  @Test(
    "agrees with the vectors of SipHash's authors",
    arguments: [
      (0, 0x726f_db47_dd0e_0e31), (1, 0x74f8_39c5_93dc_67fd), (7, 0xab02_00f5_8b01_d137),
      (8, 0x93f5_f579_9a93_2462), (15, 0xa129_ca61_49be_45e5),
    ] as [(Int, UInt64)])
  func vectors(count: Int, expected: UInt64) {
    var hasher = StableHasher(key0: 0x0706_0504_0302_0100, key1: 0x0f0e_0d0c_0b0a_0908)
    for byte in 0..<count { hasher.feed(UInt8(byte)) }
    #expect(hasher.finish() == expected)
  }

  @Test("a word is its eight bytes, wherever it begins", arguments: 0..<9)
  func words(offset: Int) {
    var words = StableHasher()
    var bytes = StableHasher()
    for _ in 0..<offset {
      words.feed(7 as UInt8)
      bytes.feed(7 as UInt8)
    }
    for word in [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210] as [UInt64] {
      words.feed(word)
      for i in 0..<8 { bytes.feed(UInt8(truncatingIfNeeded: word >> UInt64(8 * i))) }
    }
    #expect(words.finish() == bytes.finish())
  }

  @Test("neighbours do not run together, and absence is not emptiness")
  func boundaries() {
    func hash(_ body: (inout StableHasher) -> Void) -> UInt64 {
      var hasher = StableHasher()
      body(&hasher)
      return hasher.finish()
    }
    let hashes = [
      hash {
        $0.combine("ab")
        $0.combine("c")
      },
      hash {
        $0.combine("a")
        $0.combine("bc")
      },
      hash { $0.combine(["ab", "c"]) }, hash { $0.combine(["abc"]) }, hash { $0.combine(nil as String?) },
      hash { $0.combine("" as String?) }, hash { _ in },
    ]
    #expect(Set(hashes).count == hashes.count)
  }

  @Test("has the value it had yesterday, in another process")
  func stability() {
    var hasher = StableHasher()
    hasher.combine("weft")
    hasher.combine(42)
    hasher.combine(true)
    hasher.combine(Duration.milliseconds(1500))
    #expect(hasher.finish() == 5_466_041_219_822_766_569)
  }
}
