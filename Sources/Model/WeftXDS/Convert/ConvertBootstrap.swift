package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftXDSMessages

/// What became of a list of resources: the good ones, and why each of the others was refused.
package struct Converted<Value: Sendable>: Sendable {
  package var values: [Value] = []
  package var rejections: [ConfigError] = []
  package init() {}
}

extension Converter {
  /// Converts resources one by one: a bad one is left out and reported, the good ones beside it survive.
  /// A name that comes twice refuses the second.
  package func listeners(_ values: [Envoy_Config_Listener_V3_Listener]) -> Converted<Listener> {
    each(values, kind: Envoy_Config_Listener_V3_Listener.schema.name, name: \.name) { (value) throws(ConfigError) in
      try listener(value)
    }
  }

  package func clusters(_ values: [Envoy_Config_Cluster_V3_Cluster]) -> Converted<Cluster> {
    each(values, kind: Envoy_Config_Cluster_V3_Cluster.schema.name, name: \.name) { (value) throws(ConfigError) in
      try cluster(value)
    }
  }

  package func routeConfigurations(_ values: [Envoy_Config_Route_V3_RouteConfiguration]) -> Converted<
    RouteConfiguration
  > {
    each(values, kind: Envoy_Config_Route_V3_RouteConfiguration.schema.name, name: \.name) {
      (value) throws(ConfigError) in
      try routeConfiguration(value)
    }
  }

  package func loadAssignments(_ values: [Envoy_Config_Endpoint_V3_ClusterLoadAssignment]) -> Converted<LoadAssignment>
  {
    each(values, kind: Envoy_Config_Endpoint_V3_ClusterLoadAssignment.schema.name, name: \.clusterName) {
      (value) throws(ConfigError) in
      try loadAssignment(value)
    }
  }

  package func secrets(_ values: [Envoy_Extensions_TransportSockets_Tls_V3_Secret]) -> Converted<Secret> {
    each(values, kind: Envoy_Extensions_TransportSockets_Tls_V3_Secret.schema.name, name: \.name) {
      (value) throws(ConfigError) in try secret(value)
    }
  }

  private func each<M: Message, Value>(
    _ values: [M], kind: String, name: (M) -> String, _ convert: (M) throws(ConfigError) -> Value
  ) -> Converted<Value> {
    var out = Converted<Value>()
    var seen: Set<String> = []
    for value in values {
      let own = name(value)
      let mark = warnings.count
      do throws(ConfigError) {
        try unknown(value, .root)
        let converted = try convert(value)
        guard own.isEmpty || seen.insert(own).inserted else {
          throw ConfigError("duplicate name \"\(own)\"; names must be unique")
        }
        out.values.append(converted)
      } catch {
        out.rejections.append(error.of(kind: kind, name: own))
      }
      attribute(since: mark, kind: kind, name: own)
    }
    return out
  }

