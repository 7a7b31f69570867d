// StreamFacts: what else becomes of a stream, each a life cycle of two or three states that depends on no other.

/// Whether a stream's client is there to be told anything.
package enum ClientState: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case present
  /// Nothing may be sent to it.
  case gone

  /// It went, or its side of the stream was given up. *Returns*: whether that is news.
  @inline(__always) @discardableResult
  package mutating func left() -> Bool {
    guard self == .present else { return false }
    self = .gone
    return true
  }
}

/// Whether content is taken as it comes.
package enum FlowState: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case open
  /// The side that sends it is held back.
  case paused

  /// The other side cannot take it. *Returns*: whether that is news.
  @inline(__always) @discardableResult
  package mutating func pause() -> Bool {
    guard self == .open else { return false }
    self = .paused
    return true
  }

  /// The other side takes it again. *Returns*: whether that is news.
  @inline(__always) @discardableResult
  package mutating func resume() -> Bool {
    guard self == .paused else { return false }
    self = .open
    return true
  }
}

/// Whether what was passed on of a request's body is kept for another attempt.
package enum BodyCopy: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case none, kept
  /// It outgrew its limit: the body cannot be sent again.
  case abandoned

  /// The request may be sent again.
  @inline(__always)
  package mutating func keep() { if self == .none { self = .kept } }

  /// It is larger than what is kept.
  package mutating func outgrown() { if self == .kept { self = .abandoned } }
}

/// A place at a circuit breaker.
package enum Permit: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case none, held

  /// The breaker has let it pass.
  @inline(__always)
  package mutating func taken() { self = .held }

  /// It goes back. *Returns*: whether there was one to give.
  @inline(__always) @discardableResult
  package mutating func given() -> Bool {
    guard self == .held else { return false }
    self = .none
    return true
  }
}

/// The one retry that no policy has to allow: of a request that its upstream has not begun to process.
package enum AutomaticRetry: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case unspent, spent

  /// It is made.
  package mutating func spend() { self = .spent }
}
