// HessianReader: steps through hessian2 without building values.

package import WeftBase
package import WeftHTTP

/// Why a body cannot be read.
package enum HessianFault: Error, Hashable, Sendable {
  /// It ends in the middle of a value.
  case truncated
  /// A byte that begins nothing, or not what has to stand there.
  case malformed
  /// Deeper, longer or more than the limits allow.
  case tooMuch
}

/// A place in a body. Reads texts, steps over anything else.
///
/// Nothing is kept of what is stepped over but how many fields the classes have that were defined on the way: an instance is as long as its class
/// says. *Cost*: linear in the bytes, no allocation. *Errors*: every read checks its bounds; the limits bound depth and number of values.
package struct HessianReader {
  private let bytes: ByteView
  private let limits: DubboLimits
  package private(set) var position = 0
  private var valuesLeft: Int
  private var classCount = 0
  private var fieldCounts = InlineArray<256, UInt16>(repeating: 0)

  package init(_ bytes: ByteView, _ limits: DubboLimits) {
    self.bytes = bytes
    self.limits = limits
    valuesLeft = limits.values
  }

  package var isAtEnd: Bool { position >= bytes.count }

  // MARK: Bytes

  private func peek() throws(HessianFault) -> UInt8 {
    guard position < bytes.count else { throw .truncated }
    return bytes[position]
  }

  private mutating func take() throws(HessianFault) -> UInt8 {
    let byte = try peek()
    position += 1
    return byte
  }

  private mutating func skip(bytes n: Int) throws(HessianFault) {
    guard n <= bytes.count - position else { throw .truncated }
    position += n
  }

  private mutating func takeBigEndian(_ n: Int) throws(HessianFault) -> Int {
    guard n <= bytes.count - position else { throw .truncated }
    var value = 0
    for i in 0..<n { value = value << 8 | Int(bytes[position + i]) }
    position += n
    return value
  }

  // MARK: Numbers

  /// An int in any of its forms.
  private mutating func takeInt() throws(HessianFault) -> Int {
    let tag = try take()
    switch tag {
    case 0x80...0xbf: return Int(tag) - 0x90
    case 0xc0...0xcf: return try (Int(tag) - 0xc8) << 8 + takeBigEndian(1)
    case 0xd0...0xd7: return try (Int(tag) - 0xd4) << 16 + takeBigEndian(2)
    case 0x49: return Int(Int32(truncatingIfNeeded: try takeBigEndian(4)))
    default: throw .malformed
    }
  }

  /// How many follow, or which one is meant.
  private mutating func takeCount() throws(HessianFault) -> Int {
    let n = try takeInt()
    guard n >= 0 else { throw .malformed }
    return n
  }

  // MARK: Texts

  /// Steps over the characters of one chunk. *Returns*: whether all of them are ASCII.
  ///
  /// Hessian counts UTF-16 units and writes each apart, a pair of surrogates as twice three bytes. Some encoders write such a character as UTF-8
  /// does, in four bytes, and count one.
  private mutating func skipCharacters(_ count: Int) throws(HessianFault) -> Bool {
    guard count <= bytes.count - position else { throw .truncated }
    var isASCII = true
    for _ in 0..<count {
      let lead = try take()
      if lead < 0x80 { continue }
      isASCII = false
      let more: Int
      switch lead {
      case 0xc2...0xdf: more = 1
      case 0xe0...0xef: more = 2
      case 0xf0...0xf4: more = 3
      // U+0000 in two bytes is Java's.
      case 0xc0: more = 1
      default: throw .malformed
      }
      for _ in 0..<more where try take() & 0xc0 != 0x80 { throw .malformed }
    }
    return isASCII
  }

  /// The chunks of a text whose first byte is next. `each` gets the bytes of each chunk.
  private mutating func takeChunks(_ each: (ByteView) -> Void) throws(HessianFault) -> (isASCII: Bool, chunks: Int) {
    var isASCII = true
    var chunks = 0
    while true {
      let tag = try take()
      let count: Int
      switch tag {
      case 0x00...0x1f: count = Int(tag)
      case 0x30...0x33: count = try Int(tag - 0x30) << 8 + takeBigEndian(1)
      case 0x52, 0x53: count = try takeBigEndian(2)
      default: throw .malformed
      }
      try spend()
      let start = position
      if try !skipCharacters(count) { isASCII = false }
      each(bytes[start..<position])
      chunks += 1
      if tag != 0x52 { return (isASCII, chunks) }
    }
  }

  private func isText(_ tag: UInt8) -> Bool { tag < 0x20 || (0x30...0x33).contains(tag) || tag == 0x52 || tag == 0x53 }

  package enum Text {
    case null
    /// In the body where that has it in one piece of ASCII, else in `scratch`'s arena as UTF-8.
    case text(ByteView)
    /// With half a pair of surrogates, or NUL: no text that could stand elsewhere.
    case unrepresentable
    /// Another value; it was stepped over.
    case none
  }

  /// The next value, if it is a text.
  package mutating func text(_ scratch: MessageHead) throws(HessianFault) -> Text {
    let tag = try peek()
    if tag == 0x4e {
      position += 1
      return .null
    }
    guard isText(tag) else {
      try skipValue()
      return .none
    }
    let start = position
    var only = ByteView.empty
    let shape = try takeChunks { only = $0 }
    let size = position - start
    guard size <= limits.textBytes else { throw .tooMuch }
    if shape.isASCII, shape.chunks == 1 { return only.contains(0) ? .unrepresentable : .text(only) }
    // Once more, into the arena: UTF-8 is never longer than what Hessian writes.
    position = start
    var isSound = true
    var failure: HessianFault?
    let text = unsafe scratch.build(size) { room in
      guard let base = room.baseAddress else { return 0 }
      var used = 0
      do throws(HessianFault) {
        _ = try takeChunks { chunk in
          let n = min(chunk.count, size - used)
          unsafe (base + used).copyMemory(from: chunk.base, byteCount: n)
          used += n
        }
      } catch { failure = error }
      return unsafe CESU8.normalise(room, used, &isSound)
    }
    if let failure { throw failure }
    return isSound && !text.contains(0) ? .text(text) : .unrepresentable
  }

  // MARK: Any value

  private mutating func spend() throws(HessianFault) {
    valuesLeft -= 1
    if valuesLeft < 0 { throw .tooMuch }
  }

  /// Steps over the next value.
  package mutating func skipValue() throws(HessianFault) { try skipValue(0) }

  private mutating func skipValue(_ depth: Int) throws(HessianFault) {
    guard depth <= limits.depth else { throw .tooMuch }
    try takeClasses()
    try spend()
    let tag = try peek()
    if isText(tag) {
      _ = try takeChunks { _ in }
      return
    }
    position += 1
    switch tag {
    case 0x20...0x2f: try skip(bytes: Int(tag) - 0x20)
    case 0x34...0x37: try skip(bytes: Int(tag - 0x34) << 8 + takeBigEndian(1))
    case 0x41, 0x42: try skipBinary(tag)
    case 0x46, 0x4e, 0x54, 0x5b, 0x5c: break
    case 0x80...0xbf, 0xd8...0xef: break
    case 0x5d, 0xc0...0xcf, 0xf0...0xff: try skip(bytes: 1)
    case 0x5e, 0xd0...0xd7, 0x38...0x3f: try skip(bytes: 2)
    case 0x49, 0x4b, 0x59, 0x5f: try skip(bytes: 4)
    case 0x44, 0x4a, 0x4c: try skip(bytes: 8)
    case 0x51: _ = try takeCount()
    case 0x48:
      try skipUntilEnd(depth)
    case 0x4d:
      try skipType()
      try skipUntilEnd(depth)
    case 0x55:
      try skipType()
      try skipUntilEnd(depth)
    case 0x57:
      try skipUntilEnd(depth)
    case 0x56:
      try skipType()
      try skipValues(takeCount(), depth)
    case 0x58:
      try skipValues(takeCount(), depth)
    case 0x70...0x77:
      try skipType()
      try skipValues(Int(tag) - 0x70, depth)
    case 0x78...0x7f:
      try skipValues(Int(tag) - 0x78, depth)
    case 0x4f:
      try skipValues(fields(takeCount()), depth)
    case 0x60...0x6f:
      try skipValues(fields(Int(tag) - 0x60), depth)
    default: throw .malformed
    }
  }

  private mutating func skipValues(_ n: Int, _ depth: Int) throws(HessianFault) {
    // Each takes a byte at least: what cannot be there is not counted down to.
    guard n <= bytes.count - position else { throw .truncated }
    for _ in 0..<n { try skipValue(depth + 1) }
  }

  private mutating func skipUntilEnd(_ depth: Int) throws(HessianFault) {
    while try peek() != 0x5a { try skipValue(depth + 1) }
    position += 1
  }

  private mutating func skipBinary(_ first: UInt8) throws(HessianFault) {
    var tag = first
    while true {
      switch tag {
      case 0x41, 0x42: try skip(bytes: takeBigEndian(2))
      case 0x20...0x2f: try skip(bytes: Int(tag) - 0x20)
      case 0x34...0x37: try skip(bytes: Int(tag - 0x34) << 8 + takeBigEndian(1))
      default: throw .malformed
      }
      if tag != 0x41 { return }
      try spend()
      tag = try take()
    }
  }

  /// The type of a list or map: its name, or the number of a name that came before.
  private mutating func skipType() throws(HessianFault) {
    if isText(try peek()) { _ = try takeChunks { _ in } } else { _ = try takeCount() }
  }

  /// A class: its name, and the names of its fields.
  private mutating func takeClass() throws(HessianFault) {
    position += 1
    try spend()
    guard classCount < DubboLimits.classes else { throw .tooMuch }
    guard isText(try peek()) else { throw .malformed }
    _ = try takeChunks { _ in }
    let count = try takeCount()
    guard count <= bytes.count - position, count <= UInt16.max else { throw .malformed }
    for _ in 0..<count {
      guard isText(try peek()) else { throw .malformed }
      _ = try takeChunks { _ in }
    }
    fieldCounts[classCount] = UInt16(count)
    classCount += 1
  }

  private func fields(_ number: Int) throws(HessianFault) -> Int {
    guard number < classCount else { throw .malformed }
    return Int(fieldCounts[number])
  }

  // MARK: A map of texts

  /// Definitions stand in front of the instance that needs them first; a reader takes them in front of any value.
  private mutating func takeClasses() throws(HessianFault) {
    while try peek() == 0x43 { try takeClass() }
  }

  /// The next value as a text, as readers of any value take it.
  package mutating func value(_ scratch: MessageHead) throws(HessianFault) -> Text {
    try takeClasses()
    return try text(scratch)
  }

  /// Calls `entry` for each pair of the map that is the next value. *Errors*: what is neither a map nor null, though a reader might make a map of
  /// it (an object of a map's class, a reference to one); a key that is no text.
  package mutating func textMap(
    _ scratch: MessageHead, _ entry: (ByteView, Text) throws(HessianFault) -> Void
  ) throws(HessianFault) {
    switch try take() {
    case 0x4e: return
    case 0x48: break
    case 0x4d: try skipType()
    default: throw .malformed
    }
    while try peek() != 0x5a {
      try spend()
      guard case .text(let name) = try text(scratch) else { throw .malformed }
      try entry(name, try value(scratch))
    }
    position += 1
  }
}

