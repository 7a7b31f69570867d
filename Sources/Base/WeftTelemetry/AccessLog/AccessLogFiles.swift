import Synchronization
package import WeftBase

/// All access-log files of a process and the thread that writes them.
///
/// Lines are written once a second, sooner where a chunk is full. Without lines the thread sleeps.
package final class AccessLogFiles: Sendable {
  /// Where a thread writes a line before it goes to its file.
  package final class LineInTheMaking: @unchecked Sendable {  // one thread each
    /// A buffer that grew beyond this is let go after its line.
    package static let keptBytes = 64 << 10
    package var buffer = ByteBuffer(capacity: 1024)
  }

  /// When lines are written, and how many may wait.
  package struct Options: Sendable {
    /// How long a line may wait, so that many are written at once.
    package var interval = Duration.seconds(1)
    /// Bytes of one worker that are written without waiting for the interval.
    package var chunkBytes = 64 << 10
    /// Bytes that may wait per file before lines are dropped.
    package var waitingLimit = AccessLogFile.waitingLimit
    /// False for validation: nothing is opened.
    package var opensFiles = true
    package init() {}
  }

  private struct State: Sendable {
    var files: [AccessLogFile.Target: AccessLogFile] = [:]
    var isStopping = false
  }

  /// How long a reader of a stream that takes nothing may hold up the other files, and the end of the process.
  private static let patience = Duration.milliseconds(100)
  private static let lastPatience = Duration.seconds(1)

  private let workers: Int
  /// Lines in the making, one for each worker and one for everybody else: as many as there are threads, however many logs there are.
  package let lines: [LineInTheMaking]
  private let options: Options
  private let metrics: MetricsRegistry?
  private let scope: ScopeID
  private let wake = LogWake()
  private let state = Mutex(State())

  package init(workers: Int, _ options: Options = Options(), metrics: MetricsRegistry? = nil) {
    self.workers = workers
    lines = (0...workers).map { _ in LineInTheMaking() }
    self.options = options
    self.metrics = metrics
    scope = metrics?.scope(ScopeKey(.accessLogFile)) ?? ScopeID(rawValue: 0)
  }

  /// With `opensFiles` false, for validation: lines go nowhere.
  package convenience init(workers: Int, opensFiles: Bool) {
    var options = Options()
    options.opensFiles = opensFiles
    self.init(workers: workers, options)
  }

  /// The file behind a path, opened once however many logs go there.
  package func file(_ wanted: AccessLogFile.Target) throws(WeftError) -> AccessLogFile {
    let target = options.opensFiles ? wanted : .file(path: "/dev/null")
    let known: AccessLogFile? = state.withLock { $0.files[target] }
    if let known { return known }
    let made = try AccessLogFile(
      target, workers: workers, chunkBytes: options.chunkBytes, limit: options.waitingLimit, wake: wake)
    return state.withLock { state in
      if let other = state.files[target] { return other }
      state.files[target] = made
      return made
    }
  }

  /// The body of the writing thread: returns after `stop`.
  package func run() {
    enum Mode { case up, dozing, asleep }
    var mode = Mode.asleep
    while true {
      var woken = true
      switch mode {
      case .asleep:
        _ = wake.wait()
        if !isStopping { woken = wake.wait(atMost: options.interval) }
      case .up, .dozing: woken = wake.wait(atMost: options.interval)
      }
      if isStopping { return _ = flush(patience: Self.lastPatience, byTimer: false) }
      let wasBusy = flush(patience: Self.patience, byTimer: !woken)
      switch mode {
      case .asleep: mode = .up
      case .up where !wasBusy:
        // One more look after lines can wake the thread again: for those that came in between.
        wake.lieDown()
        mode = .dozing
      case .up: break
      case .dozing where wasBusy || woken:
        wake.getUp()
        mode = .up
      case .dozing:
        trim()
        mode = .asleep
      }
    }
  }

  private var isStopping: Bool { state.withLock { $0.isStopping } }
  private var all: [AccessLogFile] { state.withLock { Array($0.files.values) } }

  /// Writes what waits, now. Not while `run` runs.
  package func flush() { _ = flush(patience: Self.patience, byTimer: false) }

  /// *Returns*: whether there was, or still is, anything to write.
  private func flush(patience: Duration, byTimer: Bool) -> Bool {
    var sum = AccessLogFile.Flushed()
    var lines: UInt64 = 0
    var dropped: UInt64 = 0
    for file in all {
      let outcome = file.flush(patience: patience)
      sum.writes += outcome.writes
      sum.failures += outcome.failures
      sum.reopenFailures += outcome.reopenFailures
      sum.waiting += outcome.waiting
      let counts = file.counts
      lines += counts.lines
      dropped += counts.dropped
    }
    publish(sum, lines: lines, dropped: dropped, byTimer: byTimer)
    return sum.writes > 0 || sum.waiting > 0
  }

  private func publish(_ sum: AccessLogFile.Flushed, lines: UInt64, dropped: UInt64, byTimer: Bool) {
    guard let metrics else { return }
    metrics.set(AccessLogFileMetric.writeBuffered, scope, lines)
    metrics.set(AccessLogFileMetric.dropped, scope, dropped)
    metrics.set(AccessLogFileMetric.writeTotalBuffered, scope, UInt64(sum.waiting))
    if sum.writes > 0 {
      metrics.add(AccessLogFileMetric.writeCompleted, scope, UInt64(sum.writes))
      if byTimer { metrics.add(AccessLogFileMetric.flushedByTimer, scope) }
    }
    if sum.failures > 0 { metrics.add(AccessLogFileMetric.writeFailed, scope, UInt64(sum.failures)) }
    if sum.reopenFailures > 0 { metrics.add(AccessLogFileMetric.reopenFailed, scope, UInt64(sum.reopenFailures)) }
  }

  private func trim() { for file in all { file.trim() } }

  /// Opens every file again, for log rotation.
  package func reopen() { for file in all { file.reopen() } }

  /// Lets `run` write what waits and return.
  package func stop() {
    state.withLock { $0.isStopping = true }
    wake.urge()
  }
}
