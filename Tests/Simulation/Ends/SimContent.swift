// SimContent: bytes that tell which message they belong to, and where in it.

import Glibc
import WeftBase

enum SimContent {
  static let longest = 1 << 19
  private static let sea: [UInt8] = {
    var random = RandomSource(seed: 0xc0ffee)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(2 * longest)
    for _ in 0..<2 * longest / 8 {
      let word = random.next()
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift))) }
    }
    return bytes
  }()

  private static func start(_ owner: Int) -> Int { Int(RandomSource.mix(UInt64(owner), 1) % UInt64(longest)) }

  /// The bytes of a message from `offset` on.
  static func bytes(_ owner: Int, from offset: Int = 0, count: Int) -> ArraySlice<UInt8> {
    let first = start(owner) + offset
    return sea[first..<first + count]
  }

  static func matches(_ owner: Int, at offset: Int, _ bytes: ArraySlice<UInt8>) -> Bool {
    guard offset + bytes.count <= longest else { return false }
    let wanted = self.bytes(owner, from: offset, count: bytes.count)
    return unsafe wanted.withUnsafeBytes { a in
      unsafe bytes.withUnsafeBytes { b in
        unsafe a.isEmpty || memcmp(a.baseAddress.unsafelyUnwrapped, b.baseAddress.unsafelyUnwrapped, a.count) == 0
      }
    }
  }
}
