import Glibc
import WeftBase
import WeftControlAPI

/// Where this room's parts get the time that they pass to sessions.
struct MonotonicClock: Sendable {
  private let start = ContinuousClock.now

  var now: MonotonicInstant {
    let passed = start.duration(to: ContinuousClock.now)
    return MonotonicInstant(nanoseconds: 1) + passed
  }

  /// Civil time, for what people see.
  static var wallTime: WallTime {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }
}