  /// Converts a whole bootstrap. *Errors*: the first thing that is wrong, with its path from the top of the file.
  package func bootstrap(_ value: Envoy_Config_Bootstrap_V3_Bootstrap) throws(ConfigError) -> Bootstrap {
    try unknown(value, .root)
    var out = Bootstrap()
    if let node = value.node {
      out.node.id = node.id
      out.node.cluster = node.cluster
      out.node.locality = locality(node.locality)
    }
    if let admin = value.admin {
      let at = FieldPath().field("admin")
      if admin.address != nil {
        var converted = Bootstrap.Admin(address: try address(admin.address, at.field("address")))
        converted.accessLogs = try accessLogs(admin.accessLog, at.field("access_log"))
        out.admin = converted
      }
      unsupported(!admin.accessLog.isEmpty, at, "access_log")
      unsupported(!admin.accessLogPath.isEmpty, at, "access_log_path")
      unsupported(!admin.socketOptions.isEmpty, at, "socket_options")
      unsupported(!admin.profilePath.isEmpty, at, "profile_path")
      unsupported(!admin.allowPaths.isEmpty, at, "allow_paths")
    }
    if let resources = value.staticResources { try staticResources(resources, &out) }
    if let dynamic = value.dynamicResources { try dynamicResources(dynamic, &out) }
    if let interval = try duration(value.statsFlushInterval, FieldPath().field("stats_flush_interval")) {
      guard interval >= .milliseconds(1), interval < .seconds(300) else {
        throw fail(FieldPath().field("stats_flush_interval"), "must be 1ms to 300s")
      }
    }
    out.runtime = try runtimeLayers(value.layeredRuntime?.layers ?? [])
    if let manager = value.clusterManager {
      let at = FieldPath().field("cluster_manager")
      out.outlierEventLog = manager.outlierDetection?.eventLogPath ?? ""
      unsupported(!manager.localClusterName.isEmpty, at, "local_cluster_name")
      unsupported(manager.upstreamBindConfig != nil, at, "upstream_bind_config")
      unsupported(manager.enableDeferredClusterCreation, at, "enable_deferred_cluster_creation")
    }
    unsupported(!value.statsSinks.isEmpty, .root, "stats_sinks")
    unsupported(value.statsConfig != nil, .root, "stats_config")
    unsupported(value.overloadManager != nil, .root, "overload_manager")
    unsupported(!value.bootstrapExtensions.isEmpty, .root, "bootstrap_extensions")
    try watchdogs(value, &out)
    if let resolver = value.typedDnsResolverConfig {
      let converted = try dnsResolver(resolver, FieldPath().field("typed_dns_resolver_config"))
      for i in out.clusters.indices where out.clusters[i].dnsResolver == nil { out.clusters[i].dnsResolver = converted }
      out.dnsResolver = converted
    }
    unsupported(value.applicationLogConfig != nil, .root, "application_log_config")
    unsupported(!value.headerPrefix.isEmpty, .root, "header_prefix")
    unsupported(!value.inlineHeaders.isEmpty, .root, "inline_headers")
    try checkReferences(out)
    return out
  }

  private func watchdogs(_ value: Envoy_Config_Bootstrap_V3_Bootstrap, _ out: inout Bootstrap) throws(ConfigError) {
    if let both = value.watchdog {
      let at = FieldPath().field("watchdog")
      guard value.watchdogs == nil else { throw fail(at, "cannot be set beside watchdogs") }
      out.mainWatchdog = try watchdog(both, at)
      out.workerWatchdog = out.mainWatchdog
    }
    let at = FieldPath().field("watchdogs")
    if let main = value.watchdogs?.mainThreadWatchdog {
      out.mainWatchdog = try watchdog(main, at.field("main_thread_watchdog"))
    }
    if let worker = value.watchdogs?.workerWatchdog {
      out.workerWatchdog = try watchdog(worker, at.field("worker_watchdog"))
    }
  }

  /// *Source*: Envoy's `Watchdog`, in whole milliseconds; a time of zero is none, of a miss the default.
  private func watchdog(_ value: Envoy_Config_Bootstrap_V3_Watchdog, _ at: FieldPath) throws(ConfigError)
    -> Bootstrap.Watchdog
  {
    func time(_ time: Google_Protobuf_Duration?, _ name: String) throws(ConfigError) -> Duration? {
      guard let time = try duration(time, at.field(name)), time >= .milliseconds(1) else { return nil }
      return time
    }
    var out = Bootstrap.Watchdog()
    out.miss = try time(value.missTimeout, "miss_timeout") ?? out.miss
    out.megaMiss = try time(value.megamissTimeout, "megamiss_timeout") ?? out.megaMiss
    out.kill = try time(value.killTimeout, "kill_timeout")
    out.killJitter = try time(value.maxKillTimeoutJitter, "max_kill_timeout_jitter") ?? .zero
    out.multiKill = try time(value.multikillTimeout, "multikill_timeout")
    if let threshold = value.multikillThreshold?.value {
      guard (0...100).contains(threshold) else {
        throw fail(at.field("multikill_threshold").field("value"), "must be 0 to 100")
      }
      out.multiKillThreshold = threshold
    }
    return out
  }

