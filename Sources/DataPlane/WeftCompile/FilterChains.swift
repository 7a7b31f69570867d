import WeftBase
package import WeftModel
import WeftProxyAPI
import WeftTelemetry

/// The HTTP filters of all connection managers, compiled.
///
/// A chain that did not change is taken over as it is, whatever else of its listener did: what its filters share between streams (token buckets,
/// counters) goes on. Route tables hold configurations laid out for one chain, so they are compiled with it.
struct FilterChains {
  /// The filters of one connection manager.
  struct Unit {
    let builder: FilterChainBuilder
    /// Nil when the router is alone.
    let chain: ConfigRef<HTTPFilterChain>?
    /// What its router puts in front of the endpoints of clusters that have none of their own.
    let upstream: ConfigRef<HTTPFilterChain>?
    /// Those of upgrades that have filters of their own, by lower-case name.
    let upgrades: [(name: String, chain: ConfigRef<HTTPFilterChain>?)]
    let storage: SnapshotStorage
    let version: UInt64
    /// Clusters that the filters ask: found, and those that did not exist.
    let clusters: (found: Set<String>, missing: Set<String>)
    /// What the filters say without effect. Paths begin at the manager's fields.
    let warnings: [ConfigError]
    fileprivate let filters: [ConfiguredFilter]
    fileprivate let upgradeFilters: [UpgradeConfiguration]
    fileprivate let statPrefix: String
    fileprivate let passesWhole: Bool

    fileprivate func holds(_ positions: [String: Int32]) -> Bool {
      clusters.found.allSatisfy { positions[$0] != nil } && clusters.missing.allSatisfy { positions[$0] == nil }
    }
  }

  private let registry: HTTPFilterRegistry
  private let metrics: MetricsRegistry
  private let runtime: RuntimeKeys
  private var units: [String: Unit] = [:]
  private var version: UInt64 = 0

  init(_ registry: HTTPFilterRegistry, metrics: MetricsRegistry, runtime: RuntimeKeys) {
    self.registry = registry
    self.metrics = metrics
    self.runtime = runtime
  }

  /// The chain of the manager that stands at `place`. *Errors*: the path begins at the manager's fields.
  mutating func unit(
    of manager: HTTPConnectionManager, at place: String, _ positions: [String: Int32]
  ) throws(ConfigError) -> Unit {
    let own = manager.upgrades.filter { $0.filters != nil }
    let passesWhole = manager.protocolCodec != nil
    if let known = units[place], known.filters == manager.filters, known.upgradeFilters == own,
      known.statPrefix == manager.statPrefix, known.passesWhole == passesWhole,
      known.holds(positions)
    {
      return known
    }
    let storage = SnapshotStorage(runtime: runtime)
    let names = Names()
    let context = FilterContext(
      storage: storage, metrics: metrics, statPrefix: manager.statPrefix, passesWhole: passesWhole
    ) { names.position(of: $0, positions) }
    var builder = FilterChainBuilder(context)
    var warnings: [ConfigError] = []
    try add(manager.filters, chain: 0, at: FieldPath().field("http_filters"), to: &builder, &warnings)
    var number = 0
    for (i, upgrade) in manager.upgrades.enumerated() {
      guard let filters = upgrade.filters else { continue }
      number += 1
      try add(
        filters, chain: number, at: FieldPath().field("upgrade_configs").index(i).field("filters"), to: &builder,
        &warnings)
    }
    func keep(_ number: Int) -> ConfigRef<HTTPFilterChain>? { builder.build(number).map { storage.keep($0) } }
    var upstream: ConfigRef<HTTPFilterChain>?
    for (i, filter) in manager.filters.enumerated() {
      guard case .router(let options) = filter.configuration else { continue }
      upstream = try self.upstream(
        options.upstreamFilters, statPrefix: manager.statPrefix, storage,
        at: FieldPath().field("http_filters").index(i).field("typed_config").field("upstream_http_filters"), &warnings)
    }
    version += 1
    let unit = Unit(
      builder: builder, chain: keep(0), upstream: upstream,
      upgrades: own.enumerated().map { ($1.type.lowercased(), keep($0 + 1)) }, storage: storage, version: version,
      clusters: (names.found, names.missing), warnings: warnings, filters: manager.filters, upgradeFilters: own,
      statPrefix: manager.statPrefix, passesWhole: passesWhole)
    units[place] = unit
    return unit
  }

  private func add(
    _ filters: [ConfiguredFilter], chain: Int, at path: FieldPath, to builder: inout FilterChainBuilder,
    _ warnings: inout [ConfigError], isUpstream: Bool = false
  ) throws(ConfigError) {
    for (i, filter) in filters.enumerated() {
      guard case .filter(let config) = filter.configuration else { continue }
      let at = path.index(i).field("typed_config")
      guard let type = registry[configuredBy: config.typeName] else {
        throw ConfigError(path: at, "no extension is configured by \(config.typeName)")
      }
      guard !isUpstream || FilterChainBuilder.fitsUpstreams(type) else {
        throw ConfigError(path: at, "\(type.name) cannot stand in front of a cluster's endpoints")
      }
      do throws(ConfigError) {
        try builder.add(type, named: filter.name, config, isDisabled: filter.isDisabled, chain: chain)
      } catch { throw error.inside(at) }
      warnings += builder.takeWarnings().map { $0.inside(at) }
    }
  }

  /// Filters in front of endpoints; nil: there are none. They share nothing, so they are compiled with whoever has them.
  func upstream(
    _ filters: [ConfiguredFilter], statPrefix: String, _ storage: SnapshotStorage, at path: FieldPath,
    _ warnings: inout [ConfigError]
  ) throws(ConfigError) -> ConfigRef<HTTPFilterChain>? {
    if filters.isEmpty { return nil }
    var builder = FilterChainBuilder(
      FilterContext(storage: storage, metrics: metrics, statPrefix: statPrefix) { _ in -1 })
    try add(filters, chain: 0, at: path, to: &builder, &warnings, isUpstream: true)
    return builder.build().map { storage.keep($0) }
  }

  /// Forgets the chains of all other places.
  mutating func keep(only places: Set<String>) { units = units.filter { places.contains($0.key) } }

  /// The clusters that something compiled asked for.
  private final class Names {
    var found: Set<String> = []
    var missing: Set<String> = []

    func position(of name: String, _ positions: [String: Int32]) -> Int32 {
      guard let position = positions[name] else {
        missing.insert(name)
        return -1
      }
      found.insert(name)
      return position
    }
  }
}

extension RouteConfiguration {
  /// Whether anything in it is said about filters: such a table is compiled for each chain it is used with.
  package var namesFilters: Bool {
    !filters.isEmpty
      || virtualHosts.contains { host in
        !host.filters.isEmpty
          || host.routes.contains { route in
            if !route.filters.isEmpty { return true }
            guard case .forward(let action) = route.action, case .weighted(let split) = action.cluster else {
              return false
            }
            return split.entries.contains { !$0.filters.isEmpty }
          }
      }
  }
}
