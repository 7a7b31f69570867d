/// Every number of a registry at one moment, in a form that the printers walk.
package struct StatSnapshot: Sendable {
  package struct Entry: Sendable {
    /// As in `/stats`: `cluster.a.upstream_rq_2xx`.
    package var name: String
    /// As in Prometheus without the type's suffix: `envoy_cluster_upstream_rq_xx`.
    package var family: String
    package var labels: [(name: String, value: String)]
    package var help: String
    package var value: MetricFamily.Reading
    /// Whether anything was ever counted.
    package var used: Bool
  }
  package var entries: [Entry]

  /// Reads a registry. *Cost*: one pass over all scopes; cold path only.
  package init(_ registry: MetricsRegistry) {
    entries = []
    let contents = registry.contents()
    let free = Set(contents.free)
    for (number, key) in contents.keys.enumerated() {
      let id = ScopeID(rawValue: UInt32(number))
      if free.contains(id) { continue }
      let touched = registry.isTouched(id)
      switch key.kind {
      case .server: read(ServerMetric.self, id, key, touched, registry)
      case .watchdog: read(WatchdogMetric.self, id, key, touched, registry)
      case .clusterManager: read(ClusterManagerMetric.self, id, key, touched, registry)
      case .listenerManager: read(ListenerManagerMetric.self, id, key, touched, registry)
      case .controlPlane: read(ControlPlaneMetric.self, id, key, touched, registry)
      case .accessLogFile: read(AccessLogFileMetric.self, id, key, touched, registry)
      case .cds, .lds, .rds: read(SubscriptionMetric.self, id, key, touched, registry)
      case .cluster: read(ClusterMetric.self, id, key, touched, registry)
      case .http: read(HTTPMetric.self, id, key, touched, registry)
      case .listener: read(ListenerMetric.self, id, key, touched, registry)
      case .listenerHTTP: read(ListenerHTTPMetric.self, id, key, touched, registry)
      case .tcp: read(TCPMetric.self, id, key, touched, registry)
      case .tlsInspector: read(TLSInspectorMetric.self, id, key, touched, registry)
      case .httpInspector: read(HTTPInspectorMetric.self, id, key, touched, registry)
      case .proxyProtocol: read(ProxyProtocolMetric.self, id, key, touched, registry)
      case .root: read(RootMetric.self, id, key, touched, registry)
      case .filter:
        if let type = contents.types[id] { read(type, id, key, touched, registry) }
      }
    }
    for (key, texts) in contents.texts {
      for (readout, text) in texts {
        entries.append(
          Entry(
            name: key.textPrefix + readout.rawValue, family: key.familyPrefix + readout.rawValue, labels: key.labels,
            help: "", value: .text(text), used: true))
      }
    }
    for source in contents.sources {
      for family in source.families() {
        for series in family.series {
          let text = series.labels.map { "\($0.name).\($0.value)" }.joined(separator: ".")
          entries.append(
            Entry(
              name: family.name + (text.isEmpty ? "" : "." + text), family: family.name, labels: series.labels,
              help: family.help, value: series.value, used: true))
        }
      }
    }
    entries.sort { $0.name < $1.name }
  }

  private mutating func read<M: Metric>(
    _: M.Type, _ id: ScopeID, _ key: ScopeKey, _ touched: Bool, _ registry: MetricsRegistry
  ) {
    let prefix = key.textPrefix, family = key.familyPrefix, labels = key.labels
    for metric in M.allCases {
      let definition = metric.definition
      let value: MetricFamily.Reading
      let used: Bool
      switch definition.kind {
      case .counter:
        let n = touched ? registry.sum(id, cell: metric.cell) : 0
        (value, used) = (.counter(n), n != 0)
      case .gauge:
        let n = touched ? registry.sum(id, cell: metric.cell) : 0
        (value, used) = (.gauge(Int64(bitPattern: n)), n != 0)
      case .histogram:
        let cells = (0..<HistogramBuckets.cells).map { touched ? registry.sum(id, cell: metric.cell + $0) : 0 }
        let reading = HistogramReading(buckets: Array(cells.dropLast()), sum: cells[HistogramBuckets.sumCell])
        (value, used) = (.histogram(reading), reading.count != 0)
      }
      var own = labels
      if let label = definition.label { own.insert((label.name.description, label.value.description), at: 0) }
      entries.append(
        Entry(
          name: prefix + definition.name.description,
          family: family + ScopeKey.promName(definition.family.description),
          labels: own, help: definition.help.description, value: value, used: used))
    }
    guard let statusPrefix = M.statusPrefix, touched else { return }
    for (i, code) in CountedStatus.codes.enumerated() {
      let n = registry.sum(id, cell: M.statusCell + i)
      guard n != 0 else { continue }
      let name = statusPrefix.description
      entries.append(
        Entry(
          name: "\(prefix)\(name)\(code)", family: family + ScopeKey.promName(String(name.dropLast())),
          labels: [("envoy_response_code", "\(code)")] + labels, help: "Responses by status", value: .counter(n),
          used: true))
    }
  }
}

