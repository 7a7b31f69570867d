import WeftBase

/// Up to 47 bytes of text inside a slot (an IP address).
struct ShortText: BitwiseCopyable {
  static let capacity = 47
  private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
  private(set) var count = 0

  init() {}

  init(_ text: ByteView) {
    count = min(text.count, Self.capacity)
    unsafe withUnsafeMutableBytes(of: &words) { room in
      unsafe room.baseAddress.unsafelyUnwrapped.copyMemory(from: text.base, byteCount: count)
    }
  }

  /// Writes the text, for which `capacity` bytes of room must be there; returns its length.
  @unsafe
  func copy(to room: UnsafeMutableRawPointer) -> Int {
    unsafe withUnsafeBytes(of: words) {
      unsafe room.copyMemory(from: $0.baseAddress.unsafelyUnwrapped, byteCount: count)
    }
    return count
  }
}
