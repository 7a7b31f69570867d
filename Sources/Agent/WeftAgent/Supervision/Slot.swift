// What an instance leaves to the next one of its service on this machine.
import Glibc
import WeftBase

/// A directory that one running instance of a service and version holds at a time. The next instance finds there the last
/// good configuration of the proxy before it, and the ports that its listeners were made for.
final class Slot: Sendable {
  let directory: String
  private let lock: Int32

  /// More instances than this on one machine start without a last good configuration.
  static let limit = 256

  /// Takes the first place that nobody holds; nil when there is none or the directory cannot be made.
  static func take(_ configuration: AgentConfiguration) -> Slot? {
    let parts = [configuration.namespace, configuration.service, configuration.version].map(fileName)
    let service = "\(configuration.stateDirectory)/slots/\(parts.joined(separator: "/"))"
    for number in 0..<limit {
      let directory = "\(service)/\(number)"
      guard makeDirectories(directory) else { return nil }
      let lock = unsafe open("\(directory)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
      guard lock >= 0 else { return nil }
      if flock(lock, LOCK_EX | LOCK_NB) == 0 { return Slot(directory, lock) }
      close(lock)
    }
    return nil
  }

  private init(_ directory: String, _ lock: Int32) {
    self.directory = directory
    self.lock = lock
  }

  deinit { close(lock) }

  var lastGood: String { "\(directory)/last-good" }

  /// The ports of the instance before; nil when there was none.
  func ports() -> JSONValue? {
    let file = unsafe open("\(directory)/ports.json", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    guard count > 0, count < bytes.count else { return nil }
    return try? JSONValue(parsing: Array(bytes[..<count]))
  }

  func keep(_ ports: JSONValue) -> Bool {
    WholeFile.replace("\(directory)/ports.json", with: ports.bytes()) == nil
  }

  /// A name as one component of a path.
  private static func fileName(_ text: String) -> String {
    let plain = text.utf8.map { byte -> Character in
      let isPlain =
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D
        || byte == 0x2E
      return isPlain ? Character(UnicodeScalar(byte)) : "_"
    }
    return plain.first == "." || plain.isEmpty ? "_" + String(plain) : String(plain)
  }
}
