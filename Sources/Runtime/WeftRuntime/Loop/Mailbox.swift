// Mailbox: how other threads reach a loop.

import Synchronization
import WeftBase

/// Work posted to a loop from any thread. Cold path: it locks and allocates.
package final class Mailbox: Sendable {
  private struct State {
    var work: [@Sendable (EventLoop) -> Void] = []
    var isOpen = true
  }

  private let state = Mutex(State())
  /// Read by the loop every turn without the lock.
  private let filled = Atomic<Bool>(false)
  private let wake: @Sendable () -> Void

  init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  /// Runs `work` on the loop's thread in one of its next turns, in the order posted. Returns false when the loop has ended (`work` will not
  /// run).
  @discardableResult
  package func post(_ work: @escaping @Sendable (EventLoop) -> Void) -> Bool {
    let (accepted, first) = state.withLock { state in
      guard state.isOpen else { return (false, false) }
      state.work.append(work)
      return (true, state.work.count == 1)
    }
    if first {
      filled.store(true, ordering: .releasing)
      wake()
    }
    return accepted
  }

  var isFilled: Bool { filled.load(ordering: .acquiring) }

  func take() -> [@Sendable (EventLoop) -> Void] {
    filled.store(false, ordering: .relaxed)
    return state.withLock { state in
      defer { state.work = [] }
      return state.work
    }
  }

  func close() {
    state.withLock { state in
      state.isOpen = false
      state.work = []
    }
  }
}
