/// The `grpc-timeout` header: at most eight digits and a unit.
package enum GRPCTimeout {
  private static let units: [(letter: UInt8, nanoseconds: Int64)] = [
    (UInt8(ascii: "n"), 1), (UInt8(ascii: "u"), 1_000), (UInt8(ascii: "m"), 1_000_000),
    (UInt8(ascii: "S"), 1_000_000_000), (UInt8(ascii: "M"), 60_000_000_000), (UInt8(ascii: "H"), 3_600_000_000_000),
  ]
  private static let maximumDigits = 8
  private static let limit: Int64 = 100_000_000

  /// Reads a header value; nil when malformed.
  package static func parse(_ value: String) -> Duration? {
    let bytes = Array(value.utf8)
    guard (2...maximumDigits + 1).contains(bytes.count), let letter = bytes.last,
      let unit = units.first(where: { $0.letter == letter }),
      bytes.dropLast().allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    let amount = bytes.dropLast().reduce(Int64(0)) { $0 * 10 + Int64($1 - 0x30) }
    return unit.nanoseconds >= 1_000_000_000
      ? .seconds(amount * (unit.nanoseconds / 1_000_000_000)) : .nanoseconds(amount * unit.nanoseconds)
  }

  /// Writes a timeout in the finest unit that fits eight digits, rounded up so that the peer never gives up too early;
  /// what is negative becomes zero, what is over 99,999,999 hours becomes that.
  package static func format(_ timeout: Duration) -> String {
    guard timeout > .zero else { return "0n" }
    let (seconds, attoseconds) = timeout.components
    for unit in units where unit.nanoseconds < 1_000_000_000 {
      let perSecond = 1_000_000_000 / unit.nanoseconds
      guard seconds < limit / perSecond + 1 else { continue }
      let attosecondsPerUnit = 1_000_000_000 * unit.nanoseconds
      let amount = seconds * perSecond + divideUp(attoseconds, attosecondsPerUnit)
      if amount < limit { return "\(amount)\(Character(Unicode.Scalar(unit.letter)))" }
    }
    let whole = seconds + (attoseconds > 0 ? 1 : 0)
    for unit in units where unit.nanoseconds >= 1_000_000_000 {
      let amount = divideUp(whole, unit.nanoseconds / 1_000_000_000)
      if amount < limit { return "\(amount)\(Character(Unicode.Scalar(unit.letter)))" }
    }
    return "99999999H"
  }

  private static func divideUp(_ value: Int64, _ divisor: Int64) -> Int64 {
    value / divisor + (value % divisor > 0 ? 1 : 0)
  }
}
