import WeftBase
import WeftHTTP

/// The `grpc-timeout` header: up to eight digits and a unit.
enum GRPCTimeoutText {
  static func nanoseconds(_ text: ByteView) -> UInt64? {
    guard text.count >= 2, text.count <= 9, let unit = text.last, let n = ASCII.parseDecimal(text.dropLast()) else {
      return nil
    }
    let scale: UInt64
    switch unit {
    case UInt8(ascii: "H"): scale = 3_600_000_000_000
    case UInt8(ascii: "M"): scale = 60_000_000_000
    case UInt8(ascii: "S"): scale = 1_000_000_000
    case UInt8(ascii: "m"): scale = 1_000_000
    case UInt8(ascii: "u"): scale = 1000
    case UInt8(ascii: "n"): scale = 1
    default: return nil
    }
    // Eight digits of hours are more than 64 bits of nanoseconds hold.
    let (value, overflow) = n.multipliedReportingOverflow(by: scale)
    return overflow ? .max : value
  }

  /// In the finest unit from milliseconds on whose value has eight digits at most; what is less than one is one.
  static func text(nanoseconds: UInt64, scratch head: MessageHead) -> ByteView {
    let milliseconds = max(1, nanoseconds / 1_000_000)
    let units: [4 of (UInt64, StaticString)] = [(1, "m"), (1000, "S"), (60_000, "M"), (3_600_000, "H")]
    for i in 0..<4 where milliseconds / units[i].0 <= 99_999_999 {
      return head.concatenate(head.decimal(milliseconds / units[i].0), ByteView(units[i].1))
    }
    return ByteView("99999999H")
  }
}
