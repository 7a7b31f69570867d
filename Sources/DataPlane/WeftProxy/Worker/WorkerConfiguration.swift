// WorkerConfiguration: the snapshots a worker uses, and how long.

import WeftBase
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
  }

  /// A table of a snapshot's cluster states.
  ///
  /// Why sound: allocated when the snapshot is taken over, freed when it is let go; accesses are checked.
  @safe
  struct ClusterTable: BitwiseCopyable {
    let base: UnsafeMutablePointer<SlabIndex>
    let count: Int

    init(_ states: [SlabIndex]) {
      unsafe base = .allocate(capacity: max(1, states.count))
      count = states.count
      for (i, state) in states.enumerated() { unsafe base[i] = state }
    }

    subscript(i: Int) -> SlabIndex {
      precondition(i >= 0 && i < count)
      return unsafe base[i]
    }
  }

  init() {}
}

extension WorkerEngine {
  /// Takes over `snapshot`: new connections and requests use it from now on, what is in flight keeps what it began with.
  ///
  /// Call it on the worker's thread, between events (`loop.mailbox.post`).
  package func apply(_ snapshot: Snapshot) {
    let states = WorkerConfiguration.ClusterTable(
      snapshot.clusters.map { cluster in cluster.map { adopt($0, in: snapshot) } ?? .none })
    let previous = configuration[].current
    if let free = configuration[].snapshots.firstIndex(where: { $0 == nil }) {
      configuration[].snapshots[free] = snapshot
      configuration[].uses[free] = WorkerConfiguration.Use(users: 0, clusters: states)
      configuration[].current = UInt32(free)
    } else {
      configuration[].snapshots.append(snapshot)
      configuration[].uses.append(WorkerConfiguration.Use(users: 0, clusters: states))
      configuration[].current = UInt32(configuration[].snapshots.count - 1)
    }
    applyListeners(snapshot)
    if previous != .max { releaseIfUnused(previous) }
    flushStage()
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
    for position in 0..<table.count { leave(table[position]) }
    unsafe table.base.deallocate()
  }

  /// How many configurations something still uses.
  package var snapshotsInUse: Int { configuration[].snapshots.count { $0 != nil } }

  /// The worker's state of the cluster at `position` of a snapshot; `.none` for -1, and for a cluster that is gone.
  @inline(__always)
  func clusterState(_ snapshot: UInt32, _ position: Int32) -> SlabIndex {
    position < 0 ? .none : configuration[].uses[Int(snapshot)].clusters[Int(position)]
  }
}
