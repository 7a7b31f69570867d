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
    let (year, month, day) = Self.civil(fromDays: days)
    var text = Self.padded(year, 4)
    text += "-\(Self.padded(month, 2))-\(Self.padded(day, 2))T"
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
    let bytes = Array(text.utf8)
    func digits(_ range: Range<Int>) -> Int64? {
      guard range.upperBound <= bytes.count else { return nil }
      var value: Int64 = 0
      for byte in bytes[range] {
        guard byte >= 0x30, byte <= 0x39 else { return nil }
        value = value * 10 + Int64(byte - 0x30)
      }
      return value
    }
    guard bytes.count >= 20, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] | 0x20 == 0x74, bytes[13] == 0x3A,
      bytes[16] == 0x3A, let year = digits(0..<4), let month = digits(5..<7), let day = digits(8..<10),
      let hour = digits(11..<13), let minute = digits(14..<16), let second = digits(17..<19), (1...12).contains(month),
      (1...31).contains(day), hour < 24, minute < 60, second <= 60
    else { return nil }
    var index = 19
    var fraction: Int64 = 0
    if bytes[index] == 0x2E {
      index += 1
      let start = index
      var scale: Int64 = 100_000_000
      while index < bytes.count, bytes[index] >= 0x30, bytes[index] <= 0x39 {
        fraction += Int64(bytes[index] - 0x30) * scale
        scale /= 10
        index += 1
      }
      guard index > start, index - start <= 9 else { return nil }
    }
    guard index < bytes.count else { return nil }
    var offset: Int64 = 0
    if bytes[index] | 0x20 == 0x7A {
      index += 1
    } else {
      guard bytes[index] == 0x2B || bytes[index] == 0x2D, index + 6 <= bytes.count, bytes[index + 3] == 0x3A,
        let hours = digits(index + 1..<index + 3), let minutes = digits(index + 4..<index + 6), hours < 24, minutes < 60
      else { return nil }
      offset = (hours * 60 + minutes) * (bytes[index] == 0x2B ? 60 : -60)
      index += 6
    }
    guard index == bytes.count else { return nil }
    let seconds = Self.days(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second - offset
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    // The last second of the range may still be left by its fraction.
    let (total, isPastEnd) = scaled.addingReportingOverflow(fraction)
    guard !overflow, !isPastEnd else { return nil }
    nanoseconds = total
  }

  /// Days since 1970-01-01 of a civil date (proleptic Gregorian). *Source*: H. Hinnant, "chrono-compatible low-level
  /// date algorithms".
  private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private static func civil(fromDays days: Int64) -> (Int64, Int64, Int64) {
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthPart = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthPart + 2) / 5 + 1
    let month = monthPart < 10 ? monthPart + 3 : monthPart - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
