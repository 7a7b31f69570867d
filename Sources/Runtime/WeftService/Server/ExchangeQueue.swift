import Synchronization

/// Requests on their way from the loop to the task that serves them.
///
/// Bounded by what feeds it: connections × streams per connection, both limited.
final class ExchangeQueue: Sendable {
  struct Arrival: Sendable {
    let request: HTTPServerRequest
    let exchange: ServerExchange
  }

  private struct State {
    var arrivals: [Arrival] = []
    var first = 0
    var isFinished = false
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  func add(_ arrival: Arrival) {
    takeWaiter { state in
      guard !state.isFinished else { return }
      state.arrivals.append(arrival)
    }
  }

  /// No more will come; what waits is still handed out.
  func finish() { takeWaiter { $0.isFinished = true } }

  private func takeWaiter(_ change: (inout State) -> Void) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      change(&state)
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  /// The next arrival; nil at the end.
  func next() async -> Arrival? {
    while true {
      let (arrival, isFinished) = state.withLock { state -> (Arrival?, Bool) in
        guard state.first < state.arrivals.count else { return (nil, state.isFinished) }
        let arrival = state.arrivals[state.first]
        state.first += 1
        if state.first == state.arrivals.count {
          state.arrivals.removeAll(keepingCapacity: true)
          state.first = 0
        } else if state.first > 1024 {
          state.arrivals.removeFirst(state.first)
          state.first = 0
        }
        return (arrival, false)
      }
      if let arrival { return arrival }
      if isFinished { return nil }
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Bool in
          guard state.first == state.arrivals.count, !state.isFinished else { return true }
          precondition(state.waiter == nil, "a server is run once")
          state.waiter = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    }
  }
}
