import Glibc
import WeftConfig

/// The directory that holds the store.
enum DataDirectory {
  /// Makes the directory with its parents, for its owner only. *Errors*: it cannot be made or is not a directory.
  static func make(_ path: String) throws(StoreError) {
    var partial = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      partial += "/\(part)"
      if unsafe mkdir(partial, 0o700) != 0, errno != EEXIST {
        throw .failed("\(partial): \(unsafe String(cString: strerror(errno)))")
      }
    }
    var status = stat()
    guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw .failed("\(path) is not a directory")
    }
  }
}
