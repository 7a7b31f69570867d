import Glibc
import WeftBase
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
    if let reason = WholeFile.replace(path, with: Array(text.utf8), mode: 0o644) { throw .failed(reason) }
  }
}
