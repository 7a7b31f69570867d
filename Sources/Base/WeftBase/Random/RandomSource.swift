// RandomSource: fast randomness that a test can seed. Not for keys or nonces; those come from OpenSSL.

/// The wyrand generator: 64 bits of state, about 1 ns a draw, passes BigCrush and PractRand.
/// *Source*: wyhash final version 4, public domain.
@frozen @usableFromInline
package struct RandomSource: RandomNumberGenerator, Sendable {
  @usableFromInline package internal(set) var state: UInt64

  /// The same seed gives the same draws on every machine.
  @inlinable
  package init(seed: UInt64) { self.state = seed }

  /// Seeded by the system's random device.
  package static func fromSystem() -> RandomSource {
    var system = SystemRandomNumberGenerator()
    return RandomSource(seed: system.next())
  }

  @inlinable
  package mutating func next() -> UInt64 {
    state &+= 0xa076_1d64_78bd_642f
    return Self.mix(state, state ^ 0xe703_7ed1_a0b4_28db)
  }

  /// Uniform in `0..<bound`. *Cost*: one multiplication; its bias is below 2⁻³² for bounds below 2³².
  @inlinable
  package mutating func next(below bound: Int) -> Int {
    precondition(bound > 0)
    return Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// True once in `denominator / numerator` draws.
  @inlinable
  package mutating func chance(_ numerator: Int, in denominator: Int) -> Bool {
    numerator > 0 && next(below: denominator) < numerator
  }

  /// Uniform in `0..<1`.
  @inlinable
  package mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// An independent generator, for giving each part of a simulation its own.
  package mutating func split() -> RandomSource { RandomSource(seed: next()) }

  @inlinable
  package static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }
}
