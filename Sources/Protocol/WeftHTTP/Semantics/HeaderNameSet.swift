// A set of well-known field names in two machine words.

/// Well-known field names, one bit each: what a head may contain, or what is to be taken out of one in a single pass.
///
/// *Cost*: every operation is a few instructions; a set written down as a chain of `with` is a constant of the program.
@frozen @usableFromInline
package struct HeaderNameSet: BitwiseCopyable, Sendable {
  @usableFromInline var low: UInt64 = 0
  @usableFromInline var high: UInt64 = 0

  @inlinable @inline(__always)
  package init() {}

  /// The set of `names`. *Cost*: makes an array; for sets that are kept.
  package init(_ names: HeaderName...) {
    for name in names { insert(name) }
  }

  /// The set with `name` in it.
  @inlinable @inline(__always)
  package func with(_ name: HeaderName) -> HeaderNameSet {
    var set = self
    set.insert(name)
    return set
  }

  @inlinable @inline(__always)
  package mutating func insert(_ name: HeaderName) {
    let bit: UInt64 = 1 &<< UInt64(name.rawValue)
    if name.rawValue < 64 { low |= bit } else { high |= bit }
  }

  @inlinable @inline(__always)
  package func contains(_ name: HeaderName) -> Bool {
    (name.rawValue < 64 ? low : high) &>> UInt64(name.rawValue) & 1 != 0
  }

  /// Whether a name is in both sets.
  @inlinable @inline(__always)
  package func intersects(_ other: HeaderNameSet) -> Bool { low & other.low | high & other.high != 0 }

  /// Takes the names of `other` out.
  @inlinable @inline(__always)
  package mutating func subtract(_ other: HeaderNameSet) {
    low &= ~other.low
    high &= ~other.high
  }
}

extension MessageHead {
  /// Whether one of `names` has been received or added (and perhaps removed since). False is certain.
  /// *Cost*: two loads, so that what hardly any message has costs next to nothing.
  @inlinable @inline(__always)
  package func mayContain(anyOf names: HeaderNameSet) -> Bool { unsafe cell.pointee.present.intersects(names) }
}
