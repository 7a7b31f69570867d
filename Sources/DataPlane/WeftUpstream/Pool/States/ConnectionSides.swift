// ConnectionSides: what is the same of every connection, a client's or one of ours. Each is a life cycle that depends on no other.

/// TLS on a connection: whether there is any, and whether it has been agreed on.
@frozen @usableFromInline
package enum TransportState: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case plain, handshaking, secured

  @inlinable package var isSecure: Bool { self != .plain }

  /// A session was put under the connection.
  @inlinable
  package mutating func started() { if self == .plain { self = .handshaking } }

  /// Both ends have agreed.
  @inlinable
  package mutating func secured() { if self == .handshaking { self = .secured } }
}

/// What comes from the peer.
@frozen @usableFromInline
package enum ReadSide: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case open
  /// The loop was asked to stop reading.
  case paused
  /// The peer has said all it has to say; nothing comes that could be paused.
  case ended

  /// What it feeds takes no more. *Returns*: whether the loop has to hear of it.
  @inlinable @discardableResult
  package mutating func pause() -> Bool {
    guard self == .open else { return false }
    self = .paused
    return true
  }

  /// What it feeds takes bytes again. *Returns*: whether the loop has to hear of it.
  @inlinable @discardableResult
  package mutating func resume() -> Bool {
    guard self == .paused else { return false }
    self = .open
    return true
  }

  /// The peer finished sending.
  @inlinable
  package mutating func ended() { self = .ended }
}

/// What goes to the peer.
@frozen @usableFromInline
package enum WriteSide: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case open
  /// The write queue is above the high mark.
  case blocked

  /// The queue passed its high mark. *Returns*: whether that is news.
  @inlinable @discardableResult
  package mutating func block() -> Bool {
    guard self == .open else { return false }
    self = .blocked
    return true
  }

  /// The queue is empty again.
  @inlinable
  package mutating func drained() { self = .open }
}

/// Whether an HTTP/2 connection's output is to be written at the end of the turn.
@frozen @usableFromInline
package enum FlushState: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case none
  /// In the turn's list.
  case queued

  /// It has output. *Returns*: whether it has to be put into the list.
  @inlinable @discardableResult
  package mutating func queue() -> Bool {
    guard self == .none else { return false }
    self = .queued
    return true
  }

  /// Its output was handed to the loop.
  @inlinable
  package mutating func flushed() { self = .none }
}

/// The beginning of something on the wire: of the head a client owes, of the answer an endpoint owes.
@frozen @usableFromInline
package enum FirstBytes: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case awaited, come

  /// Some of it is here.
  @inlinable
  package mutating func came() { self = .come }

  /// The next one is owed.
  @inlinable
  package mutating func awaitedAnew() { self = .awaited }
}
