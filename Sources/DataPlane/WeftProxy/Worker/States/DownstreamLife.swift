// DownstreamLife: a client's connection, from being accepted to its end; and how it is told that the end is near.
//
//   open ── noMoreRequests ──▶ closing     open, closing ── closed ──▶ closed
//                                          open, closing ── closedIdle ──▶ closedIdle
//                                          open, closing ── ended ──▶ lost
//   farewell   none ── becomesDue ──▶ due ── announce ──▶ announced ── finish ──▶ final
//
// The two are independent: a client may be told to go elsewhere while it is still served, and a connection may close with no word said.

/// Where a client's connection stands.
package enum DownstreamLife: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case open
  /// No further request: it closes when what is in flight has ended.
  case closing
  /// We closed it; only the loop's `closed` is still to come.
  case closed
  /// The same, by a drain while it had nothing to do: nobody waits for its end.
  case closedIdle
  /// It ended without us.
  case lost

  /// Over, though the loop's `closed` may still be to come.
  @inline(__always) package var isClosed: Bool { rawValue >= Self.closed.rawValue }
  @inline(__always) package var isClosedByUs: Bool { self == .closed || self == .closedIdle }

  /// No request is to follow those that are there.
  @inline(__always)
  package mutating func noMoreRequests() { if self == .open { self = .closing } }

  /// We close it.
  package mutating func closed() { if !isClosed { self = .closed } }

  /// We close it because it has nothing to do.
  package mutating func closedIdle() { if !isClosed { self = .closedIdle } }

  /// The loop says that it is gone.
  package mutating func ended() { if !isClosed { self = .lost } }
}

/// How far a client was told to take its next request elsewhere: `connection: close` in HTTP/1, two GOAWAYs in HTTP/2.
package enum Farewell: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case none
  /// Its time or its number of requests is over: said with the next response.
  case due
  /// The first GOAWAY, which names no stream yet, was sent.
  case announced
  /// The last one was sent.
  case final

  @inline(__always) package var isDue: Bool { self != .none }
  @inline(__always) package var isAnnounced: Bool { rawValue >= Self.announced.rawValue }

  /// It is to be told.
  package mutating func becomesDue() { if self == .none { self = .due } }

  /// The first GOAWAY goes. *Returns*: whether it has not gone before.
  @discardableResult
  package mutating func announce() -> Bool {
    guard !isAnnounced else { return false }
    self = .announced
    return true
  }

  /// The last GOAWAY goes. *Returns*: whether it has not gone before.
  @discardableResult
  package mutating func finish() -> Bool {
    guard self != .final else { return false }
    self = .final
    return true
  }
}
