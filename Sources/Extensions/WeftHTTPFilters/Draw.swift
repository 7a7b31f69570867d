// Draws: which streams a filter with a share concerns.

import WeftBase
import WeftProxyAPI

extension FilterCall {
  /// Whether the stream's draw falls below `millionths`. Draws of different `salt`s are independent of each other.
  @inline(__always)
  func falls(_ salt: UInt64, _ millionths: UInt64) -> Bool {
    millionths > 0 && RandomSource.mix(random ^ salt, 0xe703_7ed1_a0b4_28db) % 1_000_000 < millionths
  }

  /// As above, for a share that a runtime key may change.
  @inline(__always)
  func falls(_ salt: UInt64, _ share: RuntimeShare) -> Bool { falls(salt, UInt64(runtime.partsPerMillion(share))) }
}
