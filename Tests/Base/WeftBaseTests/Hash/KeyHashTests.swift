import Testing
import WeftBase

@Suite("hashes of keys")
struct KeyHashTests {
  @Test(
    "xxHash64 comes to the published numbers",
    arguments: [
      ("", 0xef46_db37_51d8_e999), ("a", 0xd24e_c4f1_a98c_6e5b), ("abc", 0x44bc_2cf5_ad77_0999),
      ("foo", 3_728_699_739_546_630_719), ("bar", 5_234_164_152_756_840_025), ("lyft", 4_400_747_396_090_729_504),
      ("foo\nbar", 8_917_841_378_505_826_757), ("xxhash", 0x32dd_3895_2c4b_c720),
      ("Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
    ] as [(String, UInt64)])
  func xxHash(text: String, hash: UInt64) {
    #expect(text.withByteView { XXHash64.hash($0) } == hash)
  }

  @Test("a seed gives another hash; hashes of parts can be chained by it")
  func seeds() {
    #expect("xxhash".withByteView { XXHash64.hash($0, seed: 20_141_025) } == 0xb559_b98d_844e_0635)
  }

  @Test(
    "MurmurHash64A comes to the numbers of GNU's std::hash",
    arguments: [
      ("", 6_142_509_188_972_423_790), ("foo", 9_631_199_822_919_835_226), ("bar", 11_474_628_671_133_349_555),
      ("127.0.0.1:8080_17", 3_591_327_324_750_848_891),
    ] as [(String, UInt64)])
  func murmur(text: String, hash: UInt64) {
    #expect(text.withByteView { MurmurHash2.hash($0) } == hash)
  }
}
