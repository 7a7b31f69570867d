// ListenerLife: a place in a worker's table of listeners, from being opened to being free for another one.
//
//   open ── farewell ──▶ leaving     open, leaving ── drained ──▶ draining ── retired ──▶ free
//
// A free place is taken by a new entry, not by an event.

/// Where a listener stands.
enum ListenerLife: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case open
  /// It still accepts, and its clients are told to go elsewhere with their next response.
  case leaving
  /// Removed from the configuration (or the worker drains): no new connection; gone with its last one.
  case draining
  /// Nobody has the place.
  case free

  /// Whether it is to accept, where it has a socket.
  var accepts: Bool { self == .open || self == .leaving }

  /// Its clients are to go elsewhere.
  mutating func farewell() { if self == .open { self = .leaving } }

  /// It accepts no more. *Returns*: whether it did.
  @discardableResult
  mutating func drained() -> Bool {
    guard accepts else { return false }
    self = .draining
    return true
  }

  /// The last connection of one that is not wanted any more has ended. *Returns*: whether that frees the place.
  @discardableResult
  mutating func retired() -> Bool {
    guard self == .draining else { return false }
    self = .free
    return true
  }
}
