import CAtomics
import Glibc
import Synchronization
package import WeftBase

/// A file, or a standard stream, that lines are written to by a thread of its own.
///
/// Workers copy lines into chunks of their own, without a lock; the thread of `AccessLogFiles` writes them a moment later. Lines of one
/// worker stay in order, lines are never cut. A file that cannot be written keeps its lines until it can, up to a limit.
/// Why sound: lane *i* and its counts are touched by worker *i* only, the descriptor by the writing thread only.
@safe
package final class AccessLogFile: @unchecked Sendable {  // see above
  package enum Target: Hashable, Sendable { case file(path: String), stdout, stderr }

  /// Memory that lines may wait in before further ones are dropped, all workers together.
  package static let waitingLimit = 16 << 20

  /// What one worker has done to the file. A cache line apart from the next worker's.
  private struct Place: ~Copyable {
    var lane: LogLane
    var lines: UInt64 = 0
    var dropped: UInt64 = 0
    var apart: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)
  }

  package let target: Target
  private let places: UnsafeMutablePointer<Place>
  private let queues: [LogQueue]
  private let wake: LogWake
  private let wantsReopen = Atomic<Bool>(false)
  private var descriptor: Int32
  /// Whether writing can block for longer than a disk takes.
  private var isStream: Bool
  /// Lines thrown away by the writing thread.
  private var discarded: UInt64 = 0

  init(_ target: Target, workers: Int, chunkBytes: Int, limit: Int, wake: LogWake) throws(WeftError) {
    self.target = target
    self.wake = wake
    descriptor = try Self.open(target)
    isStream = Self.isStream(descriptor)
    let budget = LogBudget(limit: limit)
    queues = (0...workers).map { _ in LogQueue(chunkBytes: chunkBytes, budget: budget) }
    unsafe places = .allocate(capacity: queues.count)
    for (i, queue) in queues.enumerated() { unsafe (places + i).initialize(to: Place(lane: LogLane(queue))) }
  }

  deinit {
    unsafe places.deinitialize(count: queues.count)
    unsafe places.deallocate()
    closeDescriptor()
  }

  private static func open(_ target: Target) throws(WeftError) -> Int32 {
    switch target {
    case .stdout: return 1
    case .stderr: return 2
    case .file("/dev/stdout"): return 1
    case .file("/dev/stderr"): return 2
    case .file(let path):
      let descriptor = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { throw .system("open access log \(path)", errno) }
      return descriptor
    }
  }

  private static func isStream(_ descriptor: Int32) -> Bool {
    var about = stat()
    return unsafe fstat(descriptor, &about) != 0 || about.st_mode & S_IFMT != S_IFREG
  }

  private func closeDescriptor() { if descriptor > 2 { _ = Glibc.close(descriptor) } }

  /// Hands a line, with its line end, over. False when it was dropped because too much waits.
  /// *Cost*: one copy; a system call after a pause and once per chunk. `worker`: the number of workers stands for every other thread.
  package func append(_ line: ByteView, worker: Int) -> Bool {
    precondition(worker >= 0 && worker < queues.count)
    let place = unsafe places + worker
    switch unsafe place.pointee.lane.append(line) {
    case .taken:
      unsafe weft_bump(&place.pointee.lines, 1)
      wake.signal()
      return true
    case .filledChunk:
      unsafe weft_bump(&place.pointee.lines, 1)
      wake.signal()
      wake.urge()
      return true
    case .refused:
      unsafe weft_bump(&place.pointee.dropped, 1)
      return false
    }
  }

  /// Opens the path again before the next write, for log rotation.
  package func reopen() {
    wantsReopen.store(true, ordering: .relaxed)
    wake.signal()
    wake.urge()
  }

  // MARK: The writing thread, or whoever has stopped it

  /// What came of a flush.
  struct Flushed {
    var writes = 0
    var failures = 0
    var reopenFailures = 0
    /// Bytes that still wait.
    var waiting = 0
  }

  /// Lines taken and lines dropped since the beginning.
  var counts: (lines: UInt64, dropped: UInt64) {
    var sum: (lines: UInt64, dropped: UInt64) = (0, discarded)
    for i in queues.indices {
      unsafe sum.lines += weft_load(&places[i].lines)
      unsafe sum.dropped += weft_load(&places[i].dropped)
    }
    return sum
  }

  /// Writes what waits. `patience`: how long a stream that takes nothing is waited for; afterwards its lines go on waiting.
  func flush(patience: Duration) -> Flushed {
    var outcome = Flushed()
    if wantsReopen.exchange(false, ordering: .relaxed), case .file = target, !replaceDescriptor() {
      outcome.reopenFailures += 1
    }
    for queue in queues where !queue.flush({ piece in write(piece, patience, &outcome) }) { break }
    for queue in queues { outcome.waiting += queue.count }
    return outcome
  }

  func trim() { for queue in queues { queue.trim() } }

  /// Writes all of `piece`, or as much as the file takes. *Returns*: bytes done with.
  private func write(_ piece: ByteView, _ patience: Duration, _ outcome: inout Flushed) -> Int {
    var done = 0
    while done < piece.count {
      // A pipe that is ready takes this much without blocking.
      let most = isStream ? min(piece.count - done, Int(PIPE_BUF)) : piece.count - done
      if isStream, !isReady(patience) { return done }
      let written = unsafe Glibc.write(descriptor, piece.base + done, most)
      if written > 0 {
        outcome.writes += 1
        done += written
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN: if !isReady(patience) { return done }
      case EPIPE, EBADF, EINVAL:
        // Nobody will ever read it.
        outcome.failures += 1
        discarded += lines(in: piece.dropFirst(done))
        return piece.count
      default:
        // A full disk may have room again later.
        outcome.failures += 1
        return done
      }
    }
    return done
  }

  private func isReady(_ patience: Duration) -> Bool {
    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    let milliseconds = patience.components.seconds * 1000 + patience.components.attoseconds / 1_000_000_000_000_000
    return unsafe poll(&wait, 1, Int32(clamping: milliseconds)) > 0
  }

  private func lines(in piece: ByteView) -> UInt64 {
    var count: UInt64 = 0
    for i in 0..<piece.count where piece[i] == UInt8(ascii: "\n") { count += 1 }
    return count
  }

  private func replaceDescriptor() -> Bool {
    do throws(WeftError) {
      let fresh = try Self.open(target)
      closeDescriptor()
      descriptor = fresh
      isStream = Self.isStream(fresh)
      for queue in queues { queue.rewindToLine() }
      return true
    } catch {
      return false
    }
  }
}
