// FilterBlocks: the memory of streams' filter states.

import WeftBase
import WeftProxyAPI
import WeftTelemetry

/// Blocks of one size by number, so that a slot holds no pointer. A free block's first word names the next free one.
///
/// *Shape*: chunks of 64 blocks that never move, taken when first needed. *Errors*: `take` answers nil at `limit`, and when a chain's states do not
/// fit (the builder refuses such chains).
///
/// Why sound: a block belongs to the stream that took it until it is given back; numbers are checked; the builder bounds what is written.
@safe
struct FilterBlocks: ~Copyable {
  static var blockSize: Int { FilterChainBuilder.largestBlock }
  static var blocksPerChunk: Int { 64 }
  /// Blocks in use at once: one for each stream that has filters with a state.
  static var limit: Int { 1 << 20 }

  private var chunks = unsafe [UnsafeMutableRawPointer]()
  private var firstFree = UInt32.max
  private(set) var lent = 0

  init() {}

  deinit { for i in unsafe chunks.indices { unsafe chunks[i].deallocate() } }

  @inline(__always)
  @unsafe func address(_ block: UInt32) -> UnsafeMutableRawPointer {
    unsafe chunks[Int(block) / Self.blocksPerChunk] + Int(block) % Self.blocksPerChunk * Self.blockSize
  }

  /// A block with the chain's initial states in it, or nil at the limit.
  mutating func take(_ image: ConstantTable<UInt64>) -> UInt32? {
    if firstFree == .max, !grow() { return nil }
    let block = firstFree
    let place = unsafe address(block)
    firstFree = unsafe place.load(as: UInt32.self)
    lent += 1
    for i in image.indices { unsafe place.storeBytes(of: image[i], toByteOffset: 8 * i, as: UInt64.self) }
    return block
  }

  mutating func give(_ block: UInt32) {
    unsafe address(block).storeBytes(of: firstFree, as: UInt32.self)
    firstFree = block
    lent -= 1
  }

  /// Which configuration each filter of a stream has when its route changed on the way: `old` up to position `last`, `new` behind it. The table lies
  /// in the stream's block, at the place that the builder has left for it.
  func mix(_ block: UInt32, at offset: Int, _ old: FilterConfigs, upTo last: Int, _ new: FilterConfigs) -> FilterConfigs
  {
    let place = unsafe (address(block) + offset).bindMemory(to: FilterConfigSlot.self, capacity: new.count)
    // `old` may be the table that lies there already.
    for i in new.indices { unsafe (place + i).initialize(to: i <= last && i < old.count ? old[i] : new[i]) }
    return unsafe FilterConfigs(base: UnsafePointer(place), count: new.count)
  }

  private mutating func grow() -> Bool {
    let first = unsafe chunks.count * Self.blocksPerChunk
    guard first < Self.limit else { return false }
    let bytes = Self.blockSize * Self.blocksPerChunk
    unsafe chunks.append(.allocate(byteCount: bytes, alignment: 64))
    for i in (first..<first + Self.blocksPerChunk).reversed() {
      unsafe address(UInt32(i)).storeBytes(of: firstFree, as: UInt32.self)
      firstFree = UInt32(i)
    }
    return true
  }
}
