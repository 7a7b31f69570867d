// RuntimeTable: the values that runtime keys have at one moment, as requests read them.
//
// Configuration is compiled with the keys' places (`RuntimeKeys`), so a request's look at a value is one load. A change makes a new table, which
// every worker takes over between two turns; nothing is compiled anew.

package import WeftModel
public import WeftTelemetry

/// A share of requests that a key may change.
@frozen @usableFromInline
package struct RuntimeShare: BitwiseCopyable, Sendable {
  /// Where the key has no value.
  @usableFromInline package var partsPerMillion: UInt32
  @usableFromInline package var key: RuntimeKey
  @inlinable package init(_ partsPerMillion: UInt32, key: RuntimeKey = .none) {
    (self.partsPerMillion, self.key) = (partsPerMillion, key)
  }

  /// All and none of the requests.
  @inlinable package static var all: RuntimeShare { RuntimeShare(1_000_000) }
  @inlinable package static var none: RuntimeShare { RuntimeShare(0) }
  /// Nothing can make it more than none.
  @inlinable package var isNever: Bool { partsPerMillion == 0 && key == .none }
}

/// A switch that a key may change.
@frozen @usableFromInline
package struct RuntimeFlag: BitwiseCopyable, Sendable {
  @usableFromInline package var value: Bool
  @usableFromInline package var key: RuntimeKey
  @inlinable package init(_ value: Bool, key: RuntimeKey = .none) { (self.value, self.key) = (value, key) }
}

/// One key's value in the forms that are asked for.
@frozen @usableFromInline
package struct RuntimeCell: BitwiseCopyable, Sendable {
  /// Parts per million; `.max`: it is no share.
  @usableFromInline var share: UInt32 = .max
  @usableFromInline var hasInteger = false
  @usableFromInline var hasFlag = false
  @usableFromInline var flag = false
  @usableFromInline var integer: UInt64 = 0

  init(_ value: RuntimeValue? = nil) {
    guard let value else { return }
    if let fraction = value.fraction {
      share = fraction.partsPerMillion
    } else if let percent = value.integer {
      share = UInt32(min(percent, 100)) * 10_000
    }
    if let integer = value.integer { (hasInteger, self.integer) = (true, integer) }
    if let flag = value.flag { (hasFlag, self.flag) = (true, flag) }
  }
}

/// The values of one table, by key. Valid as long as the table.
@frozen @usableFromInline
package struct RuntimeView: BitwiseCopyable, Sendable {
  @usableFromInline let cells: ConstantTable<RuntimeCell>
  /// Without a value for any key that configuration names.
  @inlinable package static var empty: RuntimeView { RuntimeView(ConstantTable()) }
  @inlinable package init(_ cells: ConstantTable<RuntimeCell>) { self.cells = cells }

  /// Some key that configuration names has a value.
  @inlinable package var hasValues: Bool { !cells.isEmpty }

  /// Whether both are of the same table.
  package func isSame(as other: RuntimeView) -> Bool { cells.isSame(as: other.cells) }

  @inlinable package func partsPerMillion(_ share: RuntimeShare) -> UInt32 {
    let i = Int(share.key.position)
    guard i < cells.count, cells[i].share != .max else { return share.partsPerMillion }
    return cells[i].share
  }

  @inlinable package func isOn(_ flag: RuntimeFlag) -> Bool {
    let i = Int(flag.key.position)
    guard i < cells.count, cells[i].hasFlag else { return flag.value }
    return cells[i].flag
  }

  @inlinable package func integer(_ key: RuntimeKey) -> UInt64? {
    let i = Int(key.position)
    guard i < cells.count, cells[i].hasInteger else { return nil }
    return cells[i].integer
  }
}

/// All values at one moment. *Threads*: any; nothing in it changes.
package final class RuntimeTable: Sendable {
  /// Grows with every change.
  package let version: UInt64
  /// What holds of all layers, for who asks when the table comes.
  package let values: [String: RuntimeValue]
  package let view: RuntimeView
  private let arena = ConstantArena()

  package init(version: UInt64, _ values: [String: RuntimeValue], keys: [String?]) {
    self.version = version
    self.values = values
    let cells = keys.map { RuntimeCell($0.flatMap { values[$0] }) }
    let isAsked = keys.contains { $0.map { values[$0] != nil } ?? false }
    view = isAsked ? RuntimeView(arena.table(cells)) : .empty
  }
}
