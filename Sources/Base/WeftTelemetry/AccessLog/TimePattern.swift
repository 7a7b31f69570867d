package import WeftBase

/// A piece of a compiled time format.
package enum TimePiece: BitwiseCopyable, @unchecked Sendable {  // views of constant memory
  case literal(ByteView)
  case year, shortYear, month, day, spaceDay, hour, hour12, minute, second, dayOfYear, weekday, ampm
  case monthName, monthNameLong, weekdayName, weekdayNameLong, zoneOffset, zoneName
  /// Seconds since 1970.
  case epochSeconds
  /// The first `digits` digits of the fraction of a second.
  case fraction(digits: UInt8)
  /// Seconds since 1970 followed by `digits` digits without a point: milliseconds for 3.
  case epochFraction(digits: UInt8)
}

/// Compiles and writes times as Envoy's `%START_TIME(…)%` does: strftime, with `%f` and `%1f`…`%9f` for fractions, `%s`
/// for seconds and
/// `%3s`, `%6s`, `%9s` for finer epochs. Times are UTC.
package enum TimePattern {
  /// `2016-12-15T01:02:03.456Z`.
  package static let standard = "%Y-%m-%dT%H:%M:%S.%3fZ"

  package static func compile(_ text: String, arena: ConstantArena) throws(ConfigError) -> ConstantTable<TimePiece> {
    var pieces: [TimePiece] = []
    var literal: [UInt8] = []
    func flush() {
      if !literal.isEmpty { pieces.append(.literal(literal.withByteView { arena.copy($0) })) }
      literal = []
    }
    var bytes = Array(text.utf8)[...]
    while let byte = bytes.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        literal.append(byte)
        continue
      }
      var digits: UInt8?
      if let d = bytes.first, ASCII.isDigit(d) {
        digits = d - 48
        bytes.removeFirst()
      }
      guard let code = bytes.popFirst() else { throw ConfigError("time format ends after %: \(text)") }
      if let digits {
        switch code {
        case UInt8(ascii: "f") where (1...9).contains(digits):
          flush()
          pieces.append(.fraction(digits: digits))
        case UInt8(ascii: "s") where [3, 6, 9].contains(digits):
          flush()
          pieces.append(.epochFraction(digits: digits))
        default:
          throw ConfigError(
            "time format has %\(digits)\(Character(UnicodeScalar(code))), allowed are %1f to %9f and %3s, %6s, %9s")
        }
        continue
      }
      if code == UInt8(ascii: "%") {
        literal.append(code)
        continue
      }
      flush()
      switch code {
      case UInt8(ascii: "T"): pieces += [.hour, colon, .minute, colon, .second]
      case UInt8(ascii: "F"): pieces += [.year, dash, .month, dash, .day]
      case UInt8(ascii: "D"): pieces += [.month, slash, .day, slash, .shortYear]
      case UInt8(ascii: "R"): pieces += [.hour, colon, .minute]
      case UInt8(ascii: "n"): pieces.append(.literal(ByteView("\n" as StaticString)))
      case UInt8(ascii: "t"): pieces.append(.literal(ByteView("\t" as StaticString)))
      default:
        guard let piece = simple[code] else {
          throw ConfigError("time format has %\(Character(UnicodeScalar(code))), which is not one of strftime's")
        }
        pieces.append(piece)
      }
    }
    flush()
    return arena.table(pieces)
  }

  private static let colon = TimePiece.literal(ByteView(":" as StaticString))
  private static let dash = TimePiece.literal(ByteView("-" as StaticString))
  private static let slash = TimePiece.literal(ByteView("/" as StaticString))
  private static let simple: [UInt8: TimePiece] = [
    UInt8(ascii: "Y"): .year, UInt8(ascii: "y"): .shortYear, UInt8(ascii: "m"): .month, UInt8(ascii: "d"): .day,
    UInt8(ascii: "e"): .spaceDay, UInt8(ascii: "H"): .hour, UInt8(ascii: "I"): .hour12, UInt8(ascii: "M"): .minute,
    UInt8(ascii: "S"): .second, UInt8(ascii: "j"): .dayOfYear, UInt8(ascii: "w"): .weekday, UInt8(ascii: "p"): .ampm,
    UInt8(ascii: "b"): .monthName, UInt8(ascii: "h"): .monthName, UInt8(ascii: "B"): .monthNameLong,
    UInt8(ascii: "a"): .weekdayName, UInt8(ascii: "A"): .weekdayNameLong, UInt8(ascii: "z"): .zoneOffset,
    UInt8(ascii: "Z"): .zoneName, UInt8(ascii: "s"): .epochSeconds, UInt8(ascii: "f"): .fraction(digits: 9),
  ]

  /// Appends a time. *Units*: nanoseconds since 1970. *Cost*: no allocation, no system call.
  package static func append(_ unixNanoseconds: Int64, _ pieces: ConstantTable<TimePiece>, to out: inout ByteBuffer) {
    let (seconds, fraction) = floorDivide(unixNanoseconds, 1_000_000_000)
    let (days, secondOfDay) = floorDivide(seconds, 86_400)
    let date = CivilDate(daysSince1970: days)
    for i in pieces.indices {
      switch pieces[i] {
      case .literal(let text): out.append(text)
      case .year: out.append(decimal: Int(date.year))
      case .shortYear: pad(floorDivide(date.year, 100).remainder, 2, &out)
      case .month: pad(date.month, 2, &out)
      case .day: pad(date.day, 2, &out)
      case .spaceDay:
        if date.day < 10 { out.append(UInt8(ascii: " ")) }
        out.append(decimal: Int(date.day))
      case .hour: pad(secondOfDay / 3600, 2, &out)
      case .hour12: pad((secondOfDay / 3600 + 11) % 12 + 1, 2, &out)
      case .minute: pad(secondOfDay / 60 % 60, 2, &out)
      case .second: pad(secondOfDay % 60, 2, &out)
      case .dayOfYear: pad(days - CivilDate.days(year: date.year, month: 1, day: 1) + 1, 3, &out)
      case .weekday: out.append(decimal: Int(floorDivide(days + 4, 7).remainder))
      case .ampm: out.append(secondOfDay < 43_200 ? "AM" as StaticString : "PM")
      case .monthName: out.append(ByteView(monthName(date.month)).prefix(3))
      case .monthNameLong: out.append(monthName(date.month))
      case .weekdayName: out.append(ByteView(weekdayName(days)).prefix(3))
      case .weekdayNameLong: out.append(weekdayName(days))
      case .zoneOffset: out.append("+0000" as StaticString)
      case .zoneName: out.append("UTC" as StaticString)
      case .epochSeconds: out.append(decimal: Int(seconds))
      case .fraction(let digits): pad(fraction / power(9 - digits), Int(digits), &out)
      case .epochFraction(let digits):
        out.append(decimal: Int(seconds))
        pad(fraction / power(9 - digits), Int(digits), &out)
      }
    }
  }

  private static func power(_ n: UInt8) -> Int64 {
    var result: Int64 = 1
    for _ in 0..<n { result *= 10 }
    return result
  }

  private static func pad(_ value: Int64, _ width: Int, _ out: inout ByteBuffer) {
    var limit: Int64 = 10
    for _ in 1..<width {
      if value < limit { out.append(UInt8(ascii: "0")) }
      limit *= 10
    }
    out.append(decimal: Int(value))
  }

  static func floorDivide(_ a: Int64, _ b: Int64) -> (quotient: Int64, remainder: Int64) {
    let (q, r) = a.quotientAndRemainder(dividingBy: b)
    return r < 0 ? (q - 1, r + b) : (q, r)
  }

  private static func monthName(_ month: Int64) -> StaticString {
    switch month {
    case 1: "January"
    case 2: "February"
    case 3: "March"
    case 4: "April"
    case 5: "May"
    case 6: "June"
    case 7: "July"
    case 8: "August"
    case 9: "September"
    case 10: "October"
    case 11: "November"
    default: "December"
    }
  }

  private static func weekdayName(_ days: Int64) -> StaticString {
    switch floorDivide(days + 4, 7).remainder {
    case 0: "Sunday"
    case 1: "Monday"
    case 2: "Tuesday"
    case 3: "Wednesday"
    case 4: "Thursday"
    case 5: "Friday"
    default: "Saturday"
    }
  }
}
