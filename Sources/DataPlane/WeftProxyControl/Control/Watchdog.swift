// Watchdog: notices threads whose loop does not turn any more. *Source*: Envoy's guard dog, its times, counters and defaults.

import Glibc
import Synchronization
package import WeftBase
package import WeftModel
package import WeftProxy
package import WeftRuntime
package import WeftTelemetry

/// What a watchdog thinks of its threads: a pure function of what it saw.
package struct WatchedThreads {
  package enum Finding: Equatable, Sendable {
    case miss(thread: Int)
    case megaMiss(thread: Int)
    /// The process is to end: one thread is stuck, or several are.
    case kill(thread: Int)
    case killMany(threads: Int)
  }

  private struct Thread {
    var turn: UInt64 = 0
    /// How long it was seen in that turn.
    var stuck = Duration.zero
    var isMissed = false
    var isMegaMissed = false
  }

  private let settings: Bootstrap.Watchdog
  private let kill: Duration?
  private var threads: [Thread]

  /// `lot`: 0 to 1, how much of the jitter is added.
  package init(_ count: Int, _ settings: Bootstrap.Watchdog, lot: Double = 0) {
    self.settings = settings
    kill = settings.kill.map { $0 + settings.killJitter * lot }
    threads = Array(repeating: Thread(), count: count)
  }

  /// Time between two looks.
  package var interval: Duration {
    let times = [settings.miss, settings.megaMiss] + [settings.kill, settings.multiKill].compactMap { $0 }
    return min(max((times.min() ?? settings.miss) / 2, .milliseconds(1)), .seconds(1))
  }

  /// `turns`: when each thread began the turn it is in; 0: it waits. `elapsed`: time since the last look. A dog that slept itself (a stopped
  /// process) holds no more than two intervals against anybody.
  package mutating func look(_ turns: [UInt64], elapsed: Duration) -> [Finding] {
    var findings: [Finding] = []
    let seen = min(elapsed, interval * 2)
    for i in threads.indices {
      guard turns[i] != 0, turns[i] == threads[i].turn else {
        threads[i] = Thread(turn: turns[i])
        continue
      }
      threads[i].stuck += seen
      if threads[i].stuck >= settings.miss, !threads[i].isMissed {
        threads[i].isMissed = true
        findings.append(.miss(thread: i))
      }
      if threads[i].stuck >= settings.megaMiss, !threads[i].isMegaMissed {
        threads[i].isMegaMissed = true
        findings.append(.megaMiss(thread: i))
      }
      if let kill, threads[i].stuck >= kill { findings.append(.kill(thread: i)) }
    }
    if let time = settings.multiKill {
      let stuck = threads.count { $0.stuck >= time }
      let enough = max(2, Int((settings.multiKillThreshold / 100 * Double(threads.count)).rounded(.up)))
      if stuck >= enough { findings.append(.killMany(threads: stuck)) }
    }
    return findings
  }
}

/// A thread that looks at others: at the control loop, and at the workers.
///
/// *Threads*: one of its own, until `stop`. *Cost*: to a loop two stores a turn.
package final class Watchdog: Sendable {
  /// Threads that are counted together, as `main_thread` or `workers`.
  package struct Pack: Sendable {
    package var name: String
    package var threads: [(name: String, mailbox: Mailbox)]
    package var settings: Bootstrap.Watchdog
    package init(_ name: String, _ threads: [(name: String, mailbox: Mailbox)], _ settings: Bootstrap.Watchdog) {
      self.name = name
      self.threads = threads
      self.settings = settings
    }
  }

  /// The control loop and the workers, as the bootstrap wants them looked after.
  package static func packs(_ bootstrap: Bootstrap, control: EventLoop, _ server: ProxyServer) -> [Pack] {
    [
      Pack("main_thread", [("main_thread", control.mailbox)], bootstrap.mainWatchdog),
      Pack("workers", server.watched, bootstrap.workerWatchdog),
    ]
  }

  private let isOver = Atomic(false)
  private let worker = Mutex<Worker?>(nil)

  /// `kill` ends the process; it is told why. *Errors*: the system refuses another thread.
  package init(
    _ packs: [Pack], metrics: MetricsRegistry, log: LogOutput,
    kill: @escaping @Sendable (String) -> Void = { _ in abort() }
  ) throws(WeftError) {
    for pack in packs {
      _ = metrics.scope(ScopeKey(.watchdog, pack.name))
      for thread in pack.threads { _ = metrics.scope(ScopeKey(.watchdog, "server", thread.name)) }
    }
    let dog = self
    let started = try Worker(name: "weft-watchdog") { dog.run(packs, metrics, Logger(log, .main), kill) }
    worker.withLock { $0 = started }
  }

  /// Ends its thread, within one interval.
  package func stop() {
    isOver.store(true, ordering: .relaxed)
    worker.withLock { $0 }?.join()
  }

  private func run(
    _ packs: [Pack], _ metrics: MetricsRegistry, _ log: Logger, _ kill: @Sendable (String) -> Void
  ) {
    var watched = packs.map { pack in
      WatchedThreads(pack.threads.count, pack.settings, lot: Double.random(in: 0...1))
    }
    let interval = watched.map(\.interval).min() ?? .seconds(1)
    var last = ContinuousClock.now
    while !isOver.load(ordering: .relaxed) {
      Self.sleep(interval)
      let now = ContinuousClock.now
      for (i, pack) in packs.enumerated() {
        for finding in watched[i].look(pack.threads.map(\.mailbox.busySince), elapsed: now - last) {
          Self.tell(finding, pack, metrics, log, kill)
        }
      }
      last = now
    }
  }

  private static func tell(
    _ finding: WatchedThreads.Finding, _ pack: Pack, _ metrics: MetricsRegistry, _ log: Logger,
    _ kill: @Sendable (String) -> Void
  ) {
    func count(_ metric: WatchdogMetric, _ thread: Int) {
      metrics.add(metric, metrics.scope(ScopeKey(.watchdog, pack.name)))
      metrics.add(metric, metrics.scope(ScopeKey(.watchdog, "server", pack.threads[thread].name)))
    }
    switch finding {
    case .miss(let thread): count(.miss, thread)
    case .megaMiss(let thread):
      count(.megaMiss, thread)
      log.warning(
        "a thread does not answer", ("thread", .text(pack.threads[thread].name)),
        ("milliseconds", .number(Int(pack.settings.megaMiss.wholeMilliseconds))))
    case .kill(let thread): kill("\(pack.threads[thread].name) does not answer (kill_timeout)")
    case .killMany(let threads): kill("\(threads) of \(pack.name) do not answer (multikill_timeout)")
    }
  }

  /// Sooner when a signal comes, which does no harm.
  private static func sleep(_ time: Duration) {
    let (seconds, attoseconds) = time.components
    var rest = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    _ = unsafe nanosleep(&rest, nil)
  }
}
