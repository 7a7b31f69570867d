import Synchronization

/// Bytes on their way from the loop to one task, bounded by the peer's flow control.
///
/// The loop offers, the task takes; `onConsumed` tells the loop how much was taken, which opens the peer's window (HTTP/2)
/// or resumes reading (HTTP/1). The loop never offers more than the window or the read buffer it granted.
final class InboundStream: Sendable {
  fileprivate enum End {
    case open
    case finished
    case failed(ServiceError)
  }

  fileprivate struct State {
    var chunks: [[UInt8]] = []
    var first = 0
    var buffered = 0
    var unreported = 0
    var end = End.open
    var trailers = HTTPHeaders()
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state: Mutex<State>
  /// Called on the consumer's thread with the number of bytes taken since the last call; the owner posts to the loop.
  private let onConsumed: @Sendable (Int) -> Void
  /// Called once when the consumer's task is cancelled while waiting.
  private let onAbandoned: @Sendable () -> Void
  private let reportBytes: Int

  init(
    reportBytes: Int = 32 * 1024, onConsumed: @escaping @Sendable (Int) -> Void,
    onAbandoned: @escaping @Sendable () -> Void
  ) {
    state = Mutex(State())
    self.reportBytes = reportBytes
    self.onConsumed = onConsumed
    self.onAbandoned = onAbandoned
  }

  init(complete bytes: [UInt8]) {
    var initial = State()
    if !bytes.isEmpty {
      initial.chunks = [bytes]
      initial.buffered = bytes.count
    }
    initial.end = .finished
    state = Mutex(initial)
    reportBytes = .max
    onConsumed = { _ in }
    onAbandoned = {}
  }

  // MARK: Loop side

  /// Adds bytes; returns how many are buffered now. Bytes after the end are dropped.
  @discardableResult
  func offer(_ bytes: [UInt8]) -> Int {
    let (buffered, waiter) = state.withLock { state -> (Int, CheckedContinuation<Void, Never>?) in
      guard case .open = state.end, !bytes.isEmpty else { return (state.buffered, nil) }
      state.chunks.append(bytes)
      state.buffered += bytes.count
      return (state.buffered, state.takeWaiter())
    }
    waiter?.resume()
    return buffered
  }

  func finish(trailers: HTTPHeaders = HTTPHeaders()) { end(.finished, trailers: trailers) }

  /// Ends with an error; what is buffered is still delivered first.
  func fail(_ error: ServiceError) { end(.failed(error), trailers: HTTPHeaders()) }

  var bufferedBytes: Int { state.withLock { $0.buffered } }

  private func end(_ end: End, trailers: HTTPHeaders) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard case .open = state.end else { return nil }
      state.end = end
      state.trailers = trailers
      return state.takeWaiter()
    }
    waiter?.resume()
  }

  // MARK: Task side

  var trailers: HTTPHeaders { state.withLock { $0.trailers } }

  /// The next run of bytes; nil at the end.
  func next() async throws -> [UInt8]? {
    while true {
      let step = state.withLock { $0.take(reportBytes: reportBytes) }
      switch step {
      case .bytes(let bytes, let report):
        if report > 0 { onConsumed(report) }
        return bytes
      case .ended: return nil
      case .failed(let error): throw error
      case .wait: try await wait()
      }
    }
  }

  private func wait() async throws {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Bool in
          guard state.chunks.count == state.first, case .open = state.end, !Task.isCancelled else { return true }
          precondition(state.waiter == nil, "a body has one consumer")
          state.waiter = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { $0.takeWaiter() }
      waiter?.resume()
    }
    if Task.isCancelled {
      onAbandoned()
      throw ServiceError.cancelled
    }
  }

  fileprivate enum Step {
    case bytes([UInt8], report: Int)
    case ended
    case failed(ServiceError)
    case wait
  }
}

extension InboundStream.State {
  fileprivate mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
    defer { waiter = nil }
    return waiter
  }

  fileprivate mutating func take(reportBytes: Int) -> InboundStream.Step {
    if first < chunks.count {
      let bytes = chunks[first]
      chunks[first] = []
      first += 1
      if first == chunks.count {
        chunks.removeAll(keepingCapacity: true)
        first = 0
      }
      buffered -= bytes.count
      unreported += bytes.count
      guard unreported >= reportBytes || buffered == 0 else { return .bytes(bytes, report: 0) }
      defer { unreported = 0 }
      return .bytes(bytes, report: unreported)
    }
    switch end {
    case .open: return .wait
    case .finished: return .ended
    case .failed(let error): return .failed(error)
    }
  }
}
