import WeftBase
import WeftTelemetry
import WeftUpstream

/// What one compilation writes into: texts, tables and boxes that live as long as the snapshots that use them.
final class SnapshotStorage: Sendable {
  let arena = ConstantArena()
  let boxes = SnapshotBoxes()

  func text(_ text: String) -> ByteView { arena.text(text) }
  func bytes(_ bytes: [UInt8]) -> ByteView { bytes.withByteView { arena.copy($0) } }
  func keep<Value>(_ value: consuming Value) -> ConfigRef<Value> { boxes.keep(value) }
  /// Keeps `owner` alive as long as the storage.
  func retain(_ owner: AnyObject) { boxes.retain(owner) }
}
