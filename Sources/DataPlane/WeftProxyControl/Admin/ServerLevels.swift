// ServerLevels: gauges of the whole process, brought up to date when somebody looks.

import WeftProxy
import WeftRuntime
import WeftTelemetry

/// Numbers that nobody counts as they change, because they can be read.
enum ServerLevels {
  /// *Cost*: asks every worker; not to be called from one.
  static func publish(_ server: ProxyServer, version: String, unknownFields: Int) {
    let metrics = server.registry
    let scope = metrics.scope(ScopeKey(.server))
    let memory = ProcessMemory.usage()
    metrics.set(ServerMetric.memoryAllocated, scope, memory.allocated)
    metrics.set(ServerMetric.memoryPhysicalSize, scope, memory.resident)
    metrics.set(ServerMetric.statScopesOverflow, scope, metrics.overflows)
    metrics.set(ServerMetric.version, scope, number(version))
    metrics.set(ServerMetric.staticUnknownFields, scope, UInt64(unknownFields))
    let workers = server.ask { engine in
      (
        clients: engine.clientConnections, draining: engine.drainingListeners,
        refused: engine.loop.statistics.shedConnectionLimit, full: engine.tableRefusals
      )
    }
    metrics.set(ServerMetric.totalConnections, scope, UInt64(workers.reduce(0) { $0 + $1.clients }))
    metrics.set(ServerMetric.connectionLimitReached, scope, workers.reduce(0) { $0 + $1.refused })
    metrics.set(ServerMetric.workerTableFull, scope, workers.reduce(0) { $0 + $1.full })
    // Each worker has its own part of a listener; a listener drains for as long as one of them does.
    metrics.set(
      ListenerManagerMetric.totalListenersDraining, metrics.scope(ScopeKey(.listenerManager)),
      UInt64(workers.map(\.draining).max() ?? 0))
  }

  /// `1.2.3` as 1002003; what is no version is 0.
  package static func number(_ version: String) -> UInt64 {
    let parts = version.prefix { $0.isNumber || $0 == "." }.split(separator: ".").prefix(3).map { UInt64($0) ?? 0 }
    return (0..<3).reduce(0) { $0 * 1000 + min(999, $1 < parts.count ? parts[$1] : 0) }
  }
}
