// ClusterList: a snapshot's clusters by position, in pieces that successive snapshots share.

package import WeftUpstream
package import WeftBase
package import WeftProxyAPI
package import WeftTelemetry

/// The clusters of a snapshot. A change costs the pieces it falls into, not all clusters: what did not change is the same `Piece` in the next
/// snapshot, and a worker that takes it over has nothing to do for it.
package struct ClusterList: RandomAccessCollection, Sendable {
  /// A run of positions. Keeps the memory of its clusters.
  package final class Piece: Sendable {
    package static let size = 64
    package let clusters: [ConfigRef<CompiledCluster>?]
    private let owners: [SnapshotStorage]

    package init(_ clusters: [ConfigRef<CompiledCluster>?], owners: [SnapshotStorage]) {
      self.clusters = clusters
      self.owners = owners
    }
  }

  package let pieces: [Piece]
  package let count: Int

  package init(_ pieces: [Piece], count: Int) {
    precondition(pieces.count == (count + Piece.size - 1) / Piece.size)
    self.pieces = pieces
    self.count = count
  }

  package var startIndex: Int { 0 }
  package var endIndex: Int { count }
  package subscript(position: Int) -> ConfigRef<CompiledCluster>? {
    precondition(position >= 0 && position < count)
    return pieces[position / Piece.size].clusters[position % Piece.size]
  }
}

/// Positions of clusters by name, for routes that take the name from a request. Made anew when clusters come or go.
package final class ClusterPositions: Sendable {
  /// A slot of the table: linear probing, half full at most.
  package struct Entry: BitwiseCopyable, @unchecked Sendable {  // immutable after init, owned by the index
    var name: ByteView
    var position: Int32
  }

  private let arena = ConstantArena()
  package let table: ConstantTable<Entry>

  package init(_ positions: [(name: String, position: Int32)]) {
    var capacity = 8
    while capacity < 2 * positions.count { capacity *= 2 }
    var slots = [Entry](repeating: Entry(name: .empty, position: -1), count: positions.isEmpty ? 0 : capacity)
    for (name, position) in positions {
      let name = arena.text(name)
      var slot = Int(truncatingIfNeeded: StableHasher.hash(name)) & (capacity - 1)
      while slots[slot].position >= 0 { slot = (slot + 1) & (capacity - 1) }
      slots[slot] = Entry(name: name, position: position)
    }
    table = arena.table(slots)
  }

  /// The position of a name in `table`; -1 when there is none. *Cost*: one hash.
  package static func position(of name: ByteView, in table: ConstantTable<Entry>) -> Int32 {
    if table.count == 0 { return -1 }
    var slot = Int(truncatingIfNeeded: StableHasher.hash(name)) & (table.count - 1)
    while table[slot].position >= 0 {
      if table[slot].name.equals(name) { return table[slot].position }
      slot = (slot + 1) & (table.count - 1)
    }
    return -1
  }
}
