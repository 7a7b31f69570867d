import Synchronization
import WeftBase

/// Memory that the waiting lines of one file may take, whichever worker wrote them.
final class LogBudget: Sendable {
  let limit: Int
  private let used = Atomic<Int>(0)

  init(limit: Int) { self.limit = limit }

  func take(_ bytes: Int) -> Bool {
    if used.add(bytes, ordering: .relaxed).newValue <= limit { return true }
    give(bytes)
    return false
  }

  func give(_ bytes: Int) { used.subtract(bytes, ordering: .relaxed) }
}

/// Chunks on their way from one worker to the thread that writes a file: the last one is being filled, those before it are full.
///
/// *Threads*: one fills, one flushes. The lock is between these two and is taken once per chunk, not per line.
final class LogQueue: Sendable {
  private struct State: Sendable {
    var chunks: [LogChunk] = []
    /// Emptied ones, for the next burst.
    var spare: [LogChunk] = []
  }

  /// Emptied chunks that stay at hand while lines come.
  private static let spareWhenBusy = 16
  private static let spareWhenQuiet = 1

  private let chunkBytes: Int
  private let budget: LogBudget
  private let state = Mutex(State())

  init(chunkBytes: Int, budget: LogBudget) {
    self.chunkBytes = chunkBytes
    self.budget = budget
  }

  deinit { state.withLock { for chunk in $0.chunks + $0.spare { chunk.free() } } }

  // MARK: The filling thread

  /// A further chunk with room for `bytes`, which becomes the last one; nil past the budget.
  func grow(atLeast bytes: Int) -> LogChunk? {
    let capacity = max(chunkBytes, bytes)
    guard budget.take(capacity) else { return nil }
    let chunk = state.withLock { state -> LogChunk? in
      let spare = capacity == chunkBytes ? state.spare.popLast() : nil
      guard let chunk = spare ?? LogChunk.make(capacity: capacity) else { return nil }
      state.chunks.append(chunk)
      return chunk
    }
    if chunk == nil { budget.give(capacity) }
    return chunk
  }

  // MARK: The flushing thread

  /// Hands out what waits, oldest first; `write` returns how much of its piece it took. *Returns*: whether nothing waits any more.
  func flush(_ write: (ByteView) -> Int) -> Bool {
    // Whoever sees a later chunk sees everything that was put into the ones before.
    let chunks = state.withLock { $0.chunks }
    for (i, chunk) in chunks.enumerated() {
      while !chunk.waiting.isEmpty {
        let piece = chunk.waiting
        let taken = write(piece)
        chunk.take(taken)
        if taken < piece.count { return false }
      }
      if i < chunks.count - 1 { recycle(chunk) }
    }
    return true
  }

  private func recycle(_ chunk: LogChunk) {
    budget.give(chunk.capacity)
    chunk.reset()
    let isKept = state.withLock { state -> Bool in
      state.chunks.removeFirst()
      guard chunk.capacity == chunkBytes, state.spare.count < Self.spareWhenBusy else { return false }
      state.spare.append(chunk)
      return true
    }
    if !isKept { chunk.free() }
  }

  /// Bytes waiting.
  var count: Int { state.withLock { $0.chunks }.reduce(0) { $0 + $1.waiting.count } }

  /// A line that was written in part is written again, whole.
  func rewindToLine() { state.withLock { $0.chunks.first }?.rewindToLine() }

  /// Gives back what the last burst needed.
  func trim() {
    let surplus = state.withLock { state -> [LogChunk] in
      let extra = max(0, state.spare.count - Self.spareWhenQuiet)
      defer { state.spare.removeLast(extra) }
      return Array(state.spare.suffix(extra))
    }
    for chunk in surplus { chunk.free() }
  }
}

/// The filling end of a queue: one worker's place in one file. *Cost*: a line is a copy and a store.
struct LogLane: ~Copyable {
  private let queue: LogQueue
  private var chunk: LogChunk?
  private var filled = 0
  private var room = 0

  /// What became of a line.
  enum Outcome {
    case taken
    /// Taken, and a chunk before it is full.
    case filledChunk
    case refused
  }

  init(_ queue: LogQueue) { self.queue = queue }

  mutating func append(_ line: ByteView) -> Outcome {
    if line.count <= room, let chunk {
      put(line, in: chunk)
      return .taken
    }
    guard let fresh = queue.grow(atLeast: line.count) else { return .refused }
    let isFirst = chunk == nil
    chunk = fresh
    filled = 0
    room = fresh.capacity
    put(line, in: fresh)
    return isFirst ? .taken : .filledChunk
  }

  @inline(__always)
  private mutating func put(_ line: ByteView, in chunk: LogChunk) {
    chunk.put(line, at: filled)
    filled += line.count
    room -= line.count
  }
}
