// Mailbox: how other threads reach a loop.

import Synchronization
import WeftBase

/// Work posted to a loop from any thread. Cold path: it locks and allocates.
package final class Mailbox: Sendable {
  private struct Letter {
    var work: @Sendable (EventLoop) -> Void
    var dropped: (@Sendable () -> Void)?
  }

  private struct State {
    var work: [Letter] = []
    var isOpen = true
  }

  private let state = Mutex(State())
  /// Read by the loop every turn without the lock.
  private let filled = Atomic<Bool>(false)
  private let wake: @Sendable () -> Void
  private let turnBegan = Atomic<UInt64>(0)

  init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  /// Runs `work` on the loop's thread in one of its next turns, in the order posted. Returns false when the loop has ended (`work` will not
  /// run). Work that was accepted and is still waiting when the loop ends does not run either: then `dropped` does, on the loop's thread.
  /// Whoever waits for an answer needs it.
  @discardableResult
  package func post(
    _ work: @escaping @Sendable (EventLoop) -> Void, dropped: (@Sendable () -> Void)? = nil
  ) -> Bool {
    let (accepted, first) = state.withLock { state in
      guard state.isOpen else { return (false, false) }
      state.work.append(Letter(work: work, dropped: dropped))
      return (true, state.work.count == 1)
    }
    if first {
      filled.store(true, ordering: .releasing)
      wake()
    }
    return accepted
  }

  /// When the loop began the turn it is in, in nanoseconds of its clock; 0: it waits for events. From any thread.
  package var busySince: UInt64 { turnBegan.load(ordering: .relaxed) }

  /// The loop's: it begins a turn, or waits (0).
  func turns(since nanoseconds: UInt64) { turnBegan.store(nanoseconds, ordering: .relaxed) }

  var isFilled: Bool { filled.load(ordering: .acquiring) }

  func take() -> [@Sendable (EventLoop) -> Void] {
    filled.store(false, ordering: .relaxed)
    return state.withLock { state in
      defer { state.work = [] }
      return state.work.map(\.work)
    }
  }

  func close() {
    let left = state.withLock { state in
      defer { state.work = [] }
      state.isOpen = false
      return state.work
    }
    for letter in left { letter.dropped?() }
  }
}
