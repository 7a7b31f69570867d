import CAtomics
import WeftTelemetry

/// A number that all workers count up and down, owned by a configuration: how many faults are active, how many connections are open.
///
/// *Shape*: one pointer. *Cost*: one atomic operation, a further one for each worker that comes between.
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

  /// Takes one if fewer than `limit` are taken. Who is refused has never held one: nobody else is refused for its sake.
  package func take(limit: UInt64) -> Bool {
    while true {
      let taken = value
      if taken >= limit { return false }
      if unsafe weft_compare_exchange(cell, taken, taken &+ 1) != 0 { return true }
    }
  }

  /// Takes one, whatever the limit.
  package func add() { _ = unsafe weft_fetch_add(cell, 1) }

  package func give() { _ = unsafe weft_fetch_add(cell, .max) }
}

/// Owns atomic cells on a cache line of their own.
@safe
final class SharedCells: Sendable {
  nonisolated(unsafe) let cells: UnsafeMutablePointer<UInt64>

  init(_ count: Int) {
    let line = UnsafeMutableRawPointer.allocate(byteCount: max(64, 8 * count), alignment: 64)
    unsafe cells = line.bindMemory(to: UInt64.self, capacity: count)
    unsafe cells.initialize(repeating: 0, count: count)
  }

  deinit { unsafe cells.deallocate() }
}
