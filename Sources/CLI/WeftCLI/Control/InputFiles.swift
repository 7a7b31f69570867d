// What `-f` names: files, directories of YAML, or standard input.
import Glibc

/// One input, with the name to show in messages.
struct InputFile: Sendable, Equatable {
  var name: String
  var bytes: [UInt8]

  /// Reads every `-f` in order; a directory gives its .yaml, .yml and .json files by name.
  static func read(_ paths: [String]) throws(UsageError) -> [InputFile] {
    guard !paths.isEmpty else { throw UsageError("name a file with -f (a directory, or - for standard input)") }
    var files: [InputFile] = []
    for path in paths {
      if path == "-" {
        files.append(InputFile(name: "standard input", bytes: try contents(of: 0, path)))
        continue
      }
      for file in try expand(path) {
        let descriptor = unsafe open(file, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw problem(file) }
        defer { close(descriptor) }
        files.append(InputFile(name: file, bytes: try contents(of: descriptor, file)))
      }
    }
    return files
  }

  private static func expand(_ path: String) throws(UsageError) -> [String] {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { throw problem(path) }
    guard status.st_mode & S_IFMT == S_IFDIR else { return [path] }
    guard let listing = unsafe opendir(path) else { throw problem(path) }
    defer { unsafe closedir(listing) }
    var names: [String] = []
    while let entry = unsafe readdir(listing) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { raw in
        unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
      }
      if [".yaml", ".yml", ".json"].contains(where: name.hasSuffix), !name.hasPrefix(".") { names.append(name) }
    }
    guard !names.isEmpty else { throw UsageError("the directory \(path) holds no .yaml, .yml or .json file") }
    var directory = path[...]
    while directory.count > 1, directory.last == "/" { directory = directory.dropLast() }
    return names.sorted().map { directory == "/" ? "/\($0)" : "\(directory)/\($0)" }
  }

  private static func contents(of descriptor: Int32, _ name: String) throws(UsageError) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw problem(name) }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
    }
  }

  private static func problem(_ path: String) -> UsageError {
    UsageError("cannot read \(path): \(unsafe String(cString: strerror(errno)))")
  }
}
