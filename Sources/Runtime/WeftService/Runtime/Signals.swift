import Glibc

/// Signals as values of an asynchronous sequence. Programs whose work is a loop take theirs from it (`SignalWatch`).
package struct Signals: Sendable {
  private let stream: AsyncStream<Int32>

  /// What asks a program to stop.
  package static let stopping = [SIGTERM, SIGINT]

  /// Keeps `numbers` from this thread and every thread started later, until `take` asks for them.
  /// Call it on the main thread, before any other thread exists.
  package static func block(_ numbers: [Int32]) {
    var set = Self.set(numbers)
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  private static func set(_ numbers: [Int32]) -> sigset_t {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for number in numbers { unsafe sigaddset(&set, number) }
    return set
  }

  /// Delivers `numbers`, which every thread must have blocked, as values.
  package static func take(_ numbers: [Int32]) -> Signals {
    let waiting = Self.set(numbers)
    let (stream, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(16))
    DetachedThread.start {
      var set = waiting
      while true {
        var number: Int32 = 0
        if unsafe sigwait(&set, &number) == 0 { continuation.yield(number) }
      }
    }
    return Signals(stream: stream)
  }

  /// The signals as they come. One reader only.
  package var values: AsyncStream<Int32> { stream }
}
