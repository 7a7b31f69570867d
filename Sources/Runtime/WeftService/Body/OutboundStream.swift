import Synchronization

/// Bytes on their way from one task to the loop, bounded: past `limit` the writing task waits.
final class OutboundStream: Sendable {
  fileprivate enum End {
    case open
    case finished
    case failed(ServiceError)
  }

  fileprivate struct State {
    var chunks: [[UInt8]] = []
    var first = 0
    var offset = 0
    var buffered = 0
    var taken: UInt64 = 0
    var end = End.open
    var trailers = HTTPHeaders()
    var endTaken = false
    var signalled = false
    var spaceWaiter: CheckedContinuation<Void, Never>?
    var waitsForDrain = false
  }

  /// What the loop gets when it asks for work.
  enum Work {
    case bytes([UInt8], last: Bool)
    case end(HTTPHeaders)
    case nothing
  }

  private let state = Mutex(State())
  private let limit: Int
  /// Called on the writer's thread when the loop has something new to take; at most once until the loop asks again.
  private let onWork: @Sendable () -> Void
  private let onAbandoned: @Sendable () -> Void

  init(limit: Int, onWork: @escaping @Sendable () -> Void, onAbandoned: @escaping @Sendable () -> Void) {
    self.limit = limit
    self.onWork = onWork
    self.onAbandoned = onAbandoned
  }

  // MARK: Task side

  func write(_ bytes: [UInt8]) async throws {
    try await waitForSpace(below: limit)
    guard !bytes.isEmpty else { return }
    let (signal, error) = state.withLock { state -> (Bool, ServiceError?) in
      switch state.end {
      case .failed(let error): return (false, error)
      case .finished: return (false, .protocolViolation("write after finish"))
      case .open: break
      }
      state.chunks.append(bytes)
      state.buffered += bytes.count
      return (state.signal(), nil)
    }
    if signal { onWork() }
    if let error { throw error }
  }

  /// Ends the stream. Returns at once; does nothing when it has ended already.
  func finish(trailers: HTTPHeaders = HTTPHeaders()) {
    let signal = state.withLock { state -> Bool in
      guard case .open = state.end else { return false }
      state.end = .finished
      state.trailers = trailers
      return state.signal()
    }
    if signal { onWork() }
  }

  /// Bytes that the loop has taken so far: while this stands still and a writer waits, the peer reads nothing.
  var taken: UInt64 { state.withLock { $0.taken } }

  func drained() async throws { try await waitForSpace(below: 1) }

  private func waitForSpace(below mark: Int) async throws {
    while true {
      let (mustWait, error) = state.withLock { state -> (Bool, ServiceError?) in
        if case .failed(let error) = state.end { return (false, error) }
        return (state.buffered >= mark, nil)
      }
      if let error { throw error }
      guard mustWait else { return }
      await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
          let ready = state.withLock { state -> Bool in
            if case .failed = state.end { return true }
            guard state.buffered >= mark, !Task.isCancelled else { return true }
            precondition(state.spaceWaiter == nil, "a body has one writer")
            state.spaceWaiter = continuation
            state.waitsForDrain = mark == 1
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
  }

  /// Sets the whole content at once, before anything was written; also starts it over for another attempt.
  func preload(_ bytes: [UInt8], trailers: HTTPHeaders = HTTPHeaders()) {
    state.withLock { state in
      if case .failed = state.end { return }
      state = State()
      if !bytes.isEmpty { state.chunks = [bytes] }
      state.buffered = bytes.count
      state.end = .finished
      state.trailers = trailers
    }
  }

  // MARK: Loop side

  /// At most `limit` bytes, or the end. `nothing` re-arms `onWork`.
  func take(upTo wanted: Int) -> Work {
    let (work, waiter) = state.withLock { state -> (Work, CheckedContinuation<Void, Never>?) in
      let work = state.take(upTo: wanted)
      let mark = state.waitsForDrain ? 1 : max(1, limit / 2)
      return (work, state.buffered < mark ? state.takeWaiter() : nil)
    }
    waiter?.resume()
    return work
  }

  /// Returns the end of what `take` gave, in front of everything else.
  func putBack(_ bytes: ArraySlice<UInt8>) {
    state.withLock { state in
      if case .failed = state.end { return }
      if state.offset > 0 {
        // The piece came from the middle of the first chunk, whose rest is still there.
        state.offset -= bytes.count
      } else {
        state.chunks.insert(Array(bytes), at: state.first)
      }
      state.buffered += bytes.count
      state.taken -= min(state.taken, UInt64(bytes.count))
      state.endTaken = false
    }
  }

  /// Whether the stream ends here without a byte or a trailer.
  var isEmptyAndFinished: Bool {
    state.withLock { state in
      guard case .finished = state.end else { return false }
      return state.buffered == 0 && state.trailers.isEmpty
    }
  }

  /// Takes everything and throws it away: the end has been said already, or no content may follow.
  func skipToEnd() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      state.chunks = []
      state.first = 0
      state.offset = 0
      state.buffered = 0
      state.endTaken = true
      return state.takeWaiter()
    }
    waiter?.resume()
  }

  /// Whether bytes or an end wait to be taken.
  var hasWork: Bool {
    state.withLock { state in
      if state.buffered > 0 { return true }
      if case .finished = state.end { return !state.endTaken }
      return false
    }
  }

  /// Ends the stream from the loop's side: buffered bytes are dropped and writers get `error`.
  func fail(_ error: ServiceError) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if case .failed = state.end { return nil }
      if case .finished = state.end, state.endTaken { return state.takeWaiter() }
      state.end = .failed(error)
      state.chunks = []
      state.first = 0
      state.offset = 0
      state.buffered = 0
      return state.takeWaiter()
    }
    waiter?.resume()
  }
}

extension OutboundStream.State {
  fileprivate mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
    defer {
      spaceWaiter = nil
      waitsForDrain = false
    }
    return spaceWaiter
  }

  /// Whether the loop must be told; true at most once until it takes `nothing`.
  fileprivate mutating func signal() -> Bool {
    defer { signalled = true }
    return !signalled
  }

  fileprivate mutating func take(upTo wanted: Int) -> OutboundStream.Work {
    guard first < chunks.count else {
      if case .finished = end, !endTaken {
        endTaken = true
        return .end(trailers)
      }
      signalled = false
      return .nothing
    }
    guard wanted > 0 else { return .nothing }
    let chunk = chunks[first]
    let available = chunk.count - offset
    let bytes: [UInt8]
    if available <= wanted {
      bytes = offset == 0 ? chunk : Array(chunk[offset...])
      chunks[first] = []
      first += 1
      offset = 0
      if first == chunks.count {
        chunks.removeAll(keepingCapacity: true)
        first = 0
      }
    } else {
      bytes = Array(chunk[offset..<offset + wanted])
      offset += wanted
    }
    buffered -= bytes.count
    taken += UInt64(bytes.count)
    var last = false
    if first == chunks.count, case .finished = end, trailers.isEmpty {
      last = true
      endTaken = true
    }
    return .bytes(bytes, last: last)
  }
}
