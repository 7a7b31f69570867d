// google/protobuf/duration.proto and timestamp.proto, with their JSON: "1.5s" and RFC 3339 in UTC.
package import WeftBase

package struct Google_Protobuf_Duration: Message {
  package var seconds: Int64 = 0
  /// Same sign as `seconds`.
  package var nanos: Int32 = 0
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.Duration", "1:seconds 2:nanos")

  package init(seconds: Int64, nanos: Int32 = 0) {
    self.seconds = seconds
    self.nanos = nanos
  }

  package init(milliseconds: Int64) {
    self.init(seconds: milliseconds / 1000, nanos: Int32(milliseconds % 1000) * 1_000_000)
  }

  /// All of it in nanoseconds; nil when that is out of range of the format or of Int64.
  package var totalNanoseconds: Int64? {
    guard isValid else { return nil }
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, overflow2) = product.addingReportingOverflow(Int64(nanos))
    return overflow || overflow2 ? nil : sum
  }

  /// Within ±10,000 years, nanos below one second and of the same sign.
  package var isValid: Bool {
    seconds.magnitude <= 315_576_000_000 && nanos.magnitude < 1_000_000_000
      && !(seconds > 0 && nanos < 0) && !(seconds < 0 && nanos > 0)
  }

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.singular(Int64Field.self, &seconds)
    case 2: try decoder.singular(Int32Field.self, &nanos)
    default: decoder.unknown()
    }
  }
  package func traverse(_ visitor: FieldVisitor) {
    visitor.singular(Int64Field.self, 1, seconds)
    visitor.singular(Int32Field.self, 2, nanos)
    visitor.unknown(unknownFields)
  }

  package static var hasCustomJSON: Bool { true }

  /// Reads `3s`, `-0.5s`, `1.000000001s`; nil for anything else.
  package init?(text: String) {
    var rest = Substring(text)
    guard rest.popLast() == "s" else { return nil }
    let negative = rest.first == "-"
    if negative { rest.removeFirst() }
    let parts = rest.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.first, (1...12).contains(whole.utf8.count), whole.utf8.allSatisfy(isDigit),
      let seconds = Int64(whole)
    else { return nil }
    var nanos: Int32 = 0
    if parts.count == 2 {
      guard let fraction = nanoseconds(ofFraction: parts[1]) else { return nil }
      nanos = fraction
    }
    self.init(seconds: negative ? -seconds : seconds, nanos: negative ? -nanos : nanos)
    guard isValid else { return nil }
  }

  package mutating func mergeJSON(_ json: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    if case .string(let text) = json {
      let spelled = decoder.options.takesGoDurations ? Google_Protobuf_Duration(goText: text) : nil
      if let value = Google_Protobuf_Duration(text: text) ?? spelled {
        self = value
        return
      }
    }
    throw decoder.error(
      "expected a duration such as \"1.5s\"\(decoder.options.takesGoDurations ? " or \"1m30s\"" : "")")
  }

  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue {
    guard isValid else {
      encoder.fail("duration out of range")
      return .null
    }
    let sign = seconds < 0 || nanos < 0 ? "-" : ""
    return .string("\(sign)\(seconds.magnitude)\(fractionText(nanos.magnitude))s")
  }
}

