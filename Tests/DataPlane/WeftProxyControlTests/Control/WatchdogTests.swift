import Testing
import WeftBase
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyControl
@testable import WeftProxyTestKit

@Suite("watchdog")
struct WatchdogTests {
  static func settings(_ change: (inout Bootstrap.Watchdog) -> Void = { _ in }) -> Bootstrap.Watchdog {
    var settings = Bootstrap.Watchdog()
    change(&settings)
    return settings
  }

  @Test("a thread that stays in one turn is missed once, then missed for long once, until it turns again")
  func misses() {
    var threads = WatchedThreads(2, Self.settings())
    let step = threads.interval
    #expect(step == .milliseconds(100))
    var found: [[WatchedThreads.Finding]] = []
    // The first waits for events, the second is stuck in the turn that began at 7, then in the next one.
    for turn in Array(repeating: UInt64(7), count: 13) + [9, 9, 9, 9] {
      found.append(threads.look([0, turn], elapsed: step))
    }
    var expected: [[WatchedThreads.Finding]] = Array(repeating: [], count: 17)
    expected[2] = [.miss(thread: 1)]
    expected[10] = [.megaMiss(thread: 1)]
    expected[15] = [.miss(thread: 1)]
    #expect(found == expected)
  }

  @Test("a thread that waits, or begins turn after turn, is never missed")
  func lively() {
    var threads = WatchedThreads(2, Self.settings { $0.kill = .seconds(1) })
    let findings = (1...100).flatMap { threads.look([0, $0], elapsed: .seconds(5)) }
    #expect(findings == [])
  }

  @Test("a process that was stopped holds its own sleep against no thread")
  func stopped() {
    var threads = WatchedThreads(1, Self.settings { $0.kill = .seconds(3) })
    _ = threads.look([5], elapsed: .milliseconds(100))
    #expect(threads.look([5], elapsed: .seconds(3600)) == [.miss(thread: 0)], "two intervals, not an hour")
    #expect(threads.look([6], elapsed: .milliseconds(100)) == [])
  }

  @Test("one thread ends the process after kill_timeout, with its lot of jitter, and several after multikill_timeout")
  func kills() {
    func looks(_ settings: Bootstrap.Watchdog, lot: Double, _ turns: [UInt64]) -> (Int, WatchedThreads.Finding?) {
      var threads = WatchedThreads(turns.count, settings, lot: lot)
      for n in 0..<100 {
        let deadly = threads.look(turns, elapsed: .milliseconds(100)).first {
          switch $0 {
          case .kill, .killMany: true
          default: false
          }
        }
        if let deadly { return (n, deadly) }
      }
      return (100, nil)
    }
    let one = Self.settings {
      $0.kill = .seconds(2)
      $0.killJitter = .seconds(1)
    }
    #expect(looks(one, lot: 0, [4]) == (20, .kill(thread: 0)))
    #expect(looks(one, lot: 1, [4]) == (30, .kill(thread: 0)))
    let many = Self.settings {
      $0.multiKill = .seconds(1)
      $0.multiKillThreshold = 60
    }
    #expect(looks(many, lot: 0, [4]) == (100, nil), "one thread is never several")
    #expect(looks(many, lot: 0, [4, 5, 0, 0]) == (100, nil), "60 % of four are three")
    #expect(looks(many, lot: 0, [4, 5, 6, 0]) == (10, .killMany(threads: 3)))
  }

  @Test("a worker that is stuck is counted by itself and among the workers, told of, and ended by setting")
  func stuckWorker() throws {
    let registry = MetricsRegistry(workers: 2)
    let server = try ProxyServer(ProxyServer.Options(concurrency: 2), registry: registry)
    let (blocked, killed) = (Handover<Bool>(), Handover<String>())
    let release = Handover<Bool>()
    let settings = Self.settings {
      $0.miss = .milliseconds(4)
      $0.megaMiss = .milliseconds(6)
      $0.kill = .milliseconds(10)
    }
    let watchdog = try Watchdog(
      [Watchdog.Pack("workers", server.watched, settings)], metrics: registry, log: LogOutput(level: .off),
      kill: { reason in
        killed.give(reason)
        release.give(true)
      })
    server.watched[1].mailbox.post { _ in
      blocked.give(true)
      _ = release.take()
    }
    _ = blocked.take()
    #expect(killed.take().hasSuffix("(kill_timeout)"))
    watchdog.stop()
    server.stop()
    for key in [ScopeKey(.watchdog, "workers"), ScopeKey(.watchdog, "server", "worker_1")] {
      let scope = registry.scope(key)
      #expect(registry.value(WatchdogMetric.miss, scope) >= 1 && registry.value(WatchdogMetric.megaMiss, scope) >= 1)
    }
  }

  @Test("counters have Envoy's names in both forms")
  func names() {
    let registry = MetricsRegistry(workers: 1)
    for key in [ScopeKey(.watchdog, "main_thread"), ScopeKey(.watchdog, "server", "main_thread")] {
      _ = registry.scope(key)
    }
    _ = registry.scope(ScopeKey(.watchdog, "server", "worker_3"))
    let entries = StatSnapshot(registry).entries.filter { $0.name.hasSuffix("watchdog_miss") }
    #expect(
      entries.map(\.name) == [
        "main_thread.watchdog_miss", "server.main_thread.watchdog_miss", "server.worker_3.watchdog_miss",
      ])
    #expect(
      entries.map(\.family) == [
        "envoy_main_thread_watchdog_miss", "envoy_server_main_thread_watchdog_miss",
        "envoy_server_worker_watchdog_miss",
      ])
    #expect(entries.map { $0.labels.map { "\($0.name)=\($0.value)" } } == [[], [], ["envoy_worker_id=3"]])
  }

  @Test("the bootstrap's watchdogs are carried out, the old form for both, and both forms are refused")
  func bootstrap() throws {
    func load(_ text: String) throws -> Bootstrap { try BootstrapLoader.load(Array(text.utf8)).bootstrap }
    let new = try load(
      """
      watchdogs:
        main_thread_watchdog: { miss_timeout: 0.5s, megamiss_timeout: 3s, kill_timeout: 0s }
        worker_watchdog: { kill_timeout: 20s, max_kill_timeout_jitter: 2s, multikill_timeout: 8s, multikill_threshold: { value: 40 } }
      """)
    #expect(
      new.mainWatchdog
        == Self.settings {
          $0.miss = .milliseconds(500)
          $0.megaMiss = .seconds(3)
        })
    #expect(
      new.workerWatchdog
        == Self.settings {
          $0.kill = .seconds(20)
          $0.killJitter = .seconds(2)
          $0.multiKill = .seconds(8)
          $0.multiKillThreshold = 40
        })
    let old = try load("watchdog: { miss_timeout: 1s }")
    #expect(old.mainWatchdog.miss == .seconds(1) && old.mainWatchdog == old.workerWatchdog)
    let both = #expect(throws: ConfigError.self) { try load("watchdog: {}\nwatchdogs: {}") }
    #expect(both?.description.contains("watchdog: cannot be set beside watchdogs") == true)
    let over = #expect(throws: ConfigError.self) {
      try load("watchdogs: {worker_watchdog: {multikill_threshold: {value: 101}}}")
    }
    #expect(over?.description.contains("watchdogs.worker_watchdog.multikill_threshold.value") == true)
  }
}
