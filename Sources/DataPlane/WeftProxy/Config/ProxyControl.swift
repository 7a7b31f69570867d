// ProxyControl: what a proxy does besides serving: turning configuration into snapshots, looking names up, ending outlier intervals, stopping.

package import WeftBase
import WeftModel
package import WeftRuntime
package import WeftTelemetry
import WeftUpstream

/// The cold side of a proxy, on the program's main loop.
///
/// *Threads*: its loop's; `update` may be called from any.
package final class ProxyControl: LoopHandler {
  package let loop: EventLoop
  package let server: ProxyServer
  private let compiler: SnapshotCompiler
  private let log: Logger
  private let drainTime: Duration
  private var state: ConfigState
  private var resolver: (any Resolver)?
  private var lookups: Set<String> = []
  private var nextOutlierInterval: [String: MonotonicInstant] = [:]
  private var isStopping = false
  /// What `run` returns: the program's exit code.
  package private(set) var exitCode: Int32 = 0
  /// Called after every compilation, with what was refused.
  package var compiled: (Compilation) -> Void = { _ in }
  /// SIGUSR1: log rotation.
  package var reopenLogs: () -> Void = {}

  package init(
    loop: EventLoop, server: ProxyServer, compiler: SnapshotCompiler, state: ConfigState, log: LogOutput,
    drainTime: Duration
  ) {
    self.loop = loop
    self.server = server
    self.compiler = compiler
    self.state = state
    self.log = Logger(log, .main)
    self.drainTime = drainTime
  }

  /// Looks up what must be looked up, then compiles and hands out the first snapshot; later changes follow by themselves.
  package func start() {
    refreshNames()
    if lookups.isEmpty { apply() } else { _ = loop.schedule(after: .seconds(5), token: Self.firstSnapshot) }
    _ = loop.schedule(after: .seconds(1), token: Self.tick)
    _ = loop.schedule(after: .milliseconds(300), token: Self.settled)
  }

  /// Changes the configuration in force. What does not compile keeps its last good form and is reported by `compiled`.
  /// *Returns*: what was refused.
  @discardableResult
  package func update(_ change: (inout ConfigState) -> Void) -> [ConfigError] {
    change(&state)
    refreshNames()
    return apply()
  }

  /// A copy of the configuration in force.
  package var configuration: ConfigState { state }

  private static let firstSnapshot: UInt64 = 1
  private static let tick: UInt64 = 2
  private static let names: UInt64 = 3
  /// Some time after the start, when its code is not needed any more.
  private static let settled: UInt64 = 4
  private var hasApplied = false

  @discardableResult
  private func apply() -> [ConfigError] {
    hasApplied = true
    let result = compiler.compile(state)
    for rejection in result.rejections { log.error("configuration refused", ("error", .text("\(rejection)"))) }
    server.apply(result.snapshot)
    compiled(result)
    for failure in server.takeListenerFailures() {
      log.error("cannot listen", ("listener", .text(failure.name)), ("reason", .text(failure.reason)))
    }
    return result.rejections
  }

  // MARK: Names

  /// Starts a lookup of every name that a DNS cluster or endpoint needs.
  private func refreshNames() {
    var wanted: [String: Duration] = [:]
    for cluster in state.clusters {
      switch cluster.discovery {
      case .strictDNS, .logicalDNS: break
      default: continue
      }
      for endpoint in cluster.loadAssignment.localities.flatMap(\.endpoints) {
        guard case .socket(let host, _) = endpoint.address, IPAddress(host) == nil else { continue }
        wanted[host] = min(wanted[host] ?? cluster.dnsRefreshRate, cluster.dnsRefreshRate)
      }
    }
    for (name, rate) in wanted where !lookups.contains(name) && (state.addresses[name] == nil || due(name)) {
      look(up: name, every: rate)
    }
  }

  private var refreshAt: [String: MonotonicInstant] = [:]
  private func due(_ name: String) -> Bool { (refreshAt[name] ?? .zero) <= loop.now }

  private func look(up name: String, every rate: Duration) {
    if resolver == nil {
      do throws(WeftError) { resolver = try SystemResolver(loop) } catch {
        return log.error("names cannot be looked up", ("error", .text(error.description)))
      }
    }
    lookups.insert(name)
    _ = resolver?.resolve(DNSQuestion(name)) { [weak self] answer in self?.answered(name, answer, every: rate) }
  }

  private func answered(_ name: String, _ answer: Result<DNSAnswer, WeftError>, every rate: Duration) {
    lookups.remove(name)
    refreshAt[name] = loop.now + rate
    _ = loop.schedule(after: rate, token: Self.names)
    var changed = false
    switch answer {
    case .success(let found) where !found.addresses.isEmpty:
      let sorted = found.addresses.sorted { ($0.high, $0.low) < ($1.high, $1.low) }
      changed = state.addresses[name] != sorted
      state.addresses[name] = sorted
    case .success: break
    case .failure(let error):
      // What was known before stays: a resolver that fails must not empty a cluster.
      log.warning("lookup failed", ("name", .text(name)), ("error", .text(error.description)))
    }
    if hasApplied ? changed : lookups.isEmpty { apply() }
  }

  // MARK: Time

  package func timer(token: UInt64) {
    switch token {
    case Self.firstSnapshot: if !hasApplied { apply() }
    case Self.names: refreshNames()
    case Self.settled: ProcessMemory.releaseStartUpPages()
    case Self.tick:
      endOutlierIntervals()
      compiler.publishLevels()
      _ = loop.schedule(after: .seconds(1), token: Self.tick)
    default: break
    }
  }

  private func endOutlierIntervals() {
    let now = loop.now
    for (name, monitor) in compiler.outlierMonitors {
      guard let next = nextOutlierInterval[name] else {
        nextOutlierInterval[name] = now + monitor.settings.interval
        continue
      }
      if next > now { continue }
      _ = monitor.endInterval(now: now)
      nextOutlierInterval[name] = now + monitor.settings.interval
    }
  }

  // MARK: The end

  /// SIGTERM: clients are told, requests in flight end, then the program does. A second signal stops at once.
  package func received(_ signal: SignalWatch.Signal) {
    switch signal {
    case .terminate where !isStopping:
      isStopping = true
      log.info("draining")
      let server = server
      let limit = drainTime
      let mailbox = loop.mailbox
      // The wait for the workers must not hold up this loop: signals still matter.
      let waiter = try? Worker(name: "weft-drain") {
        server.drain(for: limit)
        mailbox.post { $0.stop() }
      }
      drainer = waiter
    case .terminate, .interrupt:
      loop.stop()
    case .user1: reopenLogs()
    case .hangup: break
    }
  }

  private var drainer: Worker?

  // The main loop serves no connection of its own.
  package func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {}
  package func connected(_ c: ConnectionID) {}
  package func received(_ c: ConnectionID, _ bytes: ByteView) -> Int { bytes.count }
  package func readEnded(_ c: ConnectionID) {}
  package func closed(_ c: ConnectionID, _ reason: CloseReason) {}
}
