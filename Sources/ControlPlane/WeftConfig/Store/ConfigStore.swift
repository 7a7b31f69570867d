import WeftBase
package import WeftControlAPI
package import WeftKinds

/// The embedded store: objects by key, one counter of revisions, an event log, and what roll-back needs.
///
/// *Shape*: SQLite with write-ahead log and `synchronous=FULL`: once a transaction has returned, neither a crash of the
/// process nor of the machine loses it. Every read comes from the database; the only state in memory is the counter.
///
/// Laws (ConfigStoreTests): revisions grow and are never reused; creation time and uid stay; the generation grows with
/// the spec and with nothing else; a write that changes nothing makes no event.
///
/// One process at a time has a store; what it held before it was opened is compared with what the last one noted (`StoreGuard`).
///
/// Not `Sendable`: one thread at a time (see `StoreService`).
package final class ConfigStore {
  let database: SQLiteDatabase
  package let limits: StoreLimits
  /// The newest revision.
  package private(set) var revision: UInt64 = 0
  /// A watch can resume from here on.
  package private(set) var compacted: UInt64 = 0
  /// What the disk last refused; nil since something was written after that.
  package private(set) var failure: String?
  /// What the store had lost when it was opened.
  package private(set) var loss: StoreLoss?
  private let lock: StoreGuard?
  /// Objects in the store; nil until it is asked for, and after a transaction that was taken back.
  private var objects: Int?
  private var depth = 0
  private var trimmedAt: UInt64 = 0

  /// Opens or creates the store. *Errors*: `inUse`, `incompatible`, `failed`.
  package init(path: String, limits: StoreLimits = StoreLimits()) throws(StoreError) {
    self.limits = limits
    lock = path == ":memory:" ? nil : try StoreGuard(store: path)
    do {
      database = try SQLiteDatabase(path: path)
      try StoreSchema.prepare(database)
    } catch let error as SQLiteError {
      throw .failed(error.description)
    } catch let error as StoreError {
      throw error
    } catch {
      throw .failed("\(error)")
    }
    try reloadCounters()
    try noteLoss()
    lock?.note(revision)
  }

  /// Compares with what the last owner noted. Revisions go on from there: none is used twice, and whoever watches from one
  /// that is lost is told to list again.
  private func noteLoss() throws(StoreError) {
    guard let remembered = lock?.remembered, remembered > revision else { return }
    loss = StoreLoss(remembered: remembered, found: revision, objects: try count())
    try sql("UPDATE meta SET value = ? WHERE key IN ('revision', 'compacted')", [.integer(Int64(clamping: remembered))])
    try reloadCounters()
  }

  /// Brings the write-ahead log into the file and empties it, so that the file alone is the store.
  package func checkpoint() throws(StoreError) {
    let row = try sql("PRAGMA wal_checkpoint(TRUNCATE)").first
    if let busy = row?.first?.integer, busy != 0 {
      throw .failed("the store is being read; its log could not be emptied")
    }
  }

  /// Keeps the file from growing beyond `pages`, or beyond what it has if that is more: what a full disk is like, for tests.
  package func bound(pages: Int) throws(StoreError) { try sql("PRAGMA max_page_count = \(max(pages, 1))") }

  /// Writes something that nobody reads, to learn whether the disk takes it.
  package func probe() throws {
    _ = try transaction {
      try sql("INSERT INTO meta VALUES ('probe', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1")
    }
    failure = nil
  }

  // MARK: Transactions

  /// Runs `body` as one unit: all of its writes or none. Units nest; the outermost makes them durable.
  package func transaction<Result>(_ body: () throws -> Result) throws -> Result {
    let level = depth
    let before = revision
    try sql(level == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT unit\(level)")
    depth = level + 1
    do {
      let result = try body()
      if level == 0 { try trim() }
      try sql(level == 0 ? "COMMIT" : "RELEASE unit\(level)")
      depth = level
      if level == 0, revision != before {
        failure = nil
        lock?.note(revision)
      }
      return result
    } catch {
      depth = level
      if level == 0 {
        // After a failed COMMIT, SQLite may have rolled back by itself.
        _ = try? sql("ROLLBACK")
      } else {
        try sql("ROLLBACK TO unit\(level)")
        try sql("RELEASE unit\(level)")
      }
      try reloadCounters()
      throw error
    }
  }

  /// Runs `body` as one unit whose writes are kept if it says so. What it returns is the same either way.
  package func trial<Result: Sendable>(_ body: () throws -> (Result, keeps: Bool)) throws -> Result {
    do {
      return try transaction {
        let (result, keeps) = try body()
        if !keeps { throw Discarded(result: result) }
        return result
      }
    } catch let discarded as Discarded<Result> {
      return discarded.result
    }
  }

  /// Ends a unit whose writes are not wanted.
  private struct Discarded<Result: Sendable>: Error {
    var result: Result
  }

  // MARK: Reading

  package func object(_ key: ObjectKey) throws(StoreError) -> Envelope? {
    try sql(
      "SELECT \(Self.columns) FROM objects WHERE kind = ? AND namespace = ? AND name = ?", Self.parameters(key)
    ).first.map(Self.envelope)
  }

  /// The objects of a kind, of a namespace, or all, in the order of their keys, with the revision they are of.
  package func list(
    kind: KindName? = nil, namespace: String? = nil
  ) throws(StoreError) -> (objects: [Envelope], revision: UInt64) {
    var conditions: [String] = []
    var parameters: [SQLiteValue] = []
    if let kind {
      conditions.append("kind = ?")
      parameters.append(.text(kind.rawValue))
    }
    if let namespace {
      conditions.append("namespace = ?")
      parameters.append(.text(namespace))
    }
    let filter = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
    var objects: [Envelope] = []
    try each("SELECT \(Self.columns) FROM objects\(filter) ORDER BY kind, namespace, name", parameters) {
      objects.append(Self.envelope($0))
    }
    return (objects, revision)
  }

  /// *Cost*: constant, but for the first time.
  package func count() throws(StoreError) -> Int {
    if let objects { return objects }
    let counted = Int(try sql("SELECT count(*) FROM objects")[0][0].integer)
    objects = counted
    return counted
  }

  /// Committed changes after `revision`, oldest first, at most `limit`.
  /// *Errors*: `tooOld` when some of them are no longer kept; `futureRevision`.
  package func events(after requested: UInt64, limit: Int = 1_000) throws(StoreError) -> [StoreEvent] {
    if requested < compacted { throw .tooOld(requested: requested, oldest: compacted) }
    if requested > revision { throw .futureRevision(requested: requested, current: revision) }
    return try sql(
      "SELECT \(Self.eventColumns) FROM events WHERE revision > ? ORDER BY revision LIMIT ?",
      [.integer(Int64(requested)), .integer(Int64(limit))]
    ).map(Self.event)
  }

  // MARK: Writing

  /// Creates or replaces an object.
  @discardableResult
  package func put(
    _ proposal: Envelope, if precondition: WritePrecondition = .none, _ context: WriteContext
  ) throws -> WriteOutcome {
    try transaction {
      let key = proposal.key
      let current = try object(key)
      try Self.check(precondition, key, current)
      if let current, current.source != context.source, !context.takesOver {
        throw StoreError.ownedElsewhere(key, owner: current.source)
      }
      var object = proposal
      object.source = context.source
      if let current {
        object.metadata.uid = current.metadata.uid
        object.metadata.creationTimestamp = current.metadata.creationTimestamp
        object.metadata.generation = current.metadata.generation
        object.metadata.resourceVersion = current.metadata.resourceVersion
        let sameSpec = Self.canonical(current.spec) == Self.canonical(object.spec)
        if sameSpec, current.metadata == object.metadata, current.apiVersion == object.apiVersion,
          current.source == object.source
        {
          return WriteOutcome(effect: .unchanged, object: current)
        }
        if !sameSpec { object.metadata.generation += 1 }
      } else {
        guard try count() < limits.objects else { throw StoreError.limitReached("\(limits.objects) objects") }
        object.metadata.uid = context.uid()
        if !context.keepsCreationTime || object.metadata.creationTimestamp.nanoseconds == 0 {
          object.metadata.creationTimestamp = context.now
        }
        object.metadata.generation = 1
      }
      try write(&object, change: current == nil ? .added : .modified, context)
      return WriteOutcome(effect: current == nil ? .created : .configured, object: object)
    }
  }

  /// Removes an object and answers its last state.
  @discardableResult
  package func delete(
    _ key: ObjectKey, if precondition: WritePrecondition = .none, _ context: WriteContext
  ) throws -> WriteOutcome {
    try transaction {
      guard var current = try object(key) else { throw StoreError.notFound(key) }
      try Self.check(precondition, key, current)
      if current.source != context.source, !context.takesOver {
        throw StoreError.ownedElsewhere(key, owner: current.source)
      }
      try sql("DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", Self.parameters(key))
      objects = objects.map { $0 - 1 }
      revision += 1
      current.metadata.resourceVersion = revision
      try log(.deleted, current, context)
      return WriteOutcome(effect: .deleted, object: current)
    }
  }

  private func write(_ object: inout Envelope, change: StoreEvent.Change, _ context: WriteContext) throws {
    revision += 1
    object.metadata.resourceVersion = revision
    let spec = object.spec.text()
    let metadata = Self.metadataText(object.metadata)
    guard spec.utf8.count + metadata.utf8.count <= limits.objectBytes else {
      throw StoreError.limitReached("\(limits.objectBytes) bytes for one object (\(object.key))")
    }
    try sql(
      "INSERT OR REPLACE INTO objects (\(Self.columns)) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
      Self.parameters(object.key) + [
        .text(object.apiVersion), .text(object.metadata.uid), .text(object.source),
        .integer(object.metadata.generation), .integer(Int64(revision)),
        .integer(object.metadata.creationTimestamp.nanoseconds), .text(metadata), .text(spec),
      ])
    if change == .added { objects = objects.map { $0 + 1 } }
    try log(change, object, context)
  }

  private func log(_ change: StoreEvent.Change, _ object: Envelope, _ context: WriteContext) throws {
    try sql(
      """
      INSERT INTO events (revision, change, time, actor, kind, namespace, name, api_version, uid, source, generation, \
      created, metadata, spec) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)
      """,
      [
        .integer(Int64(revision)), .text(change.rawValue), .integer(context.now.nanoseconds), .text(context.actor),
      ] + Self.parameters(object.key) + [
        .text(object.apiVersion), .text(object.metadata.uid), .text(object.source),
        .integer(object.metadata.generation), .integer(object.metadata.creationTimestamp.nanoseconds),
        .text(Self.metadataText(object.metadata)), .text(object.spec.text()),
      ])
    try sql("UPDATE meta SET value = ? WHERE key = 'revision'", [.integer(Int64(revision))])
  }

  private static func check(_ precondition: WritePrecondition, _ key: ObjectKey, _ current: Envelope?)
    throws(StoreError)
  {
    switch precondition {
    case .none: return
    case .absent: if current != nil { throw .alreadyExists(key) }
    case .exists: if current == nil { throw .notFound(key) }
    case .resourceVersion(let expected):
      guard let current else { throw .notFound(key) }
      let actual = current.metadata.resourceVersion
      if actual != expected { throw .conflict(key, expected: expected, actual: actual) }
    }
  }

  // MARK: Event log

  /// Keeps the event log within its limit; what roll-back needs stays longer.
  private func trim() throws {
    let slack = UInt64(max(limits.events / 10, 1))
    guard revision >= trimmedAt + slack else { return }
    trimmedAt = revision
    let keep = UInt64(limits.events)
    guard revision > keep, revision - keep > compacted else { return }
    compacted = revision - keep
    try sql("UPDATE meta SET value = ? WHERE key = 'compacted'", [.integer(Int64(compacted))])
    try trimHistory(upTo: compacted)
  }

  private func reloadCounters() throws(StoreError) {
    objects = nil
    for row in try sql("SELECT key, value FROM meta") {
      if row[0].text == "revision" { revision = UInt64(row[1].integer) }
      if row[0].text == "compacted" { compacted = UInt64(row[1].integer) }
    }
  }

  // MARK: Rows

  private static let columns =
    "kind, namespace, name, api_version, uid, source, generation, resource_version, created, metadata, spec"
  static let eventColumns =
    """
    kind, namespace, name, api_version, uid, source, generation, revision, created, metadata, spec, change, time, actor
    """

  static func parameters(_ key: ObjectKey) -> [SQLiteValue] {
    [.text(key.kind.rawValue), .text(key.namespace), .text(key.name)]
  }

  private static func envelope(_ row: [SQLiteValue]) -> Envelope {
    var metadata = ObjectMetadata(
      name: row[2].text, namespace: row[1].text, creationTimestamp: WallTime(nanoseconds: row[8].integer),
      resourceVersion: UInt64(row[7].integer), generation: row[6].integer, uid: row[4].text)
    // The text was written by `metadataText`; a damaged file shows as missing labels, never as a crash.
    if let stored = try? JSONValue(parsing: row[9].text) {
      metadata.labels = strings(stored["labels"])
      metadata.annotations = strings(stored["annotations"])
    }
    return Envelope(
      apiVersion: row[3].text, kind: KindName(rawValue: row[0].text), metadata: metadata,
      spec: (try? JSONValue(parsing: row[10].text)) ?? .null, source: row[5].text)
  }

  static func event(_ row: [SQLiteValue]) -> StoreEvent {
    StoreEvent(
      revision: UInt64(row[7].integer), change: StoreEvent.Change(rawValue: row[11].text) ?? .modified,
      object: envelope(row), time: WallTime(nanoseconds: row[12].integer), actor: row[13].text)
  }

  private static func strings(_ value: JSONValue?) -> [String: String] {
    var map: [String: String] = [:]
    for member in value?.objectValue?.members ?? [] { map[member.name] = member.value.stringValue }
    return map
  }

  private static func metadataText(_ metadata: ObjectMetadata) -> String {
    func object(_ map: [String: String]) -> JSONValue {
      .object(JSONObject(map.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }))
    }
    return JSONValue.object(["labels": object(metadata.labels), "annotations": object(metadata.annotations)]).text()
  }

  static func canonical(_ value: JSONValue) -> String { value.text(.canonical) }

  @discardableResult
  func sql(_ text: String, _ parameters: [SQLiteValue] = []) throws(StoreError) -> [[SQLiteValue]] {
    do { return try database.run(text, parameters) } catch { throw noted(error) }
  }

  private func each(_ text: String, _ parameters: [SQLiteValue], _ body: ([SQLiteValue]) -> Void) throws(StoreError) {
    do { try database.each(text, parameters, body) } catch { throw noted(error) }
  }

  private func noted(_ error: SQLiteError) -> StoreError {
    if error.isOfTheDisk { failure = error.message }
    return .failed(error.description)
  }
}
