// Files that are written whole or not at all.
import Glibc

package enum WholeFile {
  /// Writes a file whole: to a neighbour first, then over the old one, so that a reader sees the old or the new, also after a crash of the program.
  /// *Returns*: what went wrong, in words; nil when nothing did. *Cost*: blocking.
  package static func replace(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) -> String? {
    let temporary = "\(path).new"
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard descriptor >= 0 else { return problem(temporary) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        let reason = problem(temporary)
        close(descriptor)
        return reason
      }
      rest = rest.dropFirst(count)
    }
    // A network file system says here that it has no room.
    guard close(descriptor) == 0 else { return problem(temporary) }
    return unsafe rename(temporary, path) == 0 ? nil : problem(path)
  }

  private static func problem(_ path: String) -> String { "\(path): \(unsafe String(cString: strerror(errno)))" }
}
