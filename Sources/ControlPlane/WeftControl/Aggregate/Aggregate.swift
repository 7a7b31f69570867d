import Synchronization
package import WeftConfig
package import WeftControlAPI

/// Follows the store and holds the newest snapshot of everything in it.
///
/// The store is the one source of truth: the API, the directory source and the registry write into it, so that every
/// change has a revision, survives a restart, and reaches the model in one order.
package actor Aggregate: SnapshotSource {
  private let store: StoreService
  private var model: Model
  private var newest: WeftSnapshot
  /// Apart from the actor: a reader may go at any moment, and nobody waits for that.
  private let readers = Mutex<[UInt64: AsyncStream<WeftSnapshot>.Continuation]>([:])
  private var waiters: [(revision: UInt64, continuation: CheckedContinuation<Void, Never>)] = []
  private var nextReader: UInt64 = 0
  private var isEnded = false

  package init(store: StoreService, mesh: MeshSettings = MeshSettings()) {
    self.store = store
    model = Model(mesh: mesh)
    newest = WeftSnapshot(mesh: mesh)
  }

  package func current() -> WeftSnapshot { newest }

  /// What proposals are looked at with, away from this actor.
  struct Basis: Sendable {
    var model: Model
    var newest: WeftSnapshot

    /// The snapshot as it would be with `objects` in place of those with their keys: what is analysed before, or without, a change being
    /// in force. *Cost*: what depends on the objects; the newest snapshot itself when there are none.
    func snapshot(with objects: [Envelope]) -> WeftSnapshot {
      let news = objects.filter { object in
        newest.version < object.metadata.resourceVersion || object.metadata.resourceVersion == 0
      }
      if news.isEmpty { return newest }
      var proposed = model
      for object in news { proposed.put(object) }
      return proposed.snapshot()
    }
  }

  func basis() -> Basis { Basis(model: model, newest: newest) }

  package func snapshots() -> AsyncStream<WeftSnapshot> {
    let (stream, continuation) = AsyncStream.makeStream(of: WeftSnapshot.self, bufferingPolicy: .bufferingNewest(1))
    guard !isEnded else {
      continuation.finish()
      return stream
    }
    nextReader += 1
    let id = nextReader
    readers.withLock { $0[id] = continuation }
    continuation.yield(newest)
    continuation.onTermination = { [weak self] _ in
      self?.readers.withLock { _ = $0.removeValue(forKey: id) }
    }
    return stream
  }

  /// Objects of the store that could not be read into the model, with the reason.
  package func unreadable() -> [ObjectKey: String] { model.unreadable }

  /// Returns once the snapshot holds everything up to `revision`, or the aggregate has ended.
  package func wait(for revision: UInt64) async {
    if newest.version >= revision || isEnded { return }
    await withCheckedContinuation { waiters.append((revision, $0)) }
  }

  /// Reads the whole store; the first snapshot is ready when this returns.
  package func load() async throws {
    let (objects, revision) = try await store.perform { try $0.list() }
    var fresh = Model(mesh: model.mesh)
    for object in objects { fresh.put(object) }
    fresh.reach(revision)
    model = fresh
    publish()
  }

  /// Follows the store until its watches end or the task is cancelled. *Errors*: the store failed.
  package func run() async throws {
    defer { end() }
    for await revision in store.revisions() {
      while model.revision < revision {
        let from = model.revision
        do {
          let events = try await store.perform { try $0.events(after: from) }
          for event in events {
            if event.change == .deleted {
              model.remove(event.object.key, revision: event.revision)
            } else {
              model.put(event.object)
            }
          }
          model.reach(events.last?.revision ?? revision)
        } catch StoreError.tooOld {
          try await load()
        }
      }
      if model.revision > newest.version { publish() }
    }
  }

  private func publish() {
    newest = model.snapshot()
    for reader in readers.withLock({ Array($0.values) }) { reader.yield(newest) }
    let version = newest.version
    for waiter in waiters where waiter.revision <= version { waiter.continuation.resume() }
    waiters.removeAll { $0.revision <= version }
  }

  private func end() {
    isEnded = true
    let ended = readers.withLock { readers in
      defer { readers = [:] }
      return Array(readers.values)
    }
    for reader in ended { reader.finish() }
    for waiter in waiters { waiter.continuation.resume() }
    waiters = []
  }
}
