// BalancerTables: where the tables of a process are found, and who makes them.

import Synchronization
package import WeftProxyAPI
import WeftRuntime

/// The tables in use, by what they are made of, so that all workers have one between them, and the thread that makes them.
///
/// A table is there as long as somebody keeps it: compiled clusters those of their hosts as configured, balancers those they choose by.
/// *Threads*: any.
package final class BalancerTables: Sendable {
  package enum Builder: Sendable {
    /// Whoever asks makes it: for worlds with one thread.
    case asker
    /// A thread of its own, which there is while there is something to make.
    case thread
    /// Nobody: for those who compile to find errors.
    case none
  }

  private struct WeakTable: Sendable {
    weak var table: BalancerTable?
  }

  private struct Order: Sendable {
    var jobs: [BalancerTableJob]
    var done: @Sendable ([BalancerTable]) -> Void
  }

  private struct State: Sendable {
    var known: [BalancerTableJob.Key: WeakTable] = [:]
    var orders: [Order] = []
    var isRunning = false
    var thread: Worker?
  }

  package let builder: Builder
  private let state = Mutex(State())

  package init(_ builder: Builder = .asker) { self.builder = builder }

  /// The table, if it is there.
  package func find(_ job: BalancerTableJob) -> BalancerTable? {
    state.withLock { $0.known[job.key]?.table }
  }

  /// The table; made here and now, if it is not there.
  package func make(_ job: BalancerTableJob) -> BalancerTable {
    if let known = find(job) { return known }
    let table = job.make()
    state.withLock {
      $0.known = $0.known.filter { $0.value.table != nil }
      $0.known[job.key] = WeakTable(table: table)
    }
    return table
  }

  /// Has tables made and tells `done`, on the builder's thread, one order after the other.
  package func order(_ jobs: [BalancerTableJob], done: @escaping @Sendable ([BalancerTable]) -> Void) {
    let hasThread = state.withLock { state -> Bool in
      state.orders.append(Order(jobs: jobs, done: done))
      if state.isRunning { return true }
      state.isRunning = true
      // It has made everything, and ends.
      state.thread.take()?.join()
      state.thread = try? Worker(name: "weft-tables") { self.work() }
      return state.thread != nil
    }
    if !hasThread { work() }
  }

  private func work() {
    while let order = state.withLock({ state -> Order? in
      if state.orders.isEmpty {
        state.isRunning = false
        return nil
      }
      return state.orders.removeFirst()
    }) {
      order.done(order.jobs.map(make))
    }
  }
}
