import Glibc
import WeftBase

extension ControlClock {
  /// The machine's clocks.
  package static var system: ControlClock {
    ControlClock(
      now: { MonotonicInstant(nanoseconds: UInt64(clamping: read(CLOCK_MONOTONIC))) },
      wall: { WallTime(nanoseconds: read(CLOCK_REALTIME)) })
  }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    unsafe clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
