/// Where the newest snapshot comes from: the aggregate of all sources. WeftDiscovery is given one.
package protocol SnapshotSource: Sendable {
  /// The newest snapshot.
  func current() async -> WeftSnapshot
  /// The newest snapshot at once, then every later one. A slow reader skips to the newest: it compares with what it
  /// had by `changes(since:)`.
  func snapshots() async -> AsyncStream<WeftSnapshot>
}
