import CAtomics
package import WeftBase
package import WeftModel
import WeftTelemetry

/// A number that all workers count up and down, owned by a configuration: how many faults are active, how many connections are open.
///
/// *Shape*: one pointer. *Cost*: one atomic addition.
/// Why sound: the cell is only touched atomically; the storage it was made in outlives every use, as it does all compiled configuration.
@safe
package struct SharedCounter: BitwiseCopyable, @unchecked Sendable {  // an atomic cell
  private let cell: UnsafeMutablePointer<UInt64>

  package init(_ storage: SnapshotStorage) {
    let owner = SharedCells(1)
    storage.retain(owner)
    unsafe cell = owner.cells
  }

  package var value: UInt64 { unsafe weft_load(cell) }

  /// Takes one if fewer than `limit` are taken.
  package func take(limit: UInt64) -> Bool {
    if unsafe weft_fetch_add(cell, 1) < limit { return true }
    give()
    return false
  }

  /// Takes one, whatever the limit.
  package func add() { _ = unsafe weft_fetch_add(cell, 1) }

  package func give() { _ = unsafe weft_fetch_add(cell, .max) }
}

/// A token bucket that all workers draw from.
///
/// Tokens come in whole fills: `tokensPerFill` every `fillNanoseconds`, never more than `maximum` at once, full at first. As Envoy's, a fill that is due is
/// made up for by whoever asks next.
/// *Shape*: one pointer to two atomic cells. *Cost*: one atomic exchange per token, two when a fill is due.
/// Why sound: as `SharedCounter`.
@safe
package struct SharedTokenBucket: BitwiseCopyable, @unchecked Sendable {  // atomic cells
  /// Tokens there are; moment of the last fill.
  private let cells: UnsafeMutablePointer<UInt64>
  package let maximum: UInt64
  package let tokensPerFill: UInt64
  package let fillNanoseconds: UInt64

  package init(_ settings: TokenBucketSettings, _ storage: SnapshotStorage) {
    self.init(
      maximum: UInt64(settings.maximum), tokensPerFill: UInt64(settings.tokensPerFill),
      fillNanoseconds: UInt64(clamping: settings.fillInterval.nanoseconds), storage)
  }

  package init(maximum: UInt64, tokensPerFill: UInt64, fillNanoseconds: UInt64, _ storage: SnapshotStorage) {
    let owner = SharedCells(2)
    storage.retain(owner)
    unsafe cells = owner.cells
    unsafe cells[0] = maximum
    self.maximum = maximum
    self.tokensPerFill = tokensPerFill
    self.fillNanoseconds = max(1, fillNanoseconds)
  }

  /// Takes `count` tokens, or none.
  package func take(_ count: UInt64 = 1, now: MonotonicInstant) -> Bool {
    fill(now)
    while true {
      let there = unsafe weft_load(cells)
      if there < count { return false }
      if unsafe weft_compare_exchange(cells, there, there - count) != 0 { return true }
    }
  }

  private func fill(_ now: MonotonicInstant) {
    let last = unsafe weft_load(cells + 1)
    if last == 0 {
      // The first to ask starts the clock.
      _ = unsafe weft_compare_exchange(cells + 1, 0, max(1, now.nanoseconds))
      return
    }
    guard now.nanoseconds > last, now.nanoseconds - last >= fillNanoseconds else { return }
    let fills = (now.nanoseconds - last) / fillNanoseconds
    guard unsafe weft_compare_exchange(cells + 1, last, last + fills * fillNanoseconds) != 0 else { return }
    let (product, overflow) = fills.multipliedReportingOverflow(by: tokensPerFill)
    let due = overflow ? maximum : min(product, maximum)
    while true {
      let there = unsafe weft_load(cells)
      if unsafe weft_compare_exchange(cells, there, min(maximum, there + due)) != 0 { return }
    }
  }
}

/// Owns atomic cells on a cache line of their own.
@safe
private final class SharedCells: Sendable {
  nonisolated(unsafe) let cells: UnsafeMutablePointer<UInt64>

  init(_ count: Int) {
    let line = UnsafeMutableRawPointer.allocate(byteCount: max(64, 8 * count), alignment: 64)
    unsafe cells = line.bindMemory(to: UInt64.self, capacity: count)
    unsafe cells.initialize(repeating: 0, count: count)
  }

  deinit { unsafe cells.deallocate() }
}
