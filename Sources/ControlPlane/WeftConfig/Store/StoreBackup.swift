import Glibc

/// A copy of a store while it is in use.
package enum StoreBackup {
  /// What was copied.
  package struct Summary: Sendable, Equatable {
    package var revision: UInt64
    package var objects: Int
  }

  /// Copies the store at `path` to `target` as one file that is whole or not there: an older copy stays until the new one is complete and
  /// checked. Whoever has the store goes on with it.
  ///
  /// *Errors*: `failed` when there is no store, or the copy cannot be written; `incompatible` when the file is none of ours.
  package static func copy(_ path: String, to target: String) throws(StoreError) -> Summary {
    guard unsafe access(path, R_OK) == 0 else {
      throw .failed("\(path): \(unsafe String(cString: strerror(errno)))")
    }
    let unfinished = "\(target).unfinished"
    defer { unsafe unlink(unfinished) }
    unsafe unlink(unfinished)
    do {
      let source = try SQLiteDatabase(path: path, creates: false)
      guard try StoreSchema.isOurs(source) else { throw StoreError.incompatible("\(path) is not a store of Weft") }
      let summary = try copy(source, to: unfinished)
      guard unsafe rename(unfinished, target) == 0 else {
        throw StoreError.failed("\(target): \(unsafe String(cString: strerror(errno)))")
      }
      return summary
    } catch let error as SQLiteError {
      throw .failed(error.description)
    } catch let error as StoreError {
      throw error
    } catch {
      throw .failed("\(error)")
    }
  }

  private static func copy(_ source: SQLiteDatabase, to path: String) throws -> Summary {
    let copy = try SQLiteDatabase(path: path)
    try source.copy(into: copy)
    // One file without a log beside it.
    try copy.run("PRAGMA journal_mode = DELETE")
    let verdict = try copy.run("PRAGMA integrity_check")[0][0].text
    guard verdict == "ok" else { throw StoreError.failed("the copy is damaged: \(verdict)") }
    let revision = try copy.run("SELECT value FROM meta WHERE key = 'revision'")[0][0].integer
    let objects = try copy.run("SELECT count(*) FROM objects")[0][0].integer
    return Summary(revision: UInt64(revision), objects: Int(objects))
  }
}
