// FilterPhase: whether a stream's filters hold it.
//
//   running ── held ──▶ held ── released ──▶ running
//   running ── responseHeld ──▶ responseHeld ── released ──▶ running

/// How far a stream has come with its filters.
@frozen @usableFromInline
package enum FilterPhase: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  /// No filter has held it: the walk is under way, over, or has not begun.
  case running
  /// Held by a filter until an inside stream answers, time passes, or content has come. Exits: `running` by the answer, the stream's end by anything
  /// else that ends it.
  case held
  /// Its response is: head, content and trailers wait. Exits: as `held`.
  case responseHeld

  /// A filter holds the request.
  @inlinable package mutating func held() { if self == .running { self = .held } }

  /// A filter holds the response.
  @inlinable package mutating func responseHeld() { if self == .running { self = .responseHeld } }

  /// What it waited for has come, or is not waited for any more.
  @inlinable package mutating func released() { self = .running }
}
