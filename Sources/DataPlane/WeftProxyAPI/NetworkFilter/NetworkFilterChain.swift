// NetworkFilterChain: the network filters of one filter chain, compiled; and who there is to compile.

package import WeftBase
package import WeftModel
public import WeftTelemetry

/// Network filters in order, one dense list per event.
@safe @frozen @usableFromInline
package struct NetworkFilterChain: BitwiseCopyable, Sendable {
  @usableFromInline package var newConnection: EventList<any NewConnectionFilter.Type>
  @usableFromInline package var input: EventList<any InputFilter.Type>
  @usableFromInline package var output: EventList<any OutputFilter.Type>
  @usableFromInline package var end: EventList<any ConnectionEndFilter.Type>
  /// The last one, where it is an extension's; else the engine serves the chain's end.
  @usableFromInline package var terminal: EventList<any TerminalFilter.Type>
  /// By position; looked at only when a connection is resumed.
  @usableFromInline package var holding: ConstantTable<(any HoldingNetworkFilter.Type)?>
  @usableFromInline package var offsets: ConstantTable<UInt32>
  @usableFromInline package var configs: FilterConfigs
  /// The initial states of all filters.
  @usableFromInline package var image: ConstantTable<UInt64>

  @inlinable package var count: Int { offsets.count }
}

/// Turns the network filters of a filter chain into a `NetworkFilterChain`.
package struct NetworkFilterChainBuilder {
  /// Filters in one chain.
  package static var largestChain: Int { 16 }
  /// Words of all their states together.
  package static var largestState: Int { 24 }

  private struct Member {
    var type: any NetworkFilter.Type
    var slot: FilterConfigSlot
    var offset: UInt32
  }

  private let context: NetworkFilterContext
  private var members: [Member] = []
  private var image: [UInt64] = []
  private var size = 0

  package init(_ context: NetworkFilterContext) { self.context = context }

  /// Adds a filter behind the others. *Errors*: what the filter says of its message; a chain that is too long or keeps too much.
  package mutating func add(_ type: any NetworkFilter.Type, _ config: ExtensionConfig) throws(ConfigError) {
    guard members.count < Self.largestChain || type is any TerminalFilter.Type else {
      throw ConfigError("is one filter too many: a chain may have \(Self.largestChain) before its terminal filter")
    }
    try place(type, config)
  }

  private mutating func place<F: NetworkFilter>(_ type: F.Type, _ config: ExtensionConfig) throws(ConfigError) {
    let alignment = MemoryLayout<F>.alignment
    let offset = (size + alignment - 1) & ~(alignment - 1)
    guard offset + MemoryLayout<F>.size <= Self.largestState * 8, alignment <= 8 else {
      throw ConfigError("the states of the filters up to this one need more than \(Self.largestState * 8) bytes")
    }
    let compiled = try F.compile(config, context)
    size = offset + MemoryLayout<F>.size
    while image.count * 8 < size { image.append(0) }
    let state = F(compiled)
    if MemoryLayout<F>.size > 0 {
      unsafe image.withUnsafeMutableBytes { unsafe $0.storeBytes(of: state, toByteOffset: offset, as: F.self) }
    }
    let slot = unsafe FilterConfigSlot(UnsafeRawPointer(context.storage.keep(compiled).pointer))
    members.append(Member(type: type, slot: slot, offset: UInt32(offset)))
  }

  package func build() -> NetworkFilterChain {
    let arena = context.storage.arena
    return NetworkFilterChain(
      newConnection: list { $0 as? any NewConnectionFilter.Type }, input: list { $0 as? any InputFilter.Type },
      output: list(backwards: true) { $0 as? any OutputFilter.Type }, end: list { $0 as? any ConnectionEndFilter.Type },
      terminal: list { $0 as? any TerminalFilter.Type },
      holding: arena.table(members.map { $0.type as? any HoldingNetworkFilter.Type }),
      offsets: arena.table(members.map(\.offset)), configs: arena.table(members.map(\.slot)), image: arena.table(image))
  }

  private func list<Code>(backwards: Bool = false, _ cast: (any NetworkFilter.Type) -> Code?) -> EventList<Code> {
    let order = backwards ? Array(members.indices.reversed()) : Array(members.indices)
    return EventList(
      context.storage.arena.table(
        order.compactMap { i in
          cast(members[i].type).map {
            EventList.Entry(code: $0, offset: members[i].offset, position: UInt32(i))
          }
        }))
  }
}

/// The token buckets that filters of several chains share by a key. A bucket lives as long as a chain uses it.
/// *Threads*: the compiler's.
package final class SharedBuckets {
  private struct Key: Hashable {
    var name: String
    var settings: TokenBucketSettings
  }
  private struct Member {
    weak var owner: SnapshotStorage?
    var bucket: TokenBucket
  }
  private var members: [Key: Member] = [:]

  package init() {}

  func bucket(_ name: String, _ settings: TokenBucketSettings, for storage: SnapshotStorage) -> TokenBucket {
    let key = Key(name: name, settings: settings)
    if let member = members[key], let owner = member.owner {
      storage.retain(owner)
      return member.bucket
    }
    members = members.filter { $0.value.owner != nil }
    let owner = SnapshotStorage()
    let bucket = TokenBucket(TokenRate(settings), owner)
    storage.retain(owner)
    members[key] = Member(owner: owner, bucket: bucket)
    return bucket
  }
}
