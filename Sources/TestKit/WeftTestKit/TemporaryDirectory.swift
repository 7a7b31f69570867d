import Glibc

/// A directory of one test's own, removed with everything in it when the value goes away.
package final class TemporaryDirectory: Sendable {
  package let path: String

  package init() {
    let root = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    let blanks = String(repeating: "X", count: 6)  // mkdtemp fills them in.
    var template = Array("\(root)/weft-test-\(blanks)".utf8CString)
    let made = unsafe template.withUnsafeMutableBufferPointer { buffer in unsafe mkdtemp(buffer.baseAddress!) != nil }
    precondition(made, "no temporary directory can be made in \(root)")
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Self.remove(path) }

  package func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Writes a file whole, replacing what was there in one step.
  package func write(_ name: String, _ text: String) {
    let temporary = file(".\(name.replacing("/", with: "_")).new")
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    precondition(descriptor >= 0, "cannot write \(temporary)")
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      precondition(count > 0, "cannot write \(temporary)")
      bytes = bytes.dropFirst(count)
    }
    close(descriptor)
    precondition(unsafe rename(temporary, file(name)) == 0, "cannot rename to \(name)")
  }

  package func remove(_ name: String) { _ = unsafe unlink(file(name)) }

  private static func remove(_ path: String) {
    if let directory = unsafe opendir(path) {
      while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
          unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { remove("\(path)/\(name)") }
      }
      unsafe closedir(directory)
      unsafe rmdir(path)
    } else {
      unsafe unlink(path)
    }
  }
}