  private func staticResources(_ value: Envoy_Config_Bootstrap_V3_Bootstrap.StaticResources, _ out: inout Bootstrap)
    throws(ConfigError)
  {
    let at = FieldPath().field("static_resources")
    var names: [String: Int] = [:]
    for (i, cluster) in value.clusters.enumerated() {
      let path = at.field("clusters").index(i)
      let converted = try self.cluster(cluster, at: path)
      if let first = names[converted.name] {
        throw fail(path.field("name"), "duplicate cluster '\(converted.name)', first in clusters[\(first)]")
      }
      names[converted.name] = i
      out.clusters.append(converted)
    }
    names = [:]
    var addresses: [Address: Int] = [:]
    for (i, listener) in value.listeners.enumerated() {
      let path = at.field("listeners").index(i)
      let converted = try self.listener(listener, at: path)
      if let first = names[converted.name] {
        throw fail(path.field("name"), "duplicate listener '\(converted.name)', first in listeners[\(first)]")
      }
      names[converted.name] = i
      if converted.bindToPort {
        if let first = addresses[converted.address], !converted.address.hasAnyPort {
          throw fail(
            path.field("address"),
            "error adding listener: '\(converted.name)' has duplicate address '\(converted.address)' as listeners[\(first)]"
          )
        }
        addresses[converted.address] = i
      }
      out.listeners.append(converted)
    }
    names = [:]
    for (i, secret) in value.secrets.enumerated() {
      let path = at.field("secrets").index(i)
      let converted = try self.secret(secret, at: path)
      if let first = names[converted.name] {
        throw fail(path.field("name"), "duplicate static secret '\(converted.name)', first in secrets[\(first)]")
      }
      names[converted.name] = i
      out.secrets.append(converted)
    }
  }

  private func dynamicResources(_ value: Envoy_Config_Bootstrap_V3_Bootstrap.DynamicResources, _ out: inout Bootstrap)
    throws(ConfigError)
  {
    let at = FieldPath().field("dynamic_resources")
    if let ads = value.adsConfig {
      let path = at.field("ads_config")
      let (cluster, delta, authority, metadata) = try grpcSource(ads, path)
      var converted = Bootstrap.ADS(cluster: cluster)
      converted.delta = delta
      converted.authority = authority
      converted.initialMetadata = metadata
      if let limits = ads.rateLimitSettings {
        var rate = Bootstrap.RequestRate()
        if let burst = limits.maxTokens?.value { rate.burst = burst }
        if let perSecond = limits.fillRate?.value { rate.perSecond = perSecond }
        guard rate.burst > 0, rate.perSecond >= 0.1, rate.perSecond.isFinite else {
          throw fail(
            path.field("rate_limit_settings"), "max_tokens must be 1 or more and fill_rate 0.1 or more per second")
        }
        converted.requestRate = rate
      }
      out.ads = converted
    }
    if let source = try streamOrFile(value.ldsConfig, out.ads != nil, at.field("lds_config")) {
      if case .path = source.kind {
        out.listenersFile = source
      } else {
        out.listenersFromADS = true
        out.listenersFetchTimeout = source.initialFetchTimeout
      }
    }
    if let source = try streamOrFile(value.cdsConfig, out.ads != nil, at.field("cds_config")) {
      if case .path = source.kind {
        out.clustersFile = source
      } else {
        out.clustersFromADS = true
        out.clustersFetchTimeout = source.initialFetchTimeout
      }
    }
    if out.ads != nil, out.node.id.isEmpty || out.node.cluster.isEmpty {
      throw fail(FieldPath().field("node"), "node 'id' and 'cluster' are required with dynamic_resources")
    }
    unsupported(!value.ldsResourcesLocator.isEmpty, at, "lds_resources_locator")
    unsupported(!value.cdsResourcesLocator.isEmpty, at, "cds_resources_locator")
  }

  /// The source, which must be the aggregated stream or a file; nil when there is none.
  private func streamOrFile(
    _ value: Envoy_Config_Core_V3_ConfigSource?, _ hasADS: Bool, _ at: FieldPath
  ) throws(ConfigError) -> ConfigSource? {
    guard let value else { return nil }
    let source = try source(value, at)
    switch source.kind {
    case .ads:
      guard hasADS else { throw fail(at.field("ads"), "needs dynamic_resources.ads_config") }
      return source
    case .selfStream: throw fail(at.field("self"), "is not allowed here")
    case .path: return source
    }
  }

