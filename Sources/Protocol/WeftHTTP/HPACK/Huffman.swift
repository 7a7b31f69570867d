// The HPACK Huffman code (RFC 7541 appendix B), both ways.

import WeftBase

/// Encoding and decoding tables of the code, built once from the code lengths: the code is canonical, so lengths suffice.
///
/// Why sound: all tables are filled in `init` and only read after; indices are bytes, states below 256, nibbles below 16.
@safe
struct Huffman: @unchecked Sendable {
  /// Decoder step: what reading four bits in a state does.
  struct Step {
    var next: UInt8 = 0
    var symbol: UInt8 = 0
    var flags: UInt8 = 0

    static var emits: UInt8 { 1 }
    /// Input may end here: only a prefix of EOS shorter than a byte is pending.
    static var mayEnd: UInt8 { 2 }
    static var fails: UInt8 { 4 }
  }

  private let codes: UnsafeMutablePointer<UInt32>
  private let lengths: UnsafeMutablePointer<UInt8>
  private let steps: UnsafeMutablePointer<Step>

  static let shared = Huffman()

  /// Length of each symbol's code in bits, as a letter: 'A' is 5, 'Z' is 30. The last is EOS.
  private static let lengthLetters: StaticString = """
    ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHF\
    IBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACCBBBABCBAABCCCCCKGJIX\
    PRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRS\
    VVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWV\
    Z
    """

  private init() {
    unsafe codes = .allocate(capacity: 257)
    unsafe lengths = .allocate(capacity: 257)
    unsafe steps = .allocate(capacity: 256 * 16)
    unsafe steps.initialize(repeating: Step(), count: 256 * 16)
    let letters = ByteView(Self.lengthLetters)
    for symbol in 0..<257 { unsafe lengths[symbol] = letters[symbol] - 60 }
    // Canonical codes: by length, then by symbol.
    var code: UInt32 = 0
    for length in UInt8(5)...30 {
      code <<= 1
      for symbol in 0..<257 where unsafe lengths[symbol] == length {
        unsafe codes[symbol] = code
        code += 1
      }
    }
    buildSteps()
  }

  /// Builds the code's tree (256 inner nodes) and from it the four-bit steps.
  private func buildSteps() {
    // > 0: inner node, < 0: leaf −1−symbol, 0: not there yet (the root is nobody's child).
    var children = [[Int]](repeating: [0, 0], count: 256)
    // Length of the all-ones path from the root to a node; −1 for other nodes.
    var onesDepth = [Int](repeating: -1, count: 256)
    onesDepth[0] = 0
    var used = 1
    for symbol in 0..<257 {
      var node = 0
      let length = unsafe Int(lengths[symbol])
      for shift in stride(from: length - 1, through: 0, by: -1) {
        let bit = unsafe Int(codes[symbol] >> UInt32(shift) & 1)
        if shift == 0 {
          children[node][bit] = -1 - symbol
          break
        }
        if children[node][bit] == 0 {
          children[node][bit] = used
          if bit == 1, onesDepth[node] >= 0 { onesDepth[used] = onesDepth[node] + 1 }
          used += 1
        }
        node = children[node][bit]
      }
    }
    for state in 0..<256 {
      for nibble in 0..<16 {
        var step = Step()
        var node = state
        for shift in stride(from: 3, through: 0, by: -1) {
          let child = children[node][nibble >> shift & 1]
          if child == -257 {
            step.flags |= Step.fails
            break
          }
          if child < 0 {
            step.flags |= Step.emits
            step.symbol = UInt8(-1 - child)
            node = 0
          } else {
            node = child
          }
        }
        step.next = UInt8(node)
        if onesDepth[node] >= 0, onesDepth[node] <= 7 { step.flags |= Step.mayEnd }
        unsafe steps[state * 16 + nibble] = step
      }
    }
  }

  /// Decodes `input` into `target`, which has room for `2 × input.count` bytes. Returns the count, nil if the code is broken.
  func decode(_ input: ByteView, to target: UnsafeMutableRawPointer) -> Int? {
    var state = 0
    var flags = Step.mayEnd
    var n = 0
    var i = 0
    while i < input.count {
      let byte = unsafe input.base.load(fromByteOffset: i, as: UInt8.self)
      let high = unsafe steps[state &* 16 &+ Int(byte &>> 4)]
      if high.flags & Step.emits != 0 {
        unsafe target.storeBytes(of: high.symbol, toByteOffset: n, as: UInt8.self)
        n &+= 1
      }
      let low = unsafe steps[Int(high.next) &* 16 &+ Int(byte & 15)]
      if low.flags & Step.emits != 0 {
        unsafe target.storeBytes(of: low.symbol, toByteOffset: n, as: UInt8.self)
        n &+= 1
      }
      flags = low.flags
      if (high.flags | flags) & Step.fails != 0 { return nil }
      state = Int(low.next)
      i &+= 1
    }
    return flags & Step.mayEnd != 0 ? n : nil
  }

  /// Bytes that `encode` will write.
  func encodedCount(_ text: ByteView) -> Int {
    var bits = 0
    var i = 0
    while i < text.count {
      bits &+= unsafe Int(lengths[Int(text.base.load(fromByteOffset: i, as: UInt8.self))])
      i &+= 1
    }
    return (bits &+ 7) >> 3
  }

  /// Encodes `text` to `target`, which has room for `encodedCount` bytes; returns their number.
  func encode(_ text: ByteView, to target: UnsafeMutableRawPointer) -> Int {
    var pending: UInt64 = 0
    var bits: UInt64 = 0
    var n = 0
    var i = 0
    while i < text.count {
      let byte = unsafe Int(text.base.load(fromByteOffset: i, as: UInt8.self))
      let length = unsafe UInt64(lengths[byte])
      pending = unsafe pending &<< length | UInt64(codes[byte])
      bits &+= length
      while bits >= 8 {
        bits &-= 8
        unsafe target.storeBytes(of: UInt8(truncatingIfNeeded: pending &>> bits), toByteOffset: n, as: UInt8.self)
        n &+= 1
      }
      i &+= 1
    }
    if bits > 0 {
      let pad = 8 &- bits
      let last = pending &<< pad | ((1 &<< pad) &- 1)
      unsafe target.storeBytes(of: UInt8(truncatingIfNeeded: last), toByteOffset: n, as: UInt8.self)
      n &+= 1
    }
    return n
  }
}
