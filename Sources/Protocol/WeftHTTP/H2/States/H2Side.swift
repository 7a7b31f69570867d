// H2Side: how far one side of a stream has come (RFC 9113 §5.1).
//
//   awaitingHead ── head ──▶ open      awaitingHead, open ── end ──▶ closed      all ── reset ──▶ reset
//
// A stream has two, what we have received and what we have sent; a reset ends both.

/// What one side of a stream has sent.
enum H2Side: UInt8, BitwiseCopyable, CaseIterable {
  /// Nothing, or informational responses.
  case awaitingHead
  /// Its final head; content or trailers may follow.
  case open
  /// All of it.
  case closed
  /// The stream was reset, by whichever side; the slot stays readable until the next event.
  case reset

  @inline(__always) var isClosed: Bool { rawValue >= Self.closed.rawValue }

  mutating func head() { if self == .awaitingHead { self = .open } }
  mutating func end() { if !isClosed { self = .closed } }
  mutating func reset() { self = .reset }
}
