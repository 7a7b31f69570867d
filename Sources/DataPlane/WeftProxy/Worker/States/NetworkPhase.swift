// NetworkPhase: whether a connection's network filters hold it.
//
//   running ── heldBefore ──▶ heldBefore ── released ──▶ running
//   running ── heldInput ──▶ heldInput ── released ──▶ running

/// What a connection's network filters are at.
package enum NetworkPhase: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case running
  /// The connection waits for its chain to begin, nothing is read.
  case heldBefore
  /// It waits with input, which stays in the loop.
  case heldInput

  /// A filter holds the new connection.
  package mutating func heldBefore() { if self == .running { self = .heldBefore } }

  /// A filter holds it with what has come.
  package mutating func heldInput() { if self == .running { self = .heldInput } }

  /// What the filter waited for is there.
  package mutating func released() { self = .running }
}
