// When the last good configuration is written: soon after it changed, not oftener than once in an interval, and before the end.

/// Keeps a file up to date with the configuration that was last accepted.
///
/// The first change after a quiet time is written at once, those that follow within `interval` together. What is on disk is complete at every
/// moment: an older state or a newer one. *Threads*: writing has a thread of its own for as long as it takes.
package actor LastGoodKeeper {
  private let interval: Duration
  private let sleep: @Sendable (Duration) async throws -> Void
  private let write: @Sendable (XDSStore) async -> Void
  private var pending: XDSStore?
  private var writing: Task<Void, Never>?
  private var isFinishing = false

  package init(
    interval: Duration = .seconds(1),
    sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    write: @escaping @Sendable (XDSStore) async -> Void
  ) {
    self.interval = interval
    self.sleep = sleep
    self.write = write
  }

  /// `store` is what is to be on disk from now on.
  package func changed(_ store: XDSStore) {
    pending = store
    if writing == nil {
      // Ends by itself when everything is written; `finish` waits for it.
      writing = Task { await self.writeWhileChanging() }
    }
  }

  /// Writes what waits. Later changes are written without a pause.
  package func finish() async {
    isFinishing = true
    writing?.cancel()
    await writing?.value
  }

  private func writeWhileChanging() async {
    while let store = pending {
      pending = nil
      await write(store)
      if !isFinishing { try? await sleep(interval) }
    }
    writing = nil
  }
}
