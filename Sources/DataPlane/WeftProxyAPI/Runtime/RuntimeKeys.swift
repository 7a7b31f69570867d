// RuntimeKeys: keys of runtime values as numbers, so that requests look nothing up by text.

import Synchronization
package import WeftModel

/// The place of a key's value in every worker's table.
@frozen @usableFromInline
package struct RuntimeKey: BitwiseCopyable, Hashable, Sendable {
  @usableFromInline let position: UInt32
  @usableFromInline init(position: UInt32) { self.position = position }
  /// Of what no key changes.
  @inlinable package static var none: RuntimeKey { RuntimeKey(position: .max) }
}

/// The keys that compiled configuration asks for. Each has a place as long as something compiled names it; places are given again.
///
/// *Threads*: any. *Cost*: a lock; configuration is compiled with it, no request is served.
package final class RuntimeKeys: Sendable {
  /// Keys that have a place. What is past it is not looked up, and counted (`runtime.keys_overflow`).
  package static let limit = 1 << 16

  /// Holds a key's place.
  final class Place: Sendable {
    let name: String
    let key: RuntimeKey
    private let keys: RuntimeKeys

    init(_ name: String, _ key: RuntimeKey, of keys: RuntimeKeys) {
      (self.name, self.key, self.keys) = (name, key, keys)
    }

    deinit { keys.gone(name, key) }
  }

  private struct Known: Sendable {
    weak var place: Place?
    let key: RuntimeKey
  }

  private struct State: Sendable {
    var known: [String: Known] = [:]
    /// By position; nil: free.
    var names: [String?] = []
    var free: [UInt32] = []
    var version: UInt64 = 0
    var overflows: UInt64 = 0
  }

  private let limit: Int
  private let state = Mutex(State())

  package init(limit: Int = RuntimeKeys.limit) { self.limit = limit }

  /// The place of a key; nil at the limit.
  func place(of name: String) -> Place? {
    state.withLock { state in
      if let place = state.known[name]?.place { return place }
      let position: UInt32
      if let free = state.free.popLast() {
        position = free
        state.names[Int(free)] = name
      } else if state.names.count < limit {
        position = UInt32(state.names.count)
        state.names.append(name)
      } else {
        state.overflows += 1
        return nil
      }
      let place = Place(name, RuntimeKey(position: position), of: self)
      state.known[name] = Known(place: place, key: place.key)
      state.version += 1
      return place
    }
  }

  private func gone(_ name: String, _ key: RuntimeKey) {
    state.withLock { state in
      state.names[Int(key.position)] = nil
      state.free.append(key.position)
      // Somebody may have asked for it anew, and got another place.
      if state.known[name]?.key == key { state.known[name] = nil }
    }
  }

  /// The keys by position, and a number that grows when one comes.
  package var names: (list: [String?], version: UInt64) { state.withLock { ($0.names, $0.version) } }
  package var version: UInt64 { state.withLock { $0.version } }
  /// How many keys found no place.
  package var overflows: UInt64 { state.withLock { $0.overflows } }
}

extension SnapshotStorage {
  /// The place of a key's values, kept as long as the storage; `none` for no key.
  package func runtimeKey(_ name: String) -> RuntimeKey {
    guard !name.isEmpty, let runtimeKeys, let place = runtimeKeys.place(of: name) else { return .none }
    retain(place)
    return place.key
  }

  package func share(_ fraction: RuntimeFraction) -> RuntimeShare {
    RuntimeShare(fraction.value.partsPerMillion, key: runtimeKey(fraction.runtimeKey))
  }

  package func flag(_ value: RuntimeSwitch) -> RuntimeFlag {
    RuntimeFlag(value.value, key: runtimeKey(value.runtimeKey))
  }
}
