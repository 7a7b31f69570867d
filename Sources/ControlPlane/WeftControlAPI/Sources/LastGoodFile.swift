import Dispatch
import Glibc
import Synchronization
package import WeftBase

/// What a source last said, in a file, so that a restart serves it before the source is heard again.
///
/// Nobody waits for the disk: what is noted is written a moment later by a queue of its own, the newest state once for all that came in between,
/// and never synced. After a crash of the machine the file may be older; it is never half of one.
package final class LastGoodFile: Sendable {
  package let path: String
  private let interval: Duration
  private let queue = DispatchQueue(label: "weft.last-good")
  private let state = Mutex(State())

  private struct State {
    var content: (@Sendable () -> JSONValue)?
    var isScheduled = false
    var failure: String?
    var observer: (@Sendable (String?) -> Void)?
  }

  /// *Parameter* `interval`: between two writes while changes flow.
  package init(_ path: String, interval: Duration = .milliseconds(200)) {
    self.path = path
    self.interval = interval
  }

  /// Why the last write failed; nil when it did not.
  package var failure: String? { state.withLock { $0.failure } }

  /// Calls `body` on the file's queue when writing begins to fail (with the reason) and when it succeeds again (nil).
  package func onFailureChange(_ body: @escaping @Sendable (String?) -> Void) {
    state.withLock { $0.observer = body }
  }

  /// What the file has; nil when there is none, or it is damaged.
  package func read() -> JSONValue? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe block.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      bytes += block[..<count]
    }
    return try? JSONValue(parsing: bytes)
  }

  /// Something has changed. *Parameter* `content`: makes the text; called on the file's queue when it is written.
  package func note(_ content: @escaping @Sendable () -> JSONValue) {
    let mustSchedule = state.withLock { state -> Bool in
      state.content = content
      defer { state.isScheduled = true }
      return !state.isScheduled
    }
    guard mustSchedule else { return }
    queue.asyncAfter(deadline: .now() + .milliseconds(Int(interval.wholeMilliseconds))) { [self] in write() }
  }

  /// Writes what has been noted; for an orderly end.
  package func flush() async {
    await withCheckedContinuation { continuation in
      queue.async { [self] in
        write()
        continuation.resume()
      }
    }
  }

  private func write() {
    let content = state.withLock { state in
      state.isScheduled = false
      defer { state.content = nil }
      return state.content
    }
    guard let content else { return }
    let failure = WholeFile.replace(path, with: content().bytes())
    let observer = state.withLock { state -> (@Sendable (String?) -> Void)? in
      defer { state.failure = failure }
      return (state.failure == nil) == (failure == nil) ? nil : state.observer
    }
    observer?(failure)
  }
}
