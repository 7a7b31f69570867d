import Dispatch
import Synchronization
import WeftControlAPI

/// The store for many callers: one serial queue, on which everything that waits shares one commit.
///
/// A write returns after its commit is on disk. Writes that arrive while a commit is being synced wait and go into the
/// next one together, each as its own unit: one that is refused does not touch the others.
package final class StoreService: Sendable {
  private struct Operation: Sendable {
    /// Runs inside the transaction; the answer is called after the commit, with the error if that failed.
    var run: @Sendable (ConfigStore) -> @Sendable ((any Error)?) -> Void
    /// Called instead of `run` when no transaction could begin.
    var refuse: @Sendable (any Error) -> Void
  }

  private let store: Mutex<ConfigStore>
  private let queue = DispatchQueue(label: "weft.store")
  private let waiting = Mutex<[Operation]>([])
  private let watchers = Mutex<Watchers>(Watchers())

  private let health = Mutex(Health())

  private struct Health {
    var failure: String?
    var failures: UInt64 = 0
    var tell: (@Sendable (String?) -> Void)?
  }

  private struct Watchers {
    var next: UInt64 = 0
    var signals: [UInt64: AsyncStream<UInt64>.Continuation] = [:]
    var closed = false
  }

  /// Bound of operations that wait for the disk; further ones are refused.
  package static let waitingLimit = 10_000

  package init(_ store: sending ConfigStore) {
    self.store = Mutex(store)
  }

  /// Opens or creates the store at `path`.
  package convenience init(path: String, limits: StoreLimits = StoreLimits()) throws(StoreError) {
    self.init(try ConfigStore(path: path, limits: limits))
  }

  /// What the store had lost when it was opened.
  package var loss: StoreLoss? { store.withLock { $0.loss } }

  /// Why the store cannot be written; nil while it can, as far as is known.
  package var failure: String? { health.withLock { $0.failure } }

  /// How often it became unwritable.
  package var failures: UInt64 { health.withLock { $0.failures } }

  /// Calls `tell` when the store cannot be written any more, with the reason, and with nil when it can again. One listener.
  package func onFailureChange(_ tell: @escaping @Sendable (String?) -> Void) { health.withLock { $0.tell = tell } }

  /// Writes something that nobody reads, so that a disk that takes nothing is noticed before somebody's change is lost.
  package func probe() async { try? await perform { try $0.probe() } }

  /// Empties the write-ahead log into the file, after everything that waits. *Errors*: `failed`.
  package func checkpoint() async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      queue.async { [self] in
        drain()
        continuation.resume(with: Result { try store.withLock { try $0.checkpoint() } })
      }
    }
  }

  private func note(_ failure: String?) {
    let tell = health.withLock { health -> (@Sendable (String?) -> Void)? in
      guard health.failure != failure else { return nil }
      // Another reason is no other state.
      let isNews = (health.failure == nil) != (failure == nil)
      if isNews, failure != nil { health.failures += 1 }
      health.failure = failure
      return isNews ? health.tell : nil
    }
    tell?(failure)
  }

  /// Runs `body` against the store, in order with everything else; what it wrote is on disk when this returns.
  /// *Errors*: what `body` throws (nothing of it is kept), `StoreError.failed` when the commit fails.
  package func perform<Result: Sendable>(
    _ body: @escaping @Sendable (ConfigStore) throws -> Result
  ) async throws -> Result {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Result, any Error>) in
      let operation = Operation(
        run: { store in
          do {
            let result = try store.transaction { try body(store) }
            return { failure in
              if let failure { continuation.resume(throwing: failure) } else { continuation.resume(returning: result) }
            }
          } catch {
            return { _ in continuation.resume(throwing: error) }
          }
        },
        refuse: { continuation.resume(throwing: $0) })
      let position = waiting.withLock { list -> Int? in
        guard list.count < Self.waitingLimit else { return nil }
        list.append(operation)
        return list.count
      }
      switch position {
      case nil:
        continuation.resume(throwing: StoreError.limitReached("\(Self.waitingLimit) operations waiting for the store"))
      case 1: queue.async { [self] in drain() }
      default: break  // The drain that the first of the batch asked for takes this one along.
      }
    }
  }

  /// The newest revision now, and after every commit that made a new one. A slow reader sees only the newest; the
  /// changes themselves are read with `events(after:)`.
  package func revisions() -> AsyncStream<UInt64> {
    let (stream, continuation) = AsyncStream.makeStream(of: UInt64.self, bufferingPolicy: .bufferingNewest(1))
    let id = watchers.withLock { watchers -> UInt64? in
      guard !watchers.closed else { return nil }
      watchers.next += 1
      watchers.signals[watchers.next] = continuation
      return watchers.next
    }
    guard let id else {
      continuation.finish()
      return stream
    }
    continuation.onTermination = { [weak self] _ in
      self?.watchers.withLock { _ = $0.signals.removeValue(forKey: id) }
    }
    // Through the queue, so that it is ordered with the commits.
    queue.async { [self] in
      let revision = store.withLock { $0.revision }
      _ = continuation.yield(revision)
    }
    return stream
  }

  /// Ends all watches; operations still work.
  package func endWatches() {
    let signals = watchers.withLock { watchers in
      watchers.closed = true
      defer { watchers.signals = [:] }
      return Array(watchers.signals.values)
    }
    for signal in signals { signal.finish() }
  }

  private func drain() {
    let batch = waiting.withLock { list in
      defer { list = [] }
      return list
    }
    guard !batch.isEmpty else { return }
    var answers: [@Sendable ((any Error)?) -> Void] = []
    answers.reserveCapacity(batch.count)
    var failure: (any Error)?
    let (before, after, trouble) = store.withLock { store -> (UInt64, UInt64, String?) in
      let before = store.revision
      do {
        try store.transaction {
          for operation in batch { answers.append(operation.run(store)) }
        }
      } catch {
        failure = error
      }
      return (before, store.revision, store.failure)
    }
    note(trouble)
    for operation in batch.dropFirst(answers.count) {
      operation.refuse(failure ?? StoreError.failed("no transaction"))
    }
    // Who begins to watch once its write is answered is told by its own turn in the queue, not of that write again.
    let signals = after != before ? watchers.withLock { Array($0.signals.values) } : []
    for answer in answers { answer(failure) }
    for signal in signals { signal.yield(after) }
  }
}
