import Glibc
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig

/// Objects and circumstances for tests of the store.
enum StoreFixtures {
  static func rule(
    _ name: String, namespace: String = "default", timeout: String = "1s", labels: [String: String] = [:],
    source: String = Envelope.apiSource
  ) -> Envelope {
    Envelope(
      apiVersion: "networking.istio.io/v1", kind: .virtualService,
      metadata: ObjectMetadata(name: name, namespace: namespace, labels: labels),
      spec: ["hosts": [.string(name)], "http": [["timeout": .string(timeout)]]], source: source)
  }

  static func key(_ name: String, namespace: String = "default") -> ObjectKey {
    ObjectKey(kind: .virtualService, namespace: namespace, name: name)
  }

  static func at(_ second: Int64, source: String = Envelope.apiSource, actor: String = "test") -> WriteContext {
    WriteContext(source: source, actor: actor, now: WallTime(nanoseconds: second * 1_000_000_000))
  }

  /// What a crash would leave behind at this moment: a copy of the database's files, not closed, not checkpointed.
  static func crashImage(of directory: TemporaryDirectory) -> TemporaryDirectory {
    let copy = TemporaryDirectory()
    for suffix in ["", "-wal"] {
      if let bytes = read(directory.file("store.db" + suffix)) {
        write(copy.file("store.db" + suffix), bytes)
      }
    }
    return copy
  }

  private static func read(_ path: String) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var all: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { return all }
      all += block[..<count]
    }
  }

  private static func write(_ path: String, _ bytes: [UInt8]) {
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    precondition(descriptor >= 0)
    defer { close(descriptor) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      precondition(count > 0)
      rest = rest.dropFirst(count)
    }
  }
}
