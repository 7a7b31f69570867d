// StreamPlace: where a stream stands with the host of its attempt.
//
//   nowhere ── counted ──▶ counted ── queued ──▶ waiting ── leftQueue ──▶ counted
//                          counted ── connected ──▶ running ── disconnected ──▶ counted
//   any ── uncounted ──▶ nowhere
//
// So a stream never waits for a connection and runs on one at once, and does neither without being on its host's books.

/// Whether a stream is on a host's books, in its queue, or on one of its connections.
package enum StreamPlace: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  /// No attempt is under way: `Stream.host` is none.
  case nowhere
  /// A host was chosen and counts it; it has no connection yet, or none any more.
  case counted
  /// In the host's queue for a connection.
  case waiting
  /// On a connection: `Stream.upstream`.
  case running

  /// A host was chosen for an attempt.
  @inline(__always)
  package mutating func counted() { if self == .nowhere { self = .counted } }

  /// No connection is ready: it queues for one.
  @inline(__always)
  package mutating func queued() { if self == .counted { self = .waiting } }

  /// It is taken out of the queue, for a connection or for good. *Returns*: whether it was in it.
  @inline(__always) @discardableResult
  package mutating func leftQueue() -> Bool {
    guard self == .waiting else { return false }
    self = .counted
    return true
  }

  /// A connection has taken it.
  @inline(__always)
  package mutating func connected() { if self == .counted { self = .running } }

  /// It is off its connection.
  @inline(__always)
  package mutating func disconnected() { if self == .running { self = .counted } }

  /// The host counts it no more. *Returns*: whether one did.
  @inline(__always) @discardableResult
  package mutating func uncounted() -> Bool {
    guard self != .nowhere else { return false }
    self = .nowhere
    return true
  }
}
