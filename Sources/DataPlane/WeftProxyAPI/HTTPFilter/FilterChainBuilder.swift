// FilterChainBuilder: compiles the filters of a chain, and what routes say about them. Cold.

package import WeftBase
package import WeftModel
package import WeftTelemetry

/// What a filter's configuration is compiled with.
@usableFromInline
package struct FilterContext {
  /// Where texts, tables and owners go that live as long as the configuration.
  package let storage: SnapshotStorage
  package let metrics: MetricsRegistry
  /// The connection manager's prefix: filters count below `http.<prefix>.`.
  package let statPrefix: String
  /// Position of a cluster by name; −1 when there is none (yet).
  package let cluster: (String) -> Int32
  /// Whether messages are a protocol's that passes them whole (`ProtocolCodec`), so that no content is seen, held or paced.
  package let passesWhole: Bool
  private let warnings: Warnings

  private final class Warnings {
    var list: [ConfigError] = []
  }

  package init(
    storage: SnapshotStorage, metrics: MetricsRegistry, statPrefix: String, passesWhole: Bool = false,
    cluster: @escaping (String) -> Int32
  ) {
    self.storage = storage
    self.metrics = metrics
    self.statPrefix = statPrefix
    self.passesWhole = passesWhole
    self.cluster = cluster
    warnings = Warnings()
  }

  /// The same for what a route says about a filter.
  init(_ other: FilterContext, into storage: SnapshotStorage, cluster: @escaping (String) -> Int32) {
    self.storage = storage
    metrics = other.metrics
    statPrefix = other.statPrefix
    passesWhole = other.passesWhole
    self.cluster = cluster
    warnings = other.warnings
  }

  /// Tells that a field of the filter's message has no effect where it stands. The filter serves all the same.
  package func warn(_ path: FieldPath, _ message: String) { warnings.list.append(ConfigError(path: path, message)) }

  /// The warnings since the last call.
  package func takeWarnings() -> [ConfigError] {
    defer { warnings.list = [] }
    return warnings.list
  }

  /// Puts `path` in front of the warnings that came after the first `count`; nil: forgets them.
  fileprivate func placeWarnings(after count: Int, at path: FieldPath?) {
    guard let path else { return warnings.list.removeSubrange(count...) }
    for i in warnings.list.indices.dropFirst(count) { warnings.list[i] = warnings.list[i].inside(path) }
  }

  fileprivate var warningCount: Int { warnings.list.count }

  /// The blocks of every worker for the scope `prefix` (`http.*.fault.`, with `*` for `name`), by the worker's number.
  package func stats<M: Metric>(_ metric: M.Type, _ prefix: String, name: String) -> ConstantTable<StatBlock<M>> {
    storage.stats(metric, prefix, name: name, metrics)
  }
}

