// What signals have asked the agent to do, for whoever waits for it.
import Glibc
import Synchronization
import WeftService

/// The orders to stop so far. The signals have one reader for the whole life of the agent; every phase asks here.
final class StopOrders: Sendable {
  private struct State {
    var given: [Int32] = []
    var waiters: [UInt64: (count: Int, continuation: CheckedContinuation<Int32?, Never>)] = [:]
    var lastWaiter: UInt64 = 0
    var application: ChildProcess?
  }

  private static let stopping: Set<Int32> = [SIGTERM, SIGINT, SIGQUIT]
  private let state = Mutex(State())

  /// Reads the signals until the task is cancelled.
  func follow(_ signals: Signals) async {
    for await number in signals.values { take(number) }
  }

  /// SIGTERM, SIGINT and SIGQUIT are orders to stop; any other signal is passed on to the application.
  func take(_ number: Int32) {
    let (ready, application) = state.withLock { state -> ([CheckedContinuation<Int32?, Never>], ChildProcess?) in
      guard Self.stopping.contains(number) else { return ([], state.application) }
      state.given.append(number)
      let due = state.waiters.filter { $0.value.count <= state.given.count }
      for waiter in due.keys { state.waiters[waiter] = nil }
      return (due.values.map(\.continuation), nil)
    }
    for continuation in ready { continuation.resume(returning: number) }
    application?.send(number)
  }

  /// From now on, where signals that do not ask to stop go.
  func pass(to application: ChildProcess?) { state.withLock { $0.application = application } }

  var count: Int { state.withLock { $0.given.count } }

  /// The order to stop that came as the `count`th; nil when the waiting task is cancelled before there is one.
  func order(_ count: Int) async -> Int32? {
    let waiter = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = state.withLock { state -> Int32?? in
          if state.given.count >= count { return .some(state.given[count - 1]) }
          if Task.isCancelled { return .some(nil) }
          state.waiters[waiter] = (count, continuation)
          return nil
        }
        if let now { continuation.resume(returning: now) }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: waiter) }?.continuation.resume(returning: nil)
    }
  }

  /// Does `work`, or gives up whatever it waits for when there are `count` orders to stop: then nil.
  func unless<Result: Sendable>(
    _ count: Int, _ work: @escaping @Sendable () async throws -> Result
  ) async throws -> Result? {
    try await withThrowingTaskGroup(of: Result?.self) { group in
      group.addTask { try await work() }
      group.addTask {
        _ = await self.order(count)
        return nil
      }
      let first = try await group.next() ?? nil
      group.cancelAll()
      return first
    }
  }
}
