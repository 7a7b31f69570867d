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

/// Removes a directory and the files in it; what else is in it stays, and keeps it.
func removeDirectory(_ path: String, files: [String]) {
  for file in files { unsafe unlink("\(path)/\(file)") }
  unsafe rmdir(path)
}

/// The words for an error number.
func reason(_ code: Int32) -> String {
  unsafe String(cString: strerror(code))
}
