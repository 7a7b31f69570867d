// StreamBuffer: body bytes that wait for the other side, or are kept for another attempt.

package import WeftBase

/// A run of bytes in one pooled block: `kept` bytes in front that were passed on but may be needed again, then the bytes not passed on yet.
///
/// *Shape*: trivially copyable; empty costs no memory. *Cost*: append is a copy, growth takes the next larger block, half as much again above the pool's largest.
/// Why sound: offsets stay within the block; the stream that owns the value releases the block exactly once.
@safe
package struct StreamBuffer: BitwiseCopyable {
  private var block: PooledBlock?
  private var start = 0
  private var sent = 0
  private var end = 0

  package init() { self.block = nil }

  /// Bytes not passed on yet.
  package var unsent: Int { end - sent }
  /// All bytes held.
  package var count: Int { end - start }
  /// Memory held.
  package var footprint: Int { block?.capacity ?? 0 }

  /// The bytes not passed on yet, valid until the next mutation.
  package var unsentView: ByteView {
    guard let block else { return .empty }
    return unsafe ByteView(block.base + sent, count: end - sent)
  }

  /// All bytes held, valid until the next mutation.
  package var view: ByteView {
    guard let block else { return .empty }
    return unsafe ByteView(block.base + start, count: end - start)
  }

  package mutating func append(_ view: ByteView, pool: BufferPool) {
    if view.isEmpty { return }
    if (block?.capacity ?? 0) - end < view.count { makeRoom(view.count, pool) }
    guard let block else { return }
    unsafe (block.base + end).copyMemory(from: view.base, byteCount: view.count)
    end += view.count
  }

  /// `n` unsent bytes were passed on; they stay when `keep` is set. An empty buffer gives its memory back.
  package mutating func advance(_ n: Int, keep: Bool, pool: BufferPool) {
    precondition(n >= 0 && n <= unsent)
    sent += n
    if !keep { start = sent }
    if start == end { release(to: pool) }
  }

  /// The kept bytes count as unsent again: another attempt begins.
  package mutating func rewind() { sent = start }

  /// Kept bytes are no longer needed.
  package mutating func forgetSent(pool: BufferPool) {
    start = sent
    if start == end { release(to: pool) }
  }

  package mutating func release(to pool: BufferPool) {
    if let block { pool.give(block) }
    self = StreamBuffer()
  }

  private mutating func makeRoom(_ n: Int, _ pool: BufferPool) {
    let used = end - start
    let offset = start
    if let block, block.capacity - used >= n, start >= used {
      unsafe block.base.copyMemory(from: block.base + start, byteCount: used)
    } else {
      // Where the pool gives what is asked: with room for what follows, or each piece would copy all that came before it.
      let needed = used + n
      let fresh = pool.take(atLeast: needed > BufferPool.largest ? needed + needed / 2 : needed)
      if let old = block {
        unsafe fresh.base.copyMemory(from: old.base + start, byteCount: used)
        pool.give(old)
      }
      block = fresh
    }
    start = 0
    sent -= offset
    end = used
  }
}
