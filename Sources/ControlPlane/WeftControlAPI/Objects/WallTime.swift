import WeftBase

/// A point of civil time in UTC. *Units*: nanoseconds since 1970-01-01T00:00:00Z.
///
/// Only for what people and other systems see (creation times, history); durations are measured with
/// `MonotonicInstant`.
package struct WallTime: Hashable, Sendable, Comparable, CustomStringConvertible {
  package var nanoseconds: Int64

  package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  package static func < (a: WallTime, b: WallTime) -> Bool { a.nanoseconds < b.nanoseconds }

  /// RFC 3339 in UTC, with as many fraction digits (0, 3, 6 or 9) as the value needs.
  package var description: String {
    var seconds = nanoseconds / 1_000_000_000
    var fraction = nanoseconds % 1_000_000_000
    if fraction < 0 {
      fraction += 1_000_000_000
      seconds -= 1
    }
    var days = seconds / 86_400
    var rest = seconds % 86_400
    if rest < 0 {
      rest += 86_400
      days -= 1
    }
    let date = CivilDate(daysSince1970: days)
    var text = Self.padded(date.year, 4)
    text += "-\(Self.padded(date.month, 2))-\(Self.padded(date.day, 2))T"
    text += "\(Self.padded(rest / 3600, 2)):\(Self.padded(rest / 60 % 60, 2)):\(Self.padded(rest % 60, 2))"
    if fraction != 0 {
      if fraction % 1_000_000 == 0 {
        text += ".\(Self.padded(fraction / 1_000_000, 3))"
      } else if fraction % 1_000 == 0 {
        text += ".\(Self.padded(fraction / 1_000, 6))"
      } else {
        text += ".\(Self.padded(fraction, 9))"
      }
    }
    return text + "Z"
  }

  /// Reads RFC 3339 (`2026-11-21T07:00:00Z`, fractions and numeric offsets allowed); nil when it is not.
  package init?(_ text: String) {
    guard let (seconds, fraction) = CivilTime.parse(text) else { return nil }
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    // The last second of the range may still be left by its fraction.
    let (total, isPastEnd) = scaled.addingReportingOverflow(fraction)
    guard !overflow, !isPastEnd else { return nil }
    nanoseconds = total
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
