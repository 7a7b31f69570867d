/// The RFC 3339 text of a point of time.
package enum CivilTime {
  /// Reads RFC 3339 (`2026-11-21T07:00:00Z`, fractions and numeric offsets allowed); nil when it is not.
  /// *Units*: seconds since 1970-01-01T00:00:00Z, and nanoseconds beyond them.
  package static func parse(_ text: String) -> (seconds: Int64, nanoseconds: Int64)? {
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
    let seconds =
      CivilDate.days(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second - offset
    return (seconds, fraction)
  }
}
