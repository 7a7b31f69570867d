// The dynamic table (RFC 7541 §2.3.2): entries in a ring, their bytes in one sliding buffer.

internal import Glibc
import WeftBase

/// First-in-first-out table without an allocation per entry.
///
/// *Shape*: bytes are appended at the end of a buffer at most about twice the table's size; when the end is reached the
/// live bytes move to the front. Memory is taken with the first insertion and grows with use.
///
/// Why sound: an entry's bytes lie in `[offset, offset + nameCount + valueCount)` below `writeAt ≤ byteCapacity`; the ring
/// is grown before it is full.
@safe
struct HPACKDynamicTable: ~Copyable {
  struct Entry: BitwiseCopyable {
    var offset: UInt32 = 0
    var nameCount: UInt16 = 0
    var id = HeaderName.other
    var pseudo = PseudoField.none
    var valueCount: UInt32 = 0
    /// Hash of name and value, for the encoder.
    var hash: UInt32 = 0
  }

  private var bytes: UnsafeMutableRawPointer?
  private var byteCapacity = 0
  private var writeAt = 0
  private var ring: UnsafeMutablePointer<Entry>?
  private var ringCapacity = 0
  /// Entries ever inserted; the newest has number `inserted − 1`.
  private(set) var inserted: UInt32 = 0
  private(set) var count = 0
  /// Size as RFC 7541 §4.1 counts it.
  private(set) var size = 0
  private(set) var maxSize: Int

  init(maxSize: Int) {
    unsafe bytes = nil
    unsafe ring = nil
    self.maxSize = maxSize
  }

  deinit {
    unsafe free(bytes)
    unsafe ring?.deallocate()
  }

  /// Bytes of live entries, which are the newest written.
  private var liveBytes: Int { size - 32 * count }

  mutating func resize(to newSize: Int) {
    maxSize = newSize
    evict(untilRoomFor: 0)
  }

  /// Entry by age, 0 the newest.
  @inline(__always)
  func entry(_ age: Int) -> Entry {
    precondition(age >= 0 && age < count)
    return unsafe ring.unsafelyUnwrapped[Int(inserted &- 1 &- UInt32(age)) & (ringCapacity &- 1)]
  }

  /// How many were inserted after the newest entry whose insertion number ends in `number`; nil when it is gone.
  @inline(__always)
  func age(numbered number: UInt8) -> Int? {
    let age = Int(UInt8(truncatingIfNeeded: inserted &- 1) &- number)
    return age < count ? age : nil
  }

  /// Valid until the next insertion or resize.
  @inline(__always)
  func name(_ entry: Entry) -> ByteView {
    guard let bytes = unsafe bytes else { return .empty }
    return unsafe ByteView(UnsafeRawPointer(bytes + Int(entry.offset)), count: Int(entry.nameCount))
  }

  /// Valid until the next insertion or resize.
  @inline(__always)
  func value(_ entry: Entry) -> ByteView {
    guard let bytes = unsafe bytes else { return .empty }
    return unsafe ByteView(
      UnsafeRawPointer(bytes + Int(entry.offset) + Int(entry.nameCount)), count: Int(entry.valueCount))
  }

  /// Inserts at the front, evicting the oldest. A field larger than the table empties it (§4.4).
  /// `name` and `value` must not be views of this table.
  mutating func insert(name: ByteView, value: ByteView, id: HeaderName, pseudo: PseudoField, hash: UInt32 = 0) {
    let need = name.count + value.count
    evict(untilRoomFor: need + 32)
    guard need + 32 <= maxSize, name.count <= Int(UInt16.max) else { return }
    makeRoom(need)
    if count == ringCapacity { growRing() }
    guard let bytes = unsafe bytes, let ring = unsafe ring else { return }
    unsafe memcpy(bytes + writeAt, name.base, name.count)
    unsafe memcpy(bytes + writeAt + name.count, value.base, value.count)
    unsafe ring[Int(inserted) & (ringCapacity - 1)] = Entry(
      offset: UInt32(writeAt), nameCount: UInt16(name.count), id: id, pseudo: pseudo,
      valueCount: UInt32(value.count), hash: hash)
    writeAt += need
    inserted &+= 1
    count += 1
    size += need + 32
  }

  private mutating func evict(untilRoomFor need: Int) {
    while count > 0, size + need > maxSize {
      let oldest = entry(count - 1)
      size -= Int(oldest.nameCount) + Int(oldest.valueCount) + 32
      count -= 1
    }
  }

  /// Gives back what its entries do not need.
  mutating func shrink() {
    if count == 0 {
      unsafe free(bytes)
      unsafe ring?.deallocate()
      unsafe bytes = nil
      unsafe ring = nil
      (byteCapacity, writeAt, ringCapacity) = (0, 0, 0)
      return
    }
    if liveBytes < byteCapacity { moveBytes(to: liveBytes) }
    var fitting = 1
    while fitting < count { fitting *= 2 }
    if fitting < ringCapacity { moveRing(to: fitting) }
  }

  private mutating func makeRoom(_ need: Int) {
    if unsafe bytes != nil, writeAt + need <= byteCapacity { return }
    let wanted = (liveBytes + need) * 2
    var capacity = max(byteCapacity, 128)
    while capacity < wanted { capacity *= 2 }
    moveBytes(to: capacity)
  }

  /// Live bytes to the front, of a block of `capacity` bytes.
  private mutating func moveBytes(to capacity: Int) {
    let live = liveBytes
    let start = writeAt - live
    if let bytes = unsafe bytes, capacity == byteCapacity {
      unsafe memmove(bytes, bytes + start, live)
    } else {
      // A block of no bytes would be no block.
      guard let fresh = unsafe malloc(max(capacity, 1)) else { fatalError("out of memory") }
      if let bytes = unsafe bytes {
        unsafe memcpy(fresh, bytes + start, live)
        unsafe free(bytes)
      }
      unsafe bytes = fresh
      byteCapacity = capacity
    }
    if let ring = unsafe ring {
      for age in 0..<count {
        unsafe ring[Int(inserted &- 1 &- UInt32(age)) & (ringCapacity - 1)].offset -= UInt32(start)
      }
    }
    writeAt = live
  }

  private mutating func growRing() { moveRing(to: max(4, ringCapacity * 2)) }

  /// `capacity`: a power of two, at least `count`.
  private mutating func moveRing(to capacity: Int) {
    let fresh = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
    unsafe fresh.initialize(repeating: Entry(), count: capacity)
    for age in 0..<count { unsafe fresh[Int(inserted &- 1 &- UInt32(age)) & (capacity - 1)] = entry(age) }
    unsafe ring?.deallocate()
    unsafe ring = fresh
    ringCapacity = capacity
  }
}
