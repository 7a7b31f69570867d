// LoopTasks: closures after a delay, for cold paths (DNS, refreshes, supervision). Requests use `schedule(at:token:)`.

import WeftBase

/// Names a closure waiting on a loop. A stale one is harmless.
package struct LoopTask: Hashable, Sendable {
  let timer: TimerID
  let number: UInt64
}

extension EventLoop {
  /// Runs `work` once, `delay` from this turn's time, never inside this call. *Cost*: allocates.
  @discardableResult
  package func schedule(after delay: Duration, _ work: @escaping () -> Void) -> LoopTask {
    // Task numbers have no generation half, by which they differ from the connections on the same wheel.
    nextTask = nextTask % 0xffff_ffff + 1
    let number = nextTask
    tasks[number] = work
    return LoopTask(timer: lingering.schedule(at: now + delay, token: number), number: number)
  }

  /// Forgets a task that has not run.
  package func cancel(_ task: LoopTask) {
    if tasks.removeValue(forKey: task.number) != nil { lingering.cancel(task.timer) }
  }

  func runTask(_ number: UInt64) { tasks.removeValue(forKey: number)?() }
}
