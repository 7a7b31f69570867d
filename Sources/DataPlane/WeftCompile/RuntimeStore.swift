// RuntimeStore: the layers of runtime values, and the tables made of them.

import Synchronization
package import WeftModel
package import WeftProxyAPI
package import WeftTelemetry

/// The runtime of a proxy: what its layers say, and for which keys configuration asks.
///
/// *Threads*: any. Whoever takes a table hands it to every worker; one that is older than what a worker has changes nothing there.
package final class RuntimeStore: Sendable {
  private struct State: Sendable {
    var layers: [(name: String, kind: RuntimeLayer.Kind)]
    var overrides: [String: RuntimeValue] = [:]
    var values: [String: RuntimeValue] = [:]
    var version: UInt64 = 0
    var table: RuntimeTable
    var keysVersion: UInt64 = 0
  }

  /// What the admin page shows: the names of the layers, and what each says of each key.
  package struct Report: Sendable, Equatable {
    package var layers: [String] = []
    package var entries: [String: [String]] = [:]
    package var hasAdminLayer = false
    package init() {}
  }

  /// Keys that the admin page can set.
  package static let overrideLimit = 10_000

  package let keys: RuntimeKeys
  private let metrics: MetricsRegistry
  private let scope: ScopeID
  private let state: Mutex<State>

  package init(_ layers: [RuntimeLayer] = [], metrics: MetricsRegistry, keys: RuntimeKeys = RuntimeKeys()) {
    self.keys = keys
    self.metrics = metrics
    scope = metrics.scope(ScopeKey(.filter, "", "runtime."), of: RuntimeMetric.self)
    state = Mutex(
      State(layers: layers.map { ($0.name, $0.kind) }, table: RuntimeTable(version: 0, [:], keys: [])))
    state.withLock { merge(&$0) }
  }

  /// The newest table.
  package var table: RuntimeTable { state.withLock { $0.table } }

  /// A table with the keys that came since the last one; nil when none did.
  package func tableOfNewKeys() -> RuntimeTable? {
    let names = keys.names
    return state.withLock { state in
      guard names.version > state.keysVersion else { return nil }
      make(&state)
      return state.table
    }
  }

  /// Sets keys of the admin layer; nil takes one away. *Returns*: the new table; why not.
  package func modify(_ changes: [(key: String, value: RuntimeValue?)]) -> Result<RuntimeTable, ModifyProblem> {
    state.withLock { state in
      guard state.layers.contains(where: { $0.kind == .admin }) else {
        metrics.add(RuntimeMetric.loadError, scope)
        return .failure(.noAdminLayer)
      }
      var overrides = state.overrides
      for (key, value) in changes { overrides[key] = value }
      guard overrides.count <= Self.overrideLimit else {
        metrics.add(RuntimeMetric.loadError, scope)
        return .failure(.tooMany)
      }
      state.overrides = overrides
      merge(&state)
      return .success(state.table)
    }
  }

  package enum ModifyProblem: Error, Equatable {
    case noAdminLayer, tooMany

    package var text: String {
      switch self {
      case .noAdminLayer: "No admin layer specified"
      case .tooMany: "The admin layer holds at most \(RuntimeStore.overrideLimit) keys"
      }
    }
  }

  package var report: Report {
    state.withLock { state in
      var report = Report()
      report.layers = state.layers.map(\.name)
      report.hasAdminLayer = state.layers.contains { $0.kind == .admin }
      let values = state.layers.map { Self.values(of: $0.kind, state) }
      for key in Set(values.flatMap(\.keys)) { report.entries[key] = values.map { $0[key]?.text ?? "" } }
      return report
    }
  }

  private static func values(of kind: RuntimeLayer.Kind, _ state: State) -> [String: RuntimeValue] {
    switch kind {
    case .fixed(let values): values
    case .admin: state.overrides
    }
  }

  private func merge(_ state: inout State) {
    state.values = [:]
    for layer in state.layers { state.values.merge(Self.values(of: layer.kind, state)) { _, later in later } }
    make(&state)
    metrics.add(RuntimeMetric.loadSuccess, scope)
    // There are no layers on disk.
    metrics.add(RuntimeMetric.overrideDirNotExists, scope)
    metrics.set(RuntimeMetric.numKeys, scope, UInt64(state.values.count))
    metrics.set(RuntimeMetric.numLayers, scope, UInt64(state.layers.count))
    metrics.set(RuntimeMetric.adminOverridesActive, scope, state.overrides.isEmpty ? 0 : 1)
  }

  private func make(_ state: inout State) {
    let names = keys.names
    state.version += 1
    state.keysVersion = names.version
    state.table = RuntimeTable(version: state.version, state.values, keys: names.list)
    metrics.set(RuntimeMetric.keysOverflow, scope, keys.overflows)
  }
}

/// `runtime.…`
package enum RuntimeMetric: Int, Metric {
  case loadSuccess, loadError, overrideDirExists, overrideDirNotExists, deprecatedFeatureUse
  case numKeys, numLayers, adminOverridesActive, deprecatedFeatureSeenSinceProcessStart, keysOverflow

  package static var scopeKind: ScopeKind { .filter }
  package static var firstHistogram: Int { 10 }

  package var definition: MetricDefinition {
    switch self {
    case .loadSuccess: .counter("load_success", "Times the runtime's values were made anew")
    case .loadError: .counter("load_error", "Changes of the runtime's values that could not be made")
    case .overrideDirExists: .counter("override_dir_exists", "Times a directory of overriding values was there")
    case .overrideDirNotExists: .counter("override_dir_not_exists", "Times there was none")
    case .deprecatedFeatureUse: .counter("deprecated_feature_use", "Uses of features that are going away")
    case .numKeys: .gauge("num_keys", "Keys that have a value")
    case .numLayers: .gauge("num_layers", "Layers")
    case .adminOverridesActive: .gauge("admin_overrides_active", "1 while the admin page has set a value")
    case .deprecatedFeatureSeenSinceProcessStart:
      .gauge("deprecated_feature_seen_since_process_start", "Features seen that are going away")
    case .keysOverflow: .gauge("keys_overflow", "Keys of configuration past the limit, which are not looked up")
    }
  }
}
