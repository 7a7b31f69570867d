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
  var path: String
  var code: Int32

  var description: String { "\(path): \(unsafe String(cString: strerror(code)))" }
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

  static let fileLimit = 10_000
  static let depthLimit = 16

  /// The files under `root` that hold configuration (`.yaml`, `.yml`, `.json`). Names that begin with a dot are left
  /// out; symbolic links are followed, except back to a directory they are in. *Errors*: the directory, or one below it, cannot be read: an answer would be
  /// incomplete.
  static func listing(of root: String) throws(DirectoryError) -> DirectoryListing {
    var found = DirectoryListing()
    found.places.addLinks(of: root, isRoot: true)
    var status = stat()
    // The root that is not there is told by `scan`.
    let places = unsafe stat(root, &status) == 0 ? [Place(status)] : []
    try scan(root, "", inside: places, &found)
    return found
  }

  private static func scan(
    _ root: String, _ relative: String, inside: [Place], _ found: inout DirectoryListing
  ) throws(DirectoryError) {
    let directory = relative.isEmpty ? root : "\(root)/\(relative)"
    found.places.addAll(in: directory)
    for entry in try entries(of: directory) where !entry.name.hasPrefix(".") {
      let path = relative.isEmpty ? entry.name : "\(relative)/\(entry.name)"
      let full = "\(root)/\(path)"
      // What a link leads to may change without a change here.
      if entry.isLink { found.places.addLinks(of: full, isRoot: false) }
      var status = stat()
      // A file that went away since it was listed is not there.
      guard unsafe stat(full, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        let place = Place(status)
        // A link back would show every file under ever more names, each an object that stands earlier already.
        if inside.count <= depthLimit, !inside.contains(place) {
          try scan(root, path, inside: inside + [place], &found)
        }
      } else if status.st_mode & S_IFMT == S_IFREG, isConfiguration(entry.name), found.files.count < fileLimit {
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
    // Why sound: the entry is valid until the next `readdir` on this directory; the name is copied out at once.
    while let entry = unsafe readdir(directory) {
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
