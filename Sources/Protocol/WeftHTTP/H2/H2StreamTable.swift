// Streams of one connection, found by number.

import WeftBase

/// A stream's state, as long as either side may still send on it (or content waits to be credited).
struct H2Stream: BitwiseCopyable {
  /// What comes and goes, and what kind of stream it is.
  struct Facts: OptionSet, BitwiseCopyable {
    let rawValue: UInt8

    /// `sendData` accepted less than it was given.
    static var waitsForWindow: Facts { Facts(rawValue: 1 << 0) }
    /// The response may have no content whatever it declares: to HEAD, 204, 304.
    static var noContent: Facts { Facts(rawValue: 1 << 1) }
    /// The request was HEAD.
    static var answersHEAD: Facts { Facts(rawValue: 1 << 2) }
  }

  /// 0: the slot is free.
  var id: H2StreamID = 0
  var received = H2Side.awaitingHead
  var sent = H2Side.awaitingHead
  var facts: Facts = []
  /// Informational responses so far.
  var informational: UInt8 = 0
  /// What we may send, what the peer may send. Either may be negative after a settings change.
  var sendWindow: Int64 = 0
  var receiveWindow: Int64 = 0
  /// Content received that the owner has not reported as consumed, and consumed content not yet credited to the peer.
  var unconsumed: UInt32 = 0
  var pendingCredit: UInt32 = 0
  /// Declared length still to come; negative when none was declared.
  var contentLeft: Int64 = -1
  var openedAt: UInt64 = 0
  var user: UInt64 = 0

  /// Both sides have ended and all content is accounted for.
  var isDone: Bool { isClosed && unconsumed == 0 }
  /// Both sides have ended.
  var isClosed: Bool { received.isClosed && sent.isClosed }
  /// Reset.
  var isDead: Bool { received == .reset }

  mutating func reset() {
    received.reset()
    sent.reset()
  }
}

/// Open addressing by stream number with linear probing and backward-shift removal.
///
/// *Shape*: no memory before the first stream; then 56 bytes per slot, at most half of them used.
/// Why sound: every index is masked by `capacity − 1`; pointers handed out are used before the next insertion or removal.
@safe
struct H2StreamTable: ~Copyable {
  private var slots: UnsafeMutablePointer<H2Stream>?
  private(set) var capacity = 0
  private(set) var count = 0

  init() { unsafe slots = nil }

  deinit { unsafe slots?.deallocate() }

  @inline(__always)
  private func home(_ id: H2StreamID) -> Int {
    Int(truncatingIfNeeded: (UInt64(id >> 1) &* 0x9e37_79b9_7f4a_7c15) >> 40) & (capacity &- 1)
  }

  /// Index of `id`'s slot.
  @inline(__always)
  func find(_ id: H2StreamID) -> Int? {
    guard let slots = unsafe slots, id != 0 else { return nil }
    var i = home(id)
    while unsafe slots[i].id != 0 {
      if unsafe slots[i].id == id { return i }
      i = (i &+ 1) & (capacity &- 1)
    }
    return nil
  }

  /// The slot at `index` (0 ..< capacity), free or not.
  subscript(index: Int) -> H2Stream {
    @inline(__always) get {
      precondition(index >= 0 && index < capacity)
      return unsafe slots.unsafelyUnwrapped[index]
    }
    @inline(__always) nonmutating _modify {
      precondition(index >= 0 && index < capacity)
      yield unsafe &slots.unsafelyUnwrapped[index]
    }
  }

  /// Adds `stream`, whose number is not in the table; returns its index.
  @discardableResult
  mutating func insert(_ stream: H2Stream) -> Int {
    if (count + 1) * 2 > capacity { grow() }
    count += 1
    return place(stream)
  }

  mutating func remove(at index: Int) {
    guard let slots = unsafe slots else { return }
    precondition(index >= 0 && index < capacity)
    count -= 1
    let mask = capacity - 1
    var hole = index
    var i = (index + 1) & mask
    while unsafe slots[i].id != 0 {
      let distance = unsafe (i - home(slots[i].id)) & mask
      if distance >= (i - hole) & mask {
        unsafe slots[hole] = slots[i]
        hole = i
      }
      i = (i + 1) & mask
    }
    unsafe slots[hole] = H2Stream()
  }

  /// Gives back the memory of a table that is empty.
  mutating func shrink() {
    guard count == 0 else { return }
    unsafe slots?.deallocate()
    unsafe slots = nil
    capacity = 0
  }

  private func place(_ stream: H2Stream) -> Int {
    guard let slots = unsafe slots else { return 0 }
    var i = home(stream.id)
    while unsafe slots[i].id != 0 { i = (i + 1) & (capacity - 1) }
    unsafe slots[i] = stream
    return i
  }

  private mutating func grow() {
    let old = unsafe slots
    let oldCapacity = capacity
    capacity = max(2, capacity * 2)
    let fresh = UnsafeMutablePointer<H2Stream>.allocate(capacity: capacity)
    unsafe fresh.initialize(repeating: H2Stream(), count: capacity)
    unsafe slots = fresh
    guard let old = unsafe old else { return }
    for i in 0..<oldCapacity where unsafe old[i].id != 0 { _ = unsafe place(old[i]) }
    unsafe old.deallocate()
  }
}
