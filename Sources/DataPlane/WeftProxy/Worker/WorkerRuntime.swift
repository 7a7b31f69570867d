// WorkerRuntime: what runtime keys say, as one worker reads it.

import WeftBase
import WeftModel
package import WeftProxyAPI
import WeftUpstream

/// The table in force, and what of it needs no key of configuration.
struct WorkerRuntime {
  /// Keeps what `view` points to.
  var table: RuntimeTable?
  var view = RuntimeView.empty
  /// `upstream.base_retry_backoff_ms`, for policies that say nothing of it. *Units*: nanoseconds; 0: not set.
  var backoffBase: UInt64 = 0
  /// `upstream.use_retry`: parts per million.
  var retryShare: UInt32 = 1_000_000
  /// `upstream.healthy_panic_threshold`: percent; nil: what clusters say.
  var panicThreshold: Double?
  /// `overload.global_downstream_max_connections`, of all workers together.
  var connections = Int.max

  init() {}

  init(_ table: RuntimeTable) {
    self.table = table
    view = table.view
    if let base = table.values["upstream.base_retry_backoff_ms"]?.integer {
      backoffBase = min(base, UInt64(UInt32.max)) * 1_000_000
    }
    if let percent = table.values["upstream.use_retry"]?.integer { retryShare = UInt32(min(percent, 100)) * 10_000 }
    panicThreshold = table.values["upstream.healthy_panic_threshold"]?.integer.map { Double(min($0, 100)) }
    if let most = table.values["overload.global_downstream_max_connections"]?.integer {
      connections = Int(clamping: most)
    }
  }
}

extension WorkerEngine {
  /// Takes over the values of runtime keys; requests use them from now on. A table that is older than the one in force changes nothing.
  ///
  /// Call it on the worker's thread, between events (`loop.mailbox.post`). *Cost*: a few looks at the values for each cluster.
  package func apply(_ table: RuntimeTable) {
    if let known = runtime[].table, known.version >= table.version { return }
    runtime[] = WorkerRuntime(table)
    desk[].runtime = table.view
    networkDesk[].runtime = table.view
    for i in clusterNames[].values where settleRuntime(i) {
      clusters[i].balancer[].renewLists(random: &turn[].random)
      orderTables(i)
    }
  }

  /// What a cluster's own keys, and those of all clusters, make of its configuration. *Returns*: whether its lists are to be made anew.
  func settleRuntime(_ i: ClusterIndex) -> Bool {
    let state = clusters.ref(i)
    let config = state[].config
    let panic = runtime[].panicThreshold ?? config[].config.loadBalancing.panicThresholdPercent
    let isChanged = state[].balancer[].setPanicThreshold(panic)
    guard let table = runtime[].table, !table.values.isEmpty else {
      (state[].standardLimits, state[].highLimits) = (config[].breakerLimits, config[].highBreakerLimits)
      state[].maintenanceShare = 0
      return isChanged
    }
    let breakers = table.breakers(of: config[].config)
    state[].standardLimits = CircuitBreakerLimits(breakers.standard)
    state[].highLimits = CircuitBreakerLimits(breakers.high)
    let share = table.values["upstream.maintenance_mode.\(config[].config.name)"]?.integer ?? 0
    state[].maintenanceShare = UInt32(min(share, 100)) * 10_000
    return isChanged
  }

  /// Connections of clients on all workers, without the one that is being accepted.
  var allClientConnections: Int {
    guard let balance = balance[] else { return clientConnections }
    return balance.places.reduce(0, +) - (turn[].hasPlace ? 1 : 0)
  }
}
