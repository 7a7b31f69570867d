import CSQLite

/// One value of a row or parameter.
enum SQLiteValue: Equatable {
  case null
  case integer(Int64)
  case text(String)

  var integer: Int64 { if case .integer(let value) = self { value } else { 0 } }
  var text: String { if case .text(let value) = self { value } else { "" } }
}

/// A failed SQLite call: its (extended) result code and message.
struct SQLiteError: Error, CustomStringConvertible {
  var code: Int32
  var message: String
  var statement: String

  /// Whether the disk or the file is at fault, and not the statement.
  var isOfTheDisk: Bool {
    [
      SQLITE_PERM, SQLITE_BUSY, SQLITE_NOMEM, SQLITE_READONLY, SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_FULL,
      SQLITE_CANTOPEN, SQLITE_NOTADB,
    ].contains(code & 0xFF)
  }

  var description: String { "sqlite \(code): \(message)\(statement.isEmpty ? "" : " in \"\(statement)\"")" }
}

/// A connection to a database file, with its prepared statements.
///
/// Why sound: `handle` is open from `init` to `deinit`, statements are finalised before it closes and never leave this
/// class; text is copied on the way in (`SQLITE_TRANSIENT`) and out. Not `Sendable`: one thread at a time.
@safe
final class SQLiteDatabase {
  private let handle: OpaquePointer
  private var statements: [String: OpaquePointer] = unsafe [:]

  /// Opens or `creates` the file; `:memory:` keeps it in memory.
  init(path: String, creates: Bool = true) throws(SQLiteError) {
    var opened: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | (creates ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX
    let code = unsafe sqlite3_open_v2(path, &opened, flags, nil)
    guard code == SQLITE_OK, let opened = unsafe opened else {
      let message = unsafe opened.map { unsafe String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
      unsafe sqlite3_close_v2(opened)
      throw SQLiteError(code: code, message: "\(path): \(message)", statement: "")
    }
    unsafe handle = opened
    unsafe sqlite3_extended_result_codes(handle, 1)
    unsafe sqlite3_busy_timeout(handle, 5_000)
  }

  deinit {
    unsafe statements.values.forEach { unsafe sqlite3_finalize($0) }
    unsafe sqlite3_close_v2(handle)
  }

  /// Runs one statement and collects its rows. *Cost*: prepared once per text.
  @discardableResult
  func run(_ sql: String, _ parameters: [SQLiteValue] = []) throws(SQLiteError) -> [[SQLiteValue]] {
    var rows: [[SQLiteValue]] = []
    try each(sql, parameters) { rows.append($0) }
    return rows
  }

  /// Runs one statement and shows each row to `body`.
  func each(_ sql: String, _ parameters: [SQLiteValue] = [], _ body: ([SQLiteValue]) -> Void) throws(SQLiteError) {
    let statement = unsafe try prepare(sql)
    defer {
      unsafe sqlite3_reset(statement)
      unsafe sqlite3_clear_bindings(statement)
    }
    for (index, parameter) in parameters.enumerated() {
      let position = Int32(index + 1)
      let code =
        switch parameter {
        case .null: unsafe sqlite3_bind_null(statement, position)
        case .integer(let value): unsafe sqlite3_bind_int64(statement, position, value)
        case .text(let value):
          unsafe sqlite3_bind_text(statement, position, value, Int32(value.utf8.count), Self.transient)
        }
      guard code == SQLITE_OK else { throw failure(code, sql) }
    }
    while true {
      let code = unsafe sqlite3_step(statement)
      if code == SQLITE_DONE { return }
      guard code == SQLITE_ROW else { throw failure(code, sql) }
      let count = unsafe sqlite3_column_count(statement)
      var row: [SQLiteValue] = []
      row.reserveCapacity(Int(count))
      for column in 0..<count { row.append(unsafe Self.value(statement, column)) }
      body(row)
    }
  }

  /// Copies all of it into `target`, as of one moment, whatever others write meanwhile.
  func copy(into target: SQLiteDatabase) throws(SQLiteError) {
    guard let backup = unsafe sqlite3_backup_init(target.handle, "main", handle, "main") else {
      throw target.failure(unsafe sqlite3_errcode(target.handle), "")
    }
    // All pages in one step: a writer in between would make it begin again.
    let code = unsafe sqlite3_backup_step(backup, -1)
    let end = unsafe sqlite3_backup_finish(backup)
    guard code == SQLITE_DONE, end == SQLITE_OK else { throw target.failure(code == SQLITE_DONE ? end : code, "") }
  }

  private func prepare(_ sql: String) throws(SQLiteError) -> OpaquePointer {
    if let known = unsafe statements[sql] { return unsafe known }
    var statement: OpaquePointer?
    let code = unsafe sqlite3_prepare_v3(
      handle, sql, Int32(sql.utf8.count), UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
    guard code == SQLITE_OK, let statement = unsafe statement else { throw failure(code, sql) }
    unsafe statements[sql] = statement
    return unsafe statement
  }

  private func failure(_ code: Int32, _ sql: String) -> SQLiteError {
    SQLiteError(code: code, message: unsafe String(cString: sqlite3_errmsg(handle)), statement: sql)
  }

  private static func value(_ statement: OpaquePointer, _ column: Int32) -> SQLiteValue {
    switch unsafe sqlite3_column_type(statement, column) {
    case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(statement, column))
    case SQLITE_NULL: return .null
    default:
      guard let text = unsafe sqlite3_column_text(statement, column) else { return .text("") }
      let count = Int(unsafe sqlite3_column_bytes(statement, column))
      return .text(unsafe String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self))
    }
  }

  /// SQLITE_TRANSIENT, a macro Swift cannot import: SQLite copies the text before the call returns.
  private static var transient: sqlite3_destructor_type {
    unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)
  }
}
