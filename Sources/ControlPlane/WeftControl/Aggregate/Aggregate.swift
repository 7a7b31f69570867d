import Synchronization
package import WeftConfig
package import WeftControlAPI

/// Follows the store and the registries, and holds the newest snapshot of everything in them.
///
/// The store is the one source of rules: the API and directories write into it, so that every rule has a revision, survives a restart, and reaches
/// the model in one order. What registries report comes beside them, as it changes; a snapshot's version is that of its rules.
package actor Aggregate: SnapshotSource {
  private let rules: any ConfigSource
  private let registries: [any ServiceRegistry]
  private var model: Model
  private var newest: WeftSnapshot
  /// How far each registry has been heard.
  private var heard: [SourceOrigin: UInt64] = [:]
  /// Apart from the actor: a reader may go at any moment, and nobody waits for that.
  private let readers = Mutex<[UInt64: AsyncStream<WeftSnapshot>.Continuation]>([:])
  private var waiters: [(isMet: @Sendable (Progress) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
  private var nextReader: UInt64 = 0
  private var isEnded = false

  /// How far the newest snapshot goes.
  struct Progress: Sendable {
    var revision: UInt64
    var heard: [SourceOrigin: UInt64]
  }

  package init(
    rules: any ConfigSource, registries: [any ServiceRegistry] = [], mesh: MeshSettings = MeshSettings()
  ) {
    self.rules = rules
    self.registries = registries
    model = Model(mesh: mesh)
    newest = WeftSnapshot(mesh: mesh)
  }

  package init(store: StoreService, registries: [any ServiceRegistry] = [], mesh: MeshSettings = MeshSettings()) {
    self.init(rules: StoreSource(store), registries: registries, mesh: mesh)
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

  /// Returns once the snapshot holds every rule up to `revision`, or the aggregate has ended.
  package func wait(for revision: UInt64) async { await wait { $0.revision >= revision } }

  /// The same for what a registry has told up to `version`.
  package func wait(for version: UInt64, of origin: SourceOrigin) async {
    await wait { $0.heard[origin] ?? 0 >= version }
  }

  private var progress: Progress { Progress(revision: newest.version, heard: heard) }

  private func wait(until isMet: @escaping @Sendable (Progress) -> Bool) async {
    if isEnded || isMet(progress) { return }
    await withCheckedContinuation { waiters.append((isMet, $0)) }
  }

  /// Reads all rules, and what registries have to tell already; the first snapshot is ready when this returns. A registry that has not been
  /// heard yet is not waited for.
  package func load() async {
    for await batch in rules.changes(after: nil) {
      take(batch)
      break
    }
    for registry in registries where registry.state.isKnown {
      for await batch in registry.changes(after: nil) {
        take(batch, from: registry.origin)
        break
      }
    }
    publish()
  }

  /// Follows its sources until the rules' stream ends or the task is cancelled.
  package func run() async {
    defer { end() }
    await withTaskGroup(of: Void.self) { group in
      for registry in registries {
        let version = heard[registry.origin]
        group.addTask {
          for await batch in registry.changes(after: version) { await self.follow(batch, from: registry.origin) }
        }
      }
      for await batch in rules.changes(after: model.revision == 0 ? nil : model.revision) {
        take(batch)
        publish()
      }
      group.cancelAll()
    }
  }

  private func follow(_ batch: SourceBatch<RegistryFact>, from origin: SourceOrigin) {
    take(batch, from: origin)
    publish()
  }

  private func take(_ batch: SourceBatch<Envelope>) {
    if batch.isWhole {
      model.replaceRules(batch.upserts.values)
    } else {
      for key in batch.removals { model.remove(key, revision: batch.version) }
      for object in batch.upserts.values { model.put(object) }
    }
    model.reach(batch.version)
  }

  private func take(_ batch: SourceBatch<RegistryFact>, from origin: SourceOrigin) {
    model.apply(batch, from: origin)
    heard[origin] = batch.version
  }

  private func publish() {
    newest = model.snapshot()
    for reader in readers.withLock({ Array($0.values) }) { reader.yield(newest) }
    let progress = progress
    for waiter in waiters where waiter.isMet(progress) { waiter.continuation.resume() }
    waiters.removeAll { $0.isMet(progress) }
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