package struct Google_Protobuf_Timestamp: Message {
  /// Since 1970-01-01T00:00:00Z.
  package var seconds: Int64 = 0
  /// Counts forward, also before 1970.
  package var nanos: Int32 = 0
  package var unknownFields = UnknownFields()
  package init() {}
  package static let schema = MessageSchema("google.protobuf.Timestamp", "1:seconds 2:nanos")

  package init(seconds: Int64, nanos: Int32 = 0) {
    self.seconds = seconds
    self.nanos = nanos
  }

  package mutating func decodeField(_ number: Int32, from decoder: FieldDecoder) throws(ProtobufError) {
    switch number {
    case 1: try decoder.singular(Int64Field.self, &seconds)
    case 2: try decoder.singular(Int32Field.self, &nanos)
    default: decoder.unknown()
    }
  }
  package func traverse(_ visitor: FieldVisitor) {
    visitor.singular(Int64Field.self, 1, seconds)
    visitor.singular(Int32Field.self, 2, nanos)
    visitor.unknown(unknownFields)
  }

  package static var hasCustomJSON: Bool { true }

  private static let secondsRange: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

  /// RFC 3339 in UTC, years 1 to 9999; nil out of that range.
  package var text: String? {
    guard Self.secondsRange.contains(seconds), (0..<1_000_000_000).contains(nanos) else { return nil }
    let days = (seconds - (seconds % 86400 + 86400) % 86400) / 86400
    let second = Int(seconds - days * 86400)
    let date = CivilDate(daysSince1970: days)
    return
      "\(padded(Int(date.year), 4))-\(padded(Int(date.month), 2))-\(padded(Int(date.day), 2))T\(padded(second / 3600, 2)):"
      + "\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))\(fractionText(nanos.magnitude))Z"
  }

  /// Reads RFC 3339 with `Z` or an offset; nil for anything else.
  package init?(text: String) {
    let c = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int? {
      guard range.upperBound <= c.count, c[range].allSatisfy(isDigit) else { return nil }
      return c[range].reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }
    guard c.count >= 20, let year = number(0..<4), c[4] == UInt8(ascii: "-"), let month = number(5..<7),
      c[7] == UInt8(ascii: "-"), let day = number(8..<10), c[10] == UInt8(ascii: "T"), let hour = number(11..<13),
      c[13] == UInt8(ascii: ":"), let minute = number(14..<16), c[16] == UInt8(ascii: ":"),
      let second = number(17..<19), (1...9999).contains(year), (1...12).contains(month),
      (1...daysInMonth(year, month)).contains(day), hour < 24, minute < 60, second < 60
    else { return nil }
    var at = 19
    var nanos: Int32 = 0
    if c[at] == UInt8(ascii: ".") {
      let end = c[(at + 1)...].firstIndex { !isDigit($0) } ?? c.count
      guard let fraction = nanoseconds(ofFraction: String(decoding: c[(at + 1)..<end], as: UTF8.self)[...]) else {
        return nil
      }
      nanos = fraction
      at = end
    }
    guard at < c.count else { return nil }
    var offset = 0
    switch c[at] {
    case UInt8(ascii: "Z"): guard at + 1 == c.count else { return nil }
    case UInt8(ascii: "+"), UInt8(ascii: "-"):
      guard c.count == at + 6, let h = number(at + 1..<at + 3), c[at + 3] == UInt8(ascii: ":"),
        let m = number(at + 4..<at + 6), h < 24, m < 60
      else { return nil }
      offset = (h * 3600 + m * 60) * (c[at] == UInt8(ascii: "-") ? -1 : 1)
    default: return nil
    }
    let days = Int(CivilDate.days(year: Int64(year), month: Int64(month), day: Int64(day)))
    let seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset
    guard Self.secondsRange.contains(Int64(seconds)) else { return nil }
    self.init(seconds: Int64(seconds), nanos: nanos)
  }

  package mutating func mergeJSON(_ json: JSONValue, from decoder: JSONFieldDecoder) throws(ProtobufError) {
    guard case .string(let text) = json, let value = Google_Protobuf_Timestamp(text: text) else {
      throw decoder.error("expected a time such as \"2026-01-31T12:00:00Z\"")
    }
    self = value
  }

  package func makeJSON(_ encoder: JSONFieldEncoder) -> JSONValue {
    guard let text else {
      encoder.fail("timestamp out of range")
      return .null
    }
    return .string(text)
  }
}

private func isDigit(_ c: UInt8) -> Bool { c >= 0x30 && c <= 0x39 }

private func nanoseconds(ofFraction digits: Substring) -> Int32? {
  guard (1...9).contains(digits.utf8.count), digits.utf8.allSatisfy(isDigit), var value = Int32(digits) else {
    return nil
  }
  for _ in digits.utf8.count..<9 { value *= 10 }
  return value
}

/// "", ".5" as ".500", six or nine digits: as few groups of three as are exact.
private func fractionText(_ nanos: UInt32) -> String {
  if nanos == 0 { return "" }
  if nanos % 1_000_000 == 0 { return "." + padded(Int(nanos / 1_000_000), 3) }
  if nanos % 1000 == 0 { return "." + padded(Int(nanos / 1000), 6) }
  return "." + padded(Int(nanos), 9)
}

private func padded(_ value: Int, _ width: Int) -> String {
  let text = String(value)
  return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
}

private func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

private func daysInMonth(_ year: Int, _ month: Int) -> Int {
  switch month {
  case 2: isLeap(year) ? 29 : 28
  case 4, 6, 9, 11: 30
  default: 31
  }
}
