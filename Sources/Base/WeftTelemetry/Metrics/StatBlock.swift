public import CAtomics

/// The numbers of one scope as one worker sees them.
///
/// *Shape*: a run of 64-bit cells that only this worker writes and that anyone may read; two words, trivially copyable.
/// *Cost*: an addition to memory, no lock prefix.
/// Why sound: the registry never frees a block while it lives (one of a scope that is gone serves another of its size), and cell offsets come from
/// the metric's type.
@frozen @safe
// One writer per block, relaxed atomic cells.
@usableFromInline
package struct StatBlock<M: Metric>: BitwiseCopyable, @unchecked Sendable {
  @usableFromInline let cells: UnsafeMutablePointer<UInt64>

  @usableFromInline init(cells: UnsafeMutablePointer<UInt64>) { unsafe self.cells = cells }

  /// Adds to a counter, or raises a gauge.
  @inlinable package func add(_ metric: M, _ amount: UInt64 = 1) { unsafe weft_bump(cells + metric.rawValue, amount) }

  /// Lowers a gauge.
  @inlinable package func subtract(_ metric: M, _ amount: UInt64 = 1) {
    unsafe weft_bump(cells + metric.rawValue, 0 &- amount)
  }

  /// Sets a gauge to this worker's share of it.
  @inlinable package func set(_ metric: M, _ value: UInt64) { unsafe weft_store(cells + metric.rawValue, value) }

  /// This worker's own share of a number.
  @inlinable package func value(_ metric: M) -> UInt64 { unsafe weft_load(cells + metric.rawValue) }

  /// Adds a time to a histogram. *Units*: milliseconds.
  package func record(_ metric: M, _ milliseconds: UInt64) {
    let first = metric.cell
    unsafe weft_bump(cells + first + HistogramBuckets.index(milliseconds), 1)
    unsafe weft_bump(cells + first + HistogramBuckets.sumCell, milliseconds)
  }

  /// Counts a response by its exact status (its class is a counter of its own).
  package func countStatus(_ status: UInt16) {
    guard let index = CountedStatus.index(status) else { return }
    unsafe weft_bump(cells + M.statusCell + index, 1)
  }
}

// The scopes a request touches, spelled out: a generic method of this target is not specialised in others, and would ask the metric's
// witnesses for every number.
extension StatBlock where M == ClusterMetric {
  package func add(_ metric: ClusterMetric) { unsafe weft_bump(cells + metric.rawValue, 1) }
  package func add(_ metric: ClusterMetric, _ amount: UInt64) {
    unsafe weft_bump(cells + metric.rawValue, amount)
  }
  package func subtract(_ metric: ClusterMetric) { unsafe weft_bump(cells + metric.rawValue, .max) }

  package func record(_ metric: ClusterMetric, _ milliseconds: UInt64) {
    unsafe recordTime(cells, ClusterMetric.firstHistogram, metric.rawValue, milliseconds)
  }

  package func countStatus(_ status: UInt16) {
    guard let index = CountedStatus.index(status) else { return }
    unsafe weft_bump(cells + clusterStatusCell + index, 1)
  }
}

extension StatBlock where M == HTTPMetric {
  package func add(_ metric: HTTPMetric) { unsafe weft_bump(cells + metric.rawValue, 1) }
  package func add(_ metric: HTTPMetric, _ amount: UInt64) {
    unsafe weft_bump(cells + metric.rawValue, amount)
  }
  package func subtract(_ metric: HTTPMetric) { unsafe weft_bump(cells + metric.rawValue, .max) }

  package func record(_ metric: HTTPMetric, _ milliseconds: UInt64) {
    unsafe recordTime(cells, HTTPMetric.firstHistogram, metric.rawValue, milliseconds)
  }
}

/// `ClusterMetric.statusCell`, without counting the cases each time: every cluster metric after the first histogram is one.
private let clusterStatusCell = ClusterMetric.statusCell

@inline(__always)
private func recordTime(_ cells: UnsafeMutablePointer<UInt64>, _ firstHistogram: Int, _ metric: Int, _ ms: UInt64) {
  let first = unsafe cells + firstHistogram + (metric - firstHistogram) * HistogramBuckets.cells
  unsafe weft_bump(first + HistogramBuckets.index(ms), 1)
  unsafe weft_bump(first + HistogramBuckets.sumCell, ms)
}
