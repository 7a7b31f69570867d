// BalancerTable: what a policy chooses by and is costly to make, once for all workers.

import WeftBase
import WeftTelemetry

/// The table of one list and configuration: whoever has an equal list has the same one. Made off the workers, never changed.
///
/// *Shape*: a class that owns the table's memory, and one trivial value, from which states read. States keep that value; whoever keeps states keeps
/// the table. *Threads*: made by one, then read by any.
/// Why sound: `memory` is filled by `make` alone, before the table is handed to anybody.
@safe @usableFromInline
package final class BalancerTable: @unchecked Sendable {  // never changed
  private let memory = BalancerMemory(nil)
  private let root: UnsafeMutableRawPointer
  private let rootSize: Int

  /// `make` puts into the memory what its value points to.
  package init<Root: BitwiseCopyable>(_ make: (BalancerMemory) -> Root) {
    rootSize = MemoryLayout<Root>.size
    unsafe root = memory.allocate(rootSize)
    unsafe root.initializeMemory(as: Root.self, to: make(memory))
  }

  deinit { memory.free() }

  package var byteCount: Int { memory.byteCount }

  package func root<Root: BitwiseCopyable>(as _: Root.Type) -> Root {
    precondition(MemoryLayout<Root>.size == rootSize)
    return unsafe root.load(as: Root.self)
  }
}

/// What a table is made of, apart from everything it came from: it can be made on any thread.
package final class BalancerTableJob: @unchecked Sendable {  // never changed
  /// Equal ones make equal tables.
  package struct Key: Hashable, Sendable {
    fileprivate var policy: ObjectIdentifier
    fileprivate var bytes: [UInt8]
  }

  package let key: Key
  private let balancer: CompiledBalancer
  private let candidates: [BalancerCandidate]
  private let storage = SnapshotStorage()

  /// Whoever has it made keeps the policy's configuration. *Cost*: a copy of what is hashed of each host.
  package init(_ balancer: CompiledBalancer, _ list: [BalancerCandidate]) {
    self.balancer = balancer
    var bytes: [UInt8] = []
    func append(_ number: UInt64) {
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * shift))) }
    }
    func add(_ view: ByteView) {
      append(UInt64(view.count))
      for i in 0..<view.count { bytes.append(view[i]) }
    }
    add(balancer.mark)
    var candidates: [BalancerCandidate] = []
    for one in list {
      append(one.weight.bitPattern)
      add(one.key)
      candidates.append(
        BalancerCandidate(position: one.position, weight: one.weight, key: storage.arena.copy(one.key)))
    }
    self.candidates = candidates
    key = Key(policy: ObjectIdentifier(balancer.policy), bytes: bytes)
  }

  /// *Cost*: seconds for millions of entries.
  package func make() -> BalancerTable {
    let memory = BalancerMemory(nil)
    defer { memory.free() }
    var random = RandomSource(seed: 0)
    return unsafe withUnsafeMutablePointer(to: &random) { random in
      unsafe balancer.makeTable(BalancerList(candidates, memory, random))
    }
  }
}
