// SimProbes: places that a run of seeds must have come by, or the simulation proves less than it says.

import Synchronization

/// Named places and how often they were reached. A test over many seeds fails when one of them never was.
package final class SimProbes: Sendable {
  package let names: [String]
  private let counts: Mutex<[String: Int]>

  private let others: Set<String>

  /// *Parameter* `others`: names that shared parts of the worlds use and this run need not reach.
  package init(_ names: [String], others: [String] = []) {
    self.names = names
    self.others = Set(others)
    counts = Mutex(Dictionary(uniqueKeysWithValues: names.map { ($0, 0) }))
  }

  package func reached(_ name: String, _ times: Int = 1) {
    if times == 0 { return }
    counts.withLock { counts in
      if let old = counts[name] {
        counts[name] = old + times
      } else {
        precondition(others.contains(name), "no probe has the name \(name)")
      }
    }
  }

  /// Names never reached.
  package var missing: [String] { counts.withLock { counts in names.filter { counts[$0] == 0 } } }

  /// One line for each name, as run.py reads them.
  package var summary: String {
    counts.withLock { counts in names.map { "reached \($0): \(counts[$0] ?? 0)" }.joined(separator: "\n") }
  }
}
