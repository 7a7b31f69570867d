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
  package func object(_ key: ObjectKey, at revision: UInt64) throws(StoreError) -> Envelope? {
    let found = try sql(
      """
      SELECT \(Self.eventColumns) FROM events WHERE kind = ? AND namespace = ? AND name = ? AND revision <= ? \
      ORDER BY revision DESC LIMIT 1
      """, Self.parameters(key) + [.integer(Int64(revision))]
    ).first.map(Self.event)
    guard let found, found.change != .deleted else { return nil }
    return found.object
  }

  /// Writes the spec, labels and annotations of a former version as a new one.
  /// *Errors*: `notFound` when that version is not kept.
  @discardableResult
  package func rollBack(_ key: ObjectKey, to revision: UInt64, _ context: WriteContext) throws -> WriteOutcome {
    guard let former = try object(key, at: revision) else { throw StoreError.notFound(key) }
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
