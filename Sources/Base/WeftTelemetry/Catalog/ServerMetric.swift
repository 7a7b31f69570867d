/// `server.…`
package enum ServerMetric: Int, Metric {
  case staticUnknownFields, dynamicUnknownFields, configRejected, connectionLimitReached, statScopesOverflow
  case workerTableFull
  case uptime, concurrency, memoryAllocated, memoryPhysicalSize, live, totalConnections, version, state
  case initializationTimeMs

  package static var scopeKind: ScopeKind { .server }
  @inlinable package static var firstHistogram: Int { ServerMetric.initializationTimeMs.rawValue }

  package var definition: MetricDefinition {
    switch self {
    case .staticUnknownFields: .counter("static_unknown_fields", "Unknown fields in the bootstrap")
    case .dynamicUnknownFields: .counter("dynamic_unknown_fields", "Settings without effect in discovered resources")
    case .configRejected: .counter("config_rejected", "Resources that were refused")
    case .connectionLimitReached: .counter("connection_limit_reached", "Connections refused by a worker's limit")
    case .statScopesOverflow: .counter("stat_scopes_overflow", "Statistics counted under 'overflow' for want of scopes")
    case .workerTableFull:
      .counter("worker_table_full", "Times a worker had no room for a connection, a request, a host or a cluster")
    case .uptime: .gauge("uptime", "Seconds since the start")
    case .concurrency: .gauge("concurrency", "Workers")
    case .memoryAllocated: .gauge("memory_allocated", "Bytes in use")
    case .memoryPhysicalSize: .gauge("memory_physical_size", "Bytes resident")
    case .live: .gauge("live", "1 while the server takes traffic")
    case .totalConnections: .gauge("total_connections", "Open connections of clients")
    case .version: .gauge("version", "Number made of the build's version: 1.2.3 is 1002003")
    case .state: .gauge("state", "0 live, 1 draining, 2 before initialisation, 3 initialising")
    case .initializationTimeMs: .histogram("initialization_time_ms", "Time from start to readiness, in milliseconds")
    }
  }
}

/// `main_thread.…` and `workers.…`, of all their threads; `server.worker_0.…`, of one.
package enum WatchdogMetric: Int, Metric {
  case miss, megaMiss

  package static var scopeKind: ScopeKind { .watchdog }
  @inlinable package static var firstHistogram: Int { 2 }

  package var definition: MetricDefinition {
    switch self {
    case .miss: .counter("watchdog_miss", "Times a thread did not answer for a short while")
    case .megaMiss: .counter("watchdog_mega_miss", "Times a thread did not answer for a long while")
    }
  }
}

/// `cluster_manager.…`
package enum ClusterManagerMetric: Int, Metric {
  case clusterAdded, clusterModified, clusterRemoved, clusterUpdated
  case activeClusters, warmingClusters

  package static var scopeKind: ScopeKind { .clusterManager }
  @inlinable package static var firstHistogram: Int { 6 }

  package var definition: MetricDefinition {
    switch self {
    case .clusterAdded: .counter("cluster_added", "Clusters added")
    case .clusterModified: .counter("cluster_modified", "Clusters changed")
    case .clusterRemoved: .counter("cluster_removed", "Clusters removed")
    case .clusterUpdated: .counter("cluster_updated", "Updates of hosts")
    case .activeClusters: .gauge("active_clusters", "Clusters in use")
    case .warmingClusters: .gauge("warming_clusters", "Clusters not yet warm")
    }
  }
}

/// `listener_manager.…`
package enum ListenerManagerMetric: Int, Metric {
  case listenerAdded, listenerModified, listenerRemoved, listenerStopped, listenerInPlaceUpdated
  case listenerCreateSuccess, listenerCreateFailure
  case totalListenersActive, totalListenersWarming, totalListenersDraining, workersStarted

  package static var scopeKind: ScopeKind { .listenerManager }
  @inlinable package static var firstHistogram: Int { 11 }

  package var definition: MetricDefinition {
    switch self {
    case .listenerAdded: .counter("listener_added", "Listeners added")
    case .listenerModified: .counter("listener_modified", "Listeners changed")
    case .listenerRemoved: .counter("listener_removed", "Listeners removed")
    case .listenerStopped: .counter("listener_stopped", "Listeners stopped")
    case .listenerInPlaceUpdated: .counter("listener_in_place_updated", "Listeners whose filter chains were updated")
    case .listenerCreateSuccess: .counter("listener_create_success", "Listeners bound on a worker")
    case .listenerCreateFailure: .counter("listener_create_failure", "Listeners that could not be bound")
    case .totalListenersActive: .gauge("total_listeners_active", "Listeners in use")
    case .totalListenersWarming: .gauge("total_listeners_warming", "Listeners not yet warm")
    case .totalListenersDraining: .gauge("total_listeners_draining", "Listeners that drain")
    case .workersStarted: .gauge("workers_started", "1 once all workers run")
    }
  }
}

/// `control_plane.…`
package enum ControlPlaneMetric: Int, Metric {
  case rateLimitEnforced, streamsOpened, requestsSent, responsesReceived, acknowledged, refused
  case connectedState, pendingRequests

  package static var scopeKind: ScopeKind { .controlPlane }
  @inlinable package static var firstHistogram: Int { 8 }

  package var definition: MetricDefinition {
    switch self {
    case .rateLimitEnforced: .counter("rate_limit_enforced", "Discovery requests held back by the rate limit")
    case .streamsOpened: .counter("streams_opened", "Discovery streams opened")
    case .requestsSent: .counter("requests_sent", "Discovery requests sent")
    case .responsesReceived: .counter("responses_received", "Discovery responses received")
    case .acknowledged: .counter("acknowledged", "Discovery responses acknowledged")
    case .refused: .counter("refused", "Discovery responses refused")
    case .connectedState: .gauge("connected_state", "1 while the control plane is connected")
    case .pendingRequests: .gauge("pending_requests", "Discovery requests held back now")
    }
  }
}

/// `access_log_file.…`
package enum AccessLogFileMetric: Int, Metric {
  case writeBuffered, writeCompleted, writeFailed, flushedByTimer, reopenFailed, dropped
  case writeTotalBuffered

  package static var scopeKind: ScopeKind { .accessLogFile }
  @inlinable package static var firstHistogram: Int { 7 }

  package var definition: MetricDefinition {
    switch self {
    case .writeBuffered: .counter("write_buffered", "Lines put into a buffer")
    case .writeCompleted: .counter("write_completed", "Buffers written to a file")
    case .writeFailed: .counter("write_failed", "Writes that failed")
    case .flushedByTimer: .counter("flushed_by_timer", "Buffers written because time had passed")
    case .reopenFailed: .counter("reopen_failed", "Files that could not be opened again")
    case .dropped: .counter("dropped", "Lines dropped because the buffer was full")
    case .writeTotalBuffered: .gauge("write_total_buffered", "Bytes in buffers")
    }
  }
}
