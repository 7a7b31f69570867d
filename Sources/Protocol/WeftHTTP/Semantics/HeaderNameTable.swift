// The lookup behind `HeaderName.find`: a perfect hash over length, first and last word of the lower-cased name.

internal import Glibc
public import WeftBase

/// The process-wide lookup table of well-known names.
///
/// Why sound: both arrays are filled once in `init`, never written or freed after, and indexed below their fixed sizes.
@safe @frozen @usableFromInline
package struct HeaderNameTable: @unchecked Sendable {
  static let bits: UInt64 = 11
  @usableFromInline let slots: UnsafeMutablePointer<HeaderName>
  @usableFromInline let entries: UnsafeMutablePointer<Entry>
  @usableFromInline let multiplier: UInt64

  @safe @frozen @usableFromInline
  struct Entry {
    @usableFromInline var head: UInt64
    @usableFromInline var tail: UInt64
    @usableFromInline var text: UnsafeRawPointer
    @usableFromInline var count: Int
  }

  package static let shared = HeaderNameTable()

  private init() {
    let names = HeaderName.allCases
    unsafe entries = .allocate(capacity: names.count)
    unsafe slots = .allocate(capacity: 1 << Int(Self.bits))
    for name in names {
      let view = ByteView(name.text)
      let (head, tail) = name == .other ? (0, 0) : Self.words(view)
      let entry = unsafe Entry(head: head, tail: tail, text: view.base, count: name == .other ? -1 : view.count)
      unsafe (entries + Int(name.rawValue)).initialize(to: entry)
    }
    // Any odd multiplier is a hash; take the first that gives every name its own slot (about one in twenty does). Two names
    // alike in all three words would never part: the bound turns that mistake of ours into a message.
    var attempts = 0
    var random = RandomSource(seed: 0x5745_4654)
    while true {
      attempts += 1
      precondition(attempts < 100_000, "two well-known names share one hash")
      let candidate = random.next() | 1
      unsafe slots.initialize(repeating: .other, count: 1 << Int(Self.bits))
      var collision = false
      for name in names where name != .other {
        let slot = Self.slot(ByteView(name.text), candidate)
        if unsafe slots[slot] != .other {
          collision = true
          break
        }
        unsafe slots[slot] = name
      }
      if !collision {
        multiplier = candidate
        break
      }
    }
  }

  /// The identifier of `name`, compared without case.
  @inline(__always)
  func find(_ name: ByteView) -> HeaderName {
    if name.count == 0 { return .other }
    let (head, tail) = Self.words(name)
    let id = unsafe slots[Self.slot(head, tail, Self.middle(name), multiplier)]
    let entry = unsafe entries + Int(id.rawValue)
    guard unsafe entry.pointee.count == name.count, unsafe entry.pointee.head == head,
      unsafe entry.pointee.tail == tail
    else { return .other }
    if name.count > 16 {
      var i = 8
      while i < name.count - 8 {
        let at = min(i, name.count - 8)
        let word = unsafe name.base.loadUnaligned(fromByteOffset: at, as: UInt64.self) | 0x2020_2020_2020_2020
        let mine = unsafe entry.pointee.text.loadUnaligned(fromByteOffset: at, as: UInt64.self)
        if word != mine { return .other }
        i += 8
      }
    }
    return id
  }

  /// The canonical spelling of a name other than `.other`, in static memory.
  @inlinable @inline(__always)
  func text(of name: HeaderName) -> ByteView {
    let entry = unsafe entries + Int(name.rawValue)
    return unsafe ByteView(entry.pointee.text, count: entry.pointee.count)
  }

  /// First and last bytes of `name` with the letter-case bit set, zero-extended. Never reads outside the view.
  @inline(__always)
  static func words(_ name: ByteView) -> (UInt64, UInt64) {
    let fold: UInt64 = 0x2020_2020_2020_2020
    let n = name.count
    let base = unsafe name.base
    if n >= 8 {
      return (
        unsafe base.loadUnaligned(as: UInt64.self) | fold,
        unsafe base.loadUnaligned(fromByteOffset: n &- 8, as: UInt64.self) | fold
      )
    }
    if n >= 4 {
      return (
        unsafe UInt64(base.loadUnaligned(as: UInt32.self)) | fold,
        unsafe UInt64(base.loadUnaligned(fromByteOffset: n &- 4, as: UInt32.self)) | fold
      )
    }
    let bytes =
      unsafe UInt64(base.load(as: UInt8.self))
      | UInt64(base.load(fromByteOffset: n &- 1, as: UInt8.self)) << 8
      | UInt64(base.load(fromByteOffset: n &>> 1, as: UInt8.self)) << 16
    return (bytes | fold, UInt64(n))
  }

  /// Where many long names differ that begin and end alike: eight bytes around the middle, and the length.
  @inline(__always)
  static func middle(_ name: ByteView) -> UInt64 {
    let n = name.count
    if n < 16 { return UInt64(n) }
    let word = unsafe name.base.loadUnaligned(fromByteOffset: (n &>> 1) &- 4, as: UInt64.self)
    return (word | 0x2020_2020_2020_2020) &+ UInt64(n)
  }

  @inline(__always)
  static func slot(_ head: UInt64, _ tail: UInt64, _ middle: UInt64, _ multiplier: UInt64) -> Int {
    let mixed = (head ^ (tail &<< 23 | tail &>> 41) ^ (middle &<< 43 | middle &>> 21)) &* multiplier
    return Int(truncatingIfNeeded: mixed &>> (64 &- bits))
  }

  private static func slot(_ name: ByteView, _ multiplier: UInt64) -> Int {
    let (head, tail) = words(name)
    return slot(head, tail, middle(name), multiplier)
  }
}
