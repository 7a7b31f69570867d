import Glibc

/// What tells one state of a file from another without reading it.
struct FileSignature: Hashable, Sendable {
  var device: UInt64
  var inode: UInt64
  var size: Int64
  var modifiedSeconds: Int64
  var modifiedNanoseconds: Int64
  /// Moves with everything, also when a copy keeps the time of modification, or the mode becomes readable.
  var changedSeconds: Int64
  var changedNanoseconds: Int64

  init(_ status: stat) {
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    size = Int64(status.st_size)
    modifiedSeconds = Int64(status.st_mtim.tv_sec)
    modifiedNanoseconds = Int64(status.st_mtim.tv_nsec)
    changedSeconds = Int64(status.st_ctim.tv_sec)
    changedNanoseconds = Int64(status.st_ctim.tv_nsec)
  }
}

/// Why a directory or file cannot be read.
struct DirectoryError: Error, Equatable, CustomStringConvertible {
  enum Reason: Equatable {
    /// An `errno`.
    case system(Int32)
    /// `path` is the first file too many.
    case tooManyFiles(Int)
    /// `path` is the first folder too deep.
    case tooDeep(Int)
  }

  var path: String
  var reason: Reason

  init(path: String, code: Int32) { self.init(path: path, .system(code)) }

  init(path: String, _ reason: Reason) {
    self.path = path
    self.reason = reason
  }

  var description: String {
    switch reason {
    case .system(let code): "\(path): \(unsafe String(cString: strerror(code)))"
    case .tooManyFiles(let limit):
      "\(path): beyond the limit of \(limit) configuration files in one directory; \(Self.consequence)"
    case .tooDeep(let limit): "\(path): below the limit of \(limit) levels of folders; \(Self.consequence)"
    }
  }

  private static let consequence =
    "nothing of the directory is read until it keeps to the limit: name parts of it by a --config-dir each"
}

/// How large a directory of configuration may be. One that is larger is not read at all: what lies beyond must not look like gone.
package struct DirectoryLimits: Sendable {
  /// Configuration files of the directory and all folders in it.
  package var files = 10_000
  /// Levels of folders below the directory.
  package var depth = 16

  package init() {}
}

/// What one look at a directory found.
struct DirectoryListing: Sendable {
  /// Files that hold configuration, by path relative to the root.
  var files: [String: FileSignature] = [:]
  /// Where changes show themselves.
  var places = WatchPlaces()
}

/// Finds and reads the configuration files of a directory.
enum DirectoryScan {
  /// Which directory it is, by whatever path.
  private struct Place: Equatable {
    var device: UInt64
    var inode: UInt64

    init(_ status: stat) {
      device = UInt64(status.st_dev)
      inode = UInt64(status.st_ino)
    }
  }

  /// The files under `root` that hold configuration (`.yaml`, `.yml`, `.json`). Names that begin with a dot are left
  /// out; symbolic links are followed, except back to a directory they are in. *Errors*: the directory, or something below it, cannot be read, or is larger
  /// than `limits`: an answer would be incomplete.
  static func listing(
    of root: String, limits: DirectoryLimits = DirectoryLimits()
  ) throws(DirectoryError) -> DirectoryListing {
    var found = DirectoryListing()
    found.places.addLinks(of: root, isRoot: true)
    var status = stat()
    // The root that is not there is told by `scan`.
    let places = unsafe stat(root, &status) == 0 ? [Place(status)] : []
    try scan(root, "", inside: places, limits, &found)
    return found
  }

  private static func scan(
    _ root: String, _ relative: String, inside: [Place], _ limits: DirectoryLimits, _ found: inout DirectoryListing
  ) throws(DirectoryError) {
    let directory = relative.isEmpty ? root : "\(root)/\(relative)"
    found.places.addAll(in: directory)
    for entry in try entries(of: directory) where !entry.name.hasPrefix(".") {
      let path = relative.isEmpty ? entry.name : "\(relative)/\(entry.name)"
      let full = "\(root)/\(path)"
      // What a link leads to may change without a change here.
      if entry.isLink { found.places.addLinks(of: full, isRoot: false) }
      var status = stat()
      guard unsafe stat(full, &status) == 0 else {
        // A file that went away since it was listed, or a link to nowhere, is not there; of others nobody knows.
        if [ENOENT, ENOTDIR, ELOOP].contains(errno) { continue }
        throw DirectoryError(path: full, code: errno)
      }
      if status.st_mode & S_IFMT == S_IFDIR {
        let place = Place(status)
        // A link back would show every file under ever more names, each an object that stands earlier already.
        if inside.contains(place) { continue }
        guard inside.count <= limits.depth else { throw DirectoryError(path: full, .tooDeep(limits.depth)) }
        try scan(root, path, inside: inside + [place], limits, &found)
      } else if status.st_mode & S_IFMT == S_IFREG, isConfiguration(entry.name) {
        guard found.files.count < limits.files else { throw DirectoryError(path: full, .tooManyFiles(limits.files)) }
        found.files[path] = FileSignature(status)
      }
    }
  }

  private static func isConfiguration(_ name: String) -> Bool {
    name.hasSuffix(".yaml") || name.hasSuffix(".yml") || name.hasSuffix(".json")
  }

  private static func entries(of path: String) throws(DirectoryError) -> [(name: String, isLink: Bool)] {
    guard let directory = unsafe opendir(path) else { throw DirectoryError(path: path, code: errno) }
    defer { unsafe closedir(directory) }
    var entries: [(name: String, isLink: Bool)] = []
    while true {
      // Only `errno` tells the end from an error.
      errno = 0
      guard let entry = unsafe readdir(directory) else {
        if errno != 0 { throw DirectoryError(path: path, code: errno) }
        break
      }
      // Why sound: the entry is valid until the next `readdir` on this directory; the name is copied out at once.
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
        unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
      }
      let type = unsafe entry.pointee.d_type
      // A file system that does not tell the type: taking a file for a link costs a look more.
      if name != ".", name != ".." { entries.append((name, type == 10 || type == 0)) }
    }
    return entries.sorted { $0.name < $1.name }
  }

  /// The whole file, with its signature before and after: they differ when somebody wrote it meanwhile.
  /// *Errors*: it cannot be read, or is larger than `limit`.
  static func contents(
    of path: String, limit: Int
  ) throws(DirectoryError) -> (bytes: [UInt8], before: FileSignature, after: FileSignature) {
    // Nobody waits for the writer of a pipe.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw DirectoryError(path: path, code: errno) }
    defer { close(descriptor) }
    let before = try signature(descriptor, path)
    var all: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe block.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        throw DirectoryError(path: path, code: errno)
      }
      if count == 0 { return (all, before, try signature(descriptor, path)) }
      all += block[..<count]
      if all.count > limit { throw DirectoryError(path: path, code: EFBIG) }
    }
  }

  private static func signature(_ descriptor: Int32, _ path: String) throws(DirectoryError) -> FileSignature {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw DirectoryError(path: path, code: errno) }
    return FileSignature(status)
  }
}
