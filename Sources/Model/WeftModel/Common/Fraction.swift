/// A share of requests: `numerator` out of a hundred, ten thousand or a million.
package struct FractionalPercent: Hashable, Sendable {
  package enum Denominator: UInt32, Hashable, Sendable {
    case hundred = 100
    case tenThousand = 10_000
    case million = 1_000_000
  }
  package var numerator: UInt32
  package var denominator: Denominator

  package init(_ numerator: UInt32, of denominator: Denominator = .hundred) {
    self.numerator = numerator
    self.denominator = denominator
  }

  /// The share in parts per million, at most 1,000,000.
  package var partsPerMillion: UInt32 {
    UInt32(min(UInt64(numerator) * UInt64(1_000_000 / denominator.rawValue), 1_000_000))
  }
}

/// A switch that a runtime key may override.
package struct RuntimeSwitch: Hashable, Sendable {
  package var value: Bool
  package var runtimeKey: String
  package init(_ value: Bool, runtimeKey: String = "") {
    self.value = value
    self.runtimeKey = runtimeKey
  }
}

/// A share that a runtime key may override.
package struct RuntimeFraction: Hashable, Sendable {
  package var value: FractionalPercent
  package var runtimeKey: String
  package init(_ value: FractionalPercent, runtimeKey: String = "") {
    self.value = value
    self.runtimeKey = runtimeKey
  }
}
