// What compiled configuration lies in.

package import WeftBase
package import WeftTelemetry

/// What one compilation writes into: texts, tables and boxes that live as long as the snapshots that use them.
package final class SnapshotStorage: Sendable {
  package let arena = ConstantArena()
  package let boxes = SnapshotBoxes()

  /// Whose places its configuration keeps; nil: it has none, and what it says holds.
  let runtimeKeys: RuntimeKeys?

  package init(runtime keys: RuntimeKeys? = nil) { runtimeKeys = keys }

  package func text(_ text: String) -> ByteView { arena.text(text) }
  package func bytes(_ bytes: [UInt8]) -> ByteView { bytes.withByteView { arena.copy($0) } }
  package func keep<Value>(_ value: consuming Value) -> ConfigRef<Value> { boxes.keep(value) }
  /// Keeps `owner` alive as long as the storage.
  package func retain(_ owner: AnyObject) { boxes.retain(owner) }

  /// A scope of statistics that is there as long as the storage: until no worker uses what is in it any more.
  package func scope(_ key: ScopeKey, _ metrics: MetricsRegistry) -> ScopeID {
    let lease = metrics.lease(key)
    boxes.retain(lease)
    return lease.scope
  }

  /// Likewise of an extension.
  package func scope<M: Metric>(_ key: ScopeKey, of metric: M.Type, _ metrics: MetricsRegistry) -> ScopeID {
    let lease = metrics.lease(key, of: metric)
    boxes.retain(lease)
    return lease.scope
  }

  /// The blocks of every worker for a filter's scope `prefix`, with `*` for `name`.
  package func stats<M: Metric>(
    _ metric: M.Type, _ prefix: String, name: String, _ metrics: MetricsRegistry
  ) -> ConstantTable<StatBlock<M>> {
    let scope = scope(ScopeKey(.filter, name, prefix), of: metric, metrics)
    return arena.table((0..<metrics.workers).map { metrics.block(metric, scope, worker: $0) })
  }
}

/// Keeps the boxes behind a snapshot's `ConfigRef`s.
package final class SnapshotBoxes: @unchecked Sendable {  // filled by one thread before the snapshot is published
  private var boxes: [AnyObject] = []

  package init() {}

  /// Moves `value` to a fixed address.
  package func keep<Value>(_ value: consuming Value) -> ConfigRef<Value> {
    let box = ConfigBox(value)
    boxes.append(box)
    return box.ref
  }

  /// Keeps `owner` alive as long as the snapshot.
  package func retain(_ owner: AnyObject) { boxes.append(owner) }
}
