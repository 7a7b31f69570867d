import Glibc
package import WeftBase
package import WeftModel

extension DataSource {
  /// Largest file that configuration may name.
  static let maxFileBytes = 16 << 20

  /// The bytes. *Cost*: blocking; cold path. A pipe is read only by those who may wait for its writer (`waits`): the bootstrap may come by one.
  package func load(waits: Bool = false) throws(ConfigError) -> [UInt8] {
    switch self {
    case .inline(let bytes): return bytes
    case .environment(let variable):
      guard let value = unsafe getenv(variable) else {
        throw ConfigError(path: FieldPath().field("environment_variable"), "\(variable) is not set")
      }
      return unsafe Array(String(cString: value).utf8)
    case .file(let path):
      let at = FieldPath().field("filename")
      let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | (waits ? 0 : O_NONBLOCK))
      guard descriptor >= 0 else {
        throw ConfigError(path: at, "cannot read \(path): \(SystemErrorName.describe(errno))")
      }
      defer { _ = close(descriptor) }
      var status = stat()
      guard unsafe waits || fstat(descriptor, &status) != 0 || status.st_mode & S_IFMT != S_IFIFO else {
        throw ConfigError(path: at, "\(path) is a pipe, whose writer nobody here waits for; it must be a file")
      }
      var bytes: [UInt8] = []
      var chunk = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = unsafe read(descriptor, &chunk, chunk.count)
        if count < 0 {
          if errno == EINTR { continue }
          throw ConfigError(path: at, "cannot read \(path): \(SystemErrorName.describe(errno))")
        }
        if count == 0 { return bytes }
        bytes += chunk[..<count]
        guard bytes.count <= Self.maxFileBytes else {
          throw ConfigError(path: at, "\(path) is larger than \(Self.maxFileBytes) bytes")
        }
      }
    }
  }
}
