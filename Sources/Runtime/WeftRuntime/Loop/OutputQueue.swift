// OutputQueue: bytes a socket would not take yet, as a list of pooled blocks.

import Glibc
import WeftBase

/// A list of pooled blocks; each begins with its own header.
///
/// Why sound: blocks belong to the queue from `append` to `consume` or `clear`; `start ≤ end ≤ capacity` in each.
@safe
struct OutputQueue: BitwiseCopyable {
  @safe
  struct Chunk: BitwiseCopyable {
    var next: UnsafeMutableRawPointer?
    var capacity: Int
    var start: Int
    var end: Int
  }

  static let headerBytes = 32
  static let smallest = 4096
  static let largest = 65536

  private var first: UnsafeMutableRawPointer?
  private var last: UnsafeMutableRawPointer?
  private(set) var count = 0

  init() {
    unsafe first = nil
    unsafe last = nil
  }

  var isEmpty: Bool { count == 0 }

  /// Appends a copy of `bytes`.
  mutating func append(_ bytes: ByteView, pool: BufferPool) {
    var rest = bytes
    while !rest.isEmpty {
      if let last = unsafe last {
        let chunk = unsafe last.assumingMemoryBound(to: Chunk.self)
        let n = unsafe min(chunk.pointee.capacity - chunk.pointee.end, rest.count)
        if n > 0 {
          unsafe memcpy(last + chunk.pointee.end, rest.base, n)
          unsafe chunk.pointee.end += n
          count += n
          rest = rest.dropFirst(n)
          continue
        }
      }
      let block = pool.take(
        atLeast: max(Self.smallest, min(Self.largest, rest.count + Self.headerBytes)))
      let chunk = unsafe Chunk(
        next: nil, capacity: block.capacity, start: Self.headerBytes, end: Self.headerBytes)
      unsafe block.base.bindMemory(to: Chunk.self, capacity: 1).initialize(to: chunk)
      if let last = unsafe last {
        unsafe last.assumingMemoryBound(to: Chunk.self).pointee.next = block.base
      } else {
        unsafe first = block.base
      }
      unsafe last = block.base
    }
  }

  /// Fills `vectors` with the front of the queue; returns how many and how many bytes they hold.
  func gather(_ vectors: UnsafeMutableBufferPointer<WriteVector>) -> (vectors: Int, bytes: Int) {
    var n = 0
    var bytes = 0
    var next = unsafe first
    while let block = unsafe next, n < vectors.count {
      let chunk = unsafe block.assumingMemoryBound(to: Chunk.self).pointee
      unsafe vectors[n] = WriteVector(base: block + chunk.start, count: chunk.end - chunk.start)
      n += 1
      bytes += chunk.end - chunk.start
      unsafe next = chunk.next
    }
    return (n, bytes)
  }

  /// Drops `n` bytes from the front.
  mutating func consume(_ n: Int, pool: BufferPool) {
    precondition(n <= count)
    count -= n
    var rest = n
    while let block = unsafe first {
      let chunk = unsafe block.assumingMemoryBound(to: Chunk.self)
      let have = unsafe chunk.pointee.end - chunk.pointee.start
      if rest < have {
        unsafe chunk.pointee.start += rest
        return
      }
      rest -= have
      unsafe first = chunk.pointee.next
      if unsafe first == nil { unsafe last = nil }
      unsafe pool.give(PooledBlock(base: block, capacity: chunk.pointee.capacity))
    }
  }

  mutating func clear(pool: BufferPool) { consume(count, pool: pool) }
}
