internal import WeftBase

/// What a scalar without quotes means in the core schema of YAML 1.2.
enum PlainScalar {
  static func resolve(_ text: String) -> JSONValue {
    switch text {
    case "", "~", "null", "Null", "NULL": .null
    case "true", "True", "TRUE": .bool(true)
    case "false", "False", "FALSE": .bool(false)
    case ".nan", ".NaN", ".NAN": .string("NaN")
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": .string("Infinity")
    case "-.inf", "-.Inf", "-.INF": .string("-Infinity")
    default: number(text).map { .number($0) } ?? .string(text)
    }
  }

  /// The number as RFC 8259 spells it: no plus sign, no leading zeros, digits on both sides of the point.
  static func number(_ text: String) -> String? {
    guard text.utf8.count <= 400 else { return nil }
    var rest = Substring(text)
    if rest.hasPrefix("0o") { return UInt64(rest.dropFirst(2), radix: 8).flatMap { signless(rest, $0) } }
    if rest.hasPrefix("0x") { return UInt64(rest.dropFirst(2), radix: 16).flatMap { signless(rest, $0) } }
    let negative = rest.first == "-"
    if negative || rest.first == "+" { rest.removeFirst() }
    var whole = takeDigits(&rest)
    var fraction = ""
    var exponent = ""
    if rest.first == "." {
      rest.removeFirst()
      fraction = takeDigits(&rest)
    }
    guard !whole.isEmpty || !fraction.isEmpty else { return nil }
    if rest.first == "e" || rest.first == "E" {
      rest.removeFirst()
      exponent = "e"
      if let sign = rest.first, sign == "+" || sign == "-" {
        rest.removeFirst()
        exponent.append(sign)
      }
      let digits = takeDigits(&rest)
      guard !digits.isEmpty else { return nil }
      exponent += digits
    }
    guard rest.isEmpty else { return nil }
    while whole.utf8.count > 1, whole.first == "0" { whole.removeFirst() }
    if whole.isEmpty { whole = "0" }
    return (negative ? "-" : "") + whole + (fraction.isEmpty ? "" : "." + fraction) + exponent
  }

  /// `UInt64(_:radix:)` takes a sign; YAML's 0o and 0x do not.
  private static func signless(_ text: Substring, _ value: UInt64) -> String? {
    text.utf8.dropFirst(2).first == UInt8(ascii: "+") ? nil : String(value)
  }

  private static func takeDigits(_ rest: inout Substring) -> String {
    let digits = rest.prefix { $0.isASCII && $0.isNumber }
    rest = rest[digits.endIndex...]
    return String(digits)
  }
}
