// RuntimeLayer: values that change what configuration says while the proxy runs, by key.

package import WeftBase

/// A layer of runtime values; of layers that name the same key, the last one wins.
package struct RuntimeLayer: Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    case fixed([String: RuntimeValue])
    /// What the admin page sets; empty at first.
    case admin
  }
  package var name: String
  package var kind: Kind

  package init(name: String, _ kind: Kind) {
    self.name = name
    self.kind = kind
  }
}

/// A value of a runtime key. Which of its forms count is for who asks: a number is also a share, in percent.
package struct RuntimeValue: Hashable, Sendable {
  /// As it is shown.
  package var text: String
  package var number: Double?
  package var flag: Bool?
  package var fraction: FractionalPercent?

  package init(text: String) {
    self.text = text
    number = Double(text).flatMap { $0.isFinite ? $0 : nil }
    switch text.lowercased() {
    case "true": flag = true
    case "false": flag = false
    default: break
    }
  }

  /// What a document says; nil for what is no value: null, a list. `text`: as it was written.
  package init?(_ value: JSONValue, text: String? = nil) {
    switch value {
    case .null, .array: return nil
    case .bool(let flag): self.init(text: flag ? "true" : "false")
    case .number(let number): self.init(text: number)
    case .string(let string): self.init(text: string)
    case .object(let object):
      self.init(text: value.text())
      (number, flag) = (nil, nil)
      fraction = Self.fraction(object)
    }
    if let text { self.text = text }
  }

  /// Whole and not negative; what follows the point does not count. *Source*: Envoy's snapshot.
  package var integer: UInt64? {
    guard let number, number >= 0, number < 0x1p64 else { return nil }
    return UInt64(number)
  }

  /// Whether an object is a share, not a group of keys.
  package static func isShare(_ object: JSONObject) -> Bool {
    object.members.isEmpty || object["numerator"] != nil || object["denominator"] != nil
  }

  private static func fraction(_ object: JSONObject) -> FractionalPercent? {
    guard object.members.allSatisfy({ $0.name == "numerator" || $0.name == "denominator" }) else { return nil }
    var numerator: UInt32 = 0
    if let value = object["numerator"] {
      guard case .number(let text) = value, let number = Double(text).flatMap(UInt32.init(exactly:)) else { return nil }
      numerator = number
    }
    switch object["denominator"] {
    case nil, .string("HUNDRED"), .number("0"): return FractionalPercent(numerator)
    case .string("TEN_THOUSAND"), .number("1"): return FractionalPercent(numerator, of: .tenThousand)
    case .string("MILLION"), .number("2"): return FractionalPercent(numerator, of: .million)
    default: return nil
    }
  }
}
