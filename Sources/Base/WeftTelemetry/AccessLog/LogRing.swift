import Synchronization
import WeftBase

/// Bytes on their way from one worker to the thread that writes files.
///
/// *Shape*: a ring with one producer and one consumer, no lock. *Errors*: a line that does not fit is dropped whole.
/// Why sound: the producer writes only between `tail` and `head + capacity` and publishes with a release store that the
/// consumer acquires, and the
/// other way round for space.
@safe
final class LogRing: @unchecked Sendable {  // one producer, one consumer; positions are atomic
  let capacity: Int
  private let storage: UnsafeMutableRawPointer
  private let head = Atomic<Int>(0)
  private let tail = Atomic<Int>(0)

  init(capacity: Int) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0)
    self.capacity = capacity
    unsafe storage = .allocate(byteCount: capacity, alignment: 64)
  }

  deinit { unsafe storage.deallocate() }

  /// Bytes waiting.
  var count: Int { tail.load(ordering: .acquiring) &- head.load(ordering: .acquiring) }

  /// Producer: appends all of `line` or nothing.
  func append(_ line: ByteView) -> Bool {
    let end = tail.load(ordering: .relaxed)
    guard line.count <= capacity - (end - head.load(ordering: .acquiring)) else { return false }
    let offset = end & (capacity - 1)
    let first = min(line.count, capacity - offset)
    unsafe (storage + offset).copyMemory(from: line.base, byteCount: first)
    if first < line.count { unsafe storage.copyMemory(from: line.base + first, byteCount: line.count - first) }
    tail.store(end + line.count, ordering: .releasing)
    return true
  }

  /// Consumer: hands out what waits in one or two pieces; `body` returns how much of its piece it took.
  func drain(_ body: (ByteView) -> Int) {
    while true {
      let start = head.load(ordering: .relaxed)
      let waiting = tail.load(ordering: .acquiring) - start
      if waiting == 0 { return }
      let offset = start & (capacity - 1)
      let piece = unsafe ByteView(storage + offset, count: min(waiting, capacity - offset))
      let taken = body(piece)
      head.store(start + taken, ordering: .releasing)
      if taken < piece.count { return }
    }
  }
}
