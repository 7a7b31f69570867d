// NameSchedule: when which name is looked up. A pure state machine; its owner asks the resolver and tells what came.

package import WeftBase
import WeftRuntime

/// The lookups in force and the moment each is due.
///
/// After an answer the next question waits for the refresh rate or the records' time to live; after a failure for a random part of an interval
/// that doubles with each failure in a row, if the cluster says so.
/// *Limits*: one question per lookup at a time. *Threads*: its owner's.
package struct NameSchedule {
  private struct Entry {
    var dueAt: MonotonicInstant
    var isAsking = false
    var hasEnded = false
    /// Failures in a row.
    var failures = 0
  }
  private var entries: [NameLookup: Entry] = [:]

  package init() {}

  /// Makes `lookups` those in force: new ones are due at once, the others go on, what is missing is forgotten.
  package mutating func want(_ lookups: Set<NameLookup>, now: MonotonicInstant) {
    entries = entries.filter { lookups.contains($0.key) }
    for lookup in lookups where entries[lookup] == nil { entries[lookup] = Entry(dueAt: now) }
  }

  /// Takes those that are due: each is to be asked now, and ended with `ended`.
  package mutating func begin(now: MonotonicInstant) -> [NameLookup] {
    let due = entries.filter { !$0.value.isAsking && $0.value.dueAt <= now }.map(\.key)
    for lookup in due { entries[lookup]?.isAsking = true }
    return due.sorted { $0.question.name < $1.question.name }
  }

  /// A question has been answered: `timeToLive` of its records (zero for none), or nil for a failure.
  /// *Returns*: false when nobody wants the answer any more. `draw` is a random number.
  package mutating func ended(
    _ lookup: NameLookup, timeToLive: Duration?, now: MonotonicInstant, draw: UInt64
  ) -> Bool {
    guard var entry = entries[lookup] else { return false }
    entry.isAsking = false
    entry.hasEnded = true
    if let timeToLive {
      entry.failures = 0
      entry.dueAt = now + (lookup.respectsTimeToLive && timeToLive > .zero ? timeToLive : lookup.refreshRate)
    } else {
      entry.dueAt = now + Self.wait(lookup, afterFailures: entry.failures, draw: draw)
      entry.failures = min(entry.failures + 1, 32)
    }
    entries[lookup] = entry
    return true
  }

  /// The earliest moment at which a question is due; nil while all are being asked.
  package var nextDue: MonotonicInstant? { entries.values.lazy.filter { !$0.isAsking }.map(\.dueAt).min() }

  /// Whether some name was never answered, not even by a failure.
  package var awaitsFirstAnswers: Bool { entries.values.contains { !$0.hasEnded } }

  private static func wait(_ lookup: NameLookup, afterFailures failures: Int, draw: UInt64) -> Duration {
    guard let failureBase = lookup.failureBase, failureBase > .zero else { return lookup.refreshRate }
    let base = UInt64(clamping: failureBase.nanoseconds)
    let most = max(base, UInt64(clamping: (lookup.failureMaximum ?? failureBase * 10).nanoseconds))
    let (doubled, overflow) = base.multipliedReportingOverflow(by: 1 << UInt64(failures))
    let interval = overflow ? most : min(doubled, most)
    // Never at once: a resolver that fails without delay must not be asked in a loop.
    return .nanoseconds(Int64(clamping: max(draw % interval, 1_000_000)))
  }
}
