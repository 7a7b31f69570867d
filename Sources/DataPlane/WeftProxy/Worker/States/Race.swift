// Race: whether a request has several attempts at a time, and what an attempt is whose time is over.
//
//   race   none ── began ──▶ owner ── ended ──▶ none      none ── joined ──▶ backup
//   time   running ── ranOut ──▶ over      running, over ── succeeded ──▶ replaced      any ── began ──▶ running
//
// The client's stream owns its attempts: the race ends when one of them is answered for good, or when one is left. A backup is one until it ends.

/// Whether a request has several attempts at a time, and what a slot is among them.
package enum Race: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  /// Its only attempt.
  case none
  /// The client's stream, with an attempt of its own or without, and others beside it or about to begin.
  case owner
  /// One more attempt, in a slot of its own, of the stream it accompanies.
  case backup

  /// Another attempt begins beside those that run, or is about to.
  package mutating func began() { if self == .none { self = .owner } }

  /// The slot is made for an attempt of another stream.
  package mutating func joined() { if self == .none { self = .backup } }

  /// There is an answer for the client, or one attempt that is left.
  package mutating func ended() { if self == .owner { self = .none } }
}

/// How an attempt stands to its time where that is no reason to end it.
package enum AttemptTime: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case running
  /// It is over, and nothing was begun in its stead: retries or budget are used up.
  case over
  /// Another attempt was begun in its stead, or is about to.
  case replaced

  /// The attempt begins.
  package mutating func began() { self = .running }

  /// Its time is over, and it goes on.
  package mutating func ranOut() { if self == .running { self = .over } }

  /// Another attempt follows beside it.
  package mutating func succeeded() { self = .replaced }
}
