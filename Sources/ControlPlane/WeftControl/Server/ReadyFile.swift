import Glibc
package import WeftConfig
package import WeftService

/// Tells scripts which addresses were bound: `api=HOST:PORT`, `xds=HOST:PORT`, `pid=N`.
package struct ReadyFile: Sendable {
  package let text: String

  package init(api: [ServiceAddress], xds: [ServiceAddress]) {
    var lines = api.map { "api=\($0)" } + xds.map { "xds=\($0)" }
    lines.append("pid=\(getpid())")
    text = lines.joined(separator: "\n") + "\n"
  }

  /// Writes the file in one step: whoever sees it, sees all of it.
  package func write(to path: String) throws(StoreError) {
    let temporary = "\(path).new"
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .failed("\(temporary): \(unsafe String(cString: strerror(errno)))") }
    let bytes = Array(text.utf8)
    let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
    close(descriptor)
    guard count == bytes.count, unsafe rename(temporary, path) == 0 else {
      throw .failed("\(path): \(unsafe String(cString: strerror(errno)))")
    }
  }
}
