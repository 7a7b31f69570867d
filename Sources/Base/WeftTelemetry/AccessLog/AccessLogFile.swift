import Glibc
import Synchronization
package import WeftBase

/// A file, or a standard stream, that lines are written to by a thread of its own.
///
/// Workers copy lines into rings without a lock; the thread of `AccessLogFiles` writes them a moment later. Lines of
/// one worker stay in order.
package final class AccessLogFile: Sendable {
  package enum Target: Hashable, Sendable { case file(path: String), stdout, stderr }

  /// Bytes that may wait per worker before lines are dropped.
  package static let ringBytes = 1 << 18

  package let target: Target
  private let rings: [LogRing]
  private let descriptor: Atomic<Int32>
  private let wantsReopen = Atomic<Bool>(false)
  private let wake: LogWake
  private let metrics: MetricsRegistry?
  private let scope: ScopeID

  init(_ target: Target, workers: Int, wake: LogWake, metrics: MetricsRegistry?, scope: ScopeID) throws(WeftError) {
    self.target = target
    self.wake = wake
    self.metrics = metrics
    self.scope = scope
    descriptor = Atomic(try Self.open(target))
    rings = (0...workers).map { _ in LogRing(capacity: Self.ringBytes) }
  }

  deinit {
    if case .file = target { _ = Glibc.close(descriptor.load(ordering: .relaxed)) }
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

  /// Hands a line over. False when it was dropped because too much waits. *Cost*: one copy; once per flush a system
  /// call that wakes the writer.
  package func append(_ line: ByteView, worker: Int) -> Bool {
    guard rings[worker].append(line) else { return false }
    wake.signal()
    return true
  }

  /// Opens the path again before the next write, for log rotation.
  package func reopen() {
    wantsReopen.store(true, ordering: .relaxed)
    wake.signal()
  }

  /// Writes what waits. Only the writing thread, or whoever has stopped it, calls this.
  func flush() {
    if wantsReopen.exchange(false, ordering: .relaxed), case .file = target { replaceDescriptor() }
    let descriptor = descriptor.load(ordering: .relaxed)
    for ring in rings where ring.count > 0 {
      ring.drain { piece in
        let written = unsafe Glibc.write(descriptor, piece.base, piece.count)
        if written > 0 {
          metrics?.add(AccessLogFileMetric.writeCompleted, scope)
          return written
        }
        switch errno {
        case EINTR: return 0
        case EAGAIN:
          var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          _ = unsafe poll(&wait, 1, 1000)
          return 0
        default:
          // A full disk must not stop traffic: what cannot be written is lost and counted.
          metrics?.add(AccessLogFileMetric.writeFailed, scope)
          return piece.count
        }
      }
    }
  }

  private func replaceDescriptor() {
    do throws(WeftError) {
      let fresh = try Self.open(target)
      let old = descriptor.exchange(fresh, ordering: .relaxed)
      _ = Glibc.close(old)
    } catch {
      metrics?.add(AccessLogFileMetric.reopenFailed, scope)
    }
  }
}

/// How workers tell the writing thread that there is something to write.
@safe
final class LogWake: @unchecked Sendable {  // the semaphore may be used by any thread
  private let semaphore: UnsafeMutablePointer<sem_t>
  private let isSignalled = Atomic<Bool>(false)

  init() {
    unsafe semaphore = .allocate(capacity: 1)
    unsafe sem_init(semaphore, 0, 0)
  }

  deinit {
    unsafe sem_destroy(semaphore)
    unsafe semaphore.deallocate()
  }

  func signal() {
    if isSignalled.load(ordering: .relaxed) { return }
    if !isSignalled.exchange(true, ordering: .acquiringAndReleasing) { _ = unsafe sem_post(semaphore) }
  }

  /// Sleeps until there is a signal.
  func wait() {
    while unsafe sem_wait(semaphore) != 0, errno == EINTR {}
  }

  /// Later signals count anew.
  func clear() { isSignalled.store(false, ordering: .sequentiallyConsistent) }
}

/// All files of a process and the thread that writes them.
package final class AccessLogFiles: Sendable {
  private struct State: Sendable {
    var files: [AccessLogFile.Target: AccessLogFile] = [:]
    var isStopping = false
  }

  private let workers: Int
  private let interval: Duration
  private let metrics: MetricsRegistry?
  private let scope: ScopeID
  private let opensFiles: Bool
  private let wake = LogWake()
  private let state = Mutex(State())

  /// `interval`: how long lines may wait, so that many are written at once. `opensFiles`: false for validation.
  package init(
    workers: Int, interval: Duration = .milliseconds(250), metrics: MetricsRegistry? = nil, opensFiles: Bool = true
  ) {
    self.opensFiles = opensFiles
    self.workers = workers
    self.interval = interval
    self.metrics = metrics
    scope = metrics?.scope(ScopeKey(.accessLogFile)) ?? ScopeID(rawValue: 0)
  }

  /// The file behind a path, opened once however many logs go there.
  package func file(_ wanted: AccessLogFile.Target) throws(WeftError) -> AccessLogFile {
    let target = opensFiles ? wanted : .file(path: "/dev/null")
    let known: AccessLogFile? = state.withLock { $0.files[target] }
    if let known { return known }
    let made = try AccessLogFile(target, workers: workers, wake: wake, metrics: metrics, scope: scope)
    return state.withLock { state in
      if let other = state.files[target] { return other }
      state.files[target] = made
      return made
    }
  }

  /// The body of the writing thread: returns after `stop`.
  package func run() {
    while true {
      wake.wait()
      let isStopping = state.withLock { $0.isStopping }
      if !isStopping {
        let time = timespec(
          tv_sec: Int(interval.components.seconds), tv_nsec: Int(interval.components.attoseconds / 1_000_000_000))
        // An interrupted sleep only writes earlier.
        _ = unsafe withUnsafePointer(to: time) { unsafe nanosleep($0, nil) }
      }
      wake.clear()
      flush()
      if isStopping { return }
    }
  }

  /// Writes what waits, now. Not while `run` runs.
  package func flush() {
    let files = state.withLock { Array($0.files.values) }
    for file in files { file.flush() }
  }

  /// Opens every file again, for log rotation.
  package func reopen() {
    let files = state.withLock { Array($0.files.values) }
    for file in files { file.reopen() }
  }

  /// Lets `run` write what waits and return.
  package func stop() {
    state.withLock { $0.isStopping = true }
    wake.signal()
  }
}
