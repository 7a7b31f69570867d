// Durations as Go's time.ParseDuration reads them: "300ms", "-1.5h", "2h45m". Not protobuf's JSON; people write them in
// Kubernetes objects all the same.

extension Google_Protobuf_Duration {
  /// One or more decimal numbers, each with a unit (`ns`, `us`, `µs`, `ms`, `s`, `m`, `h`), after one optional sign; nil
  /// for anything else, for parts of a nanosecond, and out of range.
  package init?(goText text: String) {
    var rest = text.utf8[...]
    var negative = false
    if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
      negative = sign == UInt8(ascii: "-")
      rest = rest.dropFirst()
    }
    if rest.elementsEqual("0".utf8) {
      self.init(seconds: 0)
      return
    }
    guard !rest.isEmpty else { return nil }
    var total: Int64 = 0
    while !rest.isEmpty {
      let number = rest.prefix { ($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: ".") }
      rest = rest.dropFirst(number.count)
      let unit = rest.prefix { !(($0 >= 0x30 && $0 <= 0x39) || $0 == UInt8(ascii: ".")) }
      rest = rest.dropFirst(unit.count)
      guard let scale = Self.nanoseconds(ofUnit: Substring(unit)), let part = Self.scaled(Substring(number), by: scale)
      else { return nil }
      let (sum, overflow) = total.addingReportingOverflow(part)
      guard !overflow else { return nil }
      total = sum
    }
    if negative { total = -total }
    self.init(seconds: total / 1_000_000_000, nanos: Int32(total % 1_000_000_000))
  }

  private static func nanoseconds(ofUnit unit: Substring) -> Int64? {
    switch unit {
    case "ns": 1
    case "us", "µs", "μs": 1_000
    case "ms": 1_000_000
    case "s": 1_000_000_000
    case "m": 60_000_000_000
    case "h": 3_600_000_000_000
    default: nil
    }
  }

  /// `12`, `1.5`, `.5`, `2.` times `scale`, exactly.
  private static func scaled(_ text: Substring, by scale: Int64) -> Int64? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = parts.count == 2 ? parts[1] : ""
    guard let first = parts.first, !(first.isEmpty && fraction.isEmpty), first.utf8.count <= 18,
      fraction.utf8.count <= 18, !fraction.contains("."), let whole = Int64(first.isEmpty ? "0" : first)
    else { return nil }
    let (product, overflow) = whole.multipliedReportingOverflow(by: scale)
    guard !overflow else { return nil }
    var value = product
    var unit = scale
    for digit in fraction.utf8 {
      guard digit == 0x30 || unit % 10 == 0 else { return nil }
      unit /= 10
      let (sum, overflow) = value.addingReportingOverflow(Int64(digit - 0x30) * unit)
      guard !overflow else { return nil }
      value = sum
    }
    return value
  }
}
