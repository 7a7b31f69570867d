// WallClock: the time of day, for logs and the Date header. Nothing is decided by it.

import Glibc
import WeftBase
import WeftHTTP

/// The wall clock beside the loop's: read once a second, in between carried on by the loop's clock.
struct WallClock: ~Copyable {
  /// Nanoseconds since 1970 at `readAt`.
  var unix: Int64 = 0
  var readAt = MonotonicInstant.zero
  /// The second that `date` shows.
  var second: Int64 = -1
  /// What the clock shows at the loop's zero, in a world whose time is its own; nil: the system knows the time.
  var origin: Int64?
  var date = ByteBuffer(capacity: 64)

  init() {}

  mutating func read(now: MonotonicInstant) -> Int64 {
    let age = now.nanoseconds &- readAt.nanoseconds
    if unix != 0, age < 1_000_000_000 { return unix &+ Int64(age) }
    readAt = now
    if let origin {
      unix = origin &+ Int64(now.nanoseconds)
      return unix
    }
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    unix = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    return unix
  }

  /// The text of the Date header for this second.
  mutating func dateText(now: MonotonicInstant) -> ByteView {
    let time = read(now: now)
    let second = time / 1_000_000_000
    if second != self.second {
      self.second = second
      write(second)
    }
    return date.view
  }

  private mutating func write(_ second: Int64) {
    let names: StaticString = "ThuFriSatSunMonTueWed"
    let months: StaticString = "JanFebMarAprMayJunJulAugSepOctNovDec"
    let days = second / 86_400
    let rest = second % 86_400
    let today = CivilDate(daysSince1970: days)
    date.removeAll()
    let weekday = Int(days % 7)
    date.append(ByteView(names)[weekday * 3..<weekday * 3 + 3])
    date.append(", " as StaticString)
    two(today.day)
    date.append(" " as StaticString)
    date.append(ByteView(months)[Int(today.month - 1) * 3..<Int(today.month - 1) * 3 + 3])
    date.append(" " as StaticString)
    date.append(decimal: UInt64(today.year))
    date.append(" " as StaticString)
    two(rest / 3600)
    date.append(":" as StaticString)
    two(rest / 60 % 60)
    date.append(":" as StaticString)
    two(rest % 60)
    date.append(" GMT" as StaticString)
  }

  private mutating func two(_ value: Int64) {
    date.append(UInt8(ascii: "0") + UInt8(value / 10))
    date.append(UInt8(ascii: "0") + UInt8(value % 10))
  }
}

extension WorkerEngine {
  func wallClock() -> Int64 { clock[].read(now: now) }
  func dateText() -> ByteView { clock[].dateText(now: now) }
}
