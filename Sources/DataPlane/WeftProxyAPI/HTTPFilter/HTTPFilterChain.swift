// HTTPFilterChain: the filters of one connection manager, compiled.

import WeftBase
public import WeftTelemetry
import WeftModel

/// The filters that take one event, in calling order: the response's lists are built backwards. `Code` is an existential metatype: two words,
/// trivial, no reference counting. Everything the engine reads per call is `@inlinable`; forgetting it doubles the cost of a chain.
@frozen @safe @usableFromInline
package struct EventList<Code: BitwiseCopyable>: BitwiseCopyable, @unchecked Sendable {  // metatypes and numbers
  @frozen @usableFromInline
  package struct Entry: BitwiseCopyable {
    @usableFromInline package let code: Code
    @usableFromInline package let offset: UInt32
    @usableFromInline package let position: UInt32
    @inlinable init(code: Code, offset: UInt32, position: UInt32) {
      (self.code, self.offset, self.position) = (code, offset, position)
    }
  }
  @usableFromInline let entries: ConstantTable<Entry>
  @inlinable package var isEmpty: Bool { entries.count == 0 }
  @inlinable package var count: Int { entries.count }
  @inlinable package subscript(i: Int) -> Entry { entries[i] }
  /// The same where the caller has made sure that there is such an entry.
  @inlinable @unsafe package subscript(unchecked i: Int) -> Entry { unsafe entries[unchecked: i] }
  /// Configurations that a table for this list has at least: one more than its largest position.
  @usableFromInline package let reach: Int

  init(_ entries: ConstantTable<Entry>) {
    self.entries = entries
    reach = entries.indices.reduce(0) { max($0, Int(entries[$1].position) + 1) }
  }
  init() { self.init(ConstantTable()) }
}

/// A filter's compiled configuration for one chain or route; nil: the filter is off there.
@frozen @safe @usableFromInline
package struct FilterConfigSlot: BitwiseCopyable, @unchecked Sendable {  // immutable config
  @usableFromInline package let config: UnsafeRawPointer?
  @inlinable init(_ config: UnsafeRawPointer?) { unsafe self.config = config }
}

/// One slot per filter position. Routes that change nothing share the chain's own.
@usableFromInline
package typealias FilterConfigs = ConstantTable<FilterConfigSlot>

/// Where the states of a stream's filters lie.
@frozen @usableFromInline
package enum StatePlace: UInt8, BitwiseCopyable, Sendable {
  /// In its slot, and begin as that does, with zeros.
  case blankSlot
  case slot
  /// In a block: they are too many, or too much aligned, for the slot.
  case block
}

/// Filters in order, one dense list per event. Without filters it is a handful of zeros that cost a load and a branch per event.
@safe @frozen @usableFromInline
package struct HTTPFilterChain: BitwiseCopyable, Sendable {
  @usableFromInline package var requestHead: EventList<any RequestHeadFilter.Type>
  @usableFromInline package var requestData: EventList<any RequestDataFilter.Type>
  @usableFromInline package var requestTrailers: EventList<any RequestTrailersFilter.Type>
  @usableFromInline package var responseHead: EventList<any ResponseHeadFilter.Type>
  @usableFromInline package var responseData: EventList<any ResponseDataFilter.Type>
  @usableFromInline package var responseTrailers: EventList<any ResponseTrailersFilter.Type>
  @usableFromInline package var streamEnd: EventList<any StreamEndFilter.Type>
  /// By position; looked at only when a stream is resumed.
  @usableFromInline package var holding: ConstantTable<(any HoldingFilter.Type)?>
  @usableFromInline package var responseHolding: ConstantTable<(any ResponseHoldingFilter.Type)?>
  @usableFromInline package var offsets: ConstantTable<UInt32>
  @usableFromInline package var configs: FilterConfigs
  /// The initial states of all filters.
  @usableFromInline package var image: ConstantTable<UInt64>
  @usableFromInline package var place: StatePlace
  /// The initial states, where they lie in the stream's slot.
  @usableFromInline package var frameStates: FilterFrame.States
  /// Where in a block, behind the states, there is room for a table of configurations.
  @usableFromInline package var configsOffset: UInt32

  /// Filters in the chain.
  @inlinable package var count: Int { offsets.count }
  @inlinable package var isEmpty: Bool { offsets.count == 0 }

  /// No filters.
  package init() {
    requestHead = EventList()
    requestData = EventList()
    requestTrailers = EventList()
    responseHead = EventList()
    responseData = EventList()
    responseTrailers = EventList()
    streamEnd = EventList()
    holding = ConstantTable()
    responseHolding = ConstantTable()
    offsets = ConstantTable()
    configs = FilterConfigs()
    image = ConstantTable()
    place = .blankSlot
    frameStates = FilterFrame.noStates
    configsOffset = 0
  }
}