/// The encoding in which Java writes texts: each UTF-16 unit by itself.
enum CESU8 {
  /// Makes UTF-8 of the first `count` bytes of `room`, in place: pairs of surrogates become one character of four bytes, NUL in two bytes one
  /// byte. What else is well formed stays. *Returns*: how many bytes remain; clears `isSound` at half a pair.
  static func normalise(_ room: UnsafeMutableRawBufferPointer, _ count: Int, _ isSound: inout Bool) -> Int {
    var read = 0
    var written = 0
    while read < count {
      let lead = unsafe room[read]
      if lead == 0xc0 {
        unsafe room[written] = 0
        (read, written) = (read + 2, written + 1)
        continue
      }
      let length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
      if read + length > count {
        isSound = false
        return written
      }
      if lead == 0xed, unsafe room[read + 1] >= 0xa0 {
        // A surrogate: the first of a pair, or it stands alone.
        guard unsafe room[read + 1] < 0xb0, read + 6 <= count, unsafe room[read + 3] == 0xed,
          unsafe room[read + 4] >= 0xb0
        else {
          isSound = false
          return written
        }
        let high = unsafe UInt32(room[read + 1] & 0x0f) << 6 | UInt32(room[read + 2] & 0x3f)
        let low = unsafe UInt32(room[read + 4] & 0x0f) << 6 | UInt32(room[read + 5] & 0x3f)
        let scalar = 0x1_0000 + high << 10 + low
        unsafe room[written] = UInt8(truncatingIfNeeded: 0xf0 | scalar >> 18)
        unsafe room[written + 1] = UInt8(truncatingIfNeeded: 0x80 | scalar >> 12 & 0x3f)
        unsafe room[written + 2] = UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3f)
        unsafe room[written + 3] = UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3f)
        (read, written) = (read + 6, written + 4)
        continue
      }
      // Overlong forms, and what lies beyond Unicode, are two ways to say one thing.
      let second = length > 1 ? unsafe room[read + 1] : 0
      if lead == 0xe0 && second < 0xa0 || lead == 0xf0 && second < 0x90 || lead == 0xf4 && second > 0x8f {
        isSound = false
        return written
      }
      for i in 0..<length { unsafe room[written + i] = unsafe room[read + i] }
      (read, written) = (read + length, written + length)
    }
    return written
  }
}
