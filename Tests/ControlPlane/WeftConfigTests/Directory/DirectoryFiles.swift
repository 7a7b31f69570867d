import Glibc

@testable import WeftConfig

/// Files as directory tests write them.
enum DirectoryFiles {
  static func rule(_ name: String, timeout: String = "1s") -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name)}
    spec:
      hosts: [\(name)]
      http:
      - timeout: \(timeout)
        route: [{destination: {host: \(name)}}]

    """
  }

  static func makeDirectory(_ path: String) throws {
    guard unsafe mkdir(path, 0o755) == 0 else { throw DirectoryError(path: path, code: errno) }
  }

  static func link(_ target: String, _ name: String) {
    precondition(unsafe symlink(target, name) == 0, "cannot link \(name)")
  }
}
