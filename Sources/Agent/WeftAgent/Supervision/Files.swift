// The file operations the agent needs.
import Glibc

/// Creates a directory and its parents, readable by the owner only. *Returns*: false with `errno` set when it cannot.
package func makeDirectories(_ path: String) -> Bool {
  var prefix = path.hasPrefix("/") ? "" : "."
  for part in path.split(separator: "/") {
    prefix += "/\(part)"
    if unsafe mkdir(prefix, 0o700) != 0, errno != EEXIST { return false }
  }
  return true
}

/// Writes a file whole: to a neighbour first, then over the old one, so that a reader sees the old or the new.
/// *Returns*: false with `errno` set when it cannot.
package func replaceFile(_ path: String, _ bytes: [UInt8]) -> Bool {
  let temporary = "\(path).new"
  let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
  guard descriptor >= 0 else { return false }
  var rest = bytes[...]
  while !rest.isEmpty {
    let written = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
    if written < 0 {
      if errno == EINTR { continue }
      close(descriptor)
      return false
    }
    rest = rest.dropFirst(written)
  }
  guard close(descriptor) == 0 else { return false }
  return unsafe rename(temporary, path) == 0
}

/// Removes a directory and the files in it; what else is in it stays, and keeps it.
func removeDirectory(_ path: String, files: [String]) {
  for file in files { unsafe unlink("\(path)/\(file)") }
  unsafe rmdir(path)
}

/// The words for an error number.
func reason(_ code: Int32) -> String {
  unsafe String(cString: strerror(code))
}
