import CLinux
import Glibc
import Synchronization

/// How workers tell the writing thread that there is something to write, and that it is much.
///
/// Lines that come while the thread is up cost a load; only the first one after a pause, and full chunks, cost a system call.
final class LogWake: Sendable {
  private let descriptor: Int32
  private let isUp = Atomic<Bool>(false)
  private let isUrged = Atomic<Bool>(false)

  init() {
    descriptor = weft_eventfd()
    precondition(descriptor >= 0, "no descriptor left")
  }

  deinit { _ = weft_close(descriptor) }

  /// There is a line.
  @inline(__always)
  func signal() {
    if isUp.load(ordering: .relaxed) { return }
    if !isUp.exchange(true, ordering: .acquiringAndReleasing) { _ = weft_eventfd_signal(descriptor) }
  }

  /// There is enough to be written now.
  func urge() {
    if !isUrged.exchange(true, ordering: .acquiringAndReleasing) { _ = weft_eventfd_signal(descriptor) }
  }

  // MARK: The writing thread

  /// The next line must wake the thread. Lines that were put down at the same moment may go unnoticed: look once more, a while later.
  func lieDown() { isUp.store(false, ordering: .sequentiallyConsistent) }
  func getUp() { isUp.store(true, ordering: .relaxed) }

  /// Sleeps until somebody wakes the thread, or for `time`. *Returns*: whether somebody did.
  func wait(atMost time: Duration? = nil) -> Bool {
    var milliseconds: Int32 = -1
    if let time {
      let (seconds, attoseconds) = time.components
      milliseconds = Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    // An interrupted sleep only writes earlier.
    let isWoken = unsafe poll(&watched, 1, milliseconds) > 0
    if isWoken { _ = weft_eventfd_clear(descriptor) }
    _ = isUrged.exchange(false, ordering: .acquiringAndReleasing)
    return isWoken
  }
}
