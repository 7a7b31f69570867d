import Glibc
import Synchronization
import WeftBase

/// A run of whole lines in memory: one thread fills it, another one takes from it.
///
/// Why sound: the filling thread writes only behind `published` and makes bytes visible with a release store; the taking thread reads only
/// what it has acquired, and frees a chunk only when it was given back under its queue's lock.
@safe
struct LogChunk: BitwiseCopyable, @unchecked Sendable {  // see above
  private struct Header: ~Copyable {
    let published = Atomic<Int>(0)
    /// The taking thread's.
    var taken = 0
    let capacity: Int
  }

  private static let headerBytes = 64
  private let header: UnsafeMutablePointer<Header>

  private init(_ header: UnsafeMutablePointer<Header>) { unsafe self.header = header }

  /// *Cost*: an allocation. Nil when there is no memory.
  static func make(capacity: Int) -> LogChunk? {
    guard let block = unsafe malloc(headerBytes + capacity) else { return nil }
    let header = unsafe block.bindMemory(to: Header.self, capacity: 1)
    unsafe header.initialize(to: Header(capacity: capacity))
    return unsafe LogChunk(header)
  }

  func free() {
    unsafe header.deinitialize(count: 1)
    unsafe Glibc.free(header)
  }

  private var base: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(header) + Self.headerBytes }
  var capacity: Int { unsafe header.pointee.capacity }

  // MARK: The filling thread

  /// Puts `line` at `offset`, where the last one ended, and publishes it.
  func put(_ line: ByteView, at offset: Int) {
    precondition(offset >= 0 && line.count <= capacity - offset)
    unsafe (base + offset).copyMemory(from: line.base, byteCount: line.count)
    unsafe header.pointee.published.store(offset + line.count, ordering: .releasing)
  }

  // MARK: The taking thread

  /// What is published and not taken.
  var waiting: ByteView {
    let taken = unsafe header.pointee.taken
    return unsafe ByteView(base + taken, count: header.pointee.published.load(ordering: .acquiring) - taken)
  }

  func take(_ count: Int) { unsafe header.pointee.taken += count }

  /// Goes back to the beginning of a line of which only a part was taken.
  func rewindToLine() {
    var taken = unsafe header.pointee.taken
    while taken > 0, unsafe (base + taken - 1).load(as: UInt8.self) != UInt8(ascii: "\n") { taken -= 1 }
    unsafe header.pointee.taken = taken
  }

  /// Makes an emptied chunk ready to be filled again.
  func reset() {
    unsafe header.pointee.taken = 0
    unsafe header.pointee.published.store(0, ordering: .relaxed)
  }
}
