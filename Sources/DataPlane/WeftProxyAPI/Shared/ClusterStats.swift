package import WeftBase
package import WeftTelemetry

/// What a filter counts for each cluster that its requests lead to: `cluster.<name>.ext_authz.…`.
///
/// *Shape*: one pointer. *Cost*: a hash of the name and a look-up; a scope is made when a worker first meets a cluster, so that one without traffic has
/// none. There are as many as clusters that routes have led to since the filter's chain was compiled; they go with it.
/// Why sound: each worker touches its own dictionary only; the storage keeps their owner.
@safe
package struct ClusterStats<M: Metric>: BitwiseCopyable, @unchecked Sendable {  // a dictionary per worker
  private let owner: UnsafeRawPointer

  /// `prefix` has `*` where the cluster's name goes: `cluster.*.ext_authz.`.
  package init(_ context: FilterContext, _ metric: M.Type, _ prefix: String) {
    let blocks = ClusterBlocks<M>(context.metrics, prefix)
    context.storage.retain(blocks)
    unsafe owner = UnsafeRawPointer(Unmanaged.passUnretained(blocks).toOpaque())
  }

  /// Counts for the cluster `name`; nowhere when that is empty.
  package func add(_ metric: M, cluster name: ByteView, worker: Int) {
    if name.isEmpty { return }
    let blocks = unsafe Unmanaged<ClusterBlocks<M>>.fromOpaque(owner).takeUnretainedValue()
    blocks.block(name, worker).add(metric)
  }
}

@safe
private final class ClusterBlocks<M: Metric>: @unchecked Sendable {  // one element per worker
  private let metrics: MetricsRegistry
  private let prefix: String
  private let known: UnsafeMutablePointer<[UInt64: StatBlock<M>]>
  /// Keeps the scopes of `known`, apart from it: whoever looks one up is to retain nothing.
  private let leases: UnsafeMutablePointer<[ScopeLease]>

  init(_ metrics: MetricsRegistry, _ prefix: String) {
    self.metrics = metrics
    self.prefix = prefix
    unsafe known = .allocate(capacity: max(1, metrics.workers))
    unsafe known.initialize(repeating: [:], count: max(1, metrics.workers))
    unsafe leases = .allocate(capacity: max(1, metrics.workers))
    unsafe leases.initialize(repeating: [], count: max(1, metrics.workers))
  }

  deinit {
    unsafe known.deinitialize(count: max(1, metrics.workers))
    unsafe known.deallocate()
    unsafe leases.deinitialize(count: max(1, metrics.workers))
    unsafe leases.deallocate()
  }

  func block(_ name: ByteView, _ worker: Int) -> StatBlock<M> {
    precondition(worker >= 0 && worker < metrics.workers)
    let key = StableHasher.hash(name)
    if let block = unsafe known[worker][key] { return block }
    let lease = metrics.lease(ScopeKey(.filter, name.string, prefix), of: M.self)
    let block = metrics.block(M.self, lease.scope, worker: worker)
    unsafe known[worker][key] = block
    unsafe leases[worker].append(lease)
    return block
  }
}