/// Turns the filters of a connection manager into `HTTPFilterChain`s, and routes' overrides into `FilterConfigs`.
///
/// A manager may have several chains: one for all requests, others for upgrades. Their filters have positions and states side by side, so that one table of
/// configurations, by name, holds for all of them.
@usableFromInline
package struct FilterChainBuilder {
  /// Filters in one chain.
  package static var largestChain: Int { 64 }
  /// Bytes of all their states together.
  package static var largestStates: Int { 2048 - largestChain * MemoryLayout<FilterConfigSlot>.stride }
  /// A block holds the states and a table of configurations.
  @inlinable package static var largestBlock: Int { 2048 }

  private struct Member {
    var name: String
    var type: any HTTPFilter.Type
    var config: ExtensionConfig
    var slot: FilterConfigSlot
    var isDisabled: Bool
    var chain: Int
    var offset: UInt32
  }

  private let context: FilterContext
  private var members: [Member] = []
  private var image: [UInt64] = []
  private var size = 0
  /// What the states ask of the place they lie at.
  private var alignment = 1

  package init(_ context: FilterContext) { self.context = context }

  /// What filters have said without effect since the last call, of their own messages (by the caller's paths) or of routes'.
  package func takeWarnings() -> [ConfigError] { context.takeWarnings() }

  /// How many there are that were not taken; where those behind them stand.
  package var warningCount: Int { context.warningCount }
  package func placeWarnings(after count: Int, at path: FieldPath) { context.placeWarnings(after: count, at: path) }

  /// Adds a filter behind the others of chain number `chain`. *Errors*: what the filter says of its message; chains that are too long or keep too much.
  package mutating func add(
    _ type: any HTTPFilter.Type, named name: String, _ config: ExtensionConfig, isDisabled: Bool, chain: Int = 0
  ) throws(ConfigError) {
    guard members.count < Self.largestChain else {
      throw ConfigError("is one filter too many: a connection manager may have \(Self.largestChain)")
    }
    try place(type, name, config, isDisabled, chain)
  }

  private mutating func place<F: HTTPFilter>(
    _ type: F.Type, _ name: String, _ config: ExtensionConfig, _ isDisabled: Bool, _ chain: Int
  ) throws(ConfigError) {
    let alignment = MemoryLayout<F>.alignment
    let offset = (size + alignment - 1) & ~(alignment - 1)
    guard offset + MemoryLayout<F>.size <= Self.largestStates, alignment <= 16 else {
      throw ConfigError("the states of the filters up to this one need more than \(Self.largestStates) bytes")
    }
    let compiled = try F.compile(FilterSource(chain: config), context)
    self.alignment = max(self.alignment, alignment)
    size = offset + MemoryLayout<F>.size
    while image.count * 8 < size { image.append(0) }
    let state = F(compiled)
    if MemoryLayout<F>.size > 0 {
      unsafe image.withUnsafeMutableBytes { unsafe $0.storeBytes(of: state, toByteOffset: offset, as: F.self) }
    }
    members.append(
      Member(
        name: name, type: type, config: config, slot: Self.slot(compiled, context.storage), isDisabled: isDisabled,
        chain: chain, offset: UInt32(offset)))
  }

  private static func slot<Config>(_ config: Config, _ storage: SnapshotStorage) -> FilterConfigSlot {
    unsafe FilterConfigSlot(UnsafeRawPointer(storage.keep(config).pointer))
  }

  /// Whether a filter can stand in front of a cluster's endpoints, too. An attempt waits for nobody but its endpoint and has no memory of its own,
  /// and its content passes by: there is no place for a filter that waits, looks at content, or keeps a state.
  package static func fitsUpstreams(_ filter: any HTTPFilter.Type) -> Bool {
    func size<F: HTTPFilter>(_: F.Type) -> Int { MemoryLayout<F>.size }
    return size(filter) == 0 && !(filter is any HoldingFilter.Type) && !(filter is any ResponseHoldingFilter.Type)
      && !(filter is any RequestDataFilter.Type) && !(filter is any ResponseDataFilter.Type)
      && !(filter is any StreamEndFilter.Type)
  }

  /// The chain's table, or nil when the levels say nothing about its filters. `levels` run from the least specific to the most; `cluster` tells the
  /// position of a cluster that an override asks.
  /// *Errors*: what a filter says of an override, at `typed_per_filter_config` of its level.
  package func configs(
    _ levels: [(filters: [String: FilterOverride], path: FieldPath)], into storage: SnapshotStorage,
    cluster: @escaping (String) -> Int32
  ) throws(ConfigError) -> FilterConfigs? {
    var slots: [FilterConfigSlot] = []
    var differs = false
    for member in members {
      let said = levels.compactMap { level in level.filters[member.name].map { ($0, level.path) } }
      guard let last = said.last else {
        unsafe slots.append(member.isDisabled ? FilterConfigSlot(nil) : member.slot)
        continue
      }
      differs = true
      if last.0.isDisabled {
        unsafe slots.append(FilterConfigSlot(nil))
        continue
      }
      let overrides = said.compactMap(\.0.config)
      if overrides.isEmpty {
        slots.append(member.slot)
        continue
      }
      let wanted = member.type.messages.route ?? ""
      for case let (override, path) in said {
        if let config = override.config, config.typeName != wanted {
          throw ConfigError(
            path: path.field("typed_per_filter_config").key(member.name),
            "is of type \(config.typeName); filter \(member.name) takes \(wanted.isEmpty ? "none" : wanted)")
        }
      }
      let place = last.1.field("typed_per_filter_config").key(member.name)
      let warnings = context.warningCount
      do throws(ConfigError) {
        slots.append(
          try override(member.type, FilterSource(chain: member.config, overrides: overrides), storage, cluster))
      } catch { throw error.inside(place) }
      // What another level says was told where that one was compiled.
      let isOwn = levels.last?.filters[member.name] != nil
      context.placeWarnings(after: warnings, at: isOwn ? place : nil)
    }
    return differs ? storage.arena.table(slots) : nil
  }

  private func override<F: HTTPFilter>(
    _ type: F.Type, _ source: FilterSource, _ storage: SnapshotStorage, _ cluster: @escaping (String) -> Int32
  ) throws(ConfigError) -> FilterConfigSlot {
    Self.slot(try F.compile(source, FilterContext(context, into: storage, cluster: cluster)), storage)
  }

  /// Chain number `number`; nil when it has no filters.
  package func build(_ number: Int = 0) -> HTTPFilterChain? {
    let forward = members.indices.filter { members[$0].chain == number }
    if forward.isEmpty { return nil }
    var chain = HTTPFilterChain()
    let backward = Array(forward.reversed())
    chain.requestHead = list(forward) { $0 as? any RequestHeadFilter.Type }
    chain.requestData = list(forward) { $0 as? any RequestDataFilter.Type }
    chain.requestTrailers = list(forward) { $0 as? any RequestTrailersFilter.Type }
    chain.responseHead = list(backward) { $0 as? any ResponseHeadFilter.Type }
    chain.responseData = list(backward) { $0 as? any ResponseDataFilter.Type }
    chain.responseTrailers = list(backward) { $0 as? any ResponseTrailersFilter.Type }
    chain.streamEnd = list(forward) { $0 as? any StreamEndFilter.Type }
    let arena = context.storage.arena
    chain.holding = arena.table(members.map { $0.type as? any HoldingFilter.Type })
    chain.responseHolding = arena.table(members.map { $0.type as? any ResponseHoldingFilter.Type })
    chain.offsets = arena.table(members.map(\.offset))
    chain.configs = arena.table(members.map { unsafe $0.isDisabled ? FilterConfigSlot(nil) : $0.slot })
    chain.image = arena.table(image)
    (chain.place, chain.frameStates) = frameStates
    chain.configsOffset = UInt32(8 * image.count)
    return chain
  }

  private var frameStates: (StatePlace, FilterFrame.States) {
    guard 8 * image.count <= MemoryLayout<FilterFrame.States>.size, alignment <= 8 else {
      return (.block, FilterFrame.noStates)
    }
    let words = image + [0, 0, 0, 0]
    return (image.allSatisfy { $0 == 0 } ? .blankSlot : .slot, (words[0], words[1], words[2], words[3]))
  }

  private func list<Code>(_ order: [Int], _ cast: (any HTTPFilter.Type) -> Code?) -> EventList<Code> {
    EventList(
      context.storage.arena.table(
        order.compactMap { i in
          cast(members[i].type).map {
            EventList.Entry(code: $0, offset: members[i].offset, position: UInt32(i))
          }
        }))
  }
}
