// UpstreamLife: a connection of ours, from connect to its end.
//
//   connecting ── connected ──▶ open ── retired ──▶ draining
//   connecting ── closed ──▶ abandoned ── ended ──▶ closed      connecting, abandoned ── connectTimedOut ──▶ timedOut ── ended ──▶ closed
//   open, draining ── closed ──▶ closed                         connecting, open, draining ── ended ──▶ lost
//
// Who ended it is part of where it stands: statistics and retries ask for it after the end.

/// Where a connection to a host stands.
@frozen @usableFromInline
package enum UpstreamLife: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  /// Being opened: TCP, and TLS where it is spoken.
  case connecting
  /// It takes streams.
  case open
  /// No new stream: it closes when it is free.
  case draining
  /// We closed it before it was open; and so because its time to connect was over. The loop's word is still to come.
  case abandoned, timedOut
  /// We closed it.
  case closed
  /// It ended without us.
  case lost

  /// Over, though the loop's `closed` may still be to come.
  @inlinable package var isClosed: Bool { rawValue >= Self.abandoned.rawValue }
  @inlinable package var isClosedByUs: Bool { self == .closed || isAbandoned }
  /// It carries bytes.
  @inlinable package var isUp: Bool { self == .open || self == .draining }
  /// On its host's books as one that is being opened.
  @inlinable package var isOpening: Bool { self == .connecting || isAbandoned }
  @inlinable var isAbandoned: Bool { self == .abandoned || self == .timedOut }

  /// The other end is there.
  @inlinable
  package mutating func connected() { if self == .connecting { self = .open } }

  /// It is to take no more streams.
  @inlinable
  package mutating func retired() { if self == .open { self = .draining } }

  /// We close it.
  @inlinable
  package mutating func closed() {
    switch self {
    case .connecting: self = .abandoned
    case .open, .draining: self = .closed
    case .abandoned, .timedOut, .closed, .lost: break
    }
  }

  /// It was closed because it was not open in time.
  @inlinable
  package mutating func connectTimedOut() { if self == .connecting || self == .abandoned { self = .timedOut } }

  /// The loop says that it is gone, and it is off its host's books.
  @inlinable
  package mutating func ended() {
    switch self {
    case .connecting, .open, .draining: self = .lost
    case .abandoned, .timedOut: self = .closed
    case .closed, .lost: break
    }
  }
}

/// Whether a PING of ours waits for its answer.
@frozen @usableFromInline
package enum PingState: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case none, outstanding

  /// One left.
  @inlinable
  package mutating func sent() { self = .outstanding }

  /// Its answer is here.
  @inlinable
  package mutating func answered() { self = .none }
}
