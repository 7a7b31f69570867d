package import WeftControlAPI

/// The store as a source of rules: everything in it, or what one owner has there.
///
/// *Shape*: nothing is held in memory but the reader's place; a reader that is slow reads what came meanwhile from the event log, in one batch.
package struct StoreSource: ConfigSource {
  package let origin: SourceOrigin
  private let store: StoreService
  private let owner: String?

  /// *Parameter* `owner`: only objects of that source (`Envelope.source`).
  package init(_ store: StoreService, owner: String? = nil, origin: SourceOrigin = SourceOrigin("store")) {
    self.store = store
    self.owner = owner
    self.origin = origin
  }

  package var state: SourceState { store.failure.map { .stale(reason: $0) } ?? .synced }

  package func changes(after version: UInt64?) -> AsyncStream<SourceBatch<Envelope>> {
    let place = Place(store, owner, version)
    return AsyncStream { await place.next() }
  }

  /// One reader's place in the store.
  private actor Place {
    private let store: StoreService
    private let owner: String?
    private let revisions: AsyncStream<UInt64>
    private var position: UInt64?
    /// The newest revision heard of.
    private var newest: UInt64 = 0
    /// What of the owner's the reader has: an object that goes to another owner is gone.
    private var known: Set<ObjectKey> = []

    /// How long a store that failed is left alone.
    private static let retry: Duration = .seconds(1)

    init(_ store: StoreService, _ owner: String?, _ version: UInt64?) {
      self.store = store
      self.owner = owner
      // What an owner's reader has is not known any more: it begins anew.
      position = owner == nil ? version : nil
      revisions = store.revisions()
    }

    func next() async -> SourceBatch<Envelope>? {
      while !Task.isCancelled {
        do {
          guard let from = position else { return try await whole() }
          if newest > from {
            if let batch = try await increment(from) { return batch }
          } else {
            guard let revision = await nextRevision() else { return nil }
            newest = revision
            // A place that the store has not reached is another store's.
            if revision < from { position = nil }
          }
        } catch StoreError.tooOld, StoreError.futureRevision {
          position = nil
        } catch {
          // What the reader has holds; the store says itself what is wrong with it.
          do { try await Task.sleep(for: Self.retry) } catch { return nil }
        }
      }
      return nil
    }

    private func nextRevision() async -> UInt64? {
      for await revision in revisions { return revision }
      return nil
    }

    private func whole() async throws -> SourceBatch<Envelope> {
      let (objects, revision) = try await store.perform { try $0.list() }
      position = revision
      var batch = SourceBatch<Envelope>(isWhole: true, version: revision)
      for object in objects where owner == nil || object.source == owner { batch.upserts[object.key] = object }
      if owner != nil { known = Set(batch.upserts.keys) }
      return batch
    }

    /// Nil when nothing of what came is for this reader.
    private func increment(_ from: UInt64) async throws -> SourceBatch<Envelope>? {
      let events = try await store.perform { try $0.events(after: from) }
      let version = events.last?.revision ?? newest
      position = version
      var batch = SourceBatch<Envelope>(version: version)
      for event in events {
        let key = event.object.key
        let isHere = event.change != .deleted && (owner == nil || event.object.source == owner)
        if owner != nil {
          guard isHere || known.contains(key) else { continue }
          if isHere { known.insert(key) } else { known.remove(key) }
        }
        batch.merge(
          isHere
            ? SourceBatch(upserts: [key: event.object], version: event.revision)
            : SourceBatch(removals: [key], version: event.revision))
      }
      batch.version = version
      return batch.upserts.isEmpty && batch.removals.isEmpty ? nil : batch
    }
  }
}

extension DirectorySource: ConfigSource {
  package var origin: SourceOrigin { SourceOrigin("directory", path) }

  package var state: SourceState {
    let report = self.report
    if report.isUnreadable {
      return .stale(reason: report.problems.first?.message ?? "the directory cannot be read")
    }
    // Before the first pass the store has what the files said last.
    return hasLooked ? .synced : .remembered
  }

  /// What the directory's files say, as far as it was taken: rules are read from the store, whoever wrote them.
  package func changes(after version: UInt64?) -> AsyncStream<SourceBatch<Envelope>> {
    StoreSource(store, owner: source, origin: origin).changes(after: version)
  }
}
