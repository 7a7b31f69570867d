import Glibc

/// Keeps a store to one process, and remembers beside it how far it had come.
///
/// *Shape*: a file beside the database, locked with flock(2) for as long as this object lives, so that the kernel lets go of it when the
/// process dies, however that happens. Its one line names the holder and the newest revision. The line is written in place after each
/// commit and never synced: it survives the process, and is never ahead of what the database holds on disk.
///
/// Why sound: the descriptor is open from `init` to `deinit` and used by one thread at a time, as the store is.
final class StoreGuard {
  private let descriptor: Int32
  /// The newest revision that was noted by whoever had the store before; nil when nobody had.
  let remembered: UInt64?

  static func path(besides store: String) -> String { "\(store).lock" }

  /// Takes the store. *Errors*: `inUse` when another process, or another part of this one, has it; `failed`.
  init(store: String) throws(StoreError) {
    let path = Self.path(besides: store)
    let opened = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard opened >= 0 else { throw .failed("\(path): \(unsafe String(cString: strerror(errno)))") }
    guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
      let reason = errno
      let holder = Self.line(opened)?.process
      close(opened)
      guard reason == EWOULDBLOCK else { throw .failed("\(path): \(unsafe String(cString: strerror(reason)))") }
      throw .inUse(store, process: holder)
    }
    descriptor = opened
    remembered = Self.line(opened)?.revision
  }

  deinit { close(descriptor) }

  /// Remembers that the store has come to `revision`. A disk that takes no more keeps the line before.
  func note(_ revision: UInt64) {
    let bytes = Array("process \(Self.padded(UInt64(getpid()), 10)) revision \(Self.padded(revision, 20))\n".utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, 0) }
  }

  /// What stands in the file; nil when it is empty or damaged.
  private static func line(_ descriptor: Int32) -> (process: Int32, revision: UInt64)? {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, $0.count, 0) }
    guard count > 0 else { return nil }
    let words = String(decoding: bytes[..<count], as: UTF8.self).split { $0 == " " || $0 == "\n" }
    guard words.count == 4, let process = Int32(words[1]), let revision = UInt64(words[3]) else { return nil }
    return (process, revision)
  }

  /// Of one width, so that a newer line covers the older.
  private static func padded(_ number: UInt64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
