// Signals as values of an asynchronous sequence.
import Glibc

/// The signals a supervisor acts on or passes on.
package struct Signals: Sendable {
  private let stream: AsyncStream<Int32>

  /// Blocks `numbers` in this thread and every thread started later, and delivers them here instead.
  /// Call it first thing in a program, before any other thread exists.
  package static func take(_ numbers: [Int32]) -> Signals {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for number in numbers { unsafe sigaddset(&set, number) }
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    let waiting = set
    let (stream, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(16))
    startThread {
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
