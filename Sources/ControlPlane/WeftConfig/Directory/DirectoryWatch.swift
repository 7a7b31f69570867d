import CLinux
import Dispatch
import Glibc
import Synchronization

/// Notices of the kernel about directories, and which files are being written just now.
///
/// *Shape*: one inotify descriptor. A place is a directory with the names in it that matter; the same directory under two
/// names has one watch. Notices do not say what to do: they say that a look is worth it.
/// *Threads*: any; notices are read on a queue of Dispatch.
final class DirectoryWatch: Sendable {
  /// Something changed, or time has passed (`wake`). Only the newest is kept: a look sees everything.
  let signals: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let descriptor: Int32
  private let reading: Reading
  private let state = Mutex(State())
  private let alarms = Mutex(Alarms())

  private struct State {
    var places: [Int32: [String: WatchPlaces.Names]] = [:]
    /// Files that somebody is writing, by their path in the watched place, with the time of the last notice.
    var unfinished: [String: ContinuousClock.Instant] = [:]
    var notices: UInt64 = 0
  }

  /// *Errors*: the system has no inotify descriptor left (`max_user_instances`, open files).
  init() throws(DirectoryError) {
    let made = weft_inotify_create()
    guard made >= 0 else { throw DirectoryError(path: "inotify", code: -made) }
    descriptor = made
    (signals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    reading = Reading(made)
    reading.start { [weak self] in self?.read() }
  }

  deinit {
    reading.cancel()
    for alarm in alarms.withLock({ $0.tasks.values }) { alarm.cancel() }
    continuation.finish()
  }

  /// Proof of Sendable: set once, and Dispatch's sources are thread-safe.
  private final class Reading: @unchecked Sendable {
    private let source: any DispatchSourceRead

    init(_ descriptor: Int32) {
      source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: DispatchQueue(label: "weft.directory"))
      source.setCancelHandler { close(descriptor) }
    }

    func start(_ body: @escaping @Sendable () -> Void) {
      source.setEventHandler(handler: body)
      source.resume()
    }

    func cancel() { source.cancel() }
  }

  /// How many notices have come; equal numbers mean that it was quiet between.
  var notices: UInt64 { state.withLock { $0.notices } }

  /// Gives a signal after `delay`, whether or not anything happens.
  func wake(after delay: Duration) {
    let continuation = self.continuation
    alarms.withLock { alarms in
      let number = alarms.next
      alarms.next += 1
      alarms.tasks[number] = Task { [weak self] in
        do { try await Task.sleep(for: delay) } catch { return }
        continuation.yield()
        self?.alarms.withLock { _ = $0.tasks.removeValue(forKey: number) }
      }
    }
  }

  /// Signals that are still to come. They end with the watch.
  private struct Alarms {
    var next: UInt64 = 0
    var tasks: [UInt64: Task<Void, Never>] = [:]
  }

  /// Watches exactly these places. A place that does not exist is left out: what leads to it is a place, too.
  /// *Returns* whether a watch is new, so that changes before it may have been missed.
  /// *Errors*: the system's number of watches is reached (`max_user_watches`).
  func follow(_ places: WatchPlaces) throws(DirectoryError) -> Bool {
    var watches: [Int32: [String: WatchPlaces.Names]] = [:]
    for (place, names) in places.names.sorted(by: { $0.key < $1.key }) {
      let watch = unsafe weft_inotify_watch_directory(descriptor, place)
      if watch >= 0 {
        watches[watch, default: [:]][place] = names
      } else if ![ENOENT, ENOTDIR, ELOOP, EACCES].contains(-watch) {
        throw DirectoryError(path: place, code: -watch)
      }
    }
    let (old, isNew) = state.withLock { state in
      let old = state.places.keys.filter { watches[$0] == nil }
      let isNew = watches.keys.contains { state.places[$0] == nil }
      state.places = watches
      return (old, isNew)
    }
    for watch in old { _ = weft_inotify_unwatch(descriptor, watch) }
    return isNew
  }

  /// Files that a writer has begun and not closed, by real path. One that is silent for longer than `patience` counts as
  /// finished: its writer keeps it open for reasons of its own.
  func unfinished(patience: Duration) -> Set<String> {
    let now = ContinuousClock.now
    let paths = state.withLock { state in
      state.unfinished = state.unfinished.filter { now - $0.value < patience }
      return Array(state.unfinished.keys)
    }
    return Set(paths.map(Self.real))
  }

  static func real(_ path: String) -> String {
    guard let resolved = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  // MARK: Notices

  private func read() {
    var block = [UInt8](repeating: 0, count: 1 << 14)
    var matters = false
    while true {
      let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      var offset = 0
      while offset < count {
        var notice = weft_notice()
        // Why sound: the shim reads within `count` bytes of the block only, and says where the next event begins.
        let next = unsafe block.withUnsafeBytes { raw in
          unsafe weft_inotify_next(raw.baseAddress, count, offset, &notice)
        }
        guard next > 0 else { break }
        let start = Int(notice.name_offset)
        let name = String(decoding: block[start..<start + Int(notice.name_length)], as: UTF8.self)
        if note(notice.watch, notice.bits, name) { matters = true }
        offset = Int(next)
      }
    }
    if matters { continuation.yield() }
  }

  /// *Returns* whether a look is worth it.
  private func note(_ watch: Int32, _ bits: UInt32, _ name: String) -> Bool {
    func says(_ bit: Int) -> Bool { bits & UInt32(bit) != 0 }
    return state.withLock { state in
      if says(Int(WEFT_NOTICE_OVERFLOW)) {
        state.notices += 1
        state.unfinished = [:]
        return true
      }
      guard let places = state.places[watch] else { return false }
      if says(Int(WEFT_NOTICE_ENDED)) { state.places[watch] = nil }
      if says(Int(WEFT_NOTICE_GONE)) || says(Int(WEFT_NOTICE_ENDED)) {
        state.notices += 1
        return true
      }
      let concerned = places.filter { $0.value.contains(name) }
      guard !concerned.isEmpty else { return false }
      state.notices += 1
      let paths = concerned.keys.map { "\($0)/\(name)" }
      if says(Int(WEFT_NOTICE_WRITTEN)) || (says(Int(WEFT_NOTICE_CREATED)) && paths.contains(where: Self.isNewFile)) {
        // Worth one look, so that somebody waits for the writer to close it; the next is worth it when he has.
        let isFirst = paths.contains { state.unfinished[$0] == nil }
        for path in paths { state.unfinished[path] = .now }
        return isFirst
      }
      if says(Int(WEFT_NOTICE_CLOSED)) || says(Int(WEFT_NOTICE_REMOVED)) || says(Int(WEFT_NOTICE_RENAMED_HERE)) {
        for path in paths { state.unfinished[path] = nil }
      }
      return true
    }
  }

  /// A file of one name, which is open for writing as long as its maker has not closed it; links are complete at once.
  private static func isNewFile(_ path: String) -> Bool {
    var status = stat()
    return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_nlink == 1
  }
}
