/// The tables of the store, and how an older file becomes a present one.
enum StoreSchema {
  /// Raised with every change of the tables; a step is added to `prepare`.
  static let version: Int64 = 1
  /// `PRAGMA application_id` of our files ("weft").
  private static let applicationID: Int64 = 0x7765_6674

  /// Whether the database is a store, of whatever version.
  static func isOurs(_ database: SQLiteDatabase) throws(SQLiteError) -> Bool {
    try database.run("PRAGMA application_id")[0][0].integer == applicationID
  }

  static func prepare(_ database: SQLiteDatabase) throws {
    try database.run("PRAGMA journal_mode = WAL")
    try database.run("PRAGMA synchronous = FULL")
    try database.run("PRAGMA cache_size = -2048")
    try database.run("PRAGMA journal_size_limit = 8388608")
    let found = try database.run("PRAGMA user_version")[0][0].integer
    let application = try database.run("PRAGMA application_id")[0][0].integer
    if found == version, application == applicationID { return }
    guard found <= version else {
      throw StoreError.incompatible("it is of version \(found), this program knows up to \(version)")
    }
    let tables = try database.run("SELECT count(*) FROM sqlite_schema")[0][0].integer
    guard application == applicationID || tables == 0 else {
      throw StoreError.incompatible("the file belongs to another application")
    }
    try database.run("BEGIN IMMEDIATE")
    try database.run("CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
    try database.run("INSERT INTO meta VALUES ('revision', 0), ('compacted', 0)")
    try database.run(
      """
      CREATE TABLE objects (kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, api_version TEXT NOT NULL, \
      uid TEXT NOT NULL, source TEXT NOT NULL, generation INTEGER NOT NULL, resource_version INTEGER NOT NULL, \
      created INTEGER NOT NULL, metadata TEXT NOT NULL, spec TEXT NOT NULL, PRIMARY KEY (kind, namespace, name)) \
      WITHOUT ROWID
      """)
    try database.run(
      """
      CREATE TABLE events (revision INTEGER PRIMARY KEY, change TEXT NOT NULL, time INTEGER NOT NULL, \
      actor TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, api_version TEXT NOT NULL, \
      uid TEXT NOT NULL, source TEXT NOT NULL, generation INTEGER NOT NULL, created INTEGER NOT NULL, \
      metadata TEXT NOT NULL, spec TEXT NOT NULL)
      """)
    try database.run("CREATE INDEX events_by_object ON events (kind, namespace, name, revision)")
    try database.run("PRAGMA application_id = \(applicationID)")
    try database.run("PRAGMA user_version = \(version)")
    try database.run("COMMIT")
  }
}
