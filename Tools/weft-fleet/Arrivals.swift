import Synchronization

/// Who has received what was changed in the present round, and when.
final class Arrivals: Sendable {
  private struct State {
    var start = ContinuousClock.now
    var type = ""
    var expected: Set<Int> = []
    var times: [Int: Duration] = [:]
    var others: Set<Int> = []
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  func begin(_ type: String, expecting expected: Set<Int>) {
    state.withLock { $0 = State(start: .now, type: type, expected: expected) }
  }

  func note(_ proxy: Int, _ type: String) {
    let now = ContinuousClock.now
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard state.expected.contains(proxy) else {
        state.others.insert(proxy)
        return nil
      }
      guard state.type == type, state.times[proxy] == nil else { return nil }
      state.times[proxy] = now - state.start
      guard state.times.count == state.expected.count else { return nil }
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  /// Waits until all that are expected have it, or `limit` has passed.
  func end(within limit: Duration) async -> (times: [Duration], others: Int) {
    let timer = Task {
      try? await Task.sleep(for: limit)
      let waiter = state.withLock { state in
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume()
    }
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let isDone = state.withLock { state -> Bool in
        if state.times.count == state.expected.count { return true }
        state.waiter = continuation
        return false
      }
      if isDone { continuation.resume() }
    }
    timer.cancel()
    return state.withLock { ($0.times.values.sorted(), $0.others.count) }
  }
}
