// WorkerConfiguration: the snapshots a worker uses, and how long.

import WeftBase
import WeftProxyAPI
package import WeftTables
import WeftTelemetry
import WeftUpstream

/// Snapshots in use by one worker.
///
/// Connections and streams name their snapshot by position and are counted; a snapshot that is neither current nor used is let go. Positions
/// are reused.
struct WorkerConfiguration: ~Copyable {
  var snapshots: [Snapshot?] = []
  /// Who uses each of them, and the worker's state of its clusters, by position.
  var uses = MutableTable<Use>()
  var current: UInt32 = .max

  /// How one snapshot is used.
  struct Use: BitwiseCopyable {
    var users: Int
    var clusters: ClusterTable
    var names: ConstantTable<ClusterPositions.Entry>
  }

  /// A worker's states of the clusters of one piece, shared by the snapshots that share the piece.
  ///
  /// Why sound: counted by the tables that name it; allocated when the first snapshot is taken over that has the piece, freed with the last.
  @safe
  struct Piece: BitwiseCopyable {
    private let users: UnsafeMutablePointer<Int>
    let states: UnsafeMutablePointer<ClusterIndex>
    let count: Int

    init(_ list: [ClusterIndex]) {
      unsafe users = .allocate(capacity: 1)
      unsafe users.initialize(to: 1)
      unsafe states = .allocate(capacity: max(1, list.count))
      count = list.count
      for (i, state) in list.enumerated() { unsafe states[i] = state }
    }

    func retain() { unsafe users.pointee += 1 }

    /// *Returns*: the states, when nobody uses them any more; the piece is gone then.
    func release() -> [ClusterIndex] {
      unsafe users.pointee -= 1
      guard unsafe users.pointee == 0 else { return [] }
      let list = (0..<count).map { unsafe states[$0] }
      unsafe states.deallocate()
      unsafe users.deallocate()
      return list
    }
  }

  /// A table of a snapshot's cluster states.
  ///
  /// Why sound: allocated when the snapshot is taken over, freed when it is let go; accesses are checked.
  @safe
  struct ClusterTable: BitwiseCopyable {
    let pieces: UnsafeMutablePointer<Piece>
    let pieceCount: Int
    let count: Int

    init(_ list: [Piece], count: Int) {
      unsafe pieces = .allocate(capacity: max(1, list.count))
      pieceCount = list.count
      self.count = count
      for (i, piece) in list.enumerated() { unsafe pieces[i] = piece }
    }

    @inline(__always)
    subscript(i: Int) -> ClusterIndex {
      precondition(i >= 0 && i < count)
      return unsafe pieces[i / ClusterList.Piece.size].states[i % ClusterList.Piece.size]
    }

    func piece(_ number: Int) -> Piece {
      precondition(number >= 0 && number < pieceCount)
      return unsafe pieces[number]
    }
  }

  init() {}
}

extension WorkerEngine {
  /// Takes over `snapshot`: new connections and requests use it from now on, what is in flight keeps what it began with.
  ///
  /// Call it on the worker's thread, between events (`loop.mailbox.post`).
  package func apply(_ snapshot: Snapshot) {
    let use = WorkerConfiguration.Use(users: 0, clusters: adopt(snapshot.clusters), names: snapshot.index.table)
    let previous = configuration[].current
    if let free = configuration[].snapshots.firstIndex(where: { $0 == nil }) {
      configuration[].snapshots[free] = snapshot
      configuration[].uses[free] = use
      configuration[].current = UInt32(free)
    } else {
      configuration[].snapshots.append(snapshot)
      configuration[].uses.append(use)
      configuration[].current = UInt32(configuration[].snapshots.count - 1)
    }
    applyListeners(snapshot)
    if previous != .max { releaseIfUnused(previous) }
    flushStage()
  }

  /// The worker's states of a snapshot's clusters. *Cost*: what changed since the snapshot in force, and a count for each piece that did not.
  private func adopt(_ clusters: ClusterList) -> WorkerConfiguration.ClusterTable {
    let current = configuration[].current
    let known = current == .max ? nil : configuration[].snapshots[Int(current)]?.clusters
    var pieces: [WorkerConfiguration.Piece] = []
    pieces.reserveCapacity(clusters.pieces.count)
    for (number, piece) in clusters.pieces.enumerated() {
      if let known, number < known.pieces.count, known.pieces[number] === piece {
        let shared = configuration[].uses[Int(current)].clusters.piece(number)
        shared.retain()
        pieces.append(shared)
      } else {
        pieces.append(WorkerConfiguration.Piece(piece.clusters.map { $0.map { adopt($0, in: piece) } ?? .none }))
      }
    }
    return WorkerConfiguration.ClusterTable(pieces, count: clusters.count)
  }

  @inline(__always)
  func retain(snapshot i: UInt32) { configuration[].uses[Int(i)].users &+= 1 }

  @inline(__always)
  func release(snapshot i: UInt32) {
    configuration[].uses[Int(i)].users &-= 1
    if i != configuration[].current { releaseIfUnused(i) }
  }

  private func releaseIfUnused(_ i: UInt32) {
    guard configuration[].uses[Int(i)].users == 0, configuration[].snapshots[Int(i)] != nil else { return }
    let table = configuration[].uses[Int(i)].clusters
    configuration[].snapshots[Int(i)] = nil
    for number in 0..<table.pieceCount {
      for state in table.piece(number).release() { leave(state) }
    }
    unsafe table.pieces.deallocate()
  }

  /// How many configurations something still uses.
  package var snapshotsInUse: Int { configuration[].snapshots.count { $0 != nil } }

  /// The worker's state of the cluster at `position` of a snapshot; `.none` for -1, and for a cluster that is gone.
  @inline(__always)
  func clusterState(_ snapshot: UInt32, _ position: Int32) -> ClusterIndex {
    position < 0 ? .none : configuration[].uses[Int(snapshot)].clusters[Int(position)]
  }
}
