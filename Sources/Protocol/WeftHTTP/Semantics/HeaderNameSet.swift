// Sets of well-known names, to ask about many fields at once.

/// A set of well-known field names. *Shape*: two words.
package struct HeaderNameSet: BitwiseCopyable, Sendable {
  let low: UInt64
  let high: UInt64

  @inline(__always)
  package init(_ names: HeaderName...) {
    var low: UInt64 = 0
    var high: UInt64 = 0
    for name in names {
      if name.rawValue < 64 { low |= 1 << UInt64(name.rawValue) } else { high |= 1 << UInt64(name.rawValue & 63) }
    }
    self.low = low
    self.high = high
  }
}

extension MessageHead {
  /// Whether one of `names` has been received or added (and perhaps removed since). False is certain.
  /// *Cost*: two loads, so that what hardly any message has costs next to nothing.
  @inline(__always)
  package func mayContain(anyOf names: HeaderNameSet) -> Bool {
    let present = unsafe cell.pointee.present
    return (present.0 & names.low) | (present.1 & names.high) != 0
  }
}
