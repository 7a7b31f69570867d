import Synchronization
import WeftRuntime

/// Work on its way to the loop, and who waits for the loop's end.
///
/// Unlike the loop's own mailbox it never drops what it has accepted: work posted while the loop ends still runs, and finds
/// the core shut down.
final class RuntimeInbox: Sendable {
  typealias Work = @Sendable (LoopCore) -> Void

  enum Acceptance {
    case refused
    case accepted
    /// The loop must be told.
    case first
  }

  private struct State {
    var work: [Work] = []
    var isOpen = true
    var hasEnded = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

  func add(_ work: @escaping Work) -> Acceptance {
    state.withLock { state in
      guard state.isOpen else { return .refused }
      state.work.append(work)
      return state.work.count == 1 ? .first : .accepted
    }
  }

  /// On the loop: runs what has come.
  func drain(_ loop: EventLoop) {
    guard let core = loop.handler as? LoopCore else { return }
    for work in take() { work(core) }
  }

  private func take() -> [Work] {
    state.withLock { state in
      defer { state.work = [] }
      return state.work
    }
  }

  /// What waits, or, when nothing does, the end of accepting: no work falls between the two.
  private func takeOrClose() -> [Work]? {
    state.withLock { state in
      guard !state.work.isEmpty else {
        state.isOpen = false
        return nil
      }
      defer { state.work = [] }
      return state.work
    }
  }

  /// On the loop's thread, after its last turn.
  func ended(_ core: LoopCore) {
    core.shutDown()
    while let rest = takeOrClose() {
      for work in rest { work(core) }
    }
    core.clear()
    let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
      state.hasEnded = true
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  func whenEnded() async {
    await withCheckedContinuation { continuation in
      let ended = state.withLock { state -> Bool in
        if !state.hasEnded { state.waiters.append(continuation) }
        return state.hasEnded
      }
      if ended { continuation.resume() }
    }
  }
}