  /// Clusters, secrets and streams that static configuration names must exist where nothing else can bring them.
  private func checkReferences(_ value: Bootstrap) throws(ConfigError) {
    let clusters = Set(value.clusters.map(\.name))
    let secrets = Dictionary(value.secrets.map { ($0.name, $0.content.kindName) }) { first, _ in first }
    if let ads = value.ads, !clusters.contains(ads.cluster) {
      throw fail(
        FieldPath().field("dynamic_resources").field("ads_config").field("grpc_services").index(0).field("envoy_grpc")
          .field("cluster_name"), "unknown cluster '\(ads.cluster)'; it must be a static cluster")
    }
    let at = FieldPath().field("static_resources")
    for (i, cluster) in value.clusters.enumerated() {
      let path = at.field("clusters").index(i)
      if let tls = cluster.tls { try check(tls.common, secrets, path.field("transport_socket")) }
      try check(cluster.streamSource, path, value)
    }
    for (i, listener) in value.listeners.enumerated() {
      let path = at.field("listeners").index(i)
      try check(listener.streamSource, path, value)
      for (number, chain) in listener.allChains.enumerated() {
        let path = path.appending(listener.path(ofChain: number))
        if let tls = chain.tls { try check(tls.common, secrets, path.field("transport_socket")) }
        for (f, filter) in chain.filters.enumerated() {
          try check(filter, clusters, path.field("filters").index(f).field("typed_config"), value)
        }
      }
    }
  }

  /// `source`: the field in a resource at `at` that names the stream.
  private func check(_ source: FieldPath?, _ at: FieldPath, _ value: Bootstrap) throws(ConfigError) {
    guard let source, value.ads == nil else { return }
    throw fail(at.appending(source), "needs dynamic_resources.ads_config")
  }

  /// `secrets`: of which kind each static one is.
  private func check(
    _ context: CommonTLSContext, _ secrets: [String: String], _ at: FieldPath
  ) throws(ConfigError) {
    let at = at.field("typed_config").field("common_tls_context")
    let wanted =
      context.certificateSecrets.map { ($0, "tls_certificate") }
      + (context.validationSecret.map { [($0, "validation_context")] } ?? [])
    for (secret, kind) in wanted where secret.source == nil {
      guard let known = secrets[secret.name] else {
        throw fail(
          at, "unknown static secret '\(secret.name)'; define it in static_resources.secrets or give an sds_config")
      }
      guard known == kind else { throw fail(at, "static secret '\(secret.name)' must be a \(kind), is a \(known)") }
    }
  }

  private func check(
    _ filter: ConfiguredNetworkFilter, _ clusters: Set<String>, _ at: FieldPath, _ value: Bootstrap
  ) throws(ConfigError) {
    switch filter {
    case .tcpProxy(let proxy):
      guard !value.clustersFromADS, value.clustersFile == nil else { return }
      switch proxy.cluster {
      case .single(let name):
        guard clusters.contains(name) else { throw fail(at.field("cluster"), "unknown cluster '\(name)'") }
      case .weighted(let entries):
        for (i, entry) in entries.enumerated() where !clusters.contains(entry.name) {
          throw fail(
            at.field("weighted_clusters").field("clusters").index(i).field("name"), "unknown cluster '\(entry.name)'")
        }
      }
    case .httpConnectionManager(let manager):
      if case .inline(let table) = manager.routes, table.validateClusters {
        try check(table, clusters, at.field("route_config"))
      }
    case .filter: break
    }
  }

  private func check(_ table: RouteConfiguration, _ clusters: Set<String>, _ at: FieldPath) throws(ConfigError) {
    for (h, host) in table.virtualHosts.enumerated() {
      for (r, route) in host.routes.enumerated() {
        guard case .forward(let action) = route.action else { continue }
        let path = at.field("virtual_hosts").index(h).field("routes").index(r).field("route")
        switch action.cluster {
        case .cluster(let name):
          guard clusters.contains(name) else { throw fail(path.field("cluster"), "route: unknown cluster '\(name)'") }
        case .weighted(let split):
          for (i, entry) in split.entries.enumerated() where entry.header.isEmpty && !clusters.contains(entry.name) {
            throw fail(
              path.field("weighted_clusters").field("clusters").index(i).field("name"),
              "route: unknown weighted cluster '\(entry.name)'")
          }
        case .header: break
        }
      }
    }
  }
}

extension Address {
  /// Whether the system picks the port, so that two of these do not clash.
  var hasAnyPort: Bool { if case .socket(_, 0) = self { true } else { false } }
}
