package import WeftControlAPI

/// Why the store refused or failed.
package enum StoreError: Error, Equatable, CustomStringConvertible {
  case notFound(ObjectKey)
  /// A former version that does not exist or is no longer kept.
  case versionNotKept(ObjectKey, VersionName)
  case alreadyExists(ObjectKey)
  /// The object has changed since the writer read it.
  case conflict(ObjectKey, expected: UInt64, actual: UInt64)
  /// Another source owns the object.
  case ownedElsewhere(ObjectKey, owner: String)
  /// A watch from a revision whose successors are no longer in the event log: list again.
  case tooOld(requested: UInt64, oldest: UInt64)
  /// A revision that the store has not reached.
  case futureRevision(requested: UInt64, current: UInt64)
  case limitReached(String)
  /// Another program has the store.
  case inUse(String, process: Int32?)
  /// The file is not a store of ours, or newer than this program.
  case incompatible(String)
  /// The disk or the database failed.
  case failed(String)

  package var description: String {
    switch self {
    case .notFound(let key): "\(key) does not exist"
    case .versionNotKept(let key, let version): "\(key) has no \(version) in its history"
    case .alreadyExists(let key): "\(key) already exists"
    case .conflict(let key, let expected, let actual):
      "\(key) has changed: the request is based on resourceVersion \(expected), the object is at \(actual)"
    case .ownedElsewhere(let key, let owner): "\(key) is managed by \(owner); change it there"
    case .tooOld(let requested, let oldest):
      "revision \(requested) is too old: the event log begins after \(oldest); list again"
    case .futureRevision(let requested, let current):
      "revision \(requested) does not exist yet; the newest is \(current)"
    case .limitReached(let what): "limit reached: \(what)"
    case .inUse(let path, let process):
      "the store \(path) is in use by \(process.map { "the control plane with process id \($0)" } ?? "another control plane"); stop that "
        + "one, or give this one a directory of its own with --data-dir"
    case .incompatible(let reason): "the store cannot be opened: \(reason)"
    case .failed(let reason): "the store failed: \(reason)"
    }
  }
}
