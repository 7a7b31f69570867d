package import WeftControlAPI

extension ConfigStore {
  /// The kept versions of an object, newest first; also of one that was deleted.
  package func history(_ key: ObjectKey, limit: Int = 100) throws(StoreError) -> [StoreEvent] {
    try sql(
      """
      SELECT \(Self.eventColumns) FROM events WHERE kind = ? AND namespace = ? AND name = ? \
      ORDER BY revision DESC LIMIT ?
      """, Self.parameters(key) + [.integer(Int64(limit))]
    ).map(Self.event)
  }

  /// The object as it was at `revision`: the newest version not after it; nil when there was none or it was deleted.
  /// *Errors*: `futureRevision`.
  package func object(_ key: ObjectKey, at revision: UInt64) throws(StoreError) -> Envelope? {
    // Clients name revisions; those that the store has not reached need not fit its column either.
    guard revision <= self.revision, let bound = Int64(exactly: revision) else {
      throw .futureRevision(requested: revision, current: self.revision)
    }
    let found = try sql(
      """
      SELECT \(Self.eventColumns) FROM events WHERE kind = ? AND namespace = ? AND name = ? AND revision <= ? \
      ORDER BY revision DESC LIMIT 1
      """, Self.parameters(key) + [.integer(bound)]
    ).first.map(Self.event)
    guard let found, found.change != .deleted else { return nil }
    return found.object
  }

  /// Writes the spec, labels and annotations of a former version as a new one.
  /// *Errors*: `notFound` when that version is not kept.
  @discardableResult
  package func rollBack(_ key: ObjectKey, to version: VersionName, _ context: WriteContext) throws -> WriteOutcome {
    let former: Envelope?
    switch version {
    case .revision(let revision): former = try object(key, at: revision)
    case .generation(let generation):
      // The newest of that number: an object that was deleted and made anew begins with 1 again.
      former = try history(key, limit: Int.max).first {
        $0.change != .deleted && $0.object.metadata.generation == generation
      }?.object
    }
    guard let former else { throw StoreError.versionNotKept(key, version) }
    return try put(former, context)
  }

  /// Drops events up to `revision` that roll-back does not need: all but the newest of each object, and everything of
  /// the registry, whose instances come and go.
  func trimHistory(upTo revision: UInt64) throws(StoreError) {
    try sql(
      "DELETE FROM events WHERE revision <= ? AND source = ?",
      [.integer(Int64(revision)), .text(Envelope.registrySource)])
    try sql(
      """
      DELETE FROM events WHERE revision <= ?1 AND revision NOT IN (SELECT newer.revision FROM events AS newer \
      WHERE newer.kind = events.kind AND newer.namespace = events.namespace AND newer.name = events.name \
      ORDER BY newer.revision DESC LIMIT ?2)
      """, [.integer(Int64(revision)), .integer(Int64(limits.versionsPerObject))])
    let kept = UInt64(limits.history)
    if self.revision > kept {
      try sql("DELETE FROM events WHERE revision <= ?", [.integer(Int64(self.revision - kept))])
    }
  }
}

/// How people name a former version of an object.
package enum VersionName: Sendable, Hashable, CustomStringConvertible {
  /// The store's counter; the version that was in force then.
  case revision(UInt64)
  /// The object's own counter of specs.
  case generation(Int64)

  package var description: String {
    switch self {
    case .revision(let number): "revision \(number)"
    case .generation(let number): "generation \(number)"
    }
  }
}
