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

  /// Operations that wait for the one in progress.
  package var operationsWaiting: Int { waiting.withLock { $0.count } }

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
    let (before, after) = store.withLock { store -> (UInt64, UInt64) in
      let before = store.revision
      do {
        try store.transaction {
          for operation in batch { answers.append(operation.run(store)) }
        }
      } catch {
        failure = error
      }
      return (before, store.revision)
    }
    for operation in batch.dropFirst(answers.count) {
      operation.refuse(failure ?? StoreError.failed("no transaction"))
    }
    for answer in answers { answer(failure) }
    if after != before {
      let signals = watchers.withLock { Array($0.signals.values) }
      for signal in signals { signal.yield(after) }
    }
  }
}
