import Glibc

/// What tells one state of a file from another without reading it.
struct FileSignature: Hashable, Sendable {
  var inode: UInt64
  var size: Int64
  var modifiedSeconds: Int64
  var modifiedNanoseconds: Int64
}

/// Why a directory or file cannot be read.
struct DirectoryError: Error, CustomStringConvertible {
  var path: String
  var code: Int32

  var description: String { "\(path): \(unsafe String(cString: strerror(code)))" }
}

/// Finds and reads the configuration files of a directory.
enum DirectoryScan {
  static let fileLimit = 10_000
  static let depthLimit = 16

  /// The files under `root` that hold configuration (`.yaml`, `.yml`, `.json`), by path relative to it. Names that
  /// begin with a dot are left out; symbolic links are followed. *Errors*: the directory, or one below it, cannot be
  /// read: an answer would be incomplete.
  static func files(under root: String) throws(DirectoryError) -> [String: FileSignature] {
    var found: [String: FileSignature] = [:]
    try scan(root, "", depth: 0, &found)
    return found
  }

  private static func scan(
    _ root: String, _ relative: String, depth: Int, _ found: inout [String: FileSignature]
  ) throws(DirectoryError) {
    let directory = relative.isEmpty ? root : "\(root)/\(relative)"
    for name in try names(in: directory) where !name.hasPrefix(".") {
      let path = relative.isEmpty ? name : "\(relative)/\(name)"
      var status = stat()
      // A file that went away since it was listed is not there.
      guard unsafe stat("\(root)/\(path)", &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        if depth < depthLimit { try scan(root, path, depth: depth + 1, &found) }
      } else if status.st_mode & S_IFMT == S_IFREG, isConfiguration(name), found.count < fileLimit {
        found[path] = FileSignature(
          inode: UInt64(status.st_ino), size: Int64(status.st_size), modifiedSeconds: Int64(status.st_mtim.tv_sec),
          modifiedNanoseconds: Int64(status.st_mtim.tv_nsec))
      }
    }
  }

  private static func isConfiguration(_ name: String) -> Bool {
    name.hasSuffix(".yaml") || name.hasSuffix(".yml") || name.hasSuffix(".json")
  }

  private static func names(in path: String) throws(DirectoryError) -> [String] {
    guard let directory = unsafe opendir(path) else { throw DirectoryError(path: path, code: errno) }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    // Why sound: the entry is valid until the next `readdir` on this directory; the name is copied out at once.
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
        unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The whole file. *Errors*: it cannot be read, or is larger than `limit`.
  static func contents(of path: String, limit: Int) throws(DirectoryError) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw DirectoryError(path: path, code: errno) }
    defer { close(descriptor) }
    var all: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe block.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw DirectoryError(path: path, code: errno)
      }
      if count == 0 { return all }
      all += block[..<count]
      if all.count > limit { throw DirectoryError(path: path, code: EFBIG) }
    }
  }
}
