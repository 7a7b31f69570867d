/// Bounds of the store.
package struct StoreLimits: Sendable {
  /// Bytes of one object's metadata and spec as JSON.
  package var objectBytes = 1 << 20
  package var objects = 100_000
  /// Committed changes that a watch can resume over.
  package var events = 10_000
  /// Former versions kept of each object for roll-back, beyond the event log.
  package var versionsPerObject = 20
  /// Changes kept in all for roll-back.
  package var history = 100_000

  package init() {}
}
