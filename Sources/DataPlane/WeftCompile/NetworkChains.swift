import WeftBase
import WeftModel
import WeftProxyAPI
import WeftTelemetry

/// The network filters of all filter chains, compiled.
///
/// What filters of a chain share between connections (counters, token buckets) goes on for as long as the chain and its filters stay as they are:
/// then the same compiled chain is taken over. It lives as long as a listener, or a snapshot in use, holds it.
struct NetworkChains {
  struct Unit {
    let chain: ConfigRef<NetworkFilterChain>
    let storage: SnapshotStorage
  }

  private struct Key: Hashable {
    var listener: String
    /// Tells the chains of a listener apart.
    var chain: UInt64
    var filters: [ExtensionConfig]
  }
  private struct Member {
    weak var storage: SnapshotStorage?
    var chain: ConfigRef<NetworkFilterChain>
  }

  private let registry: NetworkFilterRegistry
  private let metrics: MetricsRegistry
  private let runtime: RuntimeKeys
  private let buckets = SharedBuckets()
  private var members: [Key: Member] = [:]

  init(_ registry: NetworkFilterRegistry, metrics: MetricsRegistry, runtime: RuntimeKeys) {
    self.registry = registry
    self.metrics = metrics
    self.runtime = runtime
  }

  /// The filters that are extensions; nil when there are none. *Errors*: the path begins at the chain's fields.
  mutating func unit(of chain: FilterChain, _ identity: UInt64, in listener: String) throws(ConfigError) -> Unit? {
    var filters: [ExtensionConfig] = []
    for case .filter(let config) in chain.filters { filters.append(config) }
    if filters.isEmpty { return nil }
    let key = Key(listener: listener, chain: identity, filters: filters)
    if let member = members[key], let storage = member.storage { return Unit(chain: member.chain, storage: storage) }
    members = members.filter { $0.value.storage != nil }
    let storage = SnapshotStorage(runtime: runtime)
    var builder = NetworkFilterChainBuilder(
      NetworkFilterContext(storage: storage, metrics: metrics, buckets: buckets) {
        (source) throws(ConfigError) in try source.load()
      })
    for (i, filter) in chain.filters.enumerated() {
      guard case .filter(let config) = filter else { continue }
      let at = FieldPath().field("filters").index(i).field("typed_config")
      guard let type = registry[configuredBy: config.typeName] else {
        throw ConfigError(path: at, "no extension is configured by \(config.typeName)")
      }
      guard i == chain.filters.count - 1 || !(type is any TerminalFilter.Type) else {
        throw ConfigError(path: at, "configures a terminal filter, which must be the last of its chain")
      }
      do throws(ConfigError) { try builder.add(type, config) } catch { throw error.inside(at) }
    }
    let unit = Unit(chain: storage.keep(builder.build()), storage: storage)
    members[key] = Member(storage: storage, chain: unit.chain)
    return unit
  }
}
