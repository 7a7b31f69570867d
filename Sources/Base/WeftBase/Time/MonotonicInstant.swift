// Time as the mesh uses it: nanoseconds of a monotonic clock. Only the loop's driver reads a clock; everybody else is told `now`.

/// A point of monotonic time. *Units*: nanoseconds since an arbitrary start.
@frozen @usableFromInline
package struct MonotonicInstant: BitwiseCopyable, Hashable, Comparable, Sendable {
  @usableFromInline package var nanoseconds: UInt64

  @inlinable
  package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// The clock's start.
  @inlinable package static var zero: MonotonicInstant { MonotonicInstant(nanoseconds: 0) }
  /// Later than every real instant.
  @inlinable package static var distantFuture: MonotonicInstant { MonotonicInstant(nanoseconds: .max) }

  @inlinable
  package static func < (a: MonotonicInstant, b: MonotonicInstant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// `instant + duration`; stays within the clock's range.
  @inlinable
  package static func + (a: MonotonicInstant, b: Duration) -> MonotonicInstant {
    a.advanced(nanoseconds: b.nanoseconds)
  }

  /// `instant - duration`; stays within the clock's range.
  @inlinable
  package static func - (a: MonotonicInstant, b: Duration) -> MonotonicInstant {
    a.advanced(nanoseconds: -b.nanoseconds)
  }

  /// Time from `b` to `a`.
  @inlinable
  package static func - (a: MonotonicInstant, b: MonotonicInstant) -> Duration {
    .nanoseconds(Int64(clamping: a.nanoseconds) - Int64(clamping: b.nanoseconds))
  }

  /// The instant `delta` nanoseconds later (earlier when negative). *Cost*: an addition; prefer it to `+ Duration` per request.
  @inlinable
  package func advanced(nanoseconds delta: Int64) -> MonotonicInstant {
    let (sum, overflow) =
      delta >= 0
      ? nanoseconds.addingReportingOverflow(UInt64(delta)) : nanoseconds.subtractingReportingOverflow(delta.magnitude)
    return MonotonicInstant(nanoseconds: overflow ? (delta >= 0 ? .max : 0) : sum)
  }
}

extension Duration {
  /// Whole nanoseconds, clamped to what 64 bits hold (292 years).
  @inlinable
  package var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? .min : .max }
    let (sum, over) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return over ? (seconds < 0 ? .min : .max) : sum
  }

  /// Whole milliseconds, rounded towards zero.
  @inlinable package var wholeMilliseconds: Int64 { nanoseconds / 1_000_000 }
}
