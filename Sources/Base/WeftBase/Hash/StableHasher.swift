// StableHasher: a hash of content that is the same in every process.

/// SipHash-2-4 with a fixed key, for identities that outlive a process: of what a socket, a filter chain, a cluster's connections or a TLS
/// context are made of. Swift's `Hasher` is seeded per process: what it names cannot be handed to a successor, nor be compared between two.
///
/// Values are fed with their lengths, so that neighbours do not run together. It is no protection against chosen collisions: feed it
/// configuration, not what clients send.
///
/// *Cost*: about a nanosecond a byte; allocates nothing. *Source*: Aumasson, Bernstein: SipHash (2012); test vectors of the paper.
package struct StableHasher: Sendable {
  private var v0: UInt64 = 0x736f_6d65_7073_6575
  private var v1: UInt64 = 0x646f_7261_6e64_6f6d
  private var v2: UInt64 = 0x6c79_6765_6e65_7261
  private var v3: UInt64 = 0x7465_6462_7974_6573
  /// Bytes that do not fill a word yet, in its low end.
  private var tail: UInt64 = 0
  private var tailBits: UInt64 = 0
  private var length: UInt64 = 0

  package init() {}

  /// With a key of its own, for the vectors of the paper.
  init(key0: UInt64, key1: UInt64) {
    v0 ^= key0
    v1 ^= key1
    v2 ^= key0
    v3 ^= key1
  }

  private mutating func round() {
    v0 &+= v1
    v1 = v1 &<< 13 | v1 &>> 51
    v1 ^= v0
    v0 = v0 &<< 32 | v0 &>> 32
    v2 &+= v3
    v3 = v3 &<< 16 | v3 &>> 48
    v3 ^= v2
    v0 &+= v3
    v3 = v3 &<< 21 | v3 &>> 43
    v3 ^= v0
    v2 &+= v1
    v1 = v1 &<< 17 | v1 &>> 47
    v1 ^= v2
    v2 = v2 &<< 32 | v2 &>> 32
  }

  private mutating func take(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  mutating func feed(_ byte: UInt8) {
    length &+= 1
    tail |= UInt64(byte) &<< tailBits
    tailBits &+= 8
    if tailBits == 64 {
      take(tail)
      tail = 0
      tailBits = 0
    }
  }

  /// Feeds a number, as eight bytes.
  mutating func feed(_ word: UInt64) {
    length &+= 8
    if tailBits == 0 { return take(word) }
    take(tail | word &<< tailBits)
    tail = word &>> (64 &- tailBits)
  }

  /// Feeds bytes, their number first.
  package mutating func combine(bytes: some Sequence<UInt8>, count: Int) {
    feed(UInt64(count))
    for byte in bytes { feed(byte) }
  }

  package mutating func combine(_ value: some StablyHashable) { value.hash(into: &self) }

  /// Feeds bytes, their number first.
  package mutating func combine(bytes: [UInt8]) { combine(bytes: bytes, count: bytes.count) }

  package mutating func combine(_ list: [some StablyHashable]) {
    feed(UInt64(list.count))
    for value in list { value.hash(into: &self) }
  }

  /// Feeds whether there is a value, and the value.
  package mutating func combine(_ value: (some StablyHashable)?) {
    combine(value != nil)
    if let value { value.hash(into: &self) }
  }

  /// The hash of everything fed so far.
  package func finish() -> UInt64 {
    var last = self
    last.take(tail | length &<< 56)
    last.v2 ^= 0xff
    for _ in 0..<4 { last.round() }
    return last.v0 ^ last.v1 ^ last.v2 ^ last.v3
  }

  /// The hash of bytes alone.
  package static func hash(_ bytes: ByteView) -> UInt64 {
    var hasher = StableHasher()
    for i in 0..<bytes.count { hasher.feed(bytes[i]) }
    return hasher.finish()
  }
}

/// A value whose content has the same hash in every process.
package protocol StablyHashable {
  /// Feeds every stored property, in order.
  func hash(into hasher: inout StableHasher)
}

extension StablyHashable where Self: FixedWidthInteger {
  package func hash(into hasher: inout StableHasher) { hasher.feed(UInt64(truncatingIfNeeded: self)) }
}

extension Int: StablyHashable {}
extension Int64: StablyHashable {}
extension UInt8: StablyHashable {}
extension UInt16: StablyHashable {}
extension UInt32: StablyHashable {}
extension UInt64: StablyHashable {}

extension Bool: StablyHashable {
  package func hash(into hasher: inout StableHasher) { hasher.feed(self ? 1 as UInt64 : 0) }
}

extension String: StablyHashable {
  package func hash(into hasher: inout StableHasher) { hasher.combine(bytes: utf8, count: utf8.count) }
}

extension Duration: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(components.seconds)
    hasher.combine(components.attoseconds)
  }
}