extension ScopeKey {
  /// `cluster.a.`; characters that separate names elsewhere are replaced, as Envoy does.
  package var textPrefix: String {
    let name = Self.sanitized(name), second = Self.sanitized(secondName)
    return switch kind {
    case .server: "server."
    case .watchdog: secondName.isEmpty ? "\(name)." : "\(name).\(second)."
    case .clusterManager: "cluster_manager."
    case .listenerManager: "listener_manager."
    case .controlPlane: "control_plane."
    case .accessLogFile: "access_log_file."
    case .cds: "cluster_manager.cds."
    case .lds: "listener_manager.lds."
    case .rds: "http.\(name).rds.\(second)."
    case .cluster: "cluster.\(name)."
    case .http: "http.\(name)."
    case .listener: "listener.\(name)."
    case .listenerHTTP: "listener.\(name).http.\(second)."
    case .tcp: "tcp.\(name)."
    case .tlsInspector: "tls_inspector."
    case .httpInspector: "http_inspector."
    case .proxyProtocol: name.isEmpty ? "proxy_proto." : "proxy_proto.\(name)."
    case .root: ""
    case .filter: secondName.replacing("*", with: name)
    }
  }

  /// `envoy_cluster_`.
  package var familyPrefix: String {
    switch kind {
    case .server: "envoy_server_"
    case .watchdog: "envoy_\(name)_" + (secondName.isEmpty ? "" : watchedWorker == nil ? "\(secondName)_" : "worker_")
    case .clusterManager: "envoy_cluster_manager_"
    case .listenerManager: "envoy_listener_manager_"
    case .controlPlane: "envoy_control_plane_"
    case .accessLogFile: "envoy_access_log_file_"
    case .cds: "envoy_cluster_manager_cds_"
    case .lds: "envoy_listener_manager_lds_"
    case .rds: "envoy_http_rds_"
    case .cluster: "envoy_cluster_"
    case .http: "envoy_http_"
    case .listener: "envoy_listener_"
    case .listenerHTTP: "envoy_listener_http_"
    case .tcp: "envoy_tcp_"
    case .tlsInspector: "envoy_tls_inspector_"
    case .httpInspector: "envoy_http_inspector_"
    case .proxyProtocol: "envoy_proxy_proto_"
    case .root: "envoy_"
    case .filter: "envoy_" + Self.promName(secondName.replacing("*.", with: ""))
    }
  }

  /// The number of the worker that a watchdog's count is of.
  private var watchedWorker: String? {
    secondName.hasPrefix("worker_") ? String(secondName.dropFirst("worker_".count)) : nil
  }

  /// The labels that Envoy's tag extraction takes out of the name.
  package var labels: [(name: String, value: String)] {
    switch kind {
    case .server, .clusterManager, .listenerManager, .controlPlane, .accessLogFile, .cds, .lds, .tlsInspector,
      .httpInspector, .root:
      []
    case .watchdog: watchedWorker.map { [("envoy_worker_id", $0)] } ?? []
    case .proxyProtocol: name.isEmpty ? [] : [("envoy_proxy_protocol_prefix", Self.sanitized(name))]
    case .rds:
      [
        ("envoy_http_conn_manager_prefix", Self.sanitized(name)),
        ("envoy_rds_route_config", Self.sanitized(secondName)),
      ]
    case .cluster: [("envoy_cluster_name", Self.sanitized(name))]
    case .http: [("envoy_http_conn_manager_prefix", Self.sanitized(name))]
    case .listener: [("envoy_listener_address", Self.sanitized(name))]
    case .listenerHTTP:
      [
        ("envoy_http_conn_manager_prefix", Self.sanitized(secondName)),
        ("envoy_listener_address", Self.sanitized(name)),
      ]
    case .tcp: [("envoy_tcp_prefix", Self.sanitized(name))]
    case .filter:
      [
        (
          secondName.hasPrefix("http.*")
            ? "envoy_http_conn_manager_prefix"
            : secondName.hasPrefix("cluster.*") ? "envoy_cluster_name" : "envoy_filter_prefix", Self.sanitized(name)
        )
      ]
    }
  }

  static func sanitized(_ name: String) -> String {
    String(String.UnicodeScalarView(name.unicodeScalars.map { $0 == ":" || $0.value == 0 ? "_" : $0 }))
  }

  /// What Prometheus allows in a name; everything else becomes `_`.
  static func promName(_ name: String) -> String {
    String(
      String.UnicodeScalarView(
        name.unicodeScalars.map { c in
          switch c {
          case "a"..."z", "A"..."Z", "0"..."9", "_": c
          default: "_"
          }
        }))
  }
}
